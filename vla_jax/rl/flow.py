"""Stochastic flow policies: the sampling chain and its exact log-likelihood.

Flow time is the paper's (arXiv 2603.18532): τ = 0 is noise, τ = 1 the action chunk, v ≈ A - ε. A
chain starts at x_0 ~ N(0, I) and takes K steps

    x_{k+1} ~ N(μ_k, diag σ_k²),   τ_k = k / K,

which differ in one function, `transition`:

- Flow-Noise (ReinFlow; the paper, with K = 1): μ = x + v/K, σ from the policy's noise head.
- Flow-SDE (Flow-GRPO, πRL): the flow's ODE written as an SDE with the same marginals; σ is fixed.

The joint density of the whole chain is then known; that of x_0 cancels in every ratio and is left
out. Sampling and re-evaluation share `transition`, so the first ratio is 1 by construction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

# (x f32[B, H, A], τ f32[B]) -> (velocity f32[B, H, A], standard deviation f32[B, H, A])
Velocity = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
# x f32[B, H, A] -> the numbers that the robot executes f32[B, C, D]; only they enter densities.
Executed = Callable[[jax.Array], jax.Array]

_LOG_2PI = 1.8378770664093453


@dataclass(frozen=True)
class FlowConfig:
    """How the flow is made stochastic for exploration."""

    # "noise": the policy's own noise head (Flow-Noise); "sde": Flow-SDE.
    kind: str = "noise"
    # "all": every step of the chain is noisy. "one": a step drawn at random for every sample, the
    # others follow the ODE; a gradient then costs one evaluation of the velocity instead of K.
    noisy_steps: str = "all"
    # a of Flow-SDE, σ = a √(t / (1 - t)) with t = 1 - τ.
    sde_level: float = 0.5

    def __post_init__(self) -> None:
        for name, known in (("kind", ("noise", "sde")), ("noisy_steps", ("all", "one"))):
            if getattr(self, name) not in known:
                raise ValueError(f"flow {name} is {getattr(self, name)!r}: choose one of {known}")
        if not self.sde_level > 0.0:
            raise ValueError(f"flow sde_level is {self.sde_level}: it must be positive")


FLOW_NOISE = FlowConfig()


class Chain(NamedTuple):
    """A sampled chain."""

    x: jax.Array  # f32[B, K+1, H, A] x_0 … x_K; the last is the action chunk
    step: jax.Array  # i32[B] the noisy step, if only one is


def everything(x: jax.Array) -> jax.Array:
    """`Executed` of a policy whose chunk holds nothing but executed actions."""
    return x


def transition(
    velocity: Velocity, x: jax.Array, k: jax.Array, steps: int, flow: FlowConfig
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Step k of the chain.

    Args:
        velocity: the policy at a fixed observation.
        x: f32[B, H, A].
        k: i32[B].
        steps: K.
        flow: which noise.

    Returns:
        the next x of the ODE, and mean and standard deviation of the noisy step, f32[B, H, A] each.
    """
    delta = 1.0 / steps
    time = k.astype(jnp.float32) * delta
    v, std = velocity(x, time)
    euler = x + delta * v
    if flow.kind == "noise":
        return euler, euler, std
    # At τ = 0 the denominator 1 - t of σ would be 0: there the one of the next step is taken.
    tau = time[:, None, None]
    sigma = flow.sde_level * jnp.sqrt((1.0 - tau) / jnp.maximum(tau, delta))
    noise = x - tau * v  # the noise that the flow believes x to come from
    mean = euler - (sigma**2 * delta / (2.0 * (1.0 - tau))) * noise
    return euler, mean, jnp.broadcast_to(sigma * delta**0.5, x.shape)


def sample_chain(
    velocity: Velocity,
    key: jax.Array,
    shape: tuple[int, int, int],
    steps: int,
    flow: FlowConfig = FLOW_NOISE,
    executed: Executed = everything,
) -> tuple[Chain, jax.Array]:
    """Draw a chain x_0 … x_K and its log-likelihood.

    Args:
        velocity: the policy at a fixed observation.
        key: random key.
        shape: (B, H, A).
        steps: K, number of flow integration steps.
        flow: which noise.
        executed: picks the numbers whose density counts.

    Returns:
        the chain, and log p f32[B].
    """
    key_start, key_step, key_noise = jax.random.split(key, 3)
    start = jax.random.normal(key_start, shape)
    chosen = jax.random.randint(key_step, shape[:1], 0, steps)

    def step(carry, inputs):
        x, log_prob = carry
        k, key = inputs
        euler, mean, std = transition(velocity, x, jnp.full(shape[:1], k), steps, flow)
        noisy = mean + std * jax.random.normal(key, shape)
        gained = gaussian_log_prob(executed(noisy), executed(mean), executed(std))
        if flow.noisy_steps == "one":
            noisy = jnp.where((chosen == k)[:, None, None], noisy, euler)
            gained = jnp.where(chosen == k, gained, 0.0)
        return (noisy, log_prob + gained), noisy

    inputs = (jnp.arange(steps), jax.random.split(key_noise, steps))
    (_, log_prob), rest = jax.lax.scan(step, (start, jnp.zeros(shape[0])), inputs)
    x = jnp.concatenate([start[:, None], rest.swapaxes(0, 1)], axis=1)
    return Chain(x, chosen), log_prob


def chain_log_prob(
    velocity: Velocity,
    chain: Chain,
    flow: FlowConfig = FLOW_NOISE,
    executed: Executed = everything,
) -> tuple[jax.Array, jax.Array]:
    """Log-likelihood f32[B] of chains, and their entropy per noisy number f32[B]."""
    steps = chain.x.shape[1] - 1

    def at(x, after, k):
        _, mean, std = transition(velocity, x, k, steps, flow)
        mean, std = executed(mean), executed(std)
        entropy = jnp.mean(jnp.log(std) + 0.5 * (1.0 + _LOG_2PI), axis=(1, 2))
        return gaussian_log_prob(executed(after), mean, std), entropy

    if flow.noisy_steps == "one":
        row = jnp.arange(chain.step.shape[0])
        return at(chain.x[row, chain.step], chain.x[row, chain.step + 1], chain.step)

    def step(carry, inputs):
        x, after, k = inputs
        log_prob, entropy = at(x, after, jnp.full(x.shape[:1], k))
        return (carry[0] + log_prob, carry[1] + entropy / steps), None

    x = chain.x.swapaxes(0, 1)
    zero = jnp.zeros(x.shape[1])
    total, _ = jax.lax.scan(step, (zero, zero), (x[:-1], x[1:], jnp.arange(steps)))
    return total


def integrate(
    velocity: Velocity, key: jax.Array, shape: tuple[int, int, int], steps: int
) -> jax.Array:
    """The chunk f32[B, H, A] without added noise: K Euler steps of the flow's ODE from x_0."""

    def step(x, k):
        v, _ = velocity(x, jnp.full(shape[:1], k / steps, jnp.float32))
        return x + v / steps, None

    x, _ = jax.lax.scan(step, jax.random.normal(key, shape), jnp.arange(steps))
    return x


def count_terms(steps: int, flow: FlowConfig, executed: tuple[int, int]) -> int:
    """How many normal densities log p sums: noisy steps x executed numbers."""
    return (1 if flow.noisy_steps == "one" else steps) * executed[0] * executed[1]


def gaussian_log_prob(x: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    """Diagonal normal log-density of x f32[B, C, D], summed over the chunk, f32[B]."""
    z = (x - mean) / std
    return jnp.sum(-0.5 * z * z - jnp.log(std) - 0.5 * _LOG_2PI, axis=(1, 2))
