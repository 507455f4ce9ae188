"""The task "put X in/on/beside Y": success, the shaped potential and the privileged state.

Success follows from the scene graph's goal. In and on (arXiv 2603.18532): contact(X, Y) and not
contact(X, table) and not contact(X, robot). Beside: contact(X, table) and not contact(X, robot) and
the relation of X to Y holds (`sim.goals`). Both are to be held for a number of control steps. The
contacts come from the physics engine.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sim.goals import is_spatial
from sim.physics.base import CONTACTS

RECEPTACLE, TABLE, ROBOT, LEFT, RIGHT = range(len(CONTACTS))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TaskView:
    """Where the things of the task are, in the world frame (m); simulator-only knowledge."""

    tool: jax.Array  # f32[N, 3] point between the finger tips
    grasp: jax.Array  # f32[N, 3] where to hold the target
    grasp_yaw: jax.Array  # f32[N] closing axis for it, from world +y, rad
    grasp_width: jax.Array  # f32[N] distance between the fingers when held
    rest_height: jax.Array  # f32[N] height of the grasp point above the bottom of the target
    target_radius: jax.Array  # f32[N] of the circle around its footprint
    crown: jax.Array  # f32[N] how far the target reaches above the grasp point
    before: jax.Array  # f32[N] height of what stands between tool and target
    bottom: jax.Array  # f32[N, 3] origin of the target (its bottom centre)
    up: jax.Array  # f32[N, 3] the target's up axis
    place: jax.Array  # f32[N, 3] centre of the receptacle's resting surface, or spot beside it
    place_radius: jax.Array  # f32[N]
    rim: jax.Array  # f32[N] height of what the target must be carried over
    distractor: jax.Array  # f32[N, 3] nearest distractor's origin
    gap: jax.Array  # f32[N] opening between the fingers
    closing: jax.Array  # f32[N] 1 where the last command was to close
    contacts: jax.Array  # bool[N, 5] in the order of CONTACTS
    goal: jax.Array  # i32[N] index into sim.goals.RELATIONS
    related: jax.Array  # bool[N] the goal is beside the receptacle, and there is the target


def is_resting(view: TaskView) -> jax.Array:
    """bool[N]: the target touches what the goal puts it on, and is where the goal says."""
    receptacle, table = view.contacts[:, RECEPTACLE], view.contacts[:, TABLE]
    return jnp.where(is_spatial(view.goal), table & view.related, receptacle & ~table)


def is_success(view: TaskView) -> jax.Array:
    """bool[N]: the goal holds and the robot does not touch the target."""
    return is_resting(view) & ~view.contacts[:, ROBOT]


def is_held(view: TaskView) -> jax.Array:
    """bool[N]: both fingers touch the target."""
    return view.contacts[:, LEFT] & view.contacts[:, RIGHT]


def potential(view: TaskView) -> jax.Array:
    """Progress f32[N] in [0, 1]; the shaped reward pays its differences.

    Reaching counts 0.2, holding 0.2, lifting 0.15, carrying 0.25, being over the place low 0.1; a
    target that rests where it should counts 1 whatever the gripper does.
    """
    reach = 1.0 - jnp.tanh(8.0 * jnp.linalg.norm(view.tool - view.grasp, axis=-1))
    held = is_held(view).astype(jnp.float32)
    lift = jnp.clip((view.bottom[:, 2] - 0.005) / 0.04, 0.0, 1.0) * held
    away = jnp.linalg.norm(view.bottom[:, :2] - view.place[:, :2], axis=-1)
    carry = (1.0 - jnp.tanh(6.0 * jnp.maximum(away - 0.3 * view.place_radius, 0.0))) * lift
    above = (away < 0.8 * view.place_radius) * held * (view.bottom[:, 2] > 0.01)
    inside = is_spatial(view.goal) | (away < view.place_radius)
    progress = 0.2 * reach + 0.2 * held + 0.15 * lift + 0.25 * carry + 0.1 * above
    placed = (is_resting(view) & inside).astype(jnp.float32)
    return placed + (1.0 - placed) * progress


def privileged(view: TaskView) -> jax.Array:
    """What the critic may see and the policy may not: f32[N, 25], decimetres and flags."""
    column = lambda x: x[:, None].astype(jnp.float32)  # noqa: E731
    return jnp.concatenate(
        [
            (view.tool - jnp.array([0.27, 0.0, 0.1])) * 10.0,
            (view.grasp - view.tool) * 10.0,
            (view.place - view.bottom) * 10.0,
            view.up,
            column(view.gap) * 30.0,
            column(view.closing),
            view.contacts.astype(jnp.float32),
            column(view.bottom[:, 2]) * 10.0,
            column(view.place_radius) * 10.0,
            column(view.rim) * 10.0,
            jnp.clip((view.distractor - view.tool) * 10.0, -5.0, 5.0),
        ],
        axis=-1,
    )


PRIVILEGED_SIZE = 25


def located(view: TaskView) -> jax.Array:
    """Positions of target and its place, f32[N, 6] in decimetres: an auxiliary target."""
    return jnp.concatenate([view.grasp, view.place], axis=-1) * 10.0
