"""Scenes as MuJoCo's renderer draws them: materials, table top, room and lamps."""

from __future__ import annotations

import mujoco
import numpy as np

from generation.assets.mass import extents
from generation.compile import TABLE_CENTRE, TABLE_HALF, SlotTemplate, geom_parts
from generation.spec import Part, SceneSpec
from sim.render.shading import FLOOR_DEPTH
from sim.robots.base import Robot
from sim.scene_batch import OPTIONS, TIMESTEP, scene_spec
from sim.transfer.config import TransferConfig
from sim.transfer.surfaces import baked, unseen

LAMPS = 3
_PART, _TABLE, _FLOOR = 32, 512, 256  # sides of textures, pixels
_ROOM = 3.0  # m from the table's centre to the walls


def look_model(
    scene: SceneSpec, template: SlotTemplate, robot: Robot, config: TransferConfig
) -> mujoco.MjModel:
    """The scene for `Painter`; positions are those of its physics, collisions are not modelled.

    Args:
        scene: what to draw. Its surroundings follow from it, so equal scenes look alike.
        template: structure of its batch.
        robot: stands in it.
        config: what differs from the training domain.
    """
    spec = scene_spec(scene, template, robot, TIMESTEP, OPTIONS, sensors=False, meshes=True)
    gloss = config.gloss
    spec.add_material(name="plain", rgba=(0.5, 0.5, 0.5, 1.0), specular=gloss, shininess=0.6)
    for geom in spec.geoms:
        geom.material = "plain"
        geom.contype = geom.conaffinity = 0
    for k, thing in enumerate(scene.objects):
        for j, index in enumerate(geom_parts(thing.parts, template.slots[k])):
            part = None if index is None else thing.parts[index]
            if part is not None and part.visible and part.texture != "plain":
                _dress(spec, spec.geom(f"object{k}_geom{j}"), part, gloss)
    rng = np.random.default_rng(int(scene.id, 16))
    _add_table(spec, scene, config, rng)
    _add_room(spec, scene, config, rng)
    for i in range(LAMPS):
        kind = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        spec.worldbody.add_light(name=f"lamp{i}", type=kind, dir=(0, 0, -1), castshadow=i == 0)
    return spec.compile()


def _dress(spec: mujoco.MjSpec, geom: mujoco.MjsGeom, part: Part, gloss: float) -> None:
    """Gives the geom the part's pattern on all sides."""
    periods = max(1.0, 2.0 * float(extents(part).max()) / part.texture_scale)
    pixels = baked(part.texture, part.rgba, part.rgba2, periods, _PART)
    kind = mujoco.mjtTexture.mjTEXTURE_CUBE
    _add_texture(spec, geom.name, kind, np.concatenate([pixels] * 6))
    material = spec.add_material(name=f"{geom.name}_look", specular=gloss, shininess=0.6)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = geom.name
    geom.material, geom.rgba = material.name, (1.0, 1.0, 1.0, 1.0)


def _add_texture(
    spec: mujoco.MjSpec, name: str, kind: mujoco.mjtTexture, pixels: np.ndarray
) -> None:
    texture = spec.add_texture(name=name, type=kind, nchannel=3)
    texture.height, texture.width = pixels.shape[:2]
    texture.data = np.ascontiguousarray(pixels).tobytes()


def _add_table(
    spec: mujoco.MjSpec, scene: SceneSpec, config: TransferConfig, rng: np.random.Generator
) -> None:
    look = scene.table
    if config.surfaces:
        pixels = unseen(rng, _TABLE)
    else:
        periods = 2.0 * TABLE_HALF[0] / look.texture_scale
        pixels = baked(look.texture, look.rgba, look.rgba2, periods, _TABLE)
    _paint(spec, spec.geom("table"), "table", pixels, 1, config.gloss)


def _paint(
    spec: mujoco.MjSpec,
    geom: mujoco.MjsGeom,
    name: str,
    pixels: np.ndarray,
    times: int,
    gloss: float,
) -> None:
    """Lays a bitmap on a plane, so many times along each side."""
    _add_texture(spec, name, mujoco.mjtTexture.mjTEXTURE_2D, pixels)
    material = spec.add_material(
        name=f"{name}_look", specular=gloss, shininess=0.8, reflectance=0.3 * gloss
    )
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    material.texrepeat = (times, times)
    geom.material, geom.rgba = material.name, (1.0, 1.0, 1.0, 1.0)


def _add_room(
    spec: mujoco.MjSpec, scene: SceneSpec, config: TransferConfig, rng: np.random.Generator
) -> None:
    """A floor and, in the other room, walls and things along them; else the scene's gradient."""
    world, back = spec.worldbody, scene.background
    floor = world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(_ROOM, _ROOM, 0.1),
        pos=(TABLE_CENTRE[0], TABLE_CENTRE[1], -FLOOR_DEPTH),
        rgba=(*back.floor, 1.0),
        contype=0,
        conaffinity=0,
    )
    sky = spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    sky.builtin = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT
    sky.width, sky.height = 32, 192
    sky.rgb1, sky.rgb2 = back.top, back.horizon
    if not config.surfaces:
        return
    _paint(spec, floor, "floor", unseen(rng, _FLOOR), 4, 0.0)
    wall = rng.uniform(0.45, 0.85) + rng.uniform(-0.08, 0.08, 3)
    for i in range(4):
        axis, side = i % 2, 1 - 2 * (i // 2)
        pos, size = np.array(TABLE_CENTRE), np.full(3, _ROOM)
        pos[axis] += side * _ROOM
        size[axis] = 0.02
        _add_box(spec, pos, size, wall * (1.0, 0.9)[axis])
    for _ in range(6):  # where the fixed camera looks past the table
        size = rng.uniform((0.1, 0.15, 0.2), (0.3, 0.5, 0.6))
        pos = (rng.uniform(-2.2, -0.9), rng.uniform(-1.6, 1.6), size[2] - FLOOR_DEPTH)
        _add_box(spec, np.array(pos), size, rng.uniform(0.15, 0.85, 3))


def _add_box(spec: mujoco.MjSpec, pos: np.ndarray, size: np.ndarray, rgb: np.ndarray) -> None:
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=size,
        pos=pos,
        rgba=(*np.clip(rgb, 0.0, 1.0), 1.0),
        contype=0,
        conaffinity=0,
    )
