"""Pytrees as flat dictionaries from a leaf's path to its array, for files.

A template tells what is expected: a pytree of arrays or of their shapes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vla_jax.distributed import to_host


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """A pytree's leaves on the host by path; random keys become their raw words.

    All processes of a run call this together.
    """
    return {name: to_host(leaf) for name, leaf in raw_leaves(tree).items()}


def unflatten(template: Any, flat: dict[str, np.ndarray], what: str) -> Any:
    """Rebuild a pytree shaped like `template` from `flatten`'s dictionary.

    Raises:
        ValueError: naming every leaf that is missing, unexpected or of another shape.
    """
    check_fit(template, {name: value.shape for name, value in flat.items()}, what)
    return rebuild(template, flat)


def check_fit(template: Any, found: dict[str, tuple[int, ...]], what: str) -> None:
    """ValueError naming every leaf of `template` that is missing, unexpected or of other shape."""
    expected = {name: tuple(leaf.shape) for name, leaf in raw_shapes(template).items()}
    problems = [f"lacks {name}" for name in expected if name not in found]
    problems += [f"has unexpected {name}" for name in found if name not in expected]
    problems += [
        f"{name} is {tuple(found[name])}, expected {shape}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != shape
    ]
    if problems:
        shown = "; ".join(problems[:6]) + (f"; and {len(problems) - 6} more" * (len(problems) > 6))
        raise ValueError(f"{what} does not fit this policy: {shown}. Use the run that made it")


def raw_leaves(tree: Any) -> dict[str, Any]:
    """Leaves by path, as they lie; keys as raw words."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(path): _words(leaf) if _is_key(leaf) else leaf for path, leaf in leaves}


def _name(path: tuple) -> str:
    parts = [str(getattr(p, "key", getattr(p, "name", getattr(p, "idx", p)))) for p in path]
    if len(parts) > 1 and parts[-1] == "value":  # what NNX wraps a parameter in
        parts.pop()
    return ".".join(part.strip(".") for part in parts)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


_words = jax.jit(jax.random.key_data)
_keys = jax.jit(jax.random.wrap_key_data)


def raw_shapes(template: Any) -> dict[str, Any]:
    """Shape, type and, on a mesh, place of every leaf as it is stored."""

    def raw(leaf: Any) -> jax.ShapeDtypeStruct:
        shape = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        sharding = getattr(leaf, "sharding", None)
        if not isinstance(sharding, jax.sharding.NamedSharding):
            sharding = None
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)

    leaves = jax.tree_util.tree_flatten_with_path(template)[0]
    return {_name(path): raw(leaf) for path, leaf in leaves}


def rebuild(template: Any, flat: dict[str, Any]) -> Any:
    """The pytree; arrays that are on the host go to JAX's usual device."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)

    def restore(path: tuple, leaf: Any) -> jax.Array:
        value = flat[_name(path)]
        if _is_key(leaf):
            return _keys(value)
        return value if isinstance(value, jax.Array) else jnp.asarray(value, leaf.dtype)

    return jax.tree_util.tree_unflatten(structure, [restore(*leaf) for leaf in leaves])
