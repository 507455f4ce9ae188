"""Puts colliding parts on a table in MuJoCo and looks whether they stay."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mujoco
import numpy as np

from generation.assets.mass import mass_properties, quat_to_matrix
from generation.assets.parts import corners, raised
from generation.spec import Part

_TYPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
}
_SNAP = 0.002  # m, or this share of the height: a part that ends so near the table reaches it
_SNAP_SHARE = 0.03


def settled(parts: Sequence[Part], density: float, friction: float) -> tuple[float, float]:
    """How far m and by what angle rad a body has moved after 1.5 s on a table."""
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.004
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE, size=(1, 1, 0.1), friction=(0.8, 0.01, 1e-4), condim=4
    )
    body = spec.worldbody.add_body(pos=(0, 0, 5e-4))
    body.add_freejoint()
    body.explicitinertial = True
    props = mass_properties(parts, density)
    body.mass, body.ipos = props.mass, props.com
    body.inertia, body.iquat = props.principal()
    for part in parts:
        if part.collide:
            body.add_geom(
                type=_TYPES[part.shape], size=part.size, pos=part.pos, quat=part.quat,
                mass=0.0, friction=(friction, 0.01, 1e-4), condim=4,
            )  # fmt: skip
    model = spec.compile()
    data = mujoco.MjData(model)
    for _ in range(375):
        mujoco.mj_step(model, data)
    up = quat_to_matrix(data.qpos[3:7])[2, 2]
    if not np.isfinite(data.qpos).all():
        return math.inf, math.pi
    return float(np.linalg.norm(data.qpos[:3])), math.acos(float(np.clip(up, -1.0, 1.0)))


def grounded(parts: Sequence[Part], com: np.ndarray) -> list[Part]:
    """Colliding parts that end almost at the table moved or stretched down to it.

    If the largest of them carries the centre of mass alone, the others are raised a millimetre:
    every part on the table costs contacts in every step.
    """
    ends = [float(corners(part)[:, 2].min()) for part in parts]
    height = max(float(corners(part)[:, 2].max()) for part in parts)
    near = min(ends) + max(_SNAP, _SNAP_SHARE * height)
    out = [_lowered(p, end) if end <= near else p for p, end in zip(parts, ends, strict=True)]
    standing = [k for k, end in enumerate(ends) if end <= near]
    feet = {k: corners(out[k]) for k in standing}
    soles = {k: c[c[:, 2] < 1e-4][:, :2] for k, c in feet.items()}
    base = max(standing, key=lambda k: float(np.prod(np.ptp(feet[k][:, :2], axis=0))))
    sole = soles[base]
    if len(sole) >= 4:
        low, high = sole.min(axis=0), sole.max(axis=0)
        upright = abs(quat_to_matrix(out[base].quat)[2, 2]) > 0.999
        inside = (com[:2] > low + 0.25 * (high - low)) & (com[:2] < high - 0.25 * (high - low))
        if upright and inside.all():
            return [raised(p) if k in standing and k != base else p for k, p in enumerate(out)]
    return out


def _lowered(part: Part, end: float) -> Part:
    upright = part.quat[1] == part.quat[2] == 0.0
    x, y, z = part.pos
    if part.shape == "box" and upright:
        size = (part.size[0], part.size[1], round(part.size[2] + end / 2, 6))
        if size[2] > 2e-4:
            return part.model_copy(update={"size": size, "pos": (x, y, size[2])})
    return part.model_copy(update={"pos": (x, y, round(z - end, 6))})
