"""SigLIP image encoder: a ViT whose patch tokens, projected, are read by the language model.

Layers, names of the numbers and numerics follow big_vision's ViT as openpi uses it: pre-norm,
LayerNorm eps 1e-6 in float32, tanh-GELU, patch and position embedding in float32, no class token,
no pooling.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from vla_jax.models.lora import Weights, make_kernel, multiply, normal, storage
from vla_jax.models.pi0_config import Pi0Config


def resize_with_pad(image: jax.Array, size: int) -> jax.Array:
    """u8[B, H, W, 3] → f32[B, size, size, 3] in [-1, 1]: undistorted, black where it does not fill.

    Bilinear, smoothed when it shrinks, rounded to whole levels as openpi does.
    """
    b, h, w, c = image.shape
    ratio = max(h, w) / size
    height, width = int(h / ratio), int(w / ratio)
    x = image.astype(jnp.float32)
    if (height, width) != (h, w):
        x = jax.image.resize(x, (b, height, width, c), "bilinear")
        x = jnp.clip(jnp.round(x), 0.0, 255.0)
    top, left = (size - height) // 2, (size - width) // 2
    rows, columns = (top, size - height - top), (left, size - width - left)
    return jnp.pad(x, ((0, 0), rows, columns, (0, 0))) / 255.0 * 2.0 - 1.0


def layer_norm(x: jax.Array, p: Weights) -> jax.Array:
    """LayerNorm over the last axis in float32, returned in the precision of x."""
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(-1, keepdims=True)
    normed = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-6)
    return (normed * p["scale"] + p["bias"]).astype(x.dtype)


def self_attention(x: jax.Array, layer: dict, scale: float) -> jax.Array:
    """Every token attends to every token; x f[B, T, D]."""
    q, k, v = (multiply(name, x, layer[name], scale) for name in ("query", "key", "value"))
    q = q * q.shape[-1] ** -0.5
    logits = jnp.einsum("btnh,bsnh->bnts", q, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(logits, axis=-1).astype(x.dtype)
    seen = jnp.einsum("bnts,bsnh->btnh", weights, v)
    return multiply("out", seen, layer["out"], scale)


class SigLIP(nnx.Module):
    """Pictures → tokens as wide as the language model's."""

    def __init__(self, config: Pi0Config, *, rngs: nnx.Rngs):
        c, dtype = config.vision, jnp.dtype(config.param_dtype)
        self.config = config
        w, depth, heads = c.width, c.depth, (c.heads, c.width // c.heads)

        def linear(name: str, shape: tuple[int, ...], inputs: int) -> nnx.Dict:
            kernel = normal(rngs, shape, inputs**-0.5, storage(("vision", name, "w"), config))
            return nnx.Dict({"w": kernel, "bias": nnx.Param(jnp.zeros(shape[-1], dtype))})

        def norm(*stack: int) -> nnx.Dict:
            scale, bias = jnp.ones((*stack, w), dtype), jnp.zeros((*stack, w), dtype)
            return nnx.Dict({"scale": nnx.Param(scale), "bias": nnx.Param(bias)})

        def kernel(name: str, shape: tuple[int, ...], bias: tuple[int, ...]) -> nnx.Dict:
            made = make_kernel("vision", name, shape, depth, config, rngs)
            made["bias"] = nnx.Param(jnp.zeros((depth, *bias), dtype))
            return made

        self.patch = linear("patch", (c.patch, c.patch, 3, w), 3 * c.patch**2)
        self.position = normal(rngs, (1, c.tokens, w), w**-0.5, dtype)
        self.layers = nnx.Dict(
            {
                "norm_attention": norm(depth),
                "query": kernel("query", (w, *heads), heads),
                "key": kernel("key", (w, *heads), heads),
                "value": kernel("value", (w, *heads), heads),
                "out": kernel("out", (*heads, w), (w,)),
                "norm_mlp": norm(depth),
                "up": kernel("up", (w, c.mlp), (c.mlp,)),
                "down": kernel("down", (c.mlp, w), (w,)),
            }
        )
        self.norm = norm()
        self.head = linear("head", (w, config.language.width), w)

    def __call__(self, image: jax.Array) -> jax.Array:
        """f32[B, S, S, 3] in [-1, 1] → tokens f[B, (S / patch)², language width]."""
        x = self.embed(image).astype(self.config.dtype)
        scale = self.config.lora.scale

        def layer(x: jax.Array, p: dict) -> tuple[jax.Array, None]:
            x = x + self_attention(layer_norm(x, p["norm_attention"]), p, scale)
            hidden = multiply("up", layer_norm(x, p["norm_mlp"]), p["up"], scale)
            hidden = nnx.gelu(hidden, approximate=True)
            return x + multiply("down", hidden, p["down"], scale), None

        if self.config.remat:
            layer = jax.checkpoint(layer, prevent_cse=False)
        x, _ = jax.lax.scan(layer, x, arrays(self.layers))
        head = arrays(self.head)
        x = layer_norm(x, arrays(self.norm))
        return x @ head["w"].astype(x.dtype) + head["bias"].astype(x.dtype)

    def embed(self, image: jax.Array) -> jax.Array:
        """Patch and position embedding f32[B, T, width]: a convolution as one matrix product."""
        c = self.config.vision
        grid = c.image // c.patch
        x = image.reshape(-1, grid, c.patch, grid, c.patch, 3)
        kernel = self.patch["w"][...].astype(jnp.float32)
        x = jnp.einsum("bipjqc,pqcd->bijd", x, kernel) + self.patch["bias"][...]
        return x.reshape(-1, c.tokens, c.width) + self.position[...]


def arrays(module: nnx.Module) -> dict:
    """A module's parameters as a nested dictionary of arrays."""
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))
