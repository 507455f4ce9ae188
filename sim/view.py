"""What can be seen: the task's things by the simulator, pictures by the cameras."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from sim import task
from sim.geometry import project
from sim.render.raycast import Backdrop, Camera, Image, Light, RenderGeoms, render
from sim.rig import Rig
from sim.robots.kinematics import body_poses, quat_to_mat
from sim.scene_batch import SceneBatch
from sim.state import EnvState


def geoms_of(batch: SceneBatch, scene: jax.Array, xpos: jax.Array, xmat: jax.Array) -> RenderGeoms:
    """All drawn geoms in the world frame.

    Args:
        batch: S scenes.
        scene: i32[N] scene of each environment.
        xpos, xmat: body poses f32[N, B, 3] (m) and f32[N, B, 3, 3].
    """
    body = batch.geom_body
    position, mat = xpos[:, body], xmat[:, body]
    local = quat_to_mat(batch.geom_quat)
    return RenderGeoms(
        types=batch.geom_types,
        size=batch.geom_size[scene],
        pos=position + (mat @ batch.geom_pos[scene][..., None])[..., 0],
        mat=mat @ local[scene],
        rgb=batch.geom_rgb[scene],
        rgb2=batch.geom_rgb2[scene],
        texture=batch.geom_texture[scene],
        texture_scale=batch.geom_texture_scale[scene],
        visible=batch.geom_visible[scene],
    )


def backdrop_of(batch: SceneBatch, scene: jax.Array) -> Backdrop:
    """Table and surroundings of each environment's scene."""
    return jax.tree.map(lambda x: x[scene], batch.backdrop)


def task_view(rig: Rig, batch: SceneBatch, state: EnvState) -> task.TaskView:
    """Where the things of the task are: simulator-only knowledge."""
    qpos = state.physics.qpos
    xpos, xmat = body_poses(batch.tree, qpos)
    tool, _ = rig.tool(qpos)
    at = batch.object_bodies
    grasp = batch.object_grasp[state.scene][:, 0]
    place = batch.object_place[state.scene][:, 1]
    target, target_mat = xpos[:, at[0]], xmat[:, at[0]]
    holder, holder_mat = xpos[:, at[1]], xmat[:, at[1]]
    axis = jnp.einsum(
        "nij,nj->ni",
        target_mat,
        jnp.stack([jnp.cos(grasp[:, 3]), jnp.sin(grasp[:, 3]), 0.0 * grasp[:, 3]], -1),
    )
    others = xpos[:, jnp.asarray(at[2:], jnp.int32)] if len(at) > 2 else holder[:, None]
    distance = jnp.linalg.norm(others - tool[:, None], axis=-1)
    nearest = jnp.take_along_axis(others, jnp.argmin(distance, 1)[:, None, None], 1)[:, 0]
    grasp_point = target + jnp.einsum("nij,nj->ni", target_mat, grasp[:, :3])
    return task.TaskView(
        tool=tool,
        grasp=grasp_point,
        grasp_yaw=jnp.arctan2(-axis[:, 0], axis[:, 1]),
        grasp_width=grasp[:, 4],
        rest_height=grasp[:, 2],
        bottom=target,
        up=target_mat[..., 2],
        place=holder + jnp.einsum("nij,nj->ni", holder_mat, place[:, :3]),
        place_radius=place[:, 3],
        target_radius=batch.object_radius[state.scene][:, 0],
        rim=batch.object_height[state.scene][:, 1],
        distractor=nearest,
        gap=rig.gap(qpos),
        closing=state.closing,
        contacts=state.physics.contacts,
    )


def located(rig: Rig, batch: SceneBatch, state: EnvState) -> jax.Array:
    """See `Env.located`."""
    view = task_view(rig, batch, state)
    xpos, xmat = body_poses(batch.tree, state.physics.qpos)
    fixed, wrist = rig.fixed_camera(state.camera), rig.wrist_camera(xpos, xmat)
    robot = rig.robot
    seen = [
        project(point, *fixed, robot.fixed_camera.fovy)
        for point in (view.grasp, view.place, view.tool)
    ]
    seen += [project(point, *wrist, robot.wrist_camera.fovy) for point in (view.grasp, view.place)]
    return jnp.concatenate([task.located(view), *seen], axis=-1)


def picture(
    rig: Rig,
    batch: SceneBatch,
    state: EnvState,
    xpos: jax.Array,
    xmat: jax.Array,
    size: int,
    *,
    wrist: bool = False,
) -> Image:
    """Image (rgb, depth, segmentation) from the fixed or the wrist camera."""
    n = xpos.shape[0]
    if wrist:
        position, mat = rig.wrist_camera(xpos, xmat)
        fovy = rig.robot.wrist_camera.fovy
    else:
        position, mat = rig.fixed_camera(state.camera)
        fovy = rig.robot.fixed_camera.fovy
    direction = jnp.array([0.35, 0.45, -1.0])
    light = Light(
        direction=jnp.broadcast_to(direction / jnp.linalg.norm(direction), (n, 3)),
        ambient=state.ambient,
        diffuse=jnp.full((n, 3), 0.75),
    )
    return render(
        geoms_of(batch, state.scene, xpos, xmat),
        Camera(position, mat, jnp.full(n, fovy)),
        light,
        backdrop_of(batch, state.scene),
        height=size,
        width=size,
    )
