"""Where the things of the task are: what only the simulator knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from sim import task
from sim.geometry import full_precision
from sim.goals import PLACE_RADIUS, Footprint, Others, Place, aim, footprint, is_spatial, related
from sim.rig import Rig
from sim.robots.kinematics import body_poses
from sim.scene_batch import SceneBatch

if TYPE_CHECKING:
    from sim.state import EnvState  # it holds episodes, whose start `is_to_do` judges

# How far a target may reach up between the fingers, m.
_DEEP = 0.04
# Room that the fingers need beside what they carry, m.
_FINGERS = 0.02


@full_precision
def task_view(
    rig: Rig, batch: SceneBatch, state: EnvState, qpos: jax.Array | None = None
) -> task.TaskView:
    """Where the things of the task are, now or at `qpos` f32[N, nq]: simulator-only knowledge."""
    qpos = state.physics.qpos if qpos is None else qpos
    xpos, xmat = body_poses(batch.tree, qpos)
    tool, _ = rig.tool(qpos)
    at = batch.object_bodies
    # A tall target is held higher than it says where the gripper's crossbar would meet its top.
    grasp = batch.object_grasp[state.scene][:, 0]
    grasp = grasp.at[:, 2].max(batch.object_height[state.scene][:, 0] - _DEEP)
    place = batch.object_place[state.scene][:, 1]
    target, target_mat = xpos[:, at[0]], xmat[:, at[0]]
    holder, holder_mat = xpos[:, at[1]], xmat[:, at[1]]
    closing = jnp.einsum(
        "nij,nj->ni",
        target_mat,
        jnp.stack([jnp.cos(grasp[:, 3]), jnp.sin(grasp[:, 3]), 0.0 * grasp[:, 3]], -1),
    )
    others = xpos[:, jnp.asarray(at[2:], jnp.int32)] if len(at) > 2 else holder[:, None]
    distance = jnp.linalg.norm(others - tool[:, None], axis=-1)
    nearest = jnp.take_along_axis(others, jnp.argmin(distance, 1)[:, None, None], 1)[:, 0]
    grasp_point = target + jnp.einsum("nij,nj->ni", target_mat, grasp[:, :3])
    goal = batch.goal[state.scene]
    beside = is_spatial(goal)
    a = footprints(batch, state.scene, target_mat, 0)
    b = footprints(batch, state.scene, holder_mat, 1)
    things = xpos[:, jnp.asarray(at, jnp.int32)]
    flat = things[..., :2]
    inside = holder + jnp.einsum("nij,nj->ni", holder_mat, place[:, :3])
    ground = Place(flat[:, 1], inside[:, :2], place[:, 3])
    spot, _ = aim(goal, a, b, ground, bystanders(batch, state.scene, flat), rig.robot)
    height = inside[:, 2:] * ~beside[:, None]
    place_point = jnp.concatenate([spot, height], -1)
    size = batch.object_radius[state.scene][:, 0]
    over = _in_the_way(batch, state.scene, things, flat[:, 0], spot, size + _FINGERS)
    before = _in_the_way(batch, state.scene, things, tool[:, :2], grasp_point[:, :2], _FINGERS)
    top = holder[:, 2] + batch.object_height[state.scene][:, 1]
    return task.TaskView(
        tool=tool,
        grasp=grasp_point,
        grasp_yaw=jnp.arctan2(-closing[:, 0], closing[:, 1]),
        grasp_width=grasp[:, 4],
        rest_height=grasp[:, 2],
        bottom=target,
        up=target_mat[..., 2],
        place=place_point,
        place_radius=jnp.where(beside, PLACE_RADIUS, place[:, 3]),
        target_radius=size,
        crown=batch.object_height[state.scene][:, 0] - grasp[:, 2],
        before=before,
        rim=jnp.where(beside, over, jnp.maximum(over, top)),
        distractor=nearest,
        gap=rig.gap(qpos),
        closing=state.closing,
        contacts=state.physics.contacts,
        goal=goal,
        related=related(goal, a, flat[:, 0], b, flat[:, 1]),
    )


def footprints(batch: SceneBatch, scene: jax.Array, mat: jax.Array, slot: int) -> Footprint:
    """Footprints of the objects of a slot, for rotations f32[N, 3, 3]."""
    bounds = batch.object_bounds[scene][:, slot]
    return footprint(mat, bounds[:, :3], bounds[:, 3:], batch.object_radius[scene][:, slot])


def bystanders(batch: SceneBatch, scene: jax.Array, at: jax.Array) -> Others:
    """What is neither target nor receptacle; `at` f32[..., K, 2] has the origins of all slots."""
    radius = jnp.where(batch.object_active, batch.object_radius, -10.0)[scene]
    base = batch.object_carrier[scene]
    return Others(at[..., 2:, :], radius[:, 2:], (base == base[:, 1:2])[:, 2:])


def is_to_do(
    rig: Rig, batch: SceneBatch, scene: jax.Array, at: jax.Array, mat: jax.Array
) -> jax.Array:
    """bool[N, T]: layouts in which the goal is not reached yet, and can be.

    Beside the receptacle there is a free spot within reach, and the target is nowhere on that side
    of it, unless one thing carries both. Goals on and in things are never reached by moving what
    stands on the table.

    Args:
        rig: the robot.
        batch: S scenes.
        scene: i32[N].
        at: f32[N, T, K, 2] origins of all objects, m.
        mat: f32[N, 2, 3, 3] rotations of target and receptacle, the same in all T layouts.
    """
    n, t = at.shape[:2]
    rows = jnp.repeat(scene, t)
    a, b = (
        Footprint(*(jnp.repeat(x, t, axis=0) for x in footprints(batch, scene, mat[:, k], k)))
        for k in (0, 1)
    )
    flat = at.reshape(n * t, *at.shape[2:])
    goal = batch.goal[rows]
    ground = Place(flat[:, 1], flat[:, 1], jnp.zeros(n * t))
    _, free = aim(goal, a, b, ground, bystanders(batch, rows, flat), rig.robot)
    base = batch.object_carrier[rows]
    reached = (base[:, 0] != base[:, 1]) & related(goal, a, flat[:, 0], b, flat[:, 1], near=jnp.inf)
    return (~is_spatial(goal) | (free & ~reached)).reshape(n, t)


def _in_the_way(
    batch: SceneBatch,
    scene: jax.Array,
    things: jax.Array,
    start: jax.Array,
    end: jax.Array,
    width: jax.Array | float,
) -> jax.Array:
    """Height f32[N] of the highest object on a way over the table, 0 if there is none.

    Args:
        batch: S scenes.
        scene: i32[N].
        things: f32[N, K, 3] origins of the objects, of which the target is passed over, m.
        start, end: f32[N, 2] of the way, m.
        width: f32[N] half of it, m.
    """
    way, offset = end - start, things[..., :2] - start[:, None]
    length = jnp.maximum(jnp.sum(way * way, -1), 1e-9)
    along = jnp.clip(jnp.sum(offset * way[:, None], -1) / length[:, None], 0.0, 1.0)
    apart = jnp.linalg.norm(offset - along[..., None] * way[:, None], axis=-1)
    reach = batch.object_radius[scene] + jnp.reshape(width, (-1, 1))
    near = (apart < reach) & batch.object_active[scene]
    top = things[..., 2] + batch.object_height[scene]
    return jnp.where(near, top, 0.0)[:, 1:].max(-1)
