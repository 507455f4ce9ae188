"""Rotations and projection, batched."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def quat_multiply(a: jax.Array, b: jax.Array) -> jax.Array:
    """Hamilton product of wxyz quaternions [..., 4]."""
    aw, ax, ay, az = jnp.moveaxis(a, -1, 0)
    bw, bx, by, bz = jnp.moveaxis(b, -1, 0)
    return jnp.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def axis_angle_quat(vector: jax.Array) -> jax.Array:
    """Quaternions f32[N, 4] (wxyz) of rotation vectors f32[N, 3], rad."""
    angle = jnp.sqrt(jnp.sum(vector**2, -1, keepdims=True) + 1e-12)
    return jnp.concatenate([jnp.cos(0.5 * angle), vector * (jnp.sin(0.5 * angle) / angle)], -1)


def project(point: jax.Array, position: jax.Array, mat: jax.Array, fovy: float) -> jax.Array:
    """Picture coordinates f32[N, 2] of points f32[N, 3]; 9 for a point behind the camera."""
    local = jnp.einsum("nij,ni->nj", mat, point - position)
    depth = jnp.maximum(-local[:, 2], 1e-3) * jnp.tan(0.5 * fovy)
    at = jnp.stack([local[:, 0], -local[:, 1]], -1) / depth[:, None]
    return jnp.where(local[:, 2:] < -1e-3, jnp.clip(at, -9.0, 9.0), 9.0)
