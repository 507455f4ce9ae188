"""Word tokens → contextual word features."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from vla_jax.models.config import PolicyConfig

PAD = 0


class LanguageEncoder(nnx.Module):
    """Word and position embeddings with one self-attention layer, so that a word knows its phrase.

    Word embeddings start small: a word never seen in training then says almost nothing instead of
    something random.
    """

    def __init__(self, config: PolicyConfig, *, rngs: nnx.Rngs):
        d = config.feature_width
        self.scale = d**-0.5
        normal = nnx.initializers.normal
        self.embedding = nnx.Param(normal(0.02)(rngs.params(), (config.vocabulary, d)))
        self.position = nnx.Param(normal(0.02)(rngs.params(), (config.instruction_length, d)))
        self.norm = nnx.LayerNorm(d, rngs=rngs)
        self.qkv = nnx.Linear(d, 3 * d, rngs=rngs)
        self.out = nnx.Linear(d, d, rngs=rngs)
        self.norm_mlp = nnx.LayerNorm(d, rngs=rngs)
        self.up = nnx.Linear(d, 2 * d, rngs=rngs)
        self.down = nnx.Linear(2 * d, d, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        """tokens i32[B, L] (0 is padding) → features f32[B, L, D] and mask bool[B, L]."""
        mask = tokens != PAD
        x = (self.embedding[...][tokens] + self.position[...]) * 10.0
        q, k, v = jnp.split(self.qkv(self.norm(x)), 3, axis=-1)
        scores = jnp.einsum("bqd,bkd->bqk", q, k) * self.scale
        attention = jax.nn.softmax(scores, axis=-1, where=mask[:, None])
        x = x + self.out(jnp.einsum("bqk,bkd->bqd", attention, v))
        x = x + self.down(nnx.gelu(self.up(self.norm_mlp(x))))
        return x, mask
