"""Blocks of pixels: the grid, which geoms each block may see, and short lists of them."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from sim.render.scene import SceneTables
from sim.render.shapes import NEAR

Array = jax.Array


@dataclass(frozen=True)
class Grid:
    """How a picture of height x width pixels is cut into square blocks; the last may stick out."""

    height: int
    width: int
    side: int

    @property
    def rows(self) -> int:
        """Blocks from top to bottom."""
        return -(-self.height // self.side)

    @property
    def columns(self) -> int:
        """Blocks from left to right."""
        return -(-self.width // self.side)

    @property
    def pixels(self) -> int:
        """Pixels of a block."""
        return self.side * self.side

    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Column and row f32[P] of a block's pixels, from its top left pixel."""
        row, column = np.divmod(np.arange(self.pixels), self.side)
        return column.astype(np.float32), row.astype(np.float32)

    def assemble(self, blocks: Array, n: int) -> Array:
        """Pictures [N, H, W, ...] from blocks [N * rows * columns, P, ...]."""
        rest = blocks.shape[2:]
        shape = (n, self.rows, self.columns, self.side, self.side, *rest)
        whole = jnp.swapaxes(blocks.reshape(shape), 2, 3)
        whole = whole.reshape(n, self.rows * self.side, self.columns * self.side, *rest)
        return whole[:, : self.height, : self.width]


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


def seen_by_band(tables: SceneTables, pixel: Array, grid: Grid) -> tuple[Array, Array]:
    """Which geoms may be seen in each column and each row of blocks.

    Args:
        tables: N scenes.
        pixel: f32[N] size of a pixel at unit depth.
        grid: the blocks.

    Returns:
        bool[N, columns, G] and bool[N, rows, G]; a block sees only what both its bands see.
    """
    x = np.arange(grid.columns + 1) * grid.side - grid.width / 2
    y = grid.height / 2 - np.arange(grid.rows + 1) * grid.side
    above, below = _seen(tables, 0, pixel[:, None] * x.astype(np.float32))
    columns = above[:, :-1] & below[:, 1:]
    above, below = _seen(tables, 1, pixel[:, None] * y.astype(np.float32))
    rows = below[:, :-1] & above[:, 1:]
    depth = jnp.sum(jnp.abs(tables.axes_view[..., 2]) * tables.box, -1) + tables.ball
    front = tables.visible & (depth - tables.centre_view[..., 2] > NEAR)
    return columns & front[:, None], rows


def listed(mask: Array) -> tuple[Array, Array]:
    """Indices of the true entries, first ones first.

    Args:
        mask: bool[B, K].

    Returns:
        i32[K, B] (entry by entry, so that a loop takes a row of it), filled up with K, and the
        longest list's length, i32.
    """
    k = mask.shape[1]
    place = jnp.cumsum(mask, axis=1, dtype=jnp.int32) - 1
    entry = jnp.arange(k, dtype=jnp.int32)
    here = mask[None] & (place[None] == entry[:, None, None])
    index = jnp.min(jnp.where(here, entry, k), axis=2)
    return index, jnp.max(place[:, -1]) + 1
