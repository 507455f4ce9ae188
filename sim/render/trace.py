"""Rays of blocks of pixels: the first surface along each, and what keeps the light from it."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from sim.render.blocks import Bounds, Grid, next_bit
from sim.render.scene import SceneTables
from sim.render.shading import Room
from sim.render.shapes import (
    FAR,
    KINDS,
    NEAR,
    SHADOW_BIAS,
    Span,
    Vec,
    clip_span,
    coordinates,
    dot,
    hit_box,
    hit_span,
    lower,
)
from sim.render.types import Atlas

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Job:
    """N scenes ready to be drawn."""

    tables: SceneTables
    room: Room
    pixel: Array  # f32[N] distance between rays at unit depth
    atlas: Atlas


def rays_of(job: Job, grid: Grid, block: Array) -> tuple[Array, tuple[Array, Array], Vec]:
    """Scene i32[B] of the blocks, direction of their first ray, and of all at unit depth."""
    scene, place = jnp.divmod(block, grid.blocks)
    row, column = jnp.divmod(place, grid.columns)
    pixel = job.pixel[scene]
    x, y = (jnp.asarray(a)[None] for a in grid.offsets())
    corner = (
        pixel * (column * grid.side + 0.5 - grid.width / 2),
        pixel * (grid.height / 2 - 0.5 - row * grid.side),
    )
    u = corner[0][:, None] + pixel[:, None] * x
    v = corner[1][:, None] - pixel[:, None] * y
    return scene, corner, (u, v, -jnp.ones_like(u))


# Camera rays --------------------------------------------------------------------------------------


def _pack(t: Array, number: Array | int, mask: int) -> Array:
    """Depth and surface number in one i32 that orders by depth: a loop then carries one array."""
    return (lax.bitcast_convert_type(t, jnp.int32) & ~mask) | number


def unpack_hit(best: Array, mask: int) -> tuple[Array, Array]:
    """Depth and number of `_pack`."""
    return lax.bitcast_convert_type(best & ~mask, jnp.float32), best & mask


def _entry(rows: Array, scene: Array, index: Array) -> Array:
    """Row `index` of each block's scene: [B, ...] from [N, K, ...]."""
    flat = rows.reshape(-1, *rows.shape[2:])
    return flat.at[scene * rows.shape[1] + index].get(mode="promise_in_bounds")


def _longest(words: Array) -> Array:
    """The largest number of bits in a word."""
    return jnp.max(lax.population_count(words)).astype(jnp.int32)


def find(job: Job, grid: Grid, block: Array, words: Array) -> tuple[Array, Bounds]:
    """The first surface along each ray.

    Args:
        job, grid: what to draw.
        block: i32[B] numbers of the blocks.
        words: u32[B, groups] the geoms that they may see.

    Returns:
        packed depth and number i32[B, P], and in the light frame the bounds of what was hit.
    """
    tables = job.tables
    scene, corner, d = rays_of(job, grid, block)
    x, y = (jnp.asarray(a)[None] for a in grid.offsets())
    pixel, mask = job.pixel[scene], tables.number_mask

    def along(row: Array) -> tuple[Vec, Vec, Array]:
        """Origin and directions in a unit shape's frame from ray rows f32[B, 13]."""
        directions = []
        for i in range(3):
            mx, my, mz = (row[:, 3 + 3 * i + j] for j in range(3))
            base = (mx * corner[0] + my * corner[1] - mz)[:, None]
            directions.append(base + x * (mx * pixel)[:, None] + y * (-my * pixel)[:, None])
        return coordinates(row), (directions[0], directions[1], directions[2]), row[:, 12, None]

    best = _pack(hit_box(*along(tables.table[scene])), tables.num_geoms, mask)
    for g, group in enumerate(tables.groups):
        numbers = jnp.asarray((*(group.faces or group.ids), 0), jnp.int32)

        def step(_: Array, carry: tuple[Array, Array], group=group, numbers=numbers):
            best, word = carry
            index, word = next_bit(word)
            index = jnp.minimum(index, len(group.ids))
            row = along(_entry(group.rays, scene, index))
            if group.planes is None:
                t, number = KINDS[group.kind].hit(*row), numbers[index][:, None]
            else:
                t, face = _hit_convex(row[0], row[1], _entry(group.planes, scene, index))
                number = numbers[index][:, None] + face
            return lower(best, _pack(t, number, mask)), word

        best, _ = lax.fori_loop(0, _longest(words[:, g]), step, (best, words[:, g]))
    t, _ = unpack_hit(best, mask)
    return best, _bounds(in_light(tables, scene, d, t), t < 0.5 * FAR)


def _hit_convex(o: Vec, d: Vec, planes: Array) -> tuple[Array, Array]:
    """Depth of entry and face i32 of rays into convex parts with faces f32[B, F, 4]."""
    start = Span(
        jnp.full(d[0].shape, NEAR), jnp.full(d[0].shape, FAR), jnp.zeros(d[0].shape, jnp.int32)
    )

    def cut(f: Array, span: Span) -> Span:
        plane = lax.dynamic_index_in_dim(planes, f, 1, keepdims=False)
        normal = coordinates(plane)
        return clip_span(span, dot(normal, o) - plane[:, 3, None], dot(normal, d), f)

    span = lax.fori_loop(0, planes.shape[1], cut, start)
    return hit_span(span), span.face


def in_light(tables: SceneTables, scene: Array, d: Vec, t: Array) -> Vec:
    """Hit points in the light frame, m."""
    turn, camera = tables.camera_to_light[scene], tables.camera_in_light[scene]
    u, v, w = (
        camera[:, i, None] + t * dot(tuple(turn[:, i, j, None] for j in range(3)), d)
        for i in range(3)
    )
    return u, v, w


def _bounds(point: Vec, asks: Array) -> Bounds:
    def low(a: Array) -> Array:
        return jnp.min(jnp.where(asks, a, FAR), 1)

    u, v, w = point
    return Bounds(low(u), -low(-u), low(v), -low(-v), low(w))


# Shadow rays --------------------------------------------------------------------------------------


def sunny(tables: SceneTables, scene: Array, point: Vec, words: Array) -> Array:
    """1 where the key light reaches the points, 0 in shadow; point is in the light frame."""
    u, v, w = point
    free = jnp.ones_like(w)
    for g, group in enumerate(tables.groups):

        def step(_: Array, carry: tuple[Array, Array], group=group):
            free, word = carry
            index, word = next_bit(word)
            index = jnp.minimum(index, len(group.ids))
            row = _entry(group.covers, scene, index)
            at = u - row[:, 0, None], v - row[:, 1, None]
            if group.planes_light is None:
                constants = tuple(row[:, i, None] for i in range(3, row.shape[1]))
                meets, middle = KINDS[group.kind].covers(*at, constants)
            else:
                meets, middle = _covers_convex(*at, _entry(group.planes_light, scene, index))
            return jnp.where(meets & (middle + row[:, 2, None] > w + SHADOW_BIAS), 0.0, free), word

        free, _ = lax.fori_loop(0, _longest(words[:, g]), step, (free, words[:, g]))
    return free


def _covers_convex(u: Array, v: Array, planes: Array) -> tuple[Array, Array]:
    """As `covers_box`, for faces f32[B, F, 4] in the light frame."""
    start = Span(jnp.full(u.shape, -FAR), jnp.full(u.shape, FAR), jnp.zeros(u.shape, jnp.int32))

    def cut(f: Array, span: Span) -> Span:
        plane = lax.dynamic_index_in_dim(planes, f, 1, keepdims=False)
        c, a, b, slope = (plane[:, i, None] for i in range(4))
        return clip_span(span, c + a * u + b * v, slope, 0)

    near, far, _ = lax.fori_loop(0, planes.shape[1], cut, start)
    return near < far, 0.5 * (near + far)
