"""Bitmaps for MuJoCo's renderer: training's patterns baked in colour, and other table tops."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image

from sim.render.atlas import SIDE, make_atlas, repeats
from sim.render.types import TEXTURES

Rgb = tuple[float, ...]  # sRGB in [0, 1]

# Dark and light colour of table tops and floors, from materials that training's tables are not of.
_PALETTE: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.46, 0.48, 0.49), (0.62, 0.63, 0.62)),  # concrete
    ((0.20, 0.13, 0.09), (0.36, 0.24, 0.16)),  # walnut
    ((0.15, 0.27, 0.22), (0.22, 0.36, 0.29)),  # felt
    ((0.22, 0.26, 0.33), (0.35, 0.40, 0.47)),  # slate
    ((0.70, 0.63, 0.50), (0.84, 0.78, 0.66)),  # sandstone
    ((0.78, 0.79, 0.80), (0.92, 0.92, 0.91)),  # laminate
)


@functools.cache
def _share(texture: str) -> np.ndarray:
    """Share f64[SIDE, SIDE] of the second colour in a pattern of training's atlas."""
    texels = np.asarray(make_atlas().texels[TEXTURES.index(texture)][: SIDE * SIDE])
    return ((texels & 255) / 255.0).reshape(SIDE, SIDE) ** 2


def baked(texture: str, rgb: Rgb, rgb2: Rgb, periods: float, side: int) -> np.ndarray:
    """A pattern of the training domain in its colours, u8[side, side, 3].

    Args:
        texture: name of the pattern.
        rgb, rgb2: its colours.
        periods: how often it repeats along the side.
        side: pixels.
    """
    own = repeats(TEXTURES.index(texture))
    at = ((np.arange(side) + 0.5) / side * periods / own * SIDE).astype(int) % SIDE
    return _mixed(_share(texture)[np.ix_(at, at)], rgb[:3], rgb2[:3])


def _mixed(share: np.ndarray, rgb: Rgb, rgb2: Rgb) -> np.ndarray:
    a, b = np.array(rgb), np.array(rgb2)
    mix = a + np.clip(share, 0.0, 1.0)[..., None] * (b - a)
    return np.round(255.0 * np.clip(mix, 0.0, 1.0)).astype(np.uint8)


def unseen(rng: np.random.Generator, side: int) -> np.ndarray:
    """A surface that training does not have, u8[side, side, 3]."""
    dark, light = _PALETTE[rng.integers(len(_PALETTE))]
    return _mixed(_KINDS[rng.integers(len(_KINDS))](rng, side), dark, light)


def _clouds(rng: np.random.Generator, side: int, cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise in [0, 1] in octaves, beginning with that many cells along y and x."""
    total, weight = np.zeros((side, side)), 0.0
    for octave in range(4):
        rows, columns = (min(side, c << octave) for c in cells)
        lattice = rng.uniform(size=(rows, columns)).astype(np.float32)
        smooth = Image.fromarray(lattice).resize((side, side), Image.Resampling.BICUBIC)
        total += 0.6**octave * np.asarray(smooth)
        weight += 0.6**octave
    return np.clip(1.6 * (total / weight - 0.5) + 0.5, 0.0, 1.0)


def _planks(rng: np.random.Generator, side: int) -> np.ndarray:
    count = int(rng.integers(5, 11))
    across = np.arange(side) * count / side
    tone = rng.uniform(0.0, 0.5, count)[across.astype(int)]
    share = 0.5 * _clouds(rng, side, (24, 2)) + tone[:, None]
    return share * np.where(across % 1.0 < 0.04, 0.2, 1.0)[:, None]


def _stone(rng: np.random.Generator, side: int) -> np.ndarray:
    grain = rng.uniform(size=(side, side)) < 0.04
    return 0.9 * _clouds(rng, side, (5, 5)) * np.where(grain, 0.4, 1.0)


def _tiles(rng: np.random.Generator, side: int) -> np.ndarray:
    count = int(rng.integers(5, 12))
    at = np.arange(side) * count / side
    cell = at.astype(int)
    tone = rng.uniform(0.35, 1.0, (count, count))[np.ix_(cell, cell)]
    gap = (at % 1.0 < 0.05)[:, None] | (at % 1.0 < 0.05)[None]
    return np.where(gap, 0.0, tone * (0.8 + 0.2 * _clouds(rng, side, (16, 16))))


def _plaid(rng: np.random.Generator, side: int) -> np.ndarray:
    count = int(rng.integers(6, 14))
    band = (np.arange(side) * count / side % 1.0 < rng.uniform(0.25, 0.6)).astype(float)
    weave = rng.uniform(0.0, 0.25, (side, side))
    return 0.1 + 0.35 * band[:, None] + 0.35 * band[None] + weave


_KINDS: tuple[Callable[[np.random.Generator, int], np.ndarray], ...]
_KINDS = (_planks, _stone, _tiles, _plaid)
