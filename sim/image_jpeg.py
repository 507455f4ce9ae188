"""Camera compression: what a trip through baseline JPEG leaves of a picture, in JAX.

Quantization tables of ITU T.81, annex K, scaled as libjpeg scales them; colours at half the
resolution, smoothed back as libjpeg does. Lossless stages are left out: they change nothing.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from sim.geometry import full_precision

_BLOCK = 8
_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
_CHROMA = np.full((_BLOCK, _BLOCK), 99, np.float32)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)


def _cosines() -> np.ndarray:
    """The orthonormal DCT-II of eight samples, f32[8, 8]: rows are frequencies."""
    frequency, sample = np.mgrid[:_BLOCK, :_BLOCK]
    rows = np.cos((2 * sample + 1) * frequency * math.pi / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    rows[0] /= math.sqrt(2.0)
    return rows.astype(np.float32)


@full_precision
def add_jpeg(image: jax.Array, quality: jax.Array) -> jax.Array:
    """Pictures after JPEG with 4:2:0 colours.

    Args:
        image: u8[N, H, W, 3].
        quality: f32[N] libjpeg's quality, 1 ... 100; need not be whole.
    """
    n, height, width, _ = image.shape
    rows, columns = -height % (2 * _BLOCK), -width % (2 * _BLOCK)
    rgb = jnp.pad(image.astype(jnp.float32), ((0, 0), (0, rows), (0, columns), (0, 0)), "edge")
    # One channel after the other, all on the same grid: [3, N, H, W].
    luma, *chroma = jnp.moveaxis(rgb @ _TO_YCC.T, -1, 0)
    scale = jnp.where(quality < 50.0, 5000.0 / jnp.maximum(quality, 1.0), 200.0 - 2.0 * quality)
    half = jnp.stack(chroma).reshape(2 * n, luma.shape[1] // 2, 2, luma.shape[2] // 2, 2)
    half = _coded(half.mean((2, 4)), _CHROMA, jnp.tile(scale, 2))
    half = half[:, : (height + 1) // 2, : (width + 1) // 2]
    blue, red = _doubled(_doubled(half, 1), 2)[:, :height, :width].reshape(2, n, height, width)
    luma = (_coded(luma - 128.0, _LUMA, scale) + 128.0)[:, :height, :width]
    back = jnp.stack(
        [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], -1
    )
    return jnp.clip(jnp.round(back), 0.0, 255.0).astype(jnp.uint8)


def _coded(x: jax.Array, table: np.ndarray, scale: jax.Array) -> jax.Array:
    """f32[N, H, W] with every 8 x 8 block's frequencies rounded to multiples of a table's."""
    n, height, width = x.shape
    step = jnp.clip(jnp.floor((table * scale[:, None, None] + 50.0) / 100.0), 1.0, 255.0)
    cosines = jnp.asarray(_cosines())
    blocks = x.reshape(n, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).swapaxes(2, 3)
    frequencies = cosines @ (blocks @ cosines.T)
    step = step[:, None, None]
    frequencies = jnp.round(frequencies / step) * step
    blocks = cosines.T @ (frequencies @ cosines)
    return blocks.swapaxes(2, 3).reshape(n, height, width)


def _doubled(x: jax.Array, axis: int) -> jax.Array:
    """Twice the samples along an axis, each three quarters of the nearest, one of the next."""
    size = x.shape[axis]
    pad = [(0, 0)] * x.ndim
    pad[axis] = (1, 1)
    wide = jnp.pad(x, pad, "edge")
    before, after = (jax.lax.slice_in_dim(wide, i, i + size, axis=axis) for i in (0, 2))
    pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    return pair.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
