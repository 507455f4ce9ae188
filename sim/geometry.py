"""Rotations and projection, batched."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp

P = ParamSpec("P")
T = TypeVar("T")


def full_precision(function: Callable[P, T]) -> Callable[P, T]:
    """The function with all its matrix products in float32.

    Accelerators otherwise round their inputs (TF32 on GPUs, bfloat16 on TPUs), by half a millimetre
    at a metre; on a CPU nothing changes.
    """

    @functools.wraps(function)
    def precise(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.default_matmul_precision("highest"):
            return function(*args, **kwargs)

    return precise


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


def interpolate_poses(
    start: jax.Array, end: jax.Array, weight: jax.Array, num_joints: int
) -> jax.Array:
    """Configurations f32[N, nq] between two, a weight f32[N] of 0 giving `start` and 1 `end`.

    Joints and positions go in a straight line; quaternions too, the short way round, and are
    brought back to unit length.

    Args:
        start, end: f32[N, nq] joints, then per object xyz and quaternion wxyz.
        weight: f32[N] in [0, 1].
        num_joints: how many coordinates come before the objects'.
    """
    n = start.shape[0]
    split = lambda q: (q[:, :num_joints], q[:, num_joints:].reshape(n, -1, 7))  # noqa: E731
    (joints, poses), (joints_end, poses_end) = split(start), split(end)
    away = jnp.sum(poses[..., 3:] * poses_end[..., 3:], -1, keepdims=True) < 0.0
    ends = jnp.where(away, -poses_end[..., 3:], poses_end[..., 3:])
    near = weight[:, None, None]
    quat = poses[..., 3:] + near * (ends - poses[..., 3:])
    quat = quat / jnp.maximum(jnp.linalg.norm(quat, axis=-1, keepdims=True), 1e-9)
    position = poses[..., :3] + near * (poses_end[..., :3] - poses[..., :3])
    moved = jnp.concatenate([position, quat], -1).reshape(n, -1)
    return jnp.concatenate([joints + weight[:, None] * (joints_end - joints), moved], -1)


def project(
    point: jax.Array, position: jax.Array, mat: jax.Array, fovy: float | jax.Array
) -> jax.Array:
    """Picture coordinates f32[N, 2] of points f32[N, 3]; 9 for a point behind the camera."""
    local = jnp.einsum("nij,ni->nj", mat, point - position)
    depth = jnp.maximum(-local[:, 2], 1e-3) * jnp.tan(0.5 * fovy)
    at = jnp.stack([local[:, 0], -local[:, 1]], -1) / depth[:, None]
    return jnp.where(local[:, 2:] < -1e-3, jnp.clip(at, -9.0, 9.0), 9.0)
