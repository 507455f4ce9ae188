"""What the RL core knows of a policy: parameters in three parts and pure functions of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from vla_jax.rl.flow import Chain


class Params(NamedTuple):
    """Parameters by what trains them; each a pytree of arrays, empty where there is nothing."""

    actor: Any  # acts, and learns from the policy's loss
    critic: Any  # the value head; learns from the value loss
    frozen: Any  # acts and stays as it is: no gradient, no optimizer state


class Agent(NamedTuple):
    """The policy as pure functions of `Params`; B is any batch size, H x A a chunk in the model."""

    # (params, obs, key) -> chain of K steps, log p f32[B]; the stochastic policy.
    sample: Callable[..., tuple[Chain, jax.Array]]
    # (params, obs, chain, located) -> log p f32[B], entropy f32[B], localization loss f32[B].
    evaluate: Callable[..., tuple[jax.Array, jax.Array, jax.Array]]
    # (params, privileged f32[B, Q]) -> value f32[B]; sees the simulator's state, training only.
    value: Callable[..., jax.Array]
    # (params, obs, key) -> action chunk f32[B, C, 7] for the environment, without exploration.
    act: Callable[..., jax.Array]
    # (chain) -> action chunk f32[B, C, 7] for the environment.
    action: Callable[[Chain], jax.Array]
    # Numbers whose densities are multiplied in log p: noisy flow steps x executed dimensions.
    terms: int
