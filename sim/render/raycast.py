"""The batched ray caster: analytic primary rays, hard shadows, procedural textures.

How it is fast without a custom kernel. Every picture is cut into square blocks of pixels. A block
looks only at the geoms whose extent meets its part of the view, in a list made per block; its
shadow rays look only at the geoms whose extent, seen from the light, meets the block's hit points.
The blocks of the whole batch are sorted by the length of their lists and handled tile by tile, so
that one loop over list entries, as long as the tile's longest list, wastes little. Inside the loop
all pixels of a tile are separate x, y and z arrays. Memory is bounded by the tile: nothing ever has
geoms x pixels x scenes elements.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sim.render.blocks import Grid, listed, seen_by_band
from sim.render.scene import SceneTables, scene_tables
from sim.render.shading import (
    Room,
    dot,
    lit,
    make_room,
    room_colour,
    surface_at,
    to_srgb8,
    unpack_srgb8,
)
from sim.render.shapes import FAR, KINDS, SHADOW_BIAS, Vec, hit_box, lower
from sim.render.types import (
    SEGMENT_BACKGROUND,
    SEGMENT_TABLE,
    SHAPES,
    TEXTURES,
    Backdrop,
    Camera,
    Image,
    Light,
    RenderGeoms,
)

__all__ = ["TEXTURES", "Backdrop", "Camera", "Image", "Light", "RenderGeoms", "render"]

Array = jax.Array

# Pixels handled at once: arrays that fit a CPU core's cache, or enough work for an accelerator.
_CPU_TILE = 1 << 15
_ACCELERATOR_TILE = 1 << 22


def render(
    geoms: RenderGeoms,
    camera: Camera,
    light: Light,
    backdrop: Backdrop,
    *,
    height: int,
    width: int,
    shadows: bool = True,
    tile: int | None = None,
) -> Image:
    """Draw N scenes.

    Args:
        geoms, camera, light, backdrop: the scenes, all with leading axis N.
        height, width: picture size, pixels.
        shadows: cast shadow rays.
        tile: pixels handled at once; a larger tile takes more memory (about 300 bytes a pixel) and
            suits an accelerator. Default 32,768 on a CPU and 4 Mi elsewhere. The pictures do not
            depend on it.

    Returns:
        Image with u8[N, height, width, 3], depth and segmentation. What is not used of it costs
        nothing under jit.

    Raises:
        ValueError: an unknown shape, types that do not match the arrays, or an empty picture.
    """
    _check(geoms, camera, light, backdrop, height, width, tile)
    grid = Grid(height, width, _block_side(height, width))
    pixel = 2.0 * jnp.tan(0.5 * camera.fovy) / height
    tables = scene_tables(geoms, camera, light, backdrop)
    columns, rows = seen_by_band(tables, pixel, grid)
    job = _Job(tables, make_room(camera, light, backdrop), pixel, columns, rows)
    if tile is None:
        tile = _CPU_TILE if jax.default_backend() == "cpu" else _ACCELERATOR_TILE
    packed, depth, segment = _in_tiles(job, grid, shadows, max(1, tile // grid.pixels))
    n = camera.pos.shape[0]
    return Image(
        rgb=unpack_srgb8(grid.assemble(packed, n)),
        depth=grid.assemble(depth, n),
        segmentation=grid.assemble(segment, n),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Job:
    """N scenes ready to be drawn."""

    tables: SceneTables
    room: Room
    pixel: Array  # f32[N] size of a pixel at unit depth
    columns: Array  # bool[N, columns, G] geoms that may be seen in a column of blocks
    rows: Array  # bool[N, rows, G]


def _check(
    geoms: RenderGeoms,
    camera: Camera,
    light: Light,
    backdrop: Backdrop,
    height: int,
    width: int,
    tile: int | None,
) -> None:
    unknown = sorted(set(geoms.types) - set(SHAPES))
    if unknown:
        raise ValueError(f"unknown geom type {unknown[0]!r}: choose one of {', '.join(SHAPES)}")
    n, g = camera.pos.shape[0], len(geoms.types)
    if geoms.pos.shape != (n, g, 3):
        raise ValueError(
            f"geoms.pos has shape {geoms.pos.shape}: {n} cameras and {g} geom types need "
            f"({n}, {g}, 3)"
        )
    for name, rows in (("light", light.direction), ("backdrop", backdrop.table_rgb)):
        if rows.shape[0] != n:
            raise ValueError(f"{name} has {rows.shape[0]} rows: {n} cameras need {n}")
    for name, value in (("height", height), ("width", width), ("tile", tile)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
    if n < 1:
        raise ValueError("there are no cameras: render needs at least one scene")


def _block_side(height: int, width: int) -> int:
    """Side of the square blocks: small enough to see few geoms, large enough to fill vectors."""
    del height, width
    return 16


def _in_tiles(job: _Job, grid: Grid, shadows: bool, tile: int) -> tuple[Array, Array, Array]:
    """Draw all blocks, `tile` of them at once; each output [N * rows * columns, P]."""
    seen = jnp.einsum("nrg,ncg->nrc", job.rows.astype(jnp.float32), job.columns.astype(jnp.float32))
    count = seen.size
    if count <= tile:
        return _draw(job, grid, shadows, jnp.arange(count, dtype=jnp.int32))
    order = jnp.argsort(-seen.reshape(-1)).astype(jnp.int32)
    steps = -(-count // tile)
    # The last tile is filled up with blocks that it has already.
    padded = jnp.concatenate([order, jnp.broadcast_to(order[-1:], (steps * tile - count,))])
    drawn = lax.map(lambda part: _draw(job, grid, shadows, part), padded.reshape(steps, tile))
    place = jnp.zeros(count, jnp.int32).at[order].set(jnp.arange(count, dtype=jnp.int32))
    packed, depth, segment = (x.reshape(steps * tile, grid.pixels)[place] for x in drawn)
    return packed, depth, segment


def _draw(job: _Job, grid: Grid, shadows: bool, block: Array) -> tuple[Array, Array, Array]:
    """Colour (packed sRGB), depth and segment of the blocks numbered i32[B]; each [B, P]."""
    scene, place = jnp.divmod(block, grid.rows * grid.columns)
    row, column = jnp.divmod(place, grid.columns)
    pixel = job.pixel[scene]
    x, y = (jnp.asarray(a)[None] for a in grid.offsets())
    # Ray direction of the first pixel of each block, then of all, at unit depth.
    corner = (
        pixel * (column * grid.side + 0.5 - grid.width / 2),
        pixel * (grid.height / 2 - 0.5 - row * grid.side),
    )
    u = corner[0][:, None] + pixel[:, None] * x
    v = corner[1][:, None] - pixel[:, None] * y
    d = (u, v, -jnp.ones_like(u))

    best = _nearest(job, scene, job.columns[scene, column] & job.rows[scene, row], corner, x, y)
    bits, mask = _id_bits(job)
    number = best & mask
    t = lax.bitcast_convert_type(best & ~mask, jnp.float32)
    g = job.tables.visible.shape[1]
    hit = t < 0.5 * FAR  # packing has cut low bits off FAR, too

    surfaces = job.tables.surfaces.reshape(-1, job.tables.surfaces.shape[-1])
    index = scene[:, None] * (g + 2) + jnp.where(hit, number, g + 1)
    columns = [surfaces[:, i].at[index].get(mode="promise_in_bounds") for i in range(33)]
    kinds = {group.kind for group in job.tables.groups} | {"box"}
    surface = surface_at(columns, d, t, tuple(kind for kind in KINDS if kind in kinds))
    sunny = jnp.ones_like(t)
    if shadows:
        sunny = _sunny(job.tables, scene, d, t, hit & (surface.facing > 0))
    room = jax.tree.map(lambda a: a[scene], job.room)
    colour = lit(surface, sunny, room.ambient, room.diffuse)
    behind = room_colour(room, d)
    packed = to_srgb8(tuple(jnp.where(hit, a, b) for a, b in zip(colour, behind, strict=True)))
    segment = jnp.where(number == g, SEGMENT_TABLE, number)
    del bits
    return (
        packed,
        jnp.where(hit, t, jnp.inf),
        jnp.where(hit, segment, SEGMENT_BACKGROUND),
    )


def _id_bits(job: _Job) -> tuple[int, int]:
    """Low bits of a depth's mantissa that carry the geom number, and their mask."""
    bits = max(1, (job.tables.visible.shape[1]).bit_length())
    return bits, (1 << bits) - 1


def _pack(t: Array, number: Array | int, mask: int) -> Array:
    """Depth and geom number in one i32 that orders by depth: a loop then carries one array."""
    return (lax.bitcast_convert_type(t, jnp.int32) & ~mask) | number


def _nearest(
    job: _Job, scene: Array, seen: Array, corner: tuple[Array, Array], x: Array, y: Array
) -> Array:
    """Packed depth and number of the first surface along each pixel's ray, i32[B, P]."""
    _, mask = _id_bits(job)
    pixel = job.pixel[scene]

    def along(row: Array) -> tuple[Vec, Vec, Array]:
        """Origin and directions in a unit shape's frame from ray rows f32[13, B]."""
        base, right, down = [], [], []
        for i in range(3):
            mx, my, mz = row[3 + 3 * i], row[4 + 3 * i], row[5 + 3 * i]
            base.append((mx * corner[0] + my * corner[1] - mz)[:, None])
            right.append((mx * pixel)[:, None])
            down.append((-my * pixel)[:, None])
        d = tuple(b + x * r + y * w for b, r, w in zip(base, right, down, strict=True))
        return tuple(row[i][:, None] for i in range(3)), d, row[12][:, None]

    table = hit_box(*along(job.tables.table[scene].T))
    best = _pack(table, job.tables.visible.shape[1], mask)
    for group in job.tables.groups:
        entries, longest = listed(seen[:, np.array(group.ids)])
        rays = jnp.moveaxis(group.rays[scene[None], entries], -1, 1)
        ids = jnp.asarray((*group.ids, 0), jnp.int32)[entries]

        def step(i, best, rays=rays, ids=ids, hit=KINDS[group.kind].hit):
            return lower(best, _pack(hit(*along(rays[i])), ids[i][:, None], mask))

        best = lax.fori_loop(0, longest, step, best)
    return best


def _sunny(tables: SceneTables, scene: Array, d: Vec, t: Array, asks: Array) -> Array:
    """1 where the light reaches the hit points, 0 in shadow; asked where `asks` is true."""
    turn, camera = tables.camera_to_light[scene], tables.camera_in_light[scene]
    u, v, w = (
        camera[:, i, None] + t * dot(tuple(turn[:, i, j, None] for j in range(3)), d)
        for i in range(3)
    )

    def low(a: Array) -> Array:
        return jnp.min(jnp.where(asks, a, FAR), 1)[:, None]

    centre, reach = tables.centre_light[scene], tables.reach_light[scene]
    ahead = centre[..., 2] + reach[..., 2] > low(w)
    beside = [
        (centre[..., i] + reach[..., i] > low(a)) & (centre[..., i] - reach[..., i] < -low(-a))
        for i, a in enumerate((u, v))
    ]
    may = tables.visible[scene] & ahead & beside[0] & beside[1]
    free = jnp.ones_like(t)
    for group in tables.groups:
        entries, longest = listed(may[:, np.array(group.ids)])
        rows = jnp.moveaxis(group.covers[scene[None], entries], -1, 1)

        def step(i, free, rows=rows, covers=KINDS[group.kind].covers):
            row = [c[:, None] for c in rows[i]]
            meets, middle = covers(u - row[0], v - row[1], tuple(row[3:]))
            return jnp.where(meets & (middle + row[2] > w + SHADOW_BIAS), 0.0, free)

        free = lax.fori_loop(0, longest, step, free)
    return free
