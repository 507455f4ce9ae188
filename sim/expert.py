"""Scripted expert: privileged, memoryless pick-and-place through the same action interface.

It puts the target where `TaskView.place` says: in or on the receptacle, or at a spot beside it.

It proposes tool displacements; the environment's differential IK turns them into joint targets. Its
phase is read off the state alone (where the tool is, what the fingers touch), so it recovers from a
missed grasp or a dropped object, and what it does is a function of what can be seen.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from sim.goals import STACKED, is_spatial
from sim.robots.base import Robot
from sim.task import RECEPTACLE, TABLE, TaskView, is_held, is_resting, is_success

# Heights above the grasp point or the rim at which the tool travels, m.
_HOVER = 0.06
_CARRY = 0.035
_NEAR = 0.012
_PASS = 0.02  # m between the tool and what it passes over
# How far from the place's centre a stacked target may be released, and how far above it, m.
_CENTRED = 0.006
_GENTLE = 0.006
_LOW = 0.02  # m below the highest position of the tool that it can be carried at
# A target that fits between the open fingers at any yaw with this much room is gripped as it lies.
_SPARE = 0.008


def expert_action(view: TaskView, robot: Robot, tool_yaw: jax.Array) -> jax.Array:
    """The expert's action f32[N, 7] in [-1, 1] for the current state.

    Args:
        view: where everything is.
        robot: gives the action scale.
        tool_yaw: f32[N] present direction of the closing axis, rad.
    """
    held = is_held(view) & (view.closing > 0.5)
    to_grasp = view.grasp - view.tool
    off = jnp.linalg.norm(to_grasp[:, :2], axis=-1)
    to_place = view.place[:, :2] - view.bottom[:, :2]
    away = jnp.linalg.norm(to_place, axis=-1)
    done = is_success(view)
    stacking, beside = view.goal == STACKED, is_spatial(view.goal)

    # Reaching: over the object first, then down, then close.
    travel = jnp.maximum(_HOVER, view.crown + _PASS)
    travel = jnp.maximum(travel, view.before + _PASS - view.grasp[:, 2])
    hover = jnp.where(off > 2.0 * _NEAR, travel, jnp.where(off > _NEAR, 0.02, 0.0))
    high_enough = to_grasp[:, 2] + hover < 0.02
    slow = jnp.where(high_enough, 1.0, 0.4)
    reach_xy = to_grasp[:, :2] * slow[:, None]
    reach_z = to_grasp[:, 2] + hover
    at_grasp = (off < _NEAR) & (jnp.abs(to_grasp[:, 2]) < 0.012)

    # Carrying: up, over the receptacle, down, open.
    highest = robot.workspace_high[2] - (view.grasp[:, 2] - view.bottom[:, 2]) - _LOW
    clear = jnp.minimum(view.rim + _CARRY, highest)
    middle = 0.35 * view.place_radius
    over = away < jnp.where(stacking, jnp.minimum(middle, _CENTRED), middle)
    travel_z = clear - view.bottom[:, 2]
    lifted = travel_z < 0.02
    carry_xy = jnp.where(lifted[:, None], to_place, 0.0)
    # What stands on a table or a tower is put down, what lies in a container is dropped.
    gentle = stacking | beside
    low = view.place[:, 2] + jnp.where(gentle, -0.004, 0.012)
    carry_z = jnp.where(over, low - view.bottom[:, 2], travel_z)
    touches = jnp.where(beside, view.contacts[:, TABLE], view.contacts[:, RECEPTACLE])
    reached = view.bottom[:, 2] < view.place[:, 2] + jnp.where(gentle, _GENTLE, 0.03)
    release = over & (reached | (gentle & touches))

    released = (away < view.place_radius) & ~held & (view.bottom[:, 2] > 0.003) & ~at_grasp
    dropped = released & view.contacts[:, RECEPTACLE] & ~beside
    retreat = done | dropped | (is_resting(view) & ~held & beside)
    move = jnp.where(
        held[:, None],
        jnp.concatenate([carry_xy, carry_z[:, None]], -1),
        jnp.concatenate([reach_xy, reach_z[:, None]], -1),
    )
    move = jnp.where((at_grasp & ~held)[:, None], 0.5 * to_grasp, move)
    move = jnp.where(retreat[:, None], jnp.array([0.0, 0.0, 0.05]), move)
    close = jnp.where(held, ~release, at_grasp) & ~retreat
    # A gripper that closes over the right spot keeps closing until it holds or proves empty.
    closing_on = (view.closing > 0.5) & ~held & (off < 2 * _NEAR) & (view.gap > 0.014)
    close = close | (closing_on & (jnp.abs(to_grasp[:, 2]) < 0.02) & ~retreat)

    turn = wrap_half(view.grasp_yaw - tool_yaw)
    slender = 2.0 * view.target_radius > robot.finger_gap[1] - _SPARE
    turn = jnp.where(held | retreat | ~slender, 0.0, turn)
    metres, radians = robot.action_scale
    translation = jnp.clip(move / metres, -1.0, 1.0)
    rotation = jnp.zeros_like(translation).at[:, 2].set(jnp.clip(turn / radians, -1.0, 1.0))
    gripper = jnp.where(close, -1.0, 1.0)
    return jnp.concatenate([translation, rotation, gripper[:, None]], axis=-1)


def wrap_half(angle: jax.Array) -> jax.Array:
    """Wrap to [-π/2, π/2): a two-finger gripper is the same turned by half a revolution."""
    return jnp.mod(angle + 0.5 * jnp.pi, jnp.pi) - 0.5 * jnp.pi
