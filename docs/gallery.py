"""Draws the contact sheets of the README into docs/: `python -m docs.gallery`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image as Picture
from scipy.spatial import ConvexHull

import vla_jax as vj
from benchmarks.render import look_at, rotations
from sim.env import EnvConfig
from sim.randomize import Randomization
from sim.render import (
    TEXTURES,
    Camera,
    Light,
    RenderGeoms,
    default_backdrop,
    make_atlas,
    render,
)
from vla_jax.demo import TRAIN_SENTENCES
from vla_jax.transfer import side_by_side

FOLDER = Path(__file__).parent
SHAPES = ("box", "sphere", "capsule", "cylinder", "ellipsoid", "convex")
TABLES = ("wood", "marble", "fabric", "checker", "plain", "speckle", "wood", "stripes")


def sheet(pictures: np.ndarray, columns: int, name: str) -> None:
    """Save pictures u8[N, H, W, 3] side by side."""
    rows = [
        np.concatenate(list(pictures[i : i + columns]), 1) for i in range(0, len(pictures), columns)
    ]
    whole = Picture.fromarray(np.concatenate(rows)).quantize(256)
    whole.save(FOLDER / name, optimize=True)


def room() -> np.ndarray:
    """A painted panorama u8[256, 512, 3]: walls, windows, doors, floor."""
    picture = np.full((256, 512, 3), (206, 196, 180), np.uint8)
    picture[:70], picture[160:] = (238, 238, 233), (126, 98, 70)
    for k in range(8):
        left, door = 12 + 64 * k, k % 2
        picture[80 : 160 if door else 130, left : left + 40] = (
            (104, 72, 50) if door else (160, 200, 235)
        )
    return picture


def badge() -> np.ndarray:
    """A small picture u8[64, 64, 3] to wrap around things."""
    y, x = np.mgrid[:64, :64]
    picture = np.stack([4 * x, 4 * y, 128 + 0 * x], -1).astype(np.uint8)
    picture[(x - 32) ** 2 + (y - 32) ** 2 < 300] = 255
    return picture


def crystal(faces: int) -> np.ndarray:
    """Half spaces f32[faces, 4] of a random convex part."""
    points = np.random.default_rng(0).normal(size=(14, 3))
    points *= 0.045 / np.linalg.norm(points, axis=1, keepdims=True)
    planes = ConvexHull(points).equations * [1, 1, 1, -1]
    return np.concatenate([planes, np.zeros((faces - len(planes), 4))])


def materials() -> None:
    """All shapes in all textures (an image in place of plain), two lights, half with a panorama."""
    n, g = len(TEXTURES), len(SHAPES)
    size = [
        [0.04] * 3,
        [0.04] * 3,
        [0.028, 0.04, 0],
        [0.035, 0.045, 0],
        [0.05, 0.035, 0.03],
        [0.05] * 3,
    ]
    pos = [[0.18, -0.14, 0.04], [0.18, 0, 0.04], [0.2, 0.14, 0.028]]
    pos += [[0.32, -0.14, 0.045], [0.32, 0, 0.03], [0.32, 0.14, 0.045]]
    quat = np.tile([1.0, 0, 0, 0], (g, 1))
    quat[0], quat[2], quat[3] = [0.97, 0, 0, 0.25], [0.69, 0.69, 0.14, 0.14], [0.2, 0, 0, -0.98]
    rgb = [[0.8, 0.2, 0.15], [0.2, 0.45, 0.8], [0.9, 0.7, 0.1], [0.15, 0.6, 0.3]]
    rgb = np.tile([*rgb, [0.6, 0.3, 0.7], [0.9, 0.5, 0.2]], (n, 1, 1))
    texture, scale = np.tile(np.arange(n)[:, None], (1, g)), np.full((n, g), 0.04)
    texture[0], scale[0], scale[-1], rgb[0] = n, 0.08, 0.09, 0.0
    eye, target = np.array([0.72, 0.0, 0.42]), np.array([0.25, 0.0, 0.03])

    def rows(x: object) -> jax.Array:
        one = np.asarray(x, np.float32)
        return jnp.asarray(np.tile(one, (n,) + (1,) * one.ndim))

    geoms = RenderGeoms(
        types=SHAPES,
        size=rows(size),
        pos=rows(pos),
        mat=rows(rotations(quat)),
        rgb=jnp.asarray(rgb, jnp.float32),
        rgb2=rows(np.where(np.ones((g, 3)), 0.95, 0.0)),
        texture=jnp.asarray(texture, jnp.int32),
        texture_scale=jnp.asarray(scale, jnp.float32),
        visible=jnp.ones((n, g), bool),
        planes=rows(crystal(32)[None]),
    )
    light = Light(
        direction=rows(np.array([0.35, 0.45, -1.0]) / np.linalg.norm([0.35, 0.45, -1.0])),
        ambient=jnp.full((n, 3), 0.25),
        diffuse=jnp.full((n, 3), 0.75),
        fill_direction=rows(np.array([-0.6, -0.5, -0.6]) / np.linalg.norm([0.6, 0.5, 0.6])),
        fill=jnp.full((n, 3), 0.2),
    )
    backdrop = replace(
        default_backdrop(n),
        table_texture=jnp.asarray([TEXTURES.index(name) for name in TABLES], jnp.int32),
        panorama=jnp.asarray([0, -1] * (n // 2), jnp.int32),
    )
    camera = Camera(rows(eye), rows(look_at(eye, target)), jnp.full(n, np.deg2rad(42.0)))
    atlas = make_atlas([badge()], [room()])
    image = render(geoms, camera, light, backdrop, atlas, height=224, width=224, samples=4)
    sheet(np.asarray(image.rgb), 4, "materials.png")


def randomized() -> None:
    """One row a scene: as it is, then under full randomization."""
    scenes = vj.design(list(TRAIN_SENTENCES), n=3, seed=5)
    pictures = []
    for randomization in (Randomization.none(), Randomization.full()):
        env, batch = vj.make_env(
            scenes, num_envs=15, randomization=randomization, backend="native", image_size=160
        )
        _, seen = env.reset_to(batch, jax.random.key(2), np.repeat(np.arange(3), 5))
        pictures.append(np.asarray(seen.image).reshape(3, 5, 160, 160, 3))
    both = np.concatenate([pictures[0][:, :1], pictures[1]], 1)
    sheet(both.reshape(-1, 160, 160, 3), 6, "randomized.png")


def panda() -> None:
    """The second robot: what its fixed camera sees, and below that its wrist camera."""
    scenes = vj.design("put something in a container", n=4, seed=5)
    env, batch = vj.make_env(scenes, num_envs=4, robot="panda", backend="native")
    state, _ = env.reset_to(batch, jax.random.key(1), np.arange(4))
    fixed = np.asarray(env.render(batch, state, 160))
    wrist = np.asarray(env.render(batch, state, 160, wrist=True))
    sheet(np.concatenate([fixed, wrist]), 4, "panda.png")


def transfer() -> None:
    """The same starts in the training domain and in the transfer domain."""
    scenes = vj.design(list(TRAIN_SENTENCES), n=8, seed=1)
    small = Randomization(object_xy=0.05, camera=0.03)
    config = EnvConfig(image_size=120, wrist_size=120, randomization=small)
    whole = side_by_side(scenes, config, seed=3).quantize(256)
    whole.save(FOLDER / "transfer.png", optimize=True)


if __name__ == "__main__":
    materials()
    randomized()
    panda()
    transfer()
