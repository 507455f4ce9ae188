"""The kinematic tree of a model: constants of a compiled program."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np

FREE = int(mujoco.mjtJoint.mjJNT_FREE)
SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)


@dataclasses.dataclass(frozen=True)
class Joint:
    """A joint of a body: type (mjtJoint), first index in qpos, axis, anchor and reference."""

    type: int
    adr: int
    axis: tuple[float, ...]
    pos: tuple[float, ...]
    ref: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Body:
    """A body: index of its parent (lower than its own), frame in the parent, joints in order."""

    parent: int
    pos: tuple[float, ...]
    quat: tuple[float, ...]
    joints: tuple[Joint, ...]


@dataclasses.dataclass(frozen=True)
class Tree:
    """The bodies of a model, world first. Hashable: static in `jit`."""

    bodies: tuple[Body, ...]

    @classmethod
    def from_model(cls, model: mujoco.MjModel) -> Tree:
        """Reads the kinematic tree of a compiled model.

        Raises:
          ValueError: if a joint is neither hinge, slide nor free.
        """
        bodies = []
        for i in range(model.nbody):
            first, count = int(model.body_jntadr[i]), int(model.body_jntnum[i])
            joints = tuple(_read_joint(model, j) for j in range(first, first + count))
            free = any(joint.type == FREE for joint in joints)
            bodies.append(
                Body(
                    parent=int(model.body_parentid[i]),
                    # A free body's frame is its qpos; what the model says differs per scene.
                    pos=(0.0, 0.0, 0.0) if free else _floats(model.body_pos[i]),
                    quat=(1.0, 0.0, 0.0, 0.0) if free else _floats(model.body_quat[i]),
                    joints=joints,
                )
            )
        return cls(tuple(bodies))


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _read_joint(model: mujoco.MjModel, j: int) -> Joint:
    kind, adr = int(model.jnt_type[j]), int(model.jnt_qposadr[j])
    if kind not in (FREE, SLIDE, HINGE):
        name = mujoco.mjtJoint(kind).name
        raise ValueError(f"joint {model.joint(j).name!r} is of type {name}; use hinge, slide, free")
    if kind == FREE:
        return Joint(kind, adr, (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), 0.0, -np.inf, np.inf)
    low, high = _floats(model.jnt_range[j]) if model.jnt_limited[j] else (-np.inf, np.inf)
    return Joint(
        kind,
        adr,
        _floats(model.jnt_axis[j]),
        _floats(model.jnt_pos[j]),
        float(model.qpos0[adr]),
        low,
        high,
    )
