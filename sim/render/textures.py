"""Procedural object-space textures: arithmetic only, so alike on every backend and free of gathers.

Each texture maps a point (in periods of the texture) to the share of the second colour.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from sim.render.types import TEXTURES

Array = jax.Array
Vec = tuple[Array, ...]  # x, y, z


def _hash(x: Array, y: Array, z: Array, seed: int) -> Array:
    """Uniform numbers in [0, 1) from integer lattice points (xxHash-style integer mixing)."""
    h = x.astype(jnp.uint32) * jnp.uint32(0x9E3779B1)
    h = (h ^ (h >> 15)) + y.astype(jnp.uint32) * jnp.uint32(0x85EBCA77)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE3D) + z.astype(jnp.uint32) * jnp.uint32(0x27D4EB2F)
    h = (h ^ (h >> 16)) * jnp.uint32(0x165667B1) + jnp.uint32(seed)
    h = h ^ (h >> 15)
    return (h >> 8).astype(jnp.int32).astype(jnp.float32) * (1.0 / (1 << 24))


def _wave(x: Array) -> Array:
    """A smooth wave of period 1 between 0 and 1, without a call to sine."""
    triangle = jnp.abs(x - jnp.floor(x + 0.5)) * 2.0
    return triangle * triangle * (3.0 - 2.0 * triangle)


def _noise(x: Array, y: Array, seed: int) -> Array:
    """Value noise on a square lattice, in [0, 1)."""
    x0, y0 = jnp.floor(x), jnp.floor(y)
    fx, fy = x - x0, y - y0
    fx, fy = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy)
    ix, iy = x0.astype(jnp.int32), y0.astype(jnp.int32)
    zero = jnp.zeros_like(ix)
    low = _hash(ix, iy, zero, seed) * (1 - fx) + _hash(ix + 1, iy, zero, seed) * fx
    high = _hash(ix, iy + 1, zero, seed) * (1 - fx) + _hash(ix + 1, iy + 1, zero, seed) * fx
    return low * (1 - fy) + high * fy


def _checker(p: Vec) -> Array:
    x, y, z = (jnp.floor(2.0 * c).astype(jnp.int32) for c in p)
    cells = x + y + z
    return (cells & 1).astype(jnp.float32)


def _stripes(p: Vec) -> Array:
    return (jnp.floor(2.0 * (p[0] + p[2])).astype(jnp.int32) & 1).astype(jnp.float32)


def _speckle(p: Vec) -> Array:
    cells = [jnp.floor(6.0 * c).astype(jnp.int32) for c in p]
    return (_hash(*cells, seed=7) < 0.3).astype(jnp.float32)


def _wood(p: Vec) -> Array:
    """Boards along x, one period wide, each with its own wavering grain."""
    along, across = p[0], p[1] + p[2]
    board = jnp.floor(across)
    tone = _hash(board.astype(jnp.int32), *(jnp.zeros_like(board, jnp.int32),) * 2, seed=3)
    drift = _noise(0.45 * along + 37.0 * tone, 2.5 * across, seed=1)
    grain = _wave(6.0 * across + 4.5 * drift + 9.0 * tone)
    fine = _noise(3.0 * along, 45.0 * across, seed=2)
    gap = jnp.abs(across - board - 0.5) > 0.488
    return jnp.where(gap, 1.3, 0.10 + 0.42 * tone + 0.28 * grain + 0.20 * fine)


def _marble(p: Vec) -> Array:
    """Thin veins along the bends of a warped wave."""
    x, y = p[0] + 0.6 * p[2], p[1] - 0.4 * p[2]
    warp = _noise(1.7 * x, 1.7 * y, seed=4) + 0.5 * _noise(3.9 * x, 3.9 * y, seed=5)
    vein = _wave(0.55 * x + 0.35 * y + 1.6 * warp)
    vein = vein * vein
    return vein * vein * 0.75 + 0.25 * warp * 0.67


def second_colour_share(kind: Array, p: Vec) -> Array:
    """Share of the second colour at each point.

    Args:
        kind: i32[...] index into TEXTURES.
        p: coordinates f32[...] in the surface's own frame, in texture periods.
    """
    # A hair inwards, so that a face lying on a cell boundary does not flicker between two cells.
    p = (p[0] * 0.9995, p[1] * 0.9995, p[2] * 0.9995)
    share = jnp.zeros_like(p[0])
    patterns = {
        "checker": _checker,
        "stripes": _stripes,
        "speckle": _speckle,
        "wood": _wood,
        "marble": _marble,
    }
    for name, pattern in patterns.items():
        share = jnp.where(kind == TEXTURES.index(name), pattern(p), share)
    return share
