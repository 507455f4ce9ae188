"""Attention stack with two sets of weights: the prefix expert and the suffix (action) expert.

As in π0 the two experts share each layer's attention and nothing else: prefix tokens attend to the
prefix only, suffix tokens to both, so the prefix is computed once and every flow integration step
reuses its keys and values.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from vla_jax.models.config import PolicyConfig

KeyValue = tuple[jax.Array, jax.Array]  # each f32[B, T, heads, head_dim]


class ExpertLayer(nnx.Module):
    """One expert's weights of one layer."""

    def __init__(self, config: PolicyConfig, width: int, *, rngs: nnx.Rngs):
        inner = config.heads * config.head_dim
        self.heads, self.head_dim = config.heads, config.head_dim
        self.norm = nnx.RMSNorm(width, rngs=rngs)
        self.qkv = nnx.Linear(width, 3 * inner, use_bias=False, rngs=rngs)
        self.out = nnx.Linear(inner, width, use_bias=False, rngs=rngs)
        self.norm_mlp = nnx.RMSNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, config.mlp_ratio * width, rngs=rngs)
        self.down = nnx.Linear(config.mlp_ratio * width, width, rngs=rngs)

    def project(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """x f32[B, T, width] → queries, keys, values f32[B, T, heads, head_dim]."""
        qkv = self.qkv(self.norm(x)).reshape(*x.shape[:2], 3, self.heads, self.head_dim)
        return qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]

    def finish(self, x: jax.Array, attended: jax.Array) -> jax.Array:
        x = x + self.out(attended.reshape(*x.shape[:2], -1))
        return x + self.down(nnx.gelu(self.up(self.norm_mlp(x))))


def attend(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array) -> jax.Array:
    """Scaled dot-product attention; mask bool[B, Tk] marks the keys that exist."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    weights = jax.nn.softmax(scores, axis=-1, where=mask[:, None, None])
    return jnp.einsum("bhqk,bkhd->bqhd", weights.astype(v.dtype), v)


class TwoExpertStack(nnx.Module):
    """`depth` layers of joint attention between prefix and suffix."""

    def __init__(self, config: PolicyConfig, *, rngs: nnx.Rngs):
        self.prefix_layers = nnx.List(
            [ExpertLayer(config, config.width, rngs=rngs) for _ in range(config.depth)]
        )
        self.suffix_layers = nnx.List(
            [ExpertLayer(config, config.expert_width, rngs=rngs) for _ in range(config.depth)]
        )
        self.prefix_norm = nnx.RMSNorm(config.width, rngs=rngs)
        self.suffix_norm = nnx.RMSNorm(config.expert_width, rngs=rngs)

    def prefix(self, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, list[KeyValue]]:
        """x f32[B, T, width], mask bool[B, T] → features of the same shape, and the KV cache."""
        cache: list[KeyValue] = []
        for layer in self.prefix_layers:
            q, k, v = layer.project(x)
            cache.append((k, v))
            x = layer.finish(x, attend(q, k, v, mask))
        return self.prefix_norm(x), cache

    def suffix(self, x: jax.Array, cache: list[KeyValue], mask: jax.Array) -> jax.Array:
        """x f32[B, S, expert_width] with the prefix's cache and mask → features [B, S, width]."""
        seen = jnp.concatenate([mask, jnp.ones(x.shape[:2], bool)], axis=1)
        for layer, (prefix_k, prefix_v) in zip(self.suffix_layers, cache, strict=True):
            q, k, v = layer.project(x)
            k = jnp.concatenate([prefix_k, k], axis=1)
            v = jnp.concatenate([prefix_v, v], axis=1)
            x = layer.finish(x, attend(q, k, v, seen))
        return self.suffix_norm(x)
