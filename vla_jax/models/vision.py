"""Image encoder: overlapping patches, merged once, pooled by language-conditioned queries.

No convolution primitive: inside `lax.scan` XLA's CPU convolutions are about a hundred times slower
than the same arithmetic as matrix products (measured), and the whole policy runs inside scans. Both
layers are strided convolutions written as slices and one matrix product.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vla_jax.models.config import PolicyConfig


def blocks_of(image: jax.Array, block: int) -> jax.Array:
    """u8[B, H, W, 3] → blocks of pixels f32[B, H/block, W/block, 3 block²], scaled to [-1, 1]."""
    b, h, w, c = image.shape
    rows = image.reshape(b, h // block, block, w // block, block * c)
    blocks = jnp.concatenate([rows[:, :, i] for i in range(block)], axis=-1)
    return blocks.astype(jnp.float32) * (2.0 / 255.0) - 1.0


def merge_windows(x: jax.Array) -> jax.Array:
    """3 x 3 windows at stride 2: f32[B, g, g, D] → f32[B, (g-1)/2, (g-1)/2, 9 D], g odd."""
    last = x.shape[1] - 2
    windows = [x[:, i : last + i : 2, j : last + j : 2] for i in range(3) for j in range(3)]
    return jnp.concatenate(windows, axis=-1)


class PatchEncoder(nnx.Module):
    """One camera's picture → a grid of feature tokens."""

    def __init__(self, config: PolicyConfig, size: int, *, rngs: nnx.Rngs):
        d = config.feature_width
        self.block = config.block
        self.grid = (size // config.block - 2) // 2
        inner = 12 * config.block**2
        self.embed = nnx.Param(
            nnx.initializers.lecun_normal()(rngs.params(), (inner, config.patch_width))
        )
        self.embed_bias = nnx.Param(jnp.zeros(config.patch_width))
        self.refine = nnx.Linear(config.patch_width, config.patch_width, rngs=rngs)
        self.context = nnx.Linear(config.patch_width, config.patch_width, rngs=rngs)
        self.merge = nnx.Linear(9 * config.patch_width, d, rngs=rngs)
        self.position = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (self.grid**2, d)))
        self.norm = nnx.LayerNorm(d, rngs=rngs)
        self.mlp = nnx.Linear(d, d, rngs=rngs)

    def __call__(self, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        """image: u8[B, H, W, 3] → tokens f32[B, grid², D] and patches f32[B, fine, fine, P]."""
        patches = self.patches(image)
        x = self.merge(merge_windows(patches))
        x = x.reshape(x.shape[0], self.grid**2, -1) + self.position[...]
        return x + nnx.relu(self.mlp(self.norm(x))), patches

    def patches(self, image: jax.Array) -> jax.Array:
        """Patches of 2 x 2 blocks at a stride of one block: f32[B, g - 1, g - 1, patch_width].

        Two products over pairs of neighbouring columns: less copying than one over all four blocks,
        less summing than four.
        """
        x = blocks_of(image, self.block).astype(self.embed.dtype)
        g = x.shape[1] - 1
        pairs = jnp.concatenate([x[:, :, :g], x[:, :, 1:]], axis=-1)
        upper, lower = self.embed[...].reshape(2, pairs.shape[-1], -1)
        x = nnx.relu(pairs[:, :g] @ upper + pairs[:, 1:] @ lower + self.embed_bias[...])
        # What colour a patch is, is told by its neighbours: the light is tinted.
        scene = self.context(x.mean((1, 2)))[:, None, None]
        return x + nnx.relu(self.refine(x) + scene)


class QueryPool(nnx.Module):
    """Pools image tokens with queries that read the instruction first.

    Each query returns what it attends to and where: the attention-weighted feature and the expected
    grid position with its spread (a language-conditioned spatial soft-argmax). The first `pointers`
    queries refine the where on the fine grid of the patches: tokens tell which thing is meant,
    patches where exactly it is.
    """

    def __init__(
        self, config: PolicyConfig, grid: int, queries: int, pointers: int, *, rngs: nnx.Rngs
    ):
        d = config.feature_width
        self.scale = d**-0.5
        self.grid, self.pointers = grid, pointers
        self.to_pointer = nnx.Linear(d, config.patch_width, rngs=rngs)
        self.query = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), (queries, d)))
        self.word_key = nnx.Linear(d, d, rngs=rngs)
        self.to_query = nnx.Linear(2 * d, d, rngs=rngs)
        self.key_value = nnx.Linear(d, 2 * d, rngs=rngs)
        self.norm = nnx.LayerNorm(d, rngs=rngs)
        self.out = nnx.Linear(d + 4, config.width, rngs=rngs)

    def __call__(
        self, tokens: jax.Array, patches: jax.Array, words: jax.Array, mask: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """tokens f32[B, P, D], patches f32[B, F, F, E], words f32[B, L, D], mask bool[B, L] →
        pooled f32[B, Q, width], places f32[B, K, 4] and logits f32[B, K, F, F] of the pointers."""
        learned = self.query[...]
        relevance = jnp.einsum("qd,bld->bql", learned, self.word_key(words)) * self.scale
        relevance = jax.nn.softmax(relevance, axis=-1, where=mask[:, None])
        said = jnp.einsum("bql,bld->bqd", relevance, words)
        learned = jnp.broadcast_to(learned, said.shape)
        query = self.to_query(jnp.concatenate([learned, said], -1))
        key, value = jnp.split(self.key_value(self.norm(tokens)), 2, axis=-1)
        logits = jnp.einsum("bqd,bpd->bqp", query, key) * self.scale
        attention = jax.nn.softmax(logits, axis=-1)
        seen = jnp.einsum("bqp,bpd->bqd", attention, value)
        where = expected_place(attention.reshape(*attention.shape[:2], self.grid, self.grid))
        pointed = self.point(query[:, : self.pointers], logits[:, : self.pointers], patches)
        pointed = pointed.astype(jnp.promote_types(pointed.dtype, jnp.float32))
        heat = jax.nn.softmax(pointed.reshape(*pointed.shape[:2], -1), axis=-1)
        places = expected_place(heat.reshape(pointed.shape))
        where = jnp.concatenate([places, where[:, self.pointers :]], axis=1).astype(seen.dtype)
        return self.out(jnp.concatenate([seen, where], -1)), places, pointed

    def point(self, query: jax.Array, logits: jax.Array, patches: jax.Array) -> jax.Array:
        """Fine logits f32[B, K, F, F]: the coarse ones interpolated plus a match of the patches."""
        coarse = logits.reshape(*logits.shape[:2], self.grid, self.grid)
        spread = jnp.asarray(interpolation(self.grid))
        coarse = jnp.einsum("fi,bkij,gj->bkfg", spread, coarse, spread)
        return coarse + jnp.einsum("bke,bfge->bkfg", self.to_pointer(query), patches)


def interpolation(grid: int) -> np.ndarray:
    """Linear interpolation from `grid` cells to 2 grid + 1 between and around them, f32[F, grid].

    Cell i of the coarse grid is centred on cell 2 i + 1 of the fine one.
    """
    at = np.clip((np.arange(2 * grid + 1) - 1.0) / 2.0, 0, grid - 1)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(grid))).astype(np.float32)


def expected_place(weights: jax.Array) -> jax.Array:
    """Mean (x, y) and mean (x², y²) of weights f32[B, Q, G, G] in picture coordinates, [B, Q, 4].

    Cell i is centred at (i + 1) / (G + 1) of the picture's side.
    """
    grid = weights.shape[-1]
    axis = jnp.arange(1, grid + 1) * (2.0 / (grid + 1)) - 1.0
    along = jnp.stack([axis, axis**2], -1)
    x, y = weights.sum(-2) @ along, weights.sum(-1) @ along
    return jnp.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)


def looking_loss(logits: jax.Array, at: jax.Array) -> jax.Array:
    """Cross-entropy of a pointer's heat map with the place that it should point at.

    The target is the point's bilinear weights on the four cells around it, so that the expected
    place of a perfect map is exactly the point.

    Args:
        logits: f32[B, G, G], rows are y.
        at: f32[B, 2] picture coordinates in [-1, 1]; outside, there is nothing to look at.

    Returns:
        f32[B], 0 where the point is out of the picture.
    """
    grid = logits.shape[-1]
    cell = jnp.clip(0.5 * (at + 1.0) * (grid + 1) - 1.0, 0, grid - 1)
    near = jnp.maximum(0.0, 1.0 - jnp.abs(cell[..., None] - jnp.arange(grid)))
    chosen = jnp.einsum("bi,bj,bij->b", near[:, 1], near[:, 0], logits)
    inside = (jnp.abs(at) <= 1.0).all(-1)
    return (jax.nn.logsumexp(logits, axis=(-2, -1)) - chosen) * inside
