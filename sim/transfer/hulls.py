"""Objects that collide as what is seen of them: every visible part by its own convex hull."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from generation.assets.mass import extents, quat_to_matrix
from generation.compile import SlotTemplate, geom_parts
from generation.spec import Part, SceneSpec

# Corners around round parts, and rings from pole to pole of ellipsoids.
_SIDES, _RINGS = 20, 8


def hull_points(part: Part) -> np.ndarray:
    """Corners f64[V, 3] (m, part frame) whose hull stands for the part.

    Round parts are polyhedra with corners on the surface; poles are flat, at their full height, so
    that round things stand as high as they look and do not balance on a corner.
    """
    if part.shape == "convex":
        return np.array(part.vertices, float)
    if part.shape == "box":
        signs = [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
        return np.array(signs, float) * np.array(part.size)
    if part.shape == "cylinder":
        radius, half, _ = part.size
        return np.concatenate([_ring(radius, z) for z in (-half, half)])
    if part.shape == "capsule":
        radius, half, _ = part.size
        ball = _ball() * radius
        return ball + np.where(ball[:, 2:] > 0.0, half, -half) * np.array([0.0, 0.0, 1.0])
    return _ball() * extents(part)


def _ring(radius: float, z: float) -> np.ndarray:
    turn = 2.0 * math.pi * np.arange(_SIDES) / _SIDES
    flat = radius * np.stack([np.cos(turn), np.sin(turn)], -1)
    return np.concatenate([flat, np.full((_SIDES, 1), z)], 1)


def _ball() -> np.ndarray:
    """Corners of a unit ball without its poles."""
    angles = math.pi * (np.arange(_RINGS) + 0.5) / _RINGS
    rings = [_ring(math.sin(a), math.cos(a)) for a in angles]
    for ring in (rings[0], rings[-1]):
        ring[:, 2] = np.sign(ring[:, 2])
    return np.concatenate(rings)


def body_points(part: Part) -> np.ndarray:
    """`hull_points` in the frame of the object's body."""
    return hull_points(part) @ quat_to_matrix(part.quat).T + np.array(part.pos)


def give_hulls(spec: mujoco.MjSpec, scene: SceneSpec, template: SlotTemplate) -> None:
    """Makes the visible parts of all objects colliding meshes, and the invisible ones intangible.

    Args:
        spec: the scene from `sim.scene_batch.scene_spec`; changed.
        scene, template: what it was built from.
    """
    for k, thing in enumerate(scene.objects):
        keys = template.slots[k]
        for j, index in enumerate(geom_parts(thing.parts, keys)):
            geom = spec.geom(f"object{k}_geom{j}")
            seen = index is not None and thing.parts[index].visible
            geom.contype = geom.conaffinity = int(seen)
            if index is not None and seen:
                mesh = spec.add_mesh(name=f"{geom.name}_hull")
                mesh.uservert = hull_points(thing.parts[index]).ravel()
                geom.type, geom.meshname = mujoco.mjtGeom.mjGEOM_MESH, mesh.name
                geom.size = (0.0, 0.0, 0.0)
