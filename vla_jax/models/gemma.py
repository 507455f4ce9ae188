"""Gemma towers: the language model that reads the prefix, and the action expert beside it.

The two share each layer's attention and nothing else. The prefix never attends to the suffix, so
it is computed once and leaves its keys and values; the suffix attends to them and to itself.
Numerics follow openpi's Gemma: RMSNorm (1 + scale) eps 1e-6 in float32, RoPE with period 10,000,
grouped queries, softmax in float32, tanh-GELU gates; π0.5's adaptive norm also shifts, and gates
the residual.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from vla_jax.models.lora import Weights, make_kernel, multiply, normal, storage
from vla_jax.models.pi0_config import Pi0Config
from vla_jax.models.siglip import arrays

# Keys and values of every layer, each f[layers, B, T, kv_heads, head_dim].
Cache = tuple[jax.Array, jax.Array]

# What Gemma puts in place of a masked logit.
_NEVER = -2.3819763e38


def rms_norm(
    x: jax.Array, p: Weights, cond: jax.Array | None
) -> tuple[jax.Array, jax.Array | None]:
    """RMSNorm in float32, returned in the precision of x.

    Args:
        x: f[B, T, D].
        p: "scale" [D], or for the adaptive norm "w" [E, 3 D] and "bias" [3 D].
        cond: what the adaptive norm depends on, f[B, E].

    Returns:
        normed f[B, T, D], and the residual's gate f[B, 1, D] of the adaptive norm, else None.
    """
    wide = x.astype(jnp.float32)
    normed = wide * jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + 1e-6)
    if cond is None:
        return (normed * (1.0 + p["scale"])).astype(x.dtype), None
    change = cond.astype(x.dtype) @ p["w"].astype(x.dtype) + p["bias"].astype(x.dtype)
    scale, shift, gate = jnp.split(change[:, None], 3, axis=-1)
    return (normed * (1.0 + scale) + shift).astype(x.dtype), gate


def add(x: jax.Array, y: jax.Array, gate: jax.Array | None) -> jax.Array:
    """The residual connection, gated if the norm before it was adaptive."""
    return x + y if gate is None else x + y * gate


def rotate(x: jax.Array, positions: jax.Array) -> jax.Array:
    """Rotary position embedding of f[B, T, N, H] at positions i[B, T], halves paired."""
    half = x.shape[-1] // 2
    period = 10_000.0 ** (jnp.arange(half, dtype=jnp.float32) / half)
    angle = positions[..., None, None] / period
    sin, cos = jnp.sin(angle), jnp.cos(angle)
    first, second = jnp.split(x, 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def attend(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array) -> jax.Array:
    """Grouped-query attention: q f[B, T, N, H] over k, v f[B, S, K, H], mask bool[B, T, S]."""
    b, t, n, h = q.shape
    grouped = q.reshape(b, t, k.shape[2], -1, h)
    logits = jnp.einsum("btkgh,bskh->bkgts", grouped, k, preferred_element_type=jnp.float32)
    logits = jnp.where(mask[:, None, None], logits, _NEVER)
    weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
    return jnp.einsum("bkgts,bskh->btkgh", weights, v).reshape(b, t, n, h)


class Tower(nnx.Module):
    """One expert's weights of all layers, and the norm after them."""

    def __init__(self, part: str, config: Pi0Config, *, rngs: nnx.Rngs):
        """part: "language" or "expert"."""
        self.config = config
        shared = config.language
        own = config.expert if part == "expert" else shared
        adaptive = part == "expert" and config.pi05
        w, depth, n, k, h = own.width, shared.depth, shared.heads, shared.kv_heads, shared.head_dim

        def norm(*stack: int) -> nnx.Dict:
            dtype = jnp.dtype(config.param_dtype)
            if not adaptive:
                return nnx.Dict({"scale": nnx.Param(jnp.zeros((*stack, w), dtype))})
            kernel, bias = jnp.zeros((*stack, w, 3 * w), dtype), jnp.zeros((*stack, 3 * w), dtype)
            return nnx.Dict({"w": nnx.Param(kernel), "bias": nnx.Param(bias)})

        def kernel(name: str, *shape: int) -> nnx.Dict:
            return make_kernel(part, name, shape, depth, config, rngs)

        self.layers = nnx.Dict(
            {
                "norm_attention": norm(depth),
                "q": kernel("q", n, w, h),
                "kv": kernel("kv", 2, k, w, h),
                "out": kernel("out", n, h, w),
                "norm_mlp": norm(depth),
                "gate_up": kernel("gate_up", 2, w, own.mlp),
                "down": kernel("down", own.mlp, w),
            }
        )
        self.norm = norm()

    def __call__(
        self,
        x: jax.Array,
        positions: jax.Array,
        mask: jax.Array,
        cache: Cache | None = None,
        cond: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache]:
        """Run all layers.

        Args:
            x: tokens f[B, T, width] in the towers' precision.
            positions: i[B, T].
            mask: bool[B, T, S + T], which keys each token attends to: the cache's, then its own.
            cache: keys and values of the tokens before, S each, or None.
            cond: f[B, width] for the adaptive norms.

        Returns:
            normed features f[B, T, width], and the cache of these tokens alone.
        """
        scale, head_dim = self.config.lora.scale, self.config.language.head_dim

        def layer(x: jax.Array, inputs: tuple[dict, Cache | None]) -> tuple[jax.Array, Cache]:
            p, before = inputs
            y, gate = rms_norm(x, p["norm_attention"], cond)
            q = rotate(multiply("q", y, p["q"], scale), positions) * head_dim**-0.5
            k, v = multiply("kv", y, p["kv"], scale)
            own = k, v = rotate(k, positions), v
            if before is not None:
                k, v = (jnp.concatenate(pair, axis=1) for pair in zip(before, own, strict=True))
            y = multiply("out", attend(q, k, v, mask), p["out"], scale)
            x = add(x, y, gate)
            y, gate = rms_norm(x, p["norm_mlp"], cond)
            gates, up = multiply("gate_up", y, p["gate_up"], scale)
            y = multiply("down", nnx.gelu(gates, approximate=True) * up, p["down"], scale)
            return add(x, y, gate), own

        if self.config.remat:
            layer = jax.checkpoint(layer, prevent_cse=False)
        x, own = jax.lax.scan(layer, x, (arrays(self.layers), cache))
        return rms_norm(x, arrays(self.norm), cond)[0], own


class Language(Tower):
    """The prefix tower and the token embedding that feeds it."""

    def __init__(self, config: Pi0Config, *, rngs: nnx.Rngs):
        super().__init__("language", config, rngs=rngs)
        shape = (config.vocabulary, config.language.width)
        # Rows are multiplied by sqrt(width) when read.
        dtype = storage(("language", "embedding"), config)
        self.embedding = normal(rngs, shape, config.language.width**-0.5, dtype)

    def embed(self, tokens: jax.Array) -> jax.Array:
        """i32[B, L] → f[B, L, width] in the towers' precision."""
        rows = self.embedding[...][tokens].astype(jnp.float32)
        return (rows * self.config.language.width**0.5).astype(self.config.dtype)
