"""The flow policy's stochastic sampling chain and its exact log-likelihood.

Flow-Noise (ReinFlow; the paper, arXiv 2603.18532, with K = 1): from x_0 ~ N(0, I)

    x_{k+1} ~ N(x_k + v(x_k, τ_k)/K, diag σ_k²),   τ_k = k/K,

so the joint density of the whole chain is known. The density of x_0 cancels in every ratio and is
left out. Sampling and re-evaluation share `_transition`, so the first ratio is 1 by construction.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

# (x f32[B, C, A], time f32[B]) -> (velocity f32[B, C, A], standard deviation f32[B, C, A])
Velocity = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]

_LOG_2PI = 1.8378770664093453


def _transition(velocity: Velocity, x: jax.Array, k: int, steps: int):
    time = jnp.full(x.shape[:1], k / steps, jnp.float32)
    v, std = velocity(x, time)
    return x + v / steps, std


def sample_chain(
    velocity: Velocity, key: jax.Array, shape: tuple[int, int, int], steps: int
) -> tuple[jax.Array, jax.Array]:
    """Draw a chain x_0 … x_K and its log-likelihood.

    Args:
        velocity: the policy at a fixed observation.
        key: random key.
        shape: (B, C, A).
        steps: K, number of flow integration steps.

    Returns:
        chain f32[B, K+1, C, A] (the last entry is the action chunk) and log p f32[B].
    """
    keys = jax.random.split(key, steps + 1)
    x = jax.random.normal(keys[0], shape)
    chain, log_prob = [x], jnp.zeros(shape[0])
    for k in range(steps):
        mean, std = _transition(velocity, x, k, steps)
        x = mean + std * jax.random.normal(keys[k + 1], shape)
        log_prob += gaussian_log_prob(x, mean, std)
        chain.append(x)
    return jnp.stack(chain, axis=1), log_prob


def chain_log_prob(velocity: Velocity, chain: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log-likelihood f32[B] of a chain f32[B, K+1, C, A], and its entropy per dimension f32[B]."""
    steps = chain.shape[1] - 1
    log_prob = jnp.zeros(chain.shape[0])
    entropy = jnp.zeros(chain.shape[0])
    for k in range(steps):
        mean, std = _transition(velocity, chain[:, k], k, steps)
        log_prob += gaussian_log_prob(chain[:, k + 1], mean, std)
        entropy += jnp.mean(jnp.log(std) + 0.5 * (1.0 + _LOG_2PI), axis=(1, 2)) / steps
    return log_prob, entropy


def integrate(
    velocity: Velocity, key: jax.Array, shape: tuple[int, int, int], steps: int
) -> jax.Array:
    """The action chunk f32[B, C, A] without added noise: Euler steps of the flow from x_0."""
    x = jax.random.normal(key, shape)
    for k in range(steps):
        x, _ = _transition(velocity, x, k, steps)
    return x


def gaussian_log_prob(x: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    """Diagonal normal log-density of x f32[B, C, A], summed over the chunk, float32[B]."""
    z = (x - mean) / std
    return jnp.sum(-0.5 * z * z - jnp.log(std) - 0.5 * _LOG_2PI, axis=(1, 2))
