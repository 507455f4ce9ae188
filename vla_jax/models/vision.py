"""Image encoder: overlapping patches, merged once, pooled by language-conditioned queries.

No convolution primitive: inside `lax.scan` XLA's CPU convolutions are about a hundred times slower
than the same arithmetic as matrix products (measured), and the whole policy runs inside scans. Both
layers are strided convolutions written as slices and one matrix product.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
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
        self.merge = nnx.Linear(9 * config.patch_width, d, rngs=rngs)
        self.position = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (self.grid**2, d)))
        self.norm = nnx.LayerNorm(d, rngs=rngs)
        self.mlp = nnx.Linear(d, d, rngs=rngs)

    def __call__(self, image: jax.Array) -> jax.Array:
        """image: u8[B, H, W, 3] → tokens f32[B, grid², D]."""
        x = self.merge(merge_windows(self.patches(image)))
        x = x.reshape(x.shape[0], self.grid**2, -1) + self.position[...]
        return x + nnx.relu(self.mlp(self.norm(x)))

    def patches(self, image: jax.Array) -> jax.Array:
        """Patches of 2 x 2 blocks at a stride of one block: f32[B, g - 1, g - 1, patch_width].

        Two products over pairs of neighbouring columns: less copying than one over all four blocks,
        less summing than four.
        """
        x = blocks_of(image, self.block)
        g = x.shape[1] - 1
        pairs = jnp.concatenate([x[:, :, :g], x[:, :, 1:]], axis=-1)
        upper, lower = self.embed[...].reshape(2, pairs.shape[-1], -1)
        return nnx.relu(pairs[:, :g] @ upper + pairs[:, 1:] @ lower + self.embed_bias[...])


class QueryPool(nnx.Module):
    """Pools image tokens with queries that read the instruction first.

    Each query returns what it attends to and where: the attention-weighted feature and the expected
    grid position with its spread (a language-conditioned spatial soft-argmax).
    """

    def __init__(self, config: PolicyConfig, grid: int, queries: int, *, rngs: nnx.Rngs):
        d = config.feature_width
        self.scale = d**-0.5
        self.grid = grid
        self.query = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), (queries, d)))
        self.word_key = nnx.Linear(d, d, rngs=rngs)
        self.to_query = nnx.Linear(2 * d, d, rngs=rngs)
        self.key_value = nnx.Linear(d, 2 * d, rngs=rngs)
        self.norm = nnx.LayerNorm(d, rngs=rngs)
        self.out = nnx.Linear(d + 4, config.width, rngs=rngs)

    def places(self) -> jax.Array:
        """Grid coordinates (x, y) in [-1, 1] and their squares, f32[grid², 4]."""
        axis = jnp.linspace(-1.0, 1.0, self.grid)
        row, column = jnp.meshgrid(axis, axis, indexing="ij")
        place = jnp.stack([column.ravel(), row.ravel()], -1)
        return jnp.concatenate([place, place**2], -1)

    def __call__(
        self, tokens: jax.Array, words: jax.Array, mask: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """tokens f32[B, P, D], words f32[B, L, D], mask bool[B, L] → pooled f32[B, Q, width] and
        the attention logits f32[B, Q, P]."""
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
        where = jnp.einsum("bqp,pd->bqd", attention, self.places())
        return self.out(jnp.concatenate([seen, where], -1)), logits


def looking_loss(logits: jax.Array, at: jax.Array, grid: int) -> jax.Array:
    """Cross-entropy of a query's attention with the cell that shows what it should look at.

    Args:
        logits: f32[B, P] over the grid² cells.
        at: f32[B, 2] picture coordinates in [-1, 1]; outside, there is nothing to look at.
        grid: cells per side.

    Returns:
        f32[B], 0 where the point is out of the picture.
    """
    # Cell i is centred at (i + 1) / (grid + 1) of the picture's side.
    cell = jnp.clip(jnp.round(0.5 * (at + 1.0) * (grid + 1) - 1.0), 0, grid - 1).astype(jnp.int32)
    inside = (jnp.abs(at) <= 1.0).all(-1)
    chosen = jnp.take_along_axis(logits, (cell[:, 1] * grid + cell[:, 0])[:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=-1) - chosen) * inside
