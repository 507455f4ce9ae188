"""Generalized advantage estimation (Schulman et al., 2016); termination is not truncation."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def generalized_advantages(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    *,
    discount: float,
    lam: float,
) -> tuple[jax.Array, jax.Array]:
    """Advantages and value targets of a rollout.

    Args:
        reward: f32[T, N].
        value: f32[T, N], V of the state each action was taken in.
        next_value: f32[T, N], V of the state the action led to, *before* any automatic reset.
        terminated: bool[T, N]; a terminal state is worth 0.
        truncated: bool[T, N]; a cut-off state keeps its value (bootstrap), but no advantage flows
            back across the reset.
        discount, lam: γ and λ per transition.

    Returns:
        advantages f32[T, N] and value targets f32[T, N].
    """
    bootstrap = jnp.where(terminated, 0.0, next_value)
    delta = reward + discount * bootstrap - value
    carry_on = discount * lam * (1.0 - (terminated | truncated).astype(jnp.float32))

    def backward(later: jax.Array, now: tuple[jax.Array, jax.Array]):
        advantage = now[0] + now[1] * later
        return advantage, advantage

    _, advantage = jax.lax.scan(
        backward, jnp.zeros_like(reward[0]), (delta, carry_on), reverse=True
    )
    return advantage, advantage + value
