"""What the rays show: normals, textures and colours of the surfaces that they met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sim.render.atlas import LEVELS, SIDE
from sim.render.blocks import Grid
from sim.render.scene import (
    KIND_NAMES,
    STYLE_KINDS,
    SURFACE_COLUMNS,
    SURFACE_RGB,
    SURFACE_RGB2,
    SURFACE_STYLE,
    SURFACE_TEXELS,
    SURFACE_TILES,
    SceneTables,
)
from sim.render.shading import Room, Surface, lit, room_colour, to_srgb8, turns, unit, unpacked
from sim.render.shapes import FAR, KINDS, Vec, dot, upper
from sim.render.trace import Job, in_light, rays_of, sunny, unpack_hit
from sim.render.types import SEGMENT_BACKGROUND, Atlas

Array = jax.Array

_ROUND = ("ellipsoid", "capsule", "cylinder")


def stage(block: Array, function: Callable, *arguments: Any) -> Any:
    """function(*arguments), computed and stored before anything uses it.

    XLA's CPU backend otherwise repeats what leads to a value in each of its uses, and where that is
    a gather or the update of a loop's output, it does so one number at a time on one core. The
    branch that is never taken keeps stages apart; an accelerator fuses well and needs none.

    Args:
        block: i32[B] numbers of blocks, none of them negative, which the compiler does not know.
        function: of arrays, returns a tree of arrays.
        *arguments: trees of arrays.
    """
    if jax.default_backend() != "cpu":
        return function(*arguments)
    shapes = jax.eval_shape(function, *arguments)

    def never(*_: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    return jax.lax.cond(block[0] >= 0, function, never, *arguments)


def shade(
    job: Job, grid: Grid, block: Array, best: Array, words: Array
) -> tuple[Array, Array, Array]:
    """Packed sRGB, depth and segment [B, pixels] of blocks whose first surfaces are known.

    Args:
        job, grid: what to draw.
        block: i32[B] numbers of the blocks.
        best: i32[B, P] from `find`.
        words: u32[B, groups] the geoms that may shade them.
    """
    tables = job.tables
    kinds = {group.kind for group in tables.groups} | {"box"}
    if "convex" in kinds:
        kinds.add("face")
    scene, _, d = stage(block, lambda b: rays_of(job, grid, b), block)
    room = stage(block, lambda s: jax.tree.map(lambda a: a[s], job.room), scene)
    t, number, index = stage(block, lambda *a: _first(tables, *a), best, scene)
    flat = tables.surfaces.reshape(-1, SURFACE_COLUMNS)
    hit = t < 0.5 * FAR  # packing has cut low bits off FAR, too
    depth = jnp.asarray(jnp.where(hit, t, 1.0))
    pixel = job.pixel[scene]
    surface = surface_at(block, flat, index, d, depth, pixel, tuple(sorted(kinds)), job.atlas)
    free = sunny(tables, scene, in_light(tables, scene, d, t), words)

    def finish(surface: Surface, free: Array, room: Room, d: Vec, t: Array, number: Array):
        colour = lit(surface, free, room)
        behind = room_colour(room, d, job.atlas)
        hit = t < 0.5 * FAR
        colour = tuple(grid.mean(jnp.where(hit, a, b)) for a, b in zip(colour, behind, strict=True))
        hit, t, number = (grid.middle(a) for a in (hit, t, number))
        segment = jnp.where(hit, jnp.asarray(tables.segments())[number], SEGMENT_BACKGROUND)
        return to_srgb8(colour), jnp.where(hit, t, jnp.inf), segment

    return stage(block, finish, surface, free, room, d, t, number)


def _first(tables: SceneTables, best: Array, scene: Array) -> tuple[Array, Array, Array]:
    """Depth and number of the first surfaces, and the index of their rows, each [B, P]."""
    t, number = unpack_hit(best, tables.number_mask)
    number = jnp.where(t < 0.5 * FAR, number, tables.num_geoms + 1)
    return t, number, scene[:, None] * tables.surfaces.shape[1] + number


def surface_at(
    block: Array,
    rows: Array,
    index: Array,
    d: Vec,
    t: Array,
    pixel: Array,
    kinds: tuple[str, ...],
    atlas: Atlas,
) -> Surface:
    """Normal and colour where the rays hit.

    Args:
        block: i32[B] numbers of the blocks, for `stage`.
        rows: f32[S, 20] surface rows of all scenes.
        index: i32[B, P] the row of each ray's surface.
        d: ray directions in the camera frame, unit depth; each f32[B, P].
        t: depth f32[B, P].
        pixel: f32[B] distance between neighbouring pixels at unit depth.
        kinds: the kinds of surfaces that occur.
        atlas: the textures.
    """

    def column(i: int, index: Array) -> Array:
        return rows[:, i].at[index].get(mode="promise_in_bounds")

    def point(index: Array, d: Vec, t: Array) -> Vec:
        """In the unit shape's frame."""
        turned = (dot([column(3 + 3 * i + j, index) for j in range(3)], d) for i in range(3))
        x, y, z = (column(i, index) + t * part for i, part in enumerate(turned))
        return x, y, z

    q = stage(block, point, index, d, t)

    def orient(index: Array, q: Vec) -> Vec:
        kind = column(SURFACE_STYLE, index).astype(jnp.int32) % STYLE_KINDS
        own = _own_normal(q, column(12, index), kind, kinds)
        # Rows of the rotation are divided by the shape's scale: so transposed it turns normals.
        x, y, z = (dot(own, [column(3 + i + 3 * j, index) for j in range(3)]) for i in range(3))
        return x, y, z

    normal = stage(block, lambda n: unit(n), stage(block, orient, index, q))

    def locate(index: Array, q: Vec, normal: Vec, d: Vec, t: Array) -> Array:
        style = column(SURFACE_STYLE, index).astype(jnp.int32)
        kind = style % STYLE_KINDS
        own = _own_normal(q, column(12, index), kind, kinds)
        tiles = [column(i, index) for i in range(SURFACE_TILES.start, SURFACE_TILES.stop)]
        u, v = _unrolled(q, own, tiles, kind, kinds)
        glance = jnp.abs(dot(normal, d)) * jax.lax.rsqrt(dot(d, d))
        # Texels under a pixel; at a glance more, of which the square root is a compromise.
        footprint = t * pixel[:, None] * column(SURFACE_TEXELS, index)
        footprint = footprint * jax.lax.rsqrt(upper(glance, jnp.full_like(glance, 0.05)))
        return _texel_index(atlas, style // STYLE_KINDS, u, v, footprint)

    place = stage(block, locate, index, q, normal, d, t)

    def colours(place: Array, index: Array) -> tuple[Array, ...]:
        texel = atlas.texels.reshape(-1).at[place].get(mode="clip")
        return texel, *(column(i, index).astype(jnp.int32) for i in (SURFACE_RGB, SURFACE_RGB2))

    shares, first, second = (unpacked(x) for x in stage(block, colours, place, index))
    albedo = tuple(a + s * (b - a) for a, b, s in zip(first, second, shares, strict=True))
    return Surface(normal, albedo)


def _own_normal(q: Vec, half: Array, kind: Array, kinds: tuple[str, ...]) -> Vec:
    """Outward direction in the unit shape's frame; a face's is its z axis."""
    zero = jnp.zeros_like(half)
    normal = (zero, zero, zero + 1.0)
    for name in kinds:
        if name in KINDS:
            own = kind == KIND_NAMES.index(name)
            candidate = KINDS[name].normal(q, half)
            normal = tuple(jnp.where(own, c, n) for c, n in zip(candidate, normal, strict=True))
    return normal


def _unrolled(
    q: Vec, normal: Vec, tiles: list[Array], kind: Array, kinds: tuple[str, ...]
) -> tuple[Array, Array]:
    """Texture coordinates in squares, from the middle: flat on a face, wrapped around the rest."""
    x, y, z = (c * s for c, s in zip(q, tiles, strict=True))
    along = [jnp.abs(c) for c in normal]
    on_x = (along[0] > along[1]) & (along[0] > along[2])
    on_y = ~on_x & (along[1] > along[2])
    u, v = jnp.where(on_x, y, x), jnp.where(on_x | on_y, z, y)
    if any(name in kinds for name in _ROUND):
        curved = jnp.zeros(kind.shape, bool)
        for name in _ROUND:
            curved = curved | (kind == KIND_NAMES.index(name))
        wrapped = curved & ((kind != KIND_NAMES.index("cylinder")) | (along[2] < 0.5))
        # y of a round shape holds the number of squares around it.
        y = jnp.where(curved, q[1] * tiles[0], y)
        u = jnp.where(wrapped, turns(q[0], q[1]) * tiles[1], jnp.where(curved, x, u))
        v = jnp.where(wrapped, z, jnp.where(curved, y, v))
    return u + 0.5, v + 0.5


def _texel_index(atlas: Atlas, texture: Array, u: Array, v: Array, footprint: Array) -> Array:
    """The nearest texel of the mip level that suits the footprint (texels)."""
    level = (jax.lax.bitcast_convert_type(footprint, jnp.int32) >> 23) - 127
    level = jnp.clip(level, 0, LEVELS - 1)
    side = SIDE >> level
    start = (SIDE * SIDE - side * side) // 3 * 4  # texels of the larger levels

    def cell(x: Array) -> Array:
        return ((x - jnp.floor(x)) * side).astype(jnp.int32) & (side - 1)

    return texture * atlas.texels.shape[1] + start + cell(v) * side + cell(u)
