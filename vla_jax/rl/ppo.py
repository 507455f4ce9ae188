"""Proximal policy optimization on a flow policy: the clipped loss and the minibatch epochs.

Nothing here knows the model or the simulator: an `Agent` is four pure functions of parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Params = Any


class Agent(NamedTuple):
    """The policy as pure functions; B is any batch size."""

    # (params, obs, key) -> chain f32[B, K+1, C, A], log p f32[B]; the stochastic policy.
    sample: Callable[..., tuple[jax.Array, jax.Array]]
    # (params, obs, chain, located) -> log p f32[B], entropy f32[B], localization loss f32[B].
    evaluate: Callable[..., tuple[jax.Array, jax.Array, jax.Array]]
    # (params, privileged f32[B, Q]) -> value f32[B]; sees the simulator's state, training only.
    value: Callable[..., jax.Array]
    # (params, obs, key) -> action chunk f32[B, C, A] without exploration noise.
    act: Callable[..., jax.Array]


@dataclass(frozen=True)
class PPOConfig:
    """Settings of the update. Discount and λ are per action chunk."""

    discount: float = 0.97
    lam: float = 0.9
    # Clip range of the tempered ratio r = exp(power * Δ log p).
    clip: float = 0.2
    # Exponent on the ratio of the chunk's joint likelihood (the paper's s).
    power: float = 0.2
    epochs: int = 2
    minibatches: int = 6
    learning_rate: float = 3e-4
    # Iterations in which only the value head learns.
    value_warmup: int = 2
    max_grad_norm: float = 0.5
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    # Weight of the auxiliary localization loss (where the named objects are).
    ground_weight: float = 0.5


class Transitions(NamedTuple):
    """A rollout, leading axes [T, N] (or [B] once flattened)."""

    obs: Any
    privileged: jax.Array  # f32[..., Q]
    located: jax.Array  # f32[..., 14] where target and receptacle are, see Env.located
    chain: jax.Array  # f32[..., K+1, C, A]
    log_prob: jax.Array  # f32[...]
    advantage: jax.Array  # f32[...]
    value_target: jax.Array  # f32[...]
    valid: jax.Array  # f32[...] 0 where the physics broke: never learned from


def optimizer(config: PPOConfig) -> optax.GradientTransformation:
    """Adam on gradients clipped by their global norm."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adam(config.learning_rate, eps=1e-5),
    )


def loss(
    params: Params, agent: Agent, batch: Transitions, config: PPOConfig, learn_policy: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Clipped surrogate + value + auxiliary localization loss of one minibatch.

    Args:
        params: the policy's parameters.
        agent: pure functions of the policy.
        batch: transitions with leading axis [B]; advantages are normalized over the rollout.
        config: settings.
        learn_policy: f32[], 0 during value warm-up and 1 after.

    Returns:
        the loss f32[] and its parts, each f32[].
    """
    total = jnp.maximum(batch.valid.sum(), 1.0)

    def mean(x: jax.Array) -> jax.Array:
        return jnp.sum(x * batch.valid) / total

    log_prob, entropy, ground = agent.evaluate(
        params, batch.obs, batch.chain, batch.located
    )
    log_ratio = log_prob - batch.log_prob
    ratio = jnp.exp(config.power * log_ratio)
    clipped = jnp.clip(ratio, 1.0 - config.clip, 1.0 + config.clip)
    surrogate = jnp.minimum(ratio * batch.advantage, clipped * batch.advantage)
    value = agent.value(params, batch.privileged)
    value_loss = mean((value - batch.value_target) ** 2)
    ground_loss = mean(ground)
    policy_loss = -mean(surrogate) - config.entropy_weight * mean(entropy)
    total_loss = (
        learn_policy * (policy_loss + config.ground_weight * ground_loss)
        + config.value_weight * value_loss
    )
    parts = {
        "policy_loss": -mean(surrogate),
        "value_loss": value_loss,
        "ground_loss": ground_loss,
        "entropy": mean(entropy),
        "approx_kl": mean(jnp.expm1(log_ratio) - log_ratio),
        "clip_fraction": mean((jnp.abs(ratio - 1.0) > config.clip).astype(jnp.float32)),
        "max_ratio_error": jnp.max(jnp.abs(ratio - 1.0) * batch.valid),
    }
    return total_loss, parts


def update(
    params: Params,
    opt_state: optax.OptState,
    agent: Agent,
    data: Transitions,
    key: jax.Array,
    config: PPOConfig,
    learn_policy: jax.Array,
) -> tuple[Params, optax.OptState, dict[str, jax.Array]]:
    """Epochs of shuffled minibatches over a flattened rollout.

    Args:
        data: transitions with leading axis [B], B divisible by `config.minibatches`.
        learn_policy: f32[], 0 during value warm-up.

    Returns:
        new parameters and optimizer state, and the loss parts averaged over all minibatches, with
        `max_ratio_error` of the very first minibatch (0 up to rounding).
    """
    size = data.advantage.shape[0]
    if size % config.minibatches:
        raise ValueError(
            f"{size} samples do not divide into {config.minibatches} minibatches: "
            "choose num_envs x rollout length as a multiple of it"
        )
    apply = optimizer(config)
    keys = jax.random.split(key, config.epochs)
    order = jax.vmap(lambda k: jax.random.permutation(k, size))(keys)
    order = order.reshape(config.epochs * config.minibatches, -1)

    def step(carry, rows):
        params, opt_state = carry
        batch = jax.tree.map(lambda x: x[rows], data)
        grads, parts = jax.grad(loss, has_aux=True)(params, agent, batch, config, learn_policy)
        parts["grad_norm"] = optax.tree.norm(grads)
        changes, new_opt_state = apply.update(grads, opt_state, params)
        sound = jnp.isfinite(parts["grad_norm"])
        new_params = optax.apply_updates(params, changes)
        keep = lambda new, old: jnp.where(sound, new, old)  # noqa: E731
        carry = jax.tree.map(keep, (new_params, new_opt_state), (params, opt_state))
        return carry, parts | {"skipped_updates": 1.0 - sound}

    (params, opt_state), parts = jax.lax.scan(step, (params, opt_state), order)
    metrics = {name: jnp.mean(x) for name, x in parts.items()}
    metrics["first_ratio_error"] = parts["max_ratio_error"][0]
    return params, opt_state, metrics
