"""Camera blur: a Gaussian of less than a pixel."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def add_blur(image: jax.Array, std: jax.Array) -> jax.Array:
    """Pictures convolved with three weights along each axis, the border repeated.

    The weights (s²/2, 1 - s², s²/2) have variance s² exactly, and no negative one up to s = 1.

    Args:
        image: u8[N, H, W, 3].
        std: f32[N] standard deviation s, pixels, at most 0.8.
    """
    side = (0.5 * std**2)[:, None, None, None]
    x = image.astype(jnp.float32)
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (1, 1)
        wide = jnp.pad(x, pad, mode="edge")
        before, after = (
            jax.lax.slice_in_dim(wide, i, i + x.shape[axis], axis=axis) for i in (0, 2)
        )
        x = x + side * (before + after - 2.0 * x)
    return jnp.round(x).astype(jnp.uint8)
