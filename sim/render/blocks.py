"""Blocks of pixels: the grid, and which geoms each block may see, as bits of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from sim.render.scene import SceneTables
from sim.render.shapes import NEAR

Array = jax.Array


@dataclass(frozen=True)
class Grid:
    """How a picture of height x width pixels is cut into square blocks; the last may stick out.

    Every pixel is the mean of samples x samples rays; lengths here count rays.
    """

    height: int
    width: int
    side: int
    samples: int

    @property
    def rows(self) -> int:
        """Blocks from top to bottom."""
        return -(-self.height // self.side)

    @property
    def columns(self) -> int:
        """Blocks from left to right."""
        return -(-self.width // self.side)

    @property
    def blocks(self) -> int:
        """Blocks of a picture."""
        return self.rows * self.columns

    @property
    def rays(self) -> int:
        """Rays of a block."""
        return self.side * self.side

    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Column and row f32[P] of a block's rays, from its top left one."""
        row, column = np.divmod(np.arange(self.rays), self.side)
        return column.astype(np.float32), row.astype(np.float32)

    def mean(self, x: Array) -> Array:
        """Mean over each pixel's rays: f32[B, P] to f32[B, pixels]."""
        if self.samples == 1:
            return x
        k = self.side // self.samples
        return x.reshape(-1, k, self.samples, k, self.samples).mean((2, 4)).reshape(-1, k * k)

    def middle(self, x: Array) -> Array:
        """The ray next to each pixel's centre: [B, P] to [B, pixels]."""
        if self.samples == 1:
            return x
        k, m = self.side // self.samples, self.samples // 2
        return x.reshape(-1, k, self.samples, k, self.samples)[:, :, m, :, m].reshape(-1, k * k)

    def assemble(self, blocks: Array, n: int) -> Array:
        """Pictures [N, H, W] from the blocks' pixels [N * rows * columns, pixels]."""
        k = self.side // self.samples
        whole = jnp.swapaxes(blocks.reshape(n, self.rows, self.columns, k, k), 2, 3)
        whole = whole.reshape(n, self.rows * k, self.columns * k)
        return whole[:, : self.height // self.samples, : self.width // self.samples]


def _seen(tables: SceneTables, across: int, edges: Array) -> tuple[Array, Array]:
    """Which geoms reach above and below each edge of the view, bool[N, edges, G] both.

    Args:
        tables: N scenes.
        across: 0 for edges along the image's x axis, 1 for y.
        edges: f32[N, E] tangents of the edges' angles from the camera's axis.
    """
    # An edge is the plane p[across] + edge * p[2] = 0 of the camera frame, as depth is -p[2].
    centre, axes = tables.centre_view[:, None], tables.axes_view[:, None]
    edge = edges[:, :, None]
    at = centre[..., across] + edge * centre[..., 2]
    normal = axes[..., across] + edge[..., None] * axes[..., 2]
    reach = jnp.sum(jnp.abs(normal) * tables.box[:, None], -1)
    reach = reach + tables.ball[:, None] * jnp.sqrt(1.0 + edge * edge)
    return at + reach >= 0, at - reach <= 0


def words(marks: Array, groups: Sequence[tuple[int, ...]]) -> Array:
    """Marks bool[..., G] as bits: u32[..., groups], bit i for the i-th geom of the group."""

    def word(ids: tuple[int, ...]) -> Array:
        bits = np.uint32(1) << np.arange(len(ids), dtype=np.uint32)
        return jnp.sum(jnp.where(marks[..., np.array(ids)], bits, np.uint32(0)), -1)

    if not groups:
        return jnp.zeros((*marks.shape[:-1], 0), jnp.uint32)
    return jnp.stack([word(ids).astype(jnp.uint32) for ids in groups], -1)


def seen_by_blocks(tables: SceneTables, pixel: Array, grid: Grid) -> Array:
    """Which geoms may be seen in each block, u32[N, rows, columns, groups].

    A block sees only what both its column and its row of blocks see.

    Args:
        tables: N scenes.
        pixel: f32[N] distance between rays at unit depth.
        grid: the blocks.
    """
    groups = [group.ids for group in tables.groups]
    x = np.arange(grid.columns + 1) * grid.side - grid.width / 2
    y = grid.height / 2 - np.arange(grid.rows + 1) * grid.side
    above, below = _seen(tables, 0, pixel[:, None] * x.astype(np.float32))
    columns = above[:, :-1] & below[:, 1:]
    above, below = _seen(tables, 1, pixel[:, None] * y.astype(np.float32))
    rows = below[:, :-1] & above[:, 1:]
    depth = jnp.sum(jnp.abs(tables.axes_view[..., 2]) * tables.box, -1) + tables.ball
    front = tables.visible & (depth - tables.centre_view[..., 2] > NEAR)
    across = words(columns & front[:, None], groups)
    return words(rows, groups)[:, :, None] & across[:, None]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Bounds:
    """The box, in the light frame, of what each block shows; each f32[...], m."""

    low_u: Array
    high_u: Array
    low_v: Array
    high_v: Array
    low_w: Array


def shading_blocks(tables: SceneTables, bounds: Bounds) -> Array:
    """Which geoms may shade each block, u32[N, blocks, groups]; bounds are [N, blocks]."""
    centre, reach = tables.centre_light, tables.reach_light

    def word(ids: tuple[int, ...]) -> Array:
        # One geom after the other: blocks are the long axis, and stay the innermost one.
        total = jnp.zeros(bounds.low_u.shape, jnp.uint32)
        for bit, i in enumerate(ids):
            c, r = centre[:, i, None], reach[:, i, None]
            may = (
                tables.visible[:, i, None]
                & (c[..., 2] + r[..., 2] > bounds.low_w)
                & (c[..., 0] + r[..., 0] > bounds.low_u)
                & (c[..., 0] - r[..., 0] < bounds.high_u)
                & (c[..., 1] + r[..., 1] > bounds.low_v)
                & (c[..., 1] - r[..., 1] < bounds.high_v)
            )
            total = total | jnp.where(may, np.uint32(1 << bit), np.uint32(0))
        return total

    if not tables.groups:
        return jnp.zeros((*bounds.low_u.shape, 0), jnp.uint32)
    return jnp.stack([word(group.ids) for group in tables.groups], -1)


def next_bit(word: Array) -> tuple[Array, Array]:
    """Index i32 of the lowest bit of each word u32, 32 for none, and the word without it."""
    lowest = word & (~word + np.uint32(1))
    return jax.lax.population_count(lowest - np.uint32(1)).astype(jnp.int32), word & ~lowest
