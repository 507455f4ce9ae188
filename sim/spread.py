"""Environments spread over devices: what is drawn for all of them together stays the same.

Inside `jax.shard_map` a function sees the environments of its own device only. `axes` names the
mesh axes that they are spread over; without axes they are all here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
from jax import lax


def first_key(keys: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    """The key of the first of all environments, from the key[n] of those here."""
    if not axes:
        return keys[0]
    data = lax.all_gather(jax.random.key_data(keys[0]), axes)
    return jax.random.wrap_key_data(data[0], impl=jax.random.key_impl(keys))


def own_rows(draw: Callable[[int], jax.Array], num: int, axes: tuple[str, ...]) -> jax.Array:
    """Rows of the `num` environments here of what `draw` makes for as many as there are in all."""
    if not axes:
        return draw(num)
    everywhere = draw(num * math.prod(lax.axis_size(axis) for axis in axes))
    return lax.dynamic_slice_in_dim(everywhere, lax.axis_index(axes) * num, num)
