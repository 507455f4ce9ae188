"""Vectors, quaternions and small linear systems in components.

A vector is a tuple of arrays [N], one per component (structure of arrays): on a CPU this fuses into
a few loops, where batched 3x3 products and LAPACK calls on 6x6 systems cost many times more.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

Vec = tuple[Any, ...]  # components, each an array [N] or a number


def columns(x: jax.Array) -> Vec:
    """The components along the last axis."""
    return tuple(x[..., i] for i in range(x.shape[-1]))


def add(a: Vec, b: Vec) -> Vec:
    """a + b."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


def sub(a: Vec, b: Vec) -> Vec:
    """a - b."""
    return tuple(x - y for x, y in zip(a, b, strict=True))


def cross(a: Vec, b: Vec) -> Vec:
    """a x b."""
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def dot(a: Vec, b: Vec) -> jax.Array:
    """a . b, for any length."""
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + x * y
    return total


def quat_mul(a: Vec, b: Vec) -> Vec:
    """Hamilton product (wxyz)."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def rotate(q: Vec, v: Vec) -> Vec:
    """v turned by q: v + 2 w (u x v) + 2 u x (u x v)."""
    u = q[1:]
    t = tuple(2.0 * x for x in cross(u, v))
    return add(add(v, tuple(q[0] * x for x in t)), cross(u, t))


def normalize(q: Vec) -> Vec:
    """v / |v|, and zero for zero."""
    inverse = jax.lax.rsqrt(jnp.maximum(dot(q, q), 1e-24))
    return tuple(x * inverse for x in q)


def rotation_error(target: Vec, current: Vec) -> Vec:
    """Rotation vector (world frame, rad) that takes `current` to `target`, along the short way."""
    w, x, y, z = quat_mul(target, (current[0], *(-c for c in current[1:])))
    sign = jnp.where(w < 0.0, -1.0, 1.0)
    sin = jnp.sqrt(x * x + y * y + z * z)
    angle = 2.0 * jnp.arctan2(sin, w * sign)
    scale = sign * jnp.where(sin > 1e-6, angle / jnp.maximum(sin, 1e-6), 2.0)
    return (x * scale, y * scale, z * scale)


def cholesky_solve(matrix: list[list[jax.Array]], rhs: list[jax.Array]) -> list[jax.Array]:
    """Solves a symmetric positive definite system given in components (lower triangle)."""
    n = len(rhs)
    lower: list[list[jax.Array]] = [[] for _ in range(n)]
    inverse_diagonal: list[jax.Array] = []
    forward: list[jax.Array] = []
    for i in range(n):
        for j in range(i):
            total = matrix[i][j]
            for k in range(j):
                total = total - lower[i][k] * lower[j][k]
            lower[i].append(total * inverse_diagonal[j])
        diagonal = matrix[i][i]
        for k in range(i):
            diagonal = diagonal - lower[i][k] * lower[i][k]
        inverse_diagonal.append(jax.lax.rsqrt(jnp.maximum(diagonal, 1e-12)))
        value = rhs[i]
        for k in range(i):
            value = value - lower[i][k] * forward[k]
        forward.append(value * inverse_diagonal[i])
    solution: list[jax.Array] = [rhs[0]] * n
    for i in reversed(range(n)):
        value = forward[i]
        for k in range(i + 1, n):
            value = value - lower[k][i] * solution[k]
        solution[i] = value * inverse_diagonal[i]
    return solution
