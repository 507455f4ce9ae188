"""Forward kinematics, Jacobian and differential inverse kinematics, batched, in JAX.

The tree of bodies is static, so the loops over bodies and joints unroll at trace time, and every
operation runs over the environments, in components (`sim.robots.components`).
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import mujoco

from sim.robots.base import Robot
from sim.robots.components import (
    Vec,
    add,
    cholesky_solve,
    columns,
    cross,
    dot,
    normalize,
    quat_mul,
    rotate,
    rotation_error,
    sub,
)
from sim.robots.tree import FREE, HINGE, SLIDE, Body, Joint, Tree

__all__ = [
    "Chain",
    "Tree",
    "body_poses",
    "quat_to_mat",
    "robot_chain",
    "solve_ik",
    "tcp_jacobian",
    "tcp_pose",
]


def quat_to_mat(quat: jax.Array) -> jax.Array:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4] (wxyz)."""
    w, x, y, z = columns(quat)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _is_zero(values: tuple[float, ...]) -> bool:
    return all(value == 0.0 for value in values)


# Forward kinematics ------------------------------------------------------------------------------


def _apply_joint(joint: Joint, q: Vec, pos: Vec, quat: Vec) -> tuple[Vec, Vec]:
    """Frame of a body after one of its joints; `q` are the columns of qpos."""
    if joint.type == FREE:
        return q[joint.adr : joint.adr + 3], normalize(q[joint.adr + 3 : joint.adr + 7])
    value = q[joint.adr] - joint.ref
    if joint.type == SLIDE:
        axis = rotate(quat, joint.axis)
        return add(pos, tuple(value * x for x in axis)), quat
    half = 0.5 * value
    sin = jnp.sin(half)
    turned = quat_mul(quat, (jnp.cos(half), *(x * sin for x in joint.axis)))
    if not _is_zero(joint.pos):  # the anchor stays where it was
        pos = sub(add(pos, rotate(quat, joint.pos)), rotate(turned, joint.pos))
    return pos, turned


def _frames(tree: Tree, q: Vec, last: int) -> list[tuple[Vec, Vec]]:
    """Position and quaternion of bodies 0..last, in components."""
    zero, one = jnp.zeros_like(q[0]), jnp.ones_like(q[0])
    frames: list[tuple[Vec, Vec]] = [((zero, zero, zero), (one, zero, zero, zero))]
    for body in tree.bodies[1 : last + 1]:
        pos, quat = frames[body.parent]
        if not _is_zero(body.pos):
            pos = add(pos, rotate(quat, body.pos))
        if body.quat != (1.0, 0.0, 0.0, 0.0):
            quat = quat_mul(quat, body.quat)
        for joint in body.joints:
            pos, quat = _apply_joint(joint, q, pos, quat)
        frames.append((pos, quat))
    return frames


@functools.partial(jax.jit, static_argnums=0)
def body_poses(tree: Tree, qpos: jax.Array) -> tuple[jax.Array, jax.Array]:
    """World frames of all bodies.

    Args:
      tree: the model's tree.
      qpos: f32[N, nq].

    Returns:
      xpos f32[N, B, 3] (m) and xmat f32[N, B, 3, 3], as MuJoCo's `xpos` and `xmat`.
    """
    frames = _frames(tree, columns(qpos), len(tree.bodies) - 1)
    xpos = jnp.stack([jnp.stack(pos, axis=-1) for pos, _ in frames], axis=1)
    quat = jnp.stack([jnp.stack(quat, axis=-1) for _, quat in frames], axis=1)
    return xpos, quat_to_mat(quat)


# The arm -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Chain:
    """The serial chain from the world to the tool of a robot. Hashable: static in `jit`.

    Its `tree` holds the arm's bodies alone; joint angles `q` are f32[N, J], base to wrist. Inverse
    kinematics prefers angles near `posture`, with `posture_weight`, see `Robot`.
    """

    tree: Tree
    low: tuple[float, ...]
    high: tuple[float, ...]
    tcp_pos: tuple[float, ...]
    tcp_quat: tuple[float, ...]
    posture: tuple[float, ...]
    posture_weight: float


def robot_chain(robot: Robot) -> Chain:
    """The kinematic chain of a robot's arm, from its own description.

    Raises:
      ValueError: if an arm joint is not a hinge on the path from the base to the tool.
    """
    spec = mujoco.MjSpec()
    robot.add_to_spec(spec)
    model = spec.compile()
    path, body = [], model.body(robot.tcp_body).id
    while body > 0:
        path.insert(0, body)
        body = int(model.body_parentid[body])
    full = Tree.from_model(model).bodies
    bodies, joints = [Body(0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), ())], []
    for depth, index in enumerate(path):
        own = tuple(
            dataclasses.replace(joint, adr=len(joints) + i)
            for i, joint in enumerate(full[index].joints)
        )
        joints += own
        bodies.append(dataclasses.replace(full[index], parent=depth, joints=own))
    names = [model.joint(model.body_jntadr[b]).name for b in path if model.body_jntnum[b]]
    if tuple(names) != robot.arm_joints or any(joint.type != HINGE for joint in joints):
        raise ValueError(
            f"robot {robot.name!r}: the hinges from base to {robot.tcp_body!r} are {names} but "
            f"arm_joints says {list(robot.arm_joints)}; list exactly those, one a body"
        )
    return Chain(
        tree=Tree(tuple(bodies)),
        low=tuple(joint.low for joint in joints),
        high=tuple(joint.high for joint in joints),
        tcp_pos=robot.tcp_pos,
        tcp_quat=robot.tcp_quat,
        posture=robot.arm_home,
        posture_weight=robot.posture_weight,
    )


def _tool(chain: Chain, frames: list[tuple[Vec, Vec]]) -> tuple[Vec, Vec]:
    pos, quat = frames[-1]
    return add(pos, rotate(quat, chain.tcp_pos)), quat_mul(quat, chain.tcp_quat)


@functools.partial(jax.jit, static_argnums=0)
def tcp_pose(chain: Chain, q: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Tool frame for arm joints `q` f32[N, J]: position f32[N, 3] (m), quaternion f32[N, 4]."""
    frames = _frames(chain.tree, columns(q), len(chain.tree.bodies) - 1)
    pos, quat = _tool(chain, frames)
    return jnp.stack(pos, axis=-1), jnp.stack(quat, axis=-1)


def _jacobian(chain: Chain, frames: list[tuple[Vec, Vec]], tool: Vec) -> list[Vec]:
    """Per joint the six components (linear, angular) of the tool's motion."""
    motions = []
    for body, (pos, quat) in zip(chain.tree.bodies, frames, strict=True):
        for joint in body.joints:
            # A hinge leaves its own axis and anchor in place: the turned frame has them too.
            axis = rotate(quat, joint.axis)
            anchor = pos if _is_zero(joint.pos) else add(pos, rotate(quat, joint.pos))
            motions.append((*cross(axis, sub(tool, anchor)), *axis))
    return motions


@functools.partial(jax.jit, static_argnums=0)
def tcp_jacobian(chain: Chain, q: jax.Array) -> jax.Array:
    """Geometric Jacobian f32[N, 6, J] of the tool in the world frame: rows 0-2 m, rows 3-5 rad."""
    frames = _frames(chain.tree, columns(q), len(chain.tree.bodies) - 1)
    jacobian = _jacobian(chain, frames, _tool(chain, frames)[0])
    return jnp.stack([jnp.stack(column, axis=-1) for column in jacobian], axis=-1)


# Inverse kinematics ------------------------------------------------------------------------------


# One metre of position error counts like this many radians: 0.1 m ~ 1 rad, an arm's length scale.
_POSITION_WEIGHT = 10.0
# Damping = this + the squared error, so that steps are small far from the target and in
# singularities, and Newton-like close to it (Sugihara, "Solvability-unconcerned inverse kinematics
# by the Levenberg-Marquardt method", 2011).
_DAMPING = 1e-4
_MAX_STEP = 0.5  # rad per iteration and joint


@functools.partial(jax.jit, static_argnums=0, static_argnames="iterations")
def solve_ik(
    chain: Chain,
    q0: jax.Array,
    target_pos: jax.Array,
    target_quat: jax.Array,
    iterations: int = 8,
) -> jax.Array:
    """Arm joints that bring the tool to a pose, by damped least squares from a warm start.

    Joint limits hold throughout. For a target out of reach the result is a finite compromise
    between position (10 rad/m) and orientation. A redundant arm's free joint motion settles where
    the weighted squared distance to its posture is least, so that the same tool pose gives nearly
    the same joints however it was reached; while it settles the tool may be off by tenths of a mm.

    Args:
      chain: the arm, from `robot_chain`.
      q0: f32[N, J] start, rad; from the previous control step a few iterations are enough.
      target_pos: f32[N, 3] tool position, m.
      target_quat: f32[N, 4] tool orientation, wxyz, unit.
      iterations: static number of steps.

    Returns:
      f32[N, J] joint angles within the limits, rad.
    """
    goal_pos, goal_quat = columns(target_pos), columns(target_quat)
    last = len(chain.tree.bodies) - 1

    def improve(_: int, q: Vec) -> Vec:
        frames = _frames(chain.tree, q, last)
        pos, quat = _tool(chain, frames)
        linear = tuple(_POSITION_WEIGHT * x for x in sub(goal_pos, pos))
        error = (*linear, *rotation_error(goal_quat, quat))
        jacobian = [
            (*(_POSITION_WEIGHT * x for x in column[:3]), *column[3:])
            for column in _jacobian(chain, frames, pos)
        ]
        damping = _DAMPING + 0.1 * jnp.minimum(dot(error, error), 1.0)
        normal = [[dot(a, b) for b in jacobian[: i + 1]] for i, a in enumerate(jacobian)]
        for i, row in enumerate(normal):
            row[i] = row[i] + damping
        gradient = [dot(column, error) for column in jacobian]
        if chain.posture_weight > 0.0:
            for i, (x, preferred) in enumerate(zip(q, chain.posture, strict=True)):
                normal[i][i] = normal[i][i] + chain.posture_weight
                gradient[i] = gradient[i] + chain.posture_weight * (preferred - x)
        step = cholesky_solve(normal, gradient)
        return tuple(
            jnp.clip(x + jnp.clip(dx, -_MAX_STEP, _MAX_STEP), low, high)
            for x, dx, low, high in zip(q, step, chain.low, chain.high, strict=True)
        )

    return jnp.stack(jax.lax.fori_loop(0, iterations, improve, columns(q0)), axis=-1)
