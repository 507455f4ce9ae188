"""Bodies, geoms and servos in the way that all robots of the library are built of them."""

from __future__ import annotations

import mujoco


def set_inertia(body: mujoco.MjsBody, inertia: tuple) -> None:
    """Gives a body its inertia and compensates its weight.

    Args:
      body: the body.
      inertia: (mass kg, centre of mass m, quaternion wxyz, principal moments kg m2), or
        (mass, centre of mass, (xx, yy, zz, xy, xz, yz)) about the centre of mass in body axes.
    """
    if len(inertia) == 4:
        body.mass, body.ipos, body.iquat, body.inertia = inertia
    else:
        body.mass, body.ipos, body.fullinertia = inertia
    body.explicitinertial = True
    body.gravcomp = 1.0


def add_geom(body: mujoco.MjsBody, name: str, rgba: tuple, collides: bool, **shape) -> None:
    """Adds a massless geom. contype 0 with conaffinity 1 meets objects, never the robot itself."""
    body.add_geom(
        name=f"robot_{name}",
        rgba=rgba,
        mass=0.0,
        contype=0,
        conaffinity=1 if collides else 0,
        condim=3,
        **shape,
    )


def add_joint(
    body: mujoco.MjsBody,
    name: str,
    axis: tuple,
    limits: tuple,
    armature: float,
    kind: mujoco.mjtJoint = mujoco.mjtJoint.mjJNT_HINGE,
) -> None:
    """Adds a limited hinge (rad) or slide (m) with a rotor inertia (kg m2 or kg)."""
    body.add_joint(name=name, type=kind, axis=axis, range=limits, limited=True, armature=armature)


def add_servo(
    spec: mujoco.MjSpec, joint: str, kp: float, kv: float, limits: tuple | None = None
) -> None:
    """A position servo: force = kp (target - position) - kv velocity.

    Args:
      spec: the robot's spec.
      joint: name of the joint, and of the actuator.
      kp: stiffness, N m/rad or N/m.
      kv: damping, N m s/rad or N s/m.
      limits: range of targets; by default the joint's.
    """
    actuator = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_position(kp=kp, kv=kv, inheritrange=limits is None)
    if limits is not None:
        actuator.ctrlrange, actuator.ctrllimited = limits, True
