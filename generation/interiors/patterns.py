"""Patterns of floors, walls and furniture: colours by where on the surface a point lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Rgb = tuple[float, float, float]
# Colour [P, 3] at surface coordinates u, v [P] in metres.
Pattern = Callable[[Array, Array], Array]


def flat(rgb: Rgb) -> Pattern:
    """One colour."""
    return lambda u, v: np.broadcast_to(np.array(rgb, np.float32), (*u.shape, 3))


def _mix(a: Rgb, b: Rgb, share: Array) -> Array:
    s = np.clip(share, 0.0, 1.0)[:, None].astype(np.float32)
    return np.array(a, np.float32) * (1 - s) + np.array(b, np.float32) * s


def checks(a: Rgb, b: Rgb, period: float) -> Pattern:
    """Square tiles in two colours."""
    return lambda u, v: _mix(
        a, b, (np.floor(u / period) + np.floor(v / period)) % 2
    )  # fmt: skip


def tiles(a: Rgb, joint: Rgb, width: float, height: float, gap: float = 0.06) -> Pattern:
    """Tiles or bricks with joints; every other row is shifted by half a tile if they are long."""

    def paint(u: Array, v: Array) -> Array:
        row = np.floor(v / height)
        shift = 0.5 * (row % 2) if width > 1.5 * height else 0.0
        x, y = (u / width + shift) % 1.0, (v / height) % 1.0
        tone = 0.93 + 0.14 * _hash(np.floor(u / width + shift), row)
        seam = (x < gap * height / width) | (y < gap)
        return np.where(seam[:, None], np.array(joint, np.float32), _shaded(a, tone))

    return paint


def planks(a: Rgb, width: float = 0.14, length: float = 1.6) -> Pattern:
    """Boards along u, each of its own tone, with grain."""

    def paint(u: Array, v: Array) -> Array:
        row = np.floor(v / width)
        along = u / length + 0.37 * (row % 5)
        tone = 0.82 + 0.3 * _hash(np.floor(along), row)
        grain = 0.04 * np.sin(160 * v / width * 0.2 + 5 * np.sin(3 * u + row))
        seam = ((v / width) % 1.0 < 0.05) | (along % 1.0 < 0.006)
        return _shaded(a, np.where(seam, 0.6, tone + grain))

    return paint


def stripes(a: Rgb, b: Rgb, period: float, share: float = 0.5) -> Pattern:
    """Upright stripes."""
    return lambda u, v: _mix(a, b, ((u / period) % 1.0 < share).astype(np.float32))


def speckled(a: Rgb, amount: float = 0.12, cell: float = 0.05) -> Pattern:
    """Irregular tones: carpet, concrete, grass."""
    return lambda u, v: _shaded(
        a, 1.0 + amount * (_hash(np.floor(u / cell), np.floor(v / cell)) - 0.5)
        + amount * (_hash(np.floor(u / (7 * cell)), np.floor(v / (7 * cell))) - 0.5),
    )  # fmt: skip


def split(low: Pattern, high: Pattern, at: float, rail: Rgb | None = None) -> Pattern:
    """`low` below the height `at`, `high` above, with a rail between."""

    def paint(u: Array, v: Array) -> Array:
        out = np.where((v < at)[:, None], low(u, v), high(u, v))
        if rail is not None:
            out = np.where((np.abs(v - at) < 0.03)[:, None], np.array(rail, np.float32), out)
        return out

    return paint


def _shaded(rgb: Rgb, tone: Array) -> Array:
    return np.array(rgb, np.float32) * np.asarray(tone, np.float32)[:, None]


def _hash(i: Array, j: Array) -> Array:
    """A number in [0, 1) for each pair of whole numbers, always the same."""
    x = (i.astype(np.int64) * 73856093) ^ (j.astype(np.int64) * 19349663)
    x = (x ^ (x >> 13)) * 1274126177
    return (((x ^ (x >> 16)) & 0xFFFF) / 65536.0).astype(np.float32)
