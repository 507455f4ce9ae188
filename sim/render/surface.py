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
        best: i32[B, P] from `_find`.
        words: u32[B, groups] the geoms that may shade them.
    """
    tables = job.tables
    kinds = {group.kind for group in tables.groups} | {"box"}
    if "convex" in kinds:
        kinds.add("face")
    scene, _, d = stage(block, lambda b: rays_of(job, grid, b), block)
    room = stage(block, lambda s: jax.tree.map(lambda a: a[s], job.room), scene)
    t, number, columns = stage(block, lambda *a: _surfaces(tables, *a), best, scene)
    hit = t < 0.5 * FAR  # packing has cut low bits off FAR, too
    depth = jnp.asarray(jnp.where(hit, t, 1.0))
    pixel = job.pixel[scene]
    surface = surface_at(block, columns, d, depth, pixel, tuple(sorted(kinds)), job.atlas)
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


def _surfaces(tables: SceneTables, best: Array, scene: Array) -> tuple[Array, Array, list[Array]]:
    """Depth and number of the first surfaces, and the columns of their rows, each [B, P]."""
    t, number = unpack_hit(best, tables.number_mask)
    number = jnp.where(t < 0.5 * FAR, number, tables.num_geoms + 1)
    flat = tables.surfaces.reshape(-1, SURFACE_COLUMNS)
    index = scene[:, None] * tables.surfaces.shape[1] + number
    columns = [flat[:, i].at[index].get(mode="promise_in_bounds") for i in range(SURFACE_COLUMNS)]
    return t, number, columns


def surface_at(
    block: Array,
    columns: list[Array],
    d: Vec,
    t: Array,
    pixel: Array,
    kinds: tuple[str, ...],
    atlas: Atlas,
) -> Surface:
    """Normal and colour where the rays hit.

    Args:
        block: i32[B] numbers of the blocks, for `stage`.
        columns: 20 arrays f32[B, P], the surface row of each ray.
        d: ray directions in the camera frame, unit depth; each f32[B, P].
        t: depth f32[B, P].
        pixel: f32[B] distance between neighbouring pixels at unit depth.
        kinds: the kinds of surfaces that occur.
        atlas: the textures.
    """
    q = stage(block, _own_point, columns, d, t)

    def look(columns: list[Array], q: Vec, d: Vec, t: Array) -> tuple[Vec, Array]:
        style = columns[SURFACE_STYLE].astype(jnp.int32)
        kind = style % STYLE_KINDS
        own = _own_normal(q, columns[12], kind, kinds)
        # Rows of the rotation are divided by the shape's scale: so transposed it turns normals.
        turn = [columns[3 + i :: 3][:3] for i in range(3)]
        normal = unit(tuple(dot(own, c) for c in turn))
        u, v = _unrolled(q, own, columns[SURFACE_TILES], kind, kinds)
        glance = jnp.abs(dot(normal, d)) * jax.lax.rsqrt(dot(d, d))
        # Texels under a pixel; at a glance more, of which the square root is a compromise.
        footprint = t * pixel[:, None] * columns[SURFACE_TEXELS]
        footprint = footprint * jax.lax.rsqrt(upper(glance, jnp.full_like(glance, 0.05)))
        return normal, _texel_index(atlas, style // STYLE_KINDS, u, v, footprint)

    normal, index = stage(block, look, columns, q, d, t)
    texel = stage(block, lambda i: atlas.texels.reshape(-1).at[i].get(mode="clip"), index)
    first, second = (unpacked(columns[i].astype(jnp.int32)) for i in (SURFACE_RGB, SURFACE_RGB2))
    shares = unpacked(texel)
    albedo = tuple(a + s * (b - a) for a, b, s in zip(first, second, shares, strict=True))
    return Surface(normal, albedo)


def _own_point(columns: list[Array], d: Vec, t: Array) -> Vec:
    """Where the rays hit, in the unit shape's frame."""
    x, y, z = (columns[i] + t * dot(columns[3 + 3 * i : 6 + 3 * i], d) for i in range(3))
    return x, y, z


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
