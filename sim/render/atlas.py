"""Textures as small square bitmaps with mip levels: one lookup a pixel, whatever the pattern.

Procedural patterns are painted once, in NumPy, and image files are resampled into the same form, so
a wooden table and a printed box cost the same. A pattern fills `REPEATS` periods of its square, so
that wood does not repeat on every board. Texels hold the share of the second colour per channel; an
image is the share between black and white.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from PIL import Image as Picture

from sim.render.types import TEXTURES, Atlas

SIDE = 256  # texels along a texture; a power of two
LEVELS = SIDE.bit_length()  # mip levels, from SIDE down to 1
PANORAMA = (256, 512)  # rows, columns of a panorama
# Periods of a pattern along the side of its square; images have 1.
REPEATS = {"speckle": 2, "wood": 4, "marble": 2}


def repeats(texture: int) -> int:
    """Periods that the texture of that index shows along its square."""
    return REPEATS.get(TEXTURES[texture], 1) if texture < len(TEXTURES) else 1


def make_atlas(images: Sequence[np.ndarray] = (), panoramas: Sequence[np.ndarray] = ()) -> Atlas:
    """The procedural textures, then `images`, and panoramas.

    Args:
        images: u8[h, w, 3] sRGB pictures; image i becomes texture `len(TEXTURES) + i`. Draw it with
            rgb black and rgb2 white, or another colour to tint it.
        panoramas: u8[h, w, 3] equirectangular sRGB pictures, top row straight up, the centre column
            towards +x.

    Raises:
        ValueError: a picture of another form; says which.
    """
    texels = [_procedural(), *(_levels(_shares(_resampled(i, (SIDE, SIDE))))[None] for i in images)]
    rooms = [_packed(_shares(_resampled(p, PANORAMA))) for p in panoramas]
    return Atlas(
        texels=jnp.asarray(np.concatenate(texels)),
        panoramas=jnp.asarray(np.stack(rooms) if rooms else np.zeros((0, *PANORAMA), np.int32)),
    )


def _resampled(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    picture = np.asarray(picture)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise ValueError(
            f"a picture of shape {picture.shape} and type {picture.dtype}: textures and panoramas "
            "are u8[height, width, 3]"
        )
    rows, columns = shape
    small = Picture.fromarray(picture).resize((columns, rows), Picture.Resampling.LANCZOS)
    return np.asarray(small)


def _shares(srgb: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] of u8 sRGB (IEC 61966-2-1)."""
    x = srgb.astype(np.float64) / 255.0
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _packed(shares: np.ndarray) -> np.ndarray:
    """i32[...] texels of shares [..., 3]."""
    root = np.round(255.0 * np.sqrt(np.clip(shares, 0.0, 1.0))).astype(np.int32)
    return root[..., 0] | (root[..., 1] << 8) | (root[..., 2] << 16)


def _levels(shares: np.ndarray) -> np.ndarray:
    """Texels of all mip levels of a square texture [SIDE, SIDE, 3], largest first."""
    levels = [shares]
    while len(levels[-1]) > 1:
        half = len(levels[-1]) // 2
        levels.append(levels[-1].reshape(half, 2, half, 2, 3).mean((1, 3)))
    return np.concatenate([_packed(level).reshape(-1) for level in levels])


# Procedural patterns ------------------------------------------------------------------------------


@functools.cache
def _procedural() -> np.ndarray:
    axis = (np.arange(SIDE) + 0.5) / SIDE
    v, u = np.meshgrid(axis, axis, indexing="ij")
    rows = []
    for name in TEXTURES:
        share = _PATTERNS[name](u, v)
        rows.append(_levels(np.repeat(np.clip(share, 0.0, 1.0)[..., None], 3, -1)))
    return np.stack(rows)


def _noise(x: np.ndarray, y: np.ndarray, columns: int, rows: int, seed: int) -> np.ndarray:
    """Value noise in [0, 1] that repeats after `columns` and `rows` lattice cells."""
    lattice = np.random.default_rng(seed).uniform(size=(rows, columns))
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - x0, y - y0
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)

    def at(i: int, j: int) -> np.ndarray:
        return lattice[(y0 + j) % rows, (x0 + i) % columns]

    low = at(0, 0) * (1 - fx) + at(1, 0) * fx
    high = at(0, 1) * (1 - fx) + at(1, 1) * fx
    return low * (1 - fy) + high * fy


def _wave(x: np.ndarray) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * x)


def _plain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    del v
    return np.zeros_like(u)


def _checker(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return ((u < 0.5) ^ (v < 0.5)).astype(float)


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Stripes along u: rings around a cup, bands across a table."""
    del u
    return (v < 0.5).astype(float)


def _speckle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Round grains of random size, as in terrazzo."""
    rng = np.random.default_rng(7)
    share = np.zeros_like(u)
    for x, y, radius in zip(*rng.uniform(size=(2, 90)), rng.uniform(0.012, 0.045, 90), strict=True):
        dx, dy = (np.abs(a - b) for a, b in ((u, x), (v, y)))
        dx, dy = np.minimum(dx, 1 - dx), np.minimum(dy, 1 - dy)
        share[dx * dx + dy * dy < radius * radius] = 1.0
    return share


def _wood(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Boards along u, one period wide, each with its own tone and wavering grain."""
    along, across = 4 * u, 4 * v
    board = np.floor(across).astype(int)
    tone = np.random.default_rng(3).uniform(size=4)[board]
    drift = _noise(2 * along + 3 * board, 3 * across, 8, 12, 1)
    grain = _wave(6 * across + 4.5 * drift + 9 * tone)
    fine = _noise(4 * along, 40 * across, 16, 160, 2)
    joint = np.abs(u - np.array([0.13, 0.62, 0.37, 0.88])[board]) < 0.004
    gap = (np.abs(across - board - 0.5) > 0.485) | joint
    return np.where(gap, 1.0, 0.08 + 0.40 * tone + 0.24 * grain + 0.22 * fine)


def _marble(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Thin veins along the bends of a warped wave, over clouds."""
    warp = _noise(4 * u, 4 * v, 4, 4, 4) + 0.5 * _noise(9 * u, 9 * v, 9, 9, 5)
    warp += 0.25 * _noise(20 * u, 20 * v, 20, 20, 6)
    vein = _wave(u + v + 1.3 * warp) ** 6
    return 0.7 * vein + 0.22 * warp


def _fabric(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Plain weave, eight threads a period, with uneven yarn."""
    x, y = 8 * u, 8 * v
    over = (np.floor(x).astype(int) + np.floor(y).astype(int)) % 2 == 0
    thread = np.where(over, np.sin(np.pi * (x % 1.0)), np.sin(np.pi * (y % 1.0)))
    yarn = _noise(32 * u, 32 * v, 32, 32, 8)
    return np.where(over, 0.25, 0.65) + 0.35 * (1 - thread) * (0.6 + 0.4 * yarn) - 0.15 * yarn


def _label(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A printed patch in the middle: a frame, a round emblem and lines of text."""
    inside = (np.abs(u - 0.5) < 0.30) & (np.abs(v - 0.5) < 0.26)
    frame = (np.abs(u - 0.5) < 0.275) & (np.abs(v - 0.5) < 0.235)
    border = frame & ~((np.abs(u - 0.5) < 0.262) & (np.abs(v - 0.5) < 0.222))
    emblem = (u - 0.5) ** 2 + (v - 0.59) ** 2 < 0.09**2
    line = (np.abs((v * 26) % 1.0 - 0.5) < 0.22) & (v > 0.31) & (v < 0.46)
    words = np.random.default_rng(9).uniform(size=(27, 24)) < 0.75
    text = line & (np.abs(u - 0.5) < 0.22) & words[(v * 26).astype(int), (u * 24).astype(int)]
    return (inside & ~border & ~emblem & ~text).astype(float)


_PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": _plain,
    "checker": _checker,
    "stripes": _stripes,
    "speckle": _speckle,
    "wood": _wood,
    "marble": _marble,
    "fabric": _fabric,
    "label": _label,
}
