"""Kernels stacked over layers, their low-rank updates, and which of them train.

Every kernel keeps openpi's shape, with the layers on axis 0; `PRODUCTS` says by which axes it
multiplies. A kernel of a layer is a dictionary: "w", perhaps "bias", and with LoRA "a" and "b"
(LoRA: arXiv 2106.09685; y = w x + alpha / rank · b a x). `b` starts at zero, so a fresh update
changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vla_jax.models.pi0_config import LoraConfig, Pi0Config

Weights = Mapping[str, jax.Array]


class Product(NamedTuple):
    """Axes of a product. Batch b, tokens t, width d, heads n or k, head size h, hidden f, rank r;
    c counts the kernels stored as one (key and value; gate and up)."""

    x: str
    w: str
    out: str
    a: str
    b: str
    middle: str  # of x a, before b


_INTO_HEADS = Product("btd", "dnh", "btnh", "dr", "rnh", "btr")
_UP = Product("btd", "df", "btf", "dr", "rf", "btr")
PRODUCTS = {
    # SigLIP
    "query": _INTO_HEADS,
    "key": _INTO_HEADS,
    "value": _INTO_HEADS,
    "up": _UP,
    # Gemma
    "q": Product("btd", "ndh", "btnh", "dr", "rnh", "btr"),
    "kv": Product("btd", "ckdh", "cbtkh", "cdr", "crkh", "cbtr"),
    "gate_up": Product("btd", "cdf", "cbtf", "cdr", "crf", "cbtr"),
    # both
    "out": Product("btnh", "nhd", "btd", "nhr", "rd", "btr"),
    "down": Product("btf", "fd", "btd", "fr", "rd", "btr"),
}
_MLP = ("up", "gate_up", "down")


def has_lora(part: str, kernel: str, lora: LoraConfig) -> bool:
    """Whether a kernel of that tower has a low-rank update."""
    kind = "mlp" if kernel in _MLP else "attention"
    return lora.rank > 0 and kernel in PRODUCTS and part in lora.parts and kind in lora.kinds


def make_kernel(
    part: str, name: str, shape: tuple[int, ...], depth: int, config: Pi0Config, rngs: nnx.Rngs
) -> nnx.Dict:
    """Parameters of `depth` kernels of that shape: normal with variance 1 / inputs."""
    product = PRODUCTS[name]
    size = dict(zip(product.w, shape, strict=True)) | {"r": config.lora.rank}
    summed = [label for label in product.w if label in product.x and label not in product.out]
    inputs = math.prod(size[label] for label in summed)
    dtype = storage((part, "layers", name, "w"), config)
    leaves = {"w": normal(rngs, (depth, *shape), inputs**-0.5, dtype)}
    if has_lora(part, name, config.lora):
        trained = jnp.dtype(config.param_dtype)
        a, b = (tuple(size[label] for label in labels) for labels in (product.a, product.b))
        leaves["a"] = normal(rngs, (depth, *a), inputs**-0.5, trained)
        leaves["b"] = nnx.Param(jnp.zeros((depth, *b), trained))
    return nnx.Dict(leaves)


def normal(rngs: nnx.Rngs, shape: tuple[int, ...], std: float, dtype) -> nnx.Param:
    """A parameter of normal numbers."""
    return nnx.Param(nnx.initializers.normal(std)(rngs.params(), shape, dtype))


def multiply(name: str, x: jax.Array, p: Weights, scale: float) -> jax.Array:
    """x times one layer's kernel in the precision of x, with its bias and low-rank update.

    Args:
        name: of the kernel in `PRODUCTS`, which gives the axes.
        x: f[B, T, ...].
        p: the layer's "w" and perhaps "bias", "a", "b".
        scale: of the low-rank update.
    """
    product = PRODUCTS[name]
    y = jnp.einsum(f"{product.x},{product.w}->{product.out}", x, p["w"].astype(x.dtype))
    if "a" in p:
        low = jnp.einsum(f"{product.x},{product.a}->{product.middle}", x, p["a"].astype(x.dtype))
        b = p["b"].astype(x.dtype)
        y += jnp.einsum(f"{product.middle},{product.b}->{product.out}", low, b) * scale
    return y + p["bias"].astype(x.dtype) if "bias" in p else y


def merge_lora(params: nnx.State, config: Pi0Config) -> nnx.State:
    """Add every low-rank update to its kernel, for inference or export.

    Args:
        params: of the module with `config`.
        config: gives rank and alpha.

    Returns:
        Parameters without "a" and "b", for the module with `config.without_lora()`. Sums are taken
        in float32 and stored in the kernel's own precision: a bfloat16 kernel rounds the update.
    """
    flat = dict(nnx.to_flat_state(params))
    merged = {}
    for path, leaf in flat.items():
        update = (*path[:-1], "a"), (*path[:-1], "b")
        if path in update and (*path[:-1], "w") in flat:
            continue
        if path[-1] == "w" and update[0] in flat:
            product = PRODUCTS[str(path[-2])]
            axes = f"l{product.a},l{product.b}->l{product.w}"
            a, b = (flat[other][...].astype(jnp.float32) for other in update)
            w = leaf[...]
            sum_ = w.astype(jnp.float32) + config.lora.scale * jnp.einsum(axes, a, b)
            leaf = nnx.Param(sum_.astype(w.dtype))
        merged[path] = leaf
    return nnx.from_flat_state(merged)


def role(path: tuple, config: Pi0Config) -> str:
    """Which part of a policy's `Params` a parameter belongs to: actor, critic or frozen.

    Args:
        path: of the parameter in the module, as in ("language", "layers", "q", "w").
        config: its `freeze` and `lora` decide.
    """
    part = path[0]
    if part == "value_layers":
        return "critic"
    if part not in ("vision", "language", "expert"):
        return "actor"
    if path[-1] in ("a", "b"):
        return "actor"
    frozen = part != "expert" and config.freeze != "full"
    return "frozen" if frozen or has_lora(part, str(path[-2]), config.lora) else "actor"


def storage(path: tuple, config: Pi0Config):
    """Precision in which a kernel or embedding is stored."""
    frozen = role(path, config) == "frozen"
    return jnp.dtype(config.frozen_dtype if frozen else config.param_dtype)
