"""Frames per second of the ray caster, shadows on: `python -m benchmarks.render [--json]`.

Every picture shows another scene: a table with 16 boxes and 16 capsules of random size, pose,
colour and texture, seen by a camera that has all of them in view. The first row (64 x 64) is what
counts; `ceiling` is what the processor's arithmetic allows if every ray met every geom (50
operations for each geom, for the camera ray and again for the shadow ray, and 500 for shading):
lists of the geoms that each block of pixels can see are how a picture may cost less than that.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from sim.render import (
    TEXTURES,
    Backdrop,
    Camera,
    Light,
    RenderGeoms,
    default_backdrop,
    render,
)

SIZES = (64, 32, 48, 224)  # the first is the row that counts
BOXES, CAPSULES = 16, 16
# Pictures of 64 x 64 pixels in one call; fewer of larger ones.
NUM_SCENES = 256 if jax.default_backend() == "cpu" else 4096


def make_scenes(n: int, seed: int) -> tuple[RenderGeoms, Camera, Light]:
    """N random tables full of boxes and capsules."""
    rng = np.random.default_rng(seed)
    g = BOXES + CAPSULES
    size = rng.uniform(0.012, 0.04, (n, g, 3))
    low, high = [0.12, -0.25, 0.02], [0.42, 0.25, 0.15]
    quat = rng.normal(size=(n, g, 4))
    light = np.array([0.35, 0.45, -1.0])
    light /= np.linalg.norm(light)
    eye, target = np.array([0.66, 0.0, 0.42]), np.array([0.24, 0.0, 0.05])
    geoms = RenderGeoms(
        types=("box",) * BOXES + ("capsule",) * CAPSULES,
        size=_f32(size),
        pos=_f32(rng.uniform(low, high, (n, g, 3))),
        mat=_f32(rotations(quat)),
        rgb=_f32(rng.uniform(size=(n, g, 3))),
        rgb2=_f32(rng.uniform(size=(n, g, 3))),
        texture=jnp.asarray(rng.integers(0, len(TEXTURES), (n, g)), jnp.int32),
        texture_scale=jnp.full((n, g), 0.03, jnp.float32),
        visible=jnp.ones((n, g), bool),
    )
    camera = Camera(
        pos=_f32(np.tile(eye, (n, 1))),
        mat=_f32(np.tile(look_at(eye, target), (n, 1, 1))),
        fovy=jnp.full(n, np.deg2rad(45.0), jnp.float32),
    )
    lights = Light(
        direction=_f32(np.tile(light, (n, 1))),
        ambient=jnp.full((n, 3), 0.3),
        diffuse=jnp.full((n, 3), 0.75),
    )
    return geoms, camera, lights


def rotations(quat: np.ndarray) -> np.ndarray:
    """Rotation matrices [..., 3, 3] of quaternions [..., 4] (wxyz) of any length but zero."""
    w, x, y, z = np.moveaxis(quat / np.linalg.norm(quat, axis=-1, keepdims=True), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotation [3, 3], camera to world, of a camera that looks at a point, world +z upwards."""
    back = eye - target
    right = np.cross([0.0, 0.0, 1.0], back)
    axes = np.stack([right, np.cross(back, right), back], 1)
    return axes / np.linalg.norm(axes, axis=0)


def _f32(values: np.ndarray) -> jax.Array:
    return jnp.asarray(values, jnp.float32)


def measure_size(size: int, num_scenes: int, runs: int, seed: int = 0) -> common.Row:
    """The row of one picture size."""
    scenes = (*make_scenes(num_scenes, seed), default_backdrop(num_scenes))

    def draw(geoms: RenderGeoms, camera: Camera, light: Light, backdrop: Backdrop) -> jax.Array:
        return render(geoms, camera, light, backdrop, height=size, width=size).rgb

    program, compile_s = common.compiled(draw, *scenes)
    timing = common.measure(lambda: program(*scenes), runs)
    row = common.make_row(
        "render",
        "frames/s",
        num_scenes,
        timing,
        compile_s=compile_s,
        num_envs=num_scenes,
        size=size,
        geoms=BOXES + CAPSULES,
        shadows=True,
    )
    work = size * size * (100 * (BOXES + CAPSULES) + 500)
    row["ceiling"] = common.tidy(common.peak_flops() / work)
    return row


def rows(quick: bool = False) -> list[common.Row]:
    """One row for each picture size, 64 x 64 first."""
    sizes, scenes = (SIZES[:2], 16) if quick else (SIZES, NUM_SCENES)
    runs = common.QUICK_RUNS if quick else common.RUNS
    return [
        measure_size(size, min(scenes, max(16, scenes * 64**2 // size**2)), runs) for size in sizes
    ]


if __name__ == "__main__":
    common.main("render", rows, (__doc__ or "").splitlines()[0])
