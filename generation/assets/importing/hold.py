"""What an object can hold: a hollow that opens upwards, or a flat top."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from generation.assets.importing.asset import Array

MIN_RADIUS = 0.012  # m, below which nothing can be put there

_MIN_DEPTH = 0.004  # m
_DEPTH_SHARE = 0.1  # of the object's height that a hollow is at least deep
_GAP = 0.012  # m, through which nothing falls that a scene contains
_LEVEL = 0.75  # unevenness of a flat top in grid cells
_FLAT_SHARE = 0.35  # of the footprint's radius that a flat top has: a ball has none


@dataclass(frozen=True)
class Surface2D:
    """A place to put things: centre x, y, height z and usable radius in m; depth below the rim."""

    x: float
    y: float
    z: float
    radius: float
    depth: float


def height_map(cells: NDArray[np.bool_], bottom: float, pitch: float) -> Array:
    """Upper end [X, Y] of the highest filled cell of each column in m, -inf where none is.

    Args:
        cells: bool[X, Y, Z].
        bottom: z of the centre of the lowest cells.
    """
    top = cells.shape[2] - 1 - np.argmax(cells[:, :, ::-1], axis=2)
    return np.where(cells.any(axis=2), bottom + (top + 0.5) * pitch, -np.inf)


def without_gaps(top: Array, pitch: float) -> Array:
    """A height map whose gaps narrower than `_GAP` are closed: nothing falls through them."""
    size = max(1, int(_GAP / pitch))
    if size < 2:
        return top
    ground = np.pad(np.where(np.isfinite(top), top, -1.0), size, constant_values=-1.0)
    closed = ndimage.grey_closing(ground, (size, size))[size:-size, size:-size]
    return np.where(closed > -1.0, np.maximum(closed, top), top)


def hollow(top: Array, low: tuple[float, float], pitch: float) -> Surface2D | None:
    """The largest basin of a height map [X, Y], if there is one worth the name.

    Args:
        low: x and y of the centre of column (0, 0).
    """
    level = _flooded(top)
    filled = np.isfinite(top)
    if not filled.any():
        return None
    height = float(top[filled].max())
    wet = filled & (level - np.where(filled, top, 0.0) > max(_MIN_DEPTH, _DEPTH_SHARE * height))
    if not wet.any():
        return None
    labels = np.asarray(ndimage.label(wet)[0])  # type: ignore[index]  # a pair
    sizes = np.bincount(labels.ravel())[1:]
    basin = labels == 1 + int(np.argmax(sizes))
    rim = float(np.median(level[basin]))
    floor = float(np.quantile(top[basin], 0.1))
    low_part = basin & (top <= floor + 0.4 * (rim - floor))
    found = _largest_disc(low_part, low, pitch)
    if found is None or found[2] < MIN_RADIUS:
        return None
    x, y, radius, (i, j) = found
    return Surface2D(x, y, float(top[i, j]), radius, rim - float(top[i, j]))


def flat_top(top: Array, low: tuple[float, float], pitch: float) -> Surface2D | None:
    """The largest disc of level ground near the highest point of a height map [X, Y]."""
    filled = np.isfinite(top)
    if not filled.any():
        return None
    height = float(top[filled].max())
    slack = _LEVEL * pitch
    least = max(MIN_RADIUS, _FLAT_SHARE * np.sqrt(filled.sum() / np.pi) * pitch)
    for level in (height, *np.unique(np.round(top[filled & (top > 0.5 * height)], 4))[::-1][:8]):
        ground = filled & (np.abs(top - level) <= slack)
        if (filled & (top > level + 2 * slack)).sum() > 0.2 * filled.sum():
            break
        found = _largest_disc(ground, low, pitch)
        if found and found[2] >= least:
            x, y, radius, _ = found
            return Surface2D(x, y, float(level), radius, 0.0)
    return None


def _largest_disc(
    mask: NDArray[np.bool_], low: tuple[float, float], pitch: float
) -> tuple[float, float, float, tuple[int, int]] | None:
    if not mask.any():
        return None
    distance = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
    best = distance.max()
    # Of equally good centres the middle one, so that a long basin is used in its middle.
    ties = np.argwhere(distance > best - 0.6)
    i, j = ties[int(np.argmin(np.linalg.norm(ties - ties.mean(axis=0), axis=1)))]
    radius = max(float(distance[i, j]) - 0.5, 0.0) * pitch
    return low[0] + i * pitch, low[1] + j * pitch, radius, (int(i), int(j))


def _flooded(top: Array) -> Array:
    """Water level [X, Y] after endless rain; it runs off over the edge and through holes."""
    ground = np.where(np.isfinite(top), top, -1.0)
    level = np.full(ground.shape, np.inf)
    heap: list[tuple[float, int, int]] = []
    for i, j in np.argwhere(~np.isfinite(top) | _edge(ground.shape)):
        level[i, j] = ground[i, j]
        heapq.heappush(heap, (float(ground[i, j]), int(i), int(j)))
    while heap:
        height, i, j = heapq.heappop(heap)
        for x, y in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            inside = 0 <= x < ground.shape[0] and 0 <= y < ground.shape[1]
            if inside and level[x, y] == np.inf:
                level[x, y] = max(height, ground[x, y])
                heapq.heappush(heap, (float(level[x, y]), x, y))
    return level


def _edge(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    edge = np.ones(shape, bool)
    edge[1:-1, 1:-1] = False
    return edge
