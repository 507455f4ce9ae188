"""Rays against the primitives, in structure-of-arrays form: coordinates are separate arrays.

Two questions are asked of a shape. `hit_*`: where does a camera ray enter it? The ray is given in
the shape's own frame, scaled so that the shape has unit size, and its parameter t is the depth
along the camera's axis. `covers_*`: is the shape between a point and the distant light? Shadow
rays are parallel, so this is a 2-D test in the light frame (u, v across the light, w towards it),
with everything that depends on the shape alone worked out once per scene.

Spheres are ellipsoids. A convex part is a list of half spaces, asked one after the other. Minimum
and maximum are written as selects: XLA's own propagate NaN, which costs a CPU three instructions
instead of one.

Source of the intersections: I. Quilez, "Intersectors", https://iquilezles.org/articles/intersectors
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
Vec = tuple[Array, ...]  # x, y, z

# Nearest drawn depth, m.
NEAR = 1e-3
# Distance that a shape must be in front of a point to shade it, m.
SHADOW_BIAS = 2e-4
# Stands for "no hit"; larger than any depth.
FAR = 1e9
# Keeps divisors away from zero without moving any that matters.
_TINY = 1e-12


def lower(a: Array, b: Array) -> Array:
    """Elementwise minimum without NaN propagation."""
    return jnp.where(a < b, a, b)


def upper(a: Array, b: Array) -> Array:
    """Elementwise maximum without NaN propagation."""
    return jnp.where(a > b, a, b)


def dot(a: Sequence[Array], b: Sequence[Array]) -> Array:
    """Scalar product of separate coordinates."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def coordinates(x: Array) -> Vec:
    """The three columns of f32[B, 3], each [B, 1]."""
    return x[:, 0, None], x[:, 1, None], x[:, 2, None]


def _root(x: Array) -> Array:
    return jnp.sqrt(upper(x, jnp.zeros_like(x)))


def _entry(near: Array, far: Array) -> Array:
    """Depth of entry for an interval; a camera inside a shape looks through it."""
    return jnp.where((near < far) & (near > NEAR), near, FAR)


def hit_box(o: Vec, d: Vec, half: Array) -> Array:
    """Entry into the cube [-1, 1]^3 (slab test)."""
    del half
    inv = [1.0 / (x + _TINY) for x in d]
    mid = [-x * i for x, i in zip(o, inv, strict=True)]
    reach = [jnp.abs(i) for i in inv]
    near = [m - r for m, r in zip(mid, reach, strict=True)]
    far = [m + r for m, r in zip(mid, reach, strict=True)]
    return _entry(upper(upper(near[0], near[1]), near[2]), lower(lower(far[0], far[1]), far[2]))


def hit_ellipsoid(o: Vec, d: Vec, half: Array) -> Array:
    """Entry into the unit sphere."""
    del half
    a = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    c = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1.0
    h = b * b - a * c
    t = (-b - _root(h)) / a
    return jnp.where((h > 0) & (t > NEAR), t, FAR)


def hit_capsule(o: Vec, d: Vec, half: Array) -> Array:
    """Entry into the capsule of radius 1 around the segment |z| <= half."""
    a = d[0] * d[0] + d[1] * d[1] + _TINY
    b = o[0] * d[0] + o[1] * d[1]
    c = o[0] * o[0] + o[1] * o[1] - 1.0
    h = b * b - a * c
    side = (-b - _root(h)) / a
    z = o[2] + side * d[2]
    # Where the side is hit beyond the segment, the sphere at that end decides.
    end = o[2] - jnp.where(z > 0, half, -half)
    a_cap = a + d[2] * d[2]
    b_cap = b + end * d[2]
    h_cap = b_cap * b_cap - a_cap * (c + end * end)
    cap = (-b_cap - _root(h_cap)) / a_cap
    on_side = jnp.abs(z) < half
    t = jnp.where(on_side, side, cap)
    return jnp.where((h > 0) & (on_side | (h_cap > 0)) & (t > NEAR), t, FAR)


def hit_cylinder(o: Vec, d: Vec, half: Array) -> Array:
    """Entry into the closed cylinder of radius 1 and |z| <= half."""
    a = d[0] * d[0] + d[1] * d[1] + _TINY
    b = o[0] * d[0] + o[1] * d[1]
    c = o[0] * o[0] + o[1] * o[1] - 1.0
    h = b * b - a * c
    root = _root(h)
    inv_a, inv_z = 1.0 / a, 1.0 / (d[2] + _TINY)
    mid, reach = -o[2] * inv_z, half * jnp.abs(inv_z)
    near = upper((-b - root) * inv_a, mid - reach)
    far = lower((-b + root) * inv_a, mid + reach)
    return jnp.where(h > 0, _entry(near, far), FAR)


def normal_box(q: Vec, half: Array) -> Vec:
    """Outward direction at surface point q of the cube [-1, 1]^3."""
    del half
    x, y, z = (jnp.abs(c) for c in q)
    on_x = (x >= y) & (x >= z)
    on_y = ~on_x & (y >= z)
    on = (on_x, on_y, ~on_x & ~on_y)
    nx, ny, nz = (jnp.where(o, jnp.sign(c), 0.0) for o, c in zip(on, q, strict=True))
    return nx, ny, nz


def normal_ellipsoid(q: Vec, half: Array) -> Vec:
    """Outward direction at surface point q of the unit sphere."""
    del half
    return q


def normal_capsule(q: Vec, half: Array) -> Vec:
    """Outward direction at surface point q of the unit capsule."""
    return q[0], q[1], q[2] - upper(lower(q[2], half), -half)


def normal_cylinder(q: Vec, half: Array) -> Vec:
    """Outward direction at surface point q of the unit cylinder."""
    x, y, z = q
    # The point is on a cap if it sticks out further along the axis than across it.
    cap = jnp.abs(z) - half > jnp.sqrt(x * x + y * y) - 1.0
    zero = jnp.zeros_like(x)
    return (
        jnp.where(cap, zero, x),
        jnp.where(cap, zero, y),
        jnp.where(cap, jnp.where(z < 0, -1.0, 1.0), zero),
    )


def _light_rows(size: Array, rotation: Array) -> Array:
    """The rotation light-to-geom f32[..., 3, 3] divided by the half sizes, row by row."""
    return rotation / size[..., None]


def cover_params_box(size: Array, rotation: Array) -> tuple[Array, ...]:
    """Per-scene constants of `covers_box`; rotation f32[..., 3, 3] takes light to geom frame."""
    along = rotation[..., 2]
    along = jnp.where(jnp.abs(along) < 1e-6, 1e-6, along)
    rows = [-rotation[..., i, j] / along[..., i] for i in range(3) for j in range(2)]
    reach = [jnp.abs(size[..., i] / along[..., i]) for i in range(3)]
    return (*rows, *reach)


def covers_box(u: Array, v: Array, params: tuple[Array, ...]) -> tuple[Array, Array]:
    """Whether the light ray through (u, v), from the box's centre, passes it, and at which w."""
    mid = [params[2 * i] * u + params[2 * i + 1] * v for i in range(3)]
    near = [m - r for m, r in zip(mid, params[6:], strict=True)]
    far = [m + r for m, r in zip(mid, params[6:], strict=True)]
    start = upper(upper(near[0], near[1]), near[2])
    stop = lower(lower(far[0], far[1]), far[2])
    return start < stop, 0.5 * (start + stop)


def cover_params_ellipsoid(size: Array, rotation: Array) -> tuple[Array, ...]:
    """Per-scene constants of `covers_ellipsoid`: its outline in (u, v) and its middle plane."""
    rows = _light_rows(size, rotation)
    qu, qv, qw = rows[..., 0], rows[..., 1], rows[..., 2]
    along = jnp.sum(qw * qw, -1)
    du, dv = -jnp.sum(qw * qu, -1) / along, -jnp.sum(qw * qv, -1) / along
    qu, qv = qu + du[..., None] * qw, qv + dv[..., None] * qw
    return jnp.sum(qu * qu, -1), 2 * jnp.sum(qu * qv, -1), jnp.sum(qv * qv, -1), du, dv


def covers_ellipsoid(u: Array, v: Array, params: tuple[Array, ...]) -> tuple[Array, Array]:
    """As `covers_box`."""
    uu, uv, vv, du, dv = params
    return uu * u * u + uv * u * v + vv * v * v < 1.0, du * u + dv * v


def cover_params_capsule(size: Array, rotation: Array) -> tuple[Array, ...]:
    """Per-scene constants of `covers_capsule`: radius^2, its axis in light frame, fractions."""
    axis = rotation[..., 2, :] * size[..., 1:2]
    across = axis[..., 0] ** 2 + axis[..., 1] ** 2 + _TINY
    along = axis[..., 0] / across, axis[..., 1] / across
    return size[..., 0] ** 2, axis[..., 0], axis[..., 1], axis[..., 2], *along


def covers_capsule(u: Array, v: Array, params: tuple[Array, ...]) -> tuple[Array, Array]:
    """As `covers_box`; w is that of the axis point next to the ray, which is inside as well."""
    radius2, au, av, aw, fu, fv = params
    s = fu * u + fv * v
    s = upper(lower(s, jnp.ones_like(s)), -jnp.ones_like(s))
    du, dv = u - s * au, v - s * av
    return du * du + dv * dv < radius2, s * aw


def cover_params_cylinder(size: Array, rotation: Array) -> tuple[Array, ...]:
    """Per-scene constants of `covers_cylinder`."""
    side = rotation[..., :2, :] / size[..., :1, None]
    qu, qv, qw = side[..., 0], side[..., 1], side[..., 2]
    # A light along the axis would divide by zero: tilt it by a thousandth of the radius.
    parallel = jnp.sum(jnp.abs(qw), -1, keepdims=True) < 1e-3 / size[..., :1]
    qw = jnp.where(parallel, jnp.array([1e-3, 0.0]) / size[..., :1], qw)
    along = jnp.sum(qw * qw, -1)
    mid = [-jnp.sum(qw * q, -1) / along for q in (qu, qv)]
    across = [(qw[..., 0] * q[..., 1] - qw[..., 1] * q[..., 0]) / jnp.sqrt(along) for q in (qu, qv)]
    end = rotation[..., 2, 2]
    end = jnp.where(jnp.abs(end) < 1e-6, 1e-6, end)
    caps = [-rotation[..., 2, j] / end for j in range(2)]
    return *mid, *across, 1.0 / jnp.sqrt(along), *caps, jnp.abs(size[..., 1] / end)


def covers_cylinder(u: Array, v: Array, params: tuple[Array, ...]) -> tuple[Array, Array]:
    """As `covers_box`."""
    mid_u, mid_v, across_u, across_v, chord, cap_u, cap_v, cap = params
    across = across_u * u + across_v * v
    room = 1.0 - across * across
    mid, reach = mid_u * u + mid_v * v, chord * _root(room)
    end = cap_u * u + cap_v * v
    start, stop = upper(mid - reach, end - cap), lower(mid + reach, end + cap)
    return (room > 0) & (start < stop), 0.5 * (start + stop)


class Span(NamedTuple):
    """Where a ray is inside the half spaces asked so far."""

    near: Array
    far: Array
    face: Array  # i32, the half space that `near` belongs to


def clip_span(span: Span, offset: Array, slope: Array, face: Array | int) -> Span:
    """The span cut by the half space in which offset + slope * t <= 0.

    A ray along the plane counts as crossing it far away.
    """
    slope = jnp.where(jnp.abs(slope) < _TINY, _TINY, slope)
    t = -offset / slope
    enters = slope < 0
    first = enters & (t > span.near)
    return Span(
        jnp.where(first, t, span.near),
        jnp.where(enters | (t > span.far), span.far, t),
        jnp.where(first, face, span.face),
    )


def hit_span(span: Span) -> Array:
    """Depth of entry into a convex part; a camera inside looks through it."""
    return _entry(span.near, span.far)


class Shape(NamedTuple):
    """What the caster needs to know about one kind of primitive."""

    hit: Callable[[Vec, Vec, Array], Array]
    normal: Callable[[Vec, Array], Vec]
    cover_params: Callable[[Array, Array], tuple[Array, ...]]
    covers: Callable[[Array, Array, tuple[Array, ...]], tuple[Array, Array]]


# Keyed by the name of the group; a sphere is drawn as an ellipsoid, a convex part face by face.
KINDS: dict[str, Shape] = {
    "box": Shape(hit_box, normal_box, cover_params_box, covers_box),
    "ellipsoid": Shape(hit_ellipsoid, normal_ellipsoid, cover_params_ellipsoid, covers_ellipsoid),
    "capsule": Shape(hit_capsule, normal_capsule, cover_params_capsule, covers_capsule),
    "cylinder": Shape(hit_cylinder, normal_cylinder, cover_params_cylinder, covers_cylinder),
}
