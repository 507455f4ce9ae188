"""What can be seen: the task's things by the simulator, pictures by the cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from generation.compile import TABLE_HALF
from generation.spec import SceneSpec
from sim import task
from sim.episode import LIGHT_DIFFUSE, LIGHT_DIRECTION, Episode
from sim.geometry import axis_angle_quat, full_precision, interpolate_poses, project
from sim.render.raycast import Backdrop, Camera, Image, Light, RenderGeoms, render
from sim.rig import Rig
from sim.robots.kinematics import body_poses, quat_to_mat
from sim.scene_batch import SceneBatch
from sim.state import EnvState
from sim.task_view import task_view


@full_precision
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
        planes=None if batch.geom_planes is None else batch.geom_planes[scene],
    )


def backdrop_of(batch: SceneBatch, scene: jax.Array) -> Backdrop:
    """Table and surroundings of each environment's scene."""
    return jax.tree.map(lambda x: x[scene], batch.backdrop)


def tinted(batch: SceneBatch, geoms: RenderGeoms, tint: jax.Array) -> RenderGeoms:
    """Geoms with f32[N, B, 3] added to both colours of each, by the body that carries it."""
    shift = tint[:, batch.geom_body]
    return replace(
        geoms,
        rgb=jnp.clip(geoms.rgb + shift, 0.0, 1.0),
        rgb2=jnp.clip(geoms.rgb2 + shift, 0.0, 1.0),
    )


def painted(backdrop: Backdrop, paint: jax.Array) -> Backdrop:
    """A backdrop with f32[N, 5, 3] added to its colours: two of the table, three of the room."""
    names = ("table_rgb", "table_rgb2", "top_rgb", "horizon_rgb", "floor_rgb")
    shifted = [getattr(backdrop, name) + paint[:, i] for i, name in enumerate(names)]
    return replace(
        backdrop, **{n: jnp.clip(x, 0.0, 1.0) for n, x in zip(names, shifted, strict=True)}
    )


def light_of(episode: Episode) -> Light:
    """The lights of each environment."""
    n = episode.ambient.shape[0]
    direction = jnp.array(LIGHT_DIRECTION)
    usual = jnp.broadcast_to(direction / jnp.linalg.norm(direction), (n, 3))
    towards = usual if episode.light_direction is None else episode.light_direction
    light = Light(
        direction=towards,
        ambient=episode.ambient,
        diffuse=jnp.full((n, 3), LIGHT_DIFFUSE) if episode.diffuse is None else episode.diffuse,
    )
    if episode.fill is None:
        return light
    return replace(
        light,
        # From the other side, at the same height.
        fill_direction=towards * jnp.array([-1.0, -1.0, 1.0]),
        fill=jnp.broadcast_to(episode.fill[:, None], (n, 3)),
    )


@full_precision
def camera_of(
    rig: Rig, episode: Episode, xpos: jax.Array, xmat: jax.Array, *, wrist: bool
) -> tuple[jax.Array, jax.Array, float | jax.Array]:
    """Position f32[N, 3], rotation f32[N, 3, 3] and field of view (rad) of a camera."""
    which = int(wrist)
    if wrist:
        position, mat = rig.wrist_camera(xpos, xmat)
        fovy = rig.robot.wrist_camera.fovy
    else:
        position, mat = rig.fixed_camera(episode.camera)
        fovy = rig.robot.fixed_camera.fovy
    if episode.camera_turn is not None:
        mat = mat @ quat_to_mat(axis_angle_quat(episode.camera_turn[:, which]))
    return (
        position,
        mat,
        fovy if episode.camera_fov is None else fovy * episode.camera_fov[:, which],
    )


def seen_qpos(rig: Rig, state: EnvState, control_hz: float) -> jax.Array:
    """The configuration f32[N, nq] that observations show: the present one, or an older one.

    With an observation delay it lies between that of one control step ago and the present one; at
    an episode's start there is nothing older.
    """
    delay, previous = state.episode.delay, state.previous
    if delay is None or previous is None:
        return state.physics.qpos
    weight = jnp.where(state.time > 0, delay * control_hz, 0.0)
    return interpolate_poses(state.physics.qpos, previous, weight, rig.robot.num_joints)


@full_precision
def located(rig: Rig, batch: SceneBatch, state: EnvState, qpos: jax.Array) -> jax.Array:
    """See `Env.located`; qpos f32[N, nq] is what the pictures show."""
    view = task_view(rig, batch, state, qpos)
    xpos, xmat = body_poses(batch.tree, qpos)
    fixed, wrist = (
        camera_of(rig, state.episode, xpos, xmat, wrist=wrist) for wrist in (False, True)
    )
    seen = [project(point, *fixed) for point in (view.grasp, view.place, view.tool)]
    seen += [project(point, *wrist) for point in (view.grasp, view.place)]
    return jnp.concatenate([task.located(view), *seen], axis=-1)


def proprioception(rig: Rig, qpos: jax.Array, closing: jax.Array, tool_yaw: jax.Array) -> jax.Array:
    """What the robot feels, f32[N, P]: joint angles, opening, commands, tool position from joints.

    Args:
        rig: the robot.
        qpos: f32[N, nq] configuration; only the robot's own joints are read.
        closing, tool_yaw: f32[N] commanded gripper and tool direction (rad).
    """
    tool, _ = rig.tool(qpos)
    return jnp.concatenate(
        [
            qpos[:, : rig.num_arm],
            rig.gap(qpos)[:, None] * 30.0,
            closing[:, None],
            (tool - jnp.array([0.27, 0.0, 0.1])) * 10.0,
            tool_yaw[:, None],
        ],
        -1,
    )


def picture(
    rig: Rig,
    batch: SceneBatch,
    episode: Episode,
    xpos: jax.Array,
    xmat: jax.Array,
    size: int,
    *,
    wrist: bool = False,
) -> Image:
    """Image (rgb, depth, segmentation) from the fixed or the wrist camera."""
    n = xpos.shape[0]
    position, mat, fovy = camera_of(rig, episode, xpos, xmat, wrist=wrist)
    geoms = geoms_of(batch, episode.scene, xpos, xmat)
    if episode.tint is not None:
        geoms = tinted(batch, geoms, episode.tint)
    look = episode.scene if episode.backdrop is None else episode.backdrop
    backdrop = backdrop_of(batch, look)
    if episode.paint is not None:
        backdrop = painted(backdrop, episode.paint)
    return render(
        geoms,
        Camera(position, mat, jnp.broadcast_to(jnp.asarray(fovy, jnp.float32), (n,))),
        light_of(episode),
        backdrop,
        batch.atlas,
        height=size,
        width=size,
    )


def check_camera(rig: Rig, batch: SceneBatch, scenes: Sequence[SceneSpec] | None = None) -> None:
    """Refuses scenes in which the robot's fixed camera starts inside something.

    Looks at the camera's usual place and the objects as the scenes have them, on the host.

    Args:
        rig: the robot with its camera.
        batch: S scenes.
        scenes: the same scenes; only for their names in the message.

    Raises:
        ValueError: the camera lies in the bounds of the table or of a drawn part of an object.
    """
    point = np.array(rig.robot.fixed_camera.pos)

    def refuse(scene: int, thing: str) -> None:
        name = f" ({scenes[scene].id})" if scenes else ""
        raise ValueError(
            f"scene {scene}{name}: the fixed camera of {rig.robot.name!r} at {point.tolist()} lies "
            f"inside {thing}: move the camera or what is there"
        )

    table = batch.backdrop
    away = np.abs(point[:2] - np.asarray(table.table_centre)) - np.asarray(table.table_half)
    if -2.0 * TABLE_HALF[2] <= point[2] <= 0.0 and (away <= 0.0).all(1).any():
        refuse(int(np.argmax((away <= 0.0).all(1))), "the table")
    objects = np.asarray(batch.qpos0)[:, batch.nq - 7 * batch.num_objects :]
    poses = objects.reshape(batch.num_scenes, -1, 7)
    body, visible = np.asarray(batch.geom_body), np.asarray(batch.geom_visible)
    for slot, own in enumerate(batch.object_bodies):
        geoms = np.flatnonzero(body == own)
        local = _into_frame(point, poses[:, slot, :3], poses[:, slot, 3:])[:, None]
        local = _into_frame(
            local, np.asarray(batch.geom_pos)[:, geoms], np.asarray(batch.geom_quat)[:, geoms]
        )
        size = np.asarray(batch.geom_size)[:, geoms]
        half = [_half_extents(batch.geom_types[g], size[:, i]) for i, g in enumerate(geoms)]
        inside = (np.abs(local) <= np.stack(half, 1)).all(-1) & visible[:, geoms]
        if inside.any():
            scene = int(np.argmax(inside.any(1)))
            thing = f"object {scenes[scene].objects[slot].name!r}" if scenes else f"object {slot}"
            refuse(scene, thing)


def _into_frame(point: np.ndarray, position: np.ndarray, quat: np.ndarray) -> np.ndarray:
    """Points [..., 3] of the outer frame in frames at `position` with wxyz `quat`."""
    away = point - position
    w, axis = quat[..., :1], -quat[..., 1:]
    return away + 2.0 * np.cross(axis, np.cross(axis, away) + w * away)


def _half_extents(shape: str, size: np.ndarray) -> np.ndarray:
    """Half sides [S, 3] of the box around a geom of MuJoCo's half sizes [S, 3]."""
    if shape == "sphere":
        return np.repeat(size[:, :1], 3, 1)
    if shape in ("capsule", "cylinder"):
        cap = size[:, 0] if shape == "capsule" else 0.0
        return np.stack([size[:, 0], size[:, 0], size[:, 1] + cap], 1)
    return size
