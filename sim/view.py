"""From scenes and body poses to what the ray caster draws."""

from __future__ import annotations

import jax

from sim.render.raycast import Backdrop, RenderGeoms
from sim.robots.kinematics import quat_to_mat
from sim.scene_batch import SceneBatch


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
