"""The batched ray caster: analytic primary rays, hard shadows, textures by one lookup a pixel.

How it is fast without a custom kernel. Every picture is cut into blocks of 8 x 8 rays. A block
looks only at the geoms whose extent meets its part of the view, one word of bits for each kind of
geom; its shadow rays look only at the geoms whose extent, seen from the light, meets what the block
shows. Twice the blocks of many pictures are sorted by the length of their lists and handled tile by
tile, so that one loop over list entries, as long as the tile's longest list, wastes little: first
the camera rays, then shadows and shading. Inside a loop all rays of a tile are separate x, y and z
arrays. Memory is bounded by `sim.render.plan`: nothing ever has geoms x pixels x scenes elements.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from sim.render.atlas import make_atlas
from sim.render.blocks import Grid, seen_by_blocks, shading_blocks
from sim.render.plan import Plan, plan_render
from sim.render.scene import scene_tables
from sim.render.shading import make_room, unpack_srgb8
from sim.render.surface import shade
from sim.render.trace import Job, find
from sim.render.types import (
    SHAPES,
    Atlas,
    Backdrop,
    Camera,
    Image,
    Light,
    RenderGeoms,
)

__all__ = ["Atlas", "Backdrop", "Camera", "Image", "Light", "RenderGeoms", "render"]

Array = jax.Array


def render(
    geoms: RenderGeoms,
    camera: Camera,
    light: Light,
    backdrop: Backdrop,
    atlas: Atlas | None = None,
    *,
    height: int,
    width: int,
    shadows: bool = True,
    samples: int = 1,
    plan: Plan | None = None,
) -> Image:
    """Draw N scenes.

    Args:
        geoms, camera, light, backdrop: the scenes, all with leading axis N.
        atlas: textures and panoramas; by default the procedural textures, as a constant of the
            compiled program.
        height, width: picture size, pixels.
        shadows: cast shadow rays.
        samples: 1, 2, 4 or 8: the mean of samples x samples rays in linear light makes a pixel, at
            as many times the cost. Depth and segmentation are those of the ray next to the centre.
        plan: how much is drawn at once, from `plan_render`; the pictures do not depend on it.

    Returns:
        Image with u8[N, height, width, 3], depth and segmentation. What is not used of it costs
        little under jit.

    Raises:
        ValueError: an unknown shape, types that do not match the arrays, or an empty picture.
    """
    _check(geoms, camera, light, backdrop, height, width, samples)
    n = camera.pos.shape[0]
    grid = Grid(height * samples, width * samples, _SIDE, samples)
    faces = 0 if geoms.planes is None else geoms.planes.shape[1] * geoms.planes.shape[2]
    size = len(geoms.types)
    plan = plan or plan_render(n, height, width, size, faces=faces, samples=samples)
    atlas = make_atlas() if atlas is None else atlas
    parts = -(-n // plan.scenes)
    each = -(-n // parts)

    def draw(part: Array) -> tuple[Array, Array, Array]:
        # The last part is filled up with scenes that it has already.
        pick = jnp.minimum(part * each + jnp.arange(each), n - 1)
        scenes = (geoms, camera, light, backdrop)
        if parts > 1:
            scenes = jax.tree.map(lambda x: x[pick], scenes)
        return _draw(scenes, atlas, grid, shadows, max(1, plan.rays // grid.rays))

    drawn = lax.map(draw, jnp.arange(parts)) if parts > 1 else draw(jnp.int32(0))
    packed, depth, segment = (x.reshape(-1, height, width)[:n] for x in drawn)
    return Image(rgb=unpack_srgb8(packed), depth=depth, segmentation=segment)


# Side of the square blocks, rays: small enough to see few geoms, large enough to fill vectors.
_SIDE = 8
# Their numbers take as many bits of a depth's mantissa as they need. Ten, for 1,020 surfaces, leave
# 0.1 mm at 1 m, twelve 0.5 mm: enough for scenes full of imported objects.
_MOST_SURFACES = 4092


def _check(
    geoms: RenderGeoms,
    camera: Camera,
    light: Light,
    backdrop: Backdrop,
    height: int,
    width: int,
    samples: int,
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
    convex = geoms.types.count("convex")
    if convex and (
        geoms.planes is None
        or geoms.planes.ndim != 4
        or geoms.planes.shape[:2] != (n, convex)
        or geoms.planes.shape[3] != 4
    ):
        shape = None if geoms.planes is None else geoms.planes.shape
        raise ValueError(
            f"geoms.planes has shape {shape}: {convex} convex parts in {n} scenes need "
            f"({n}, {convex}, faces, 4)"
        )
    faces = 0 if geoms.planes is None else convex * geoms.planes.shape[2]
    if g + faces > _MOST_SURFACES:
        raise ValueError(
            f"{g} geoms and {faces} faces of convex parts: at most {_MOST_SURFACES} together, or "
            "the numbers that share a word with the depth make it coarse; use simpler parts, or "
            "sort scenes of different objects into buckets (sim.buckets)"
        )
    for name, rows in (("light", light.direction), ("backdrop", backdrop.table_rgb)):
        if rows.shape[0] != n:
            raise ValueError(f"{name} has {rows.shape[0]} rows: {n} cameras need {n}")
    if (light.fill is None) != (light.fill_direction is None):
        raise ValueError("a fill light needs both fill and fill_direction: give both or none")
    for name, value in (("height", height), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
    if samples not in (1, 2, 4, 8):
        raise ValueError(f"samples is {samples}: choose 1, 2, 4 or 8")
    if n < 1:
        raise ValueError("there are no cameras: render needs at least one scene")


def _draw(
    scenes: tuple[RenderGeoms, Camera, Light, Backdrop],
    atlas: Atlas,
    grid: Grid,
    shadows: bool,
    tile: int,
) -> tuple[Array, Array, Array]:
    """Packed sRGB, depth and segment [N, H, W], from blocks of which `tile` are drawn at once."""
    geoms, camera, light, backdrop = scenes
    n = camera.pos.shape[0]
    pixel = 2.0 * jnp.tan(0.5 * camera.fovy) / grid.height
    tables = scene_tables(geoms, camera, light, backdrop)
    job = Job(tables, make_room(camera, light, backdrop), pixel, atlas)
    seen = seen_by_blocks(tables, pixel, grid).reshape(n * grid.blocks, -1)
    tile = min(tile, n * grid.blocks)

    order, place = _by_length(seen, tile)
    best, bounds = lax.map(lambda ids: find(job, grid, ids, seen[ids]), order)
    best = best.reshape(-1, grid.rays)
    if shadows:
        bounds = jax.tree.map(lambda x: x.reshape(-1)[place].reshape(n, -1), bounds)
        shading = shading_blocks(tables, bounds).reshape(n * grid.blocks, -1)
    else:
        shading = jnp.zeros_like(seen)

    order, back = _by_length(shading, tile)
    drawn = lax.map(lambda ids: shade(job, grid, ids, best[place[ids]], shading[ids]), order)
    packed, depth, segment = (grid.assemble(x.reshape(-1, x.shape[-1])[back], n) for x in drawn)
    return packed, depth, segment


def _by_length(words: Array, tile: int) -> tuple[Array, Array]:
    """Blocks sorted by the number of their bits, in tiles; and the place of each block there.

    Args:
        words: u32[B, groups].
        tile: blocks of a tile.

    Returns:
        i32[tiles, tile], filled up with the last block, and i32[B].
    """
    count = words.shape[0]
    bits = lax.population_count(words).astype(jnp.int32)
    order = jnp.argsort(-jnp.sum(bits, -1)).astype(jnp.int32)
    tiles = -(-count // tile)
    filled = jnp.concatenate([order, jnp.broadcast_to(order[-1:], (tiles * tile - count,))])
    place = jnp.zeros(count, jnp.int32).at[order].set(jnp.arange(count, dtype=jnp.int32))
    return filled.reshape(tiles, tile), place
