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
    # (params) -> pytree of bool, true for the parameters of `value`; the other functions use none
    # of those, so the two sets are trained apart.
    is_critic: Callable[[Any], Any]


@dataclass(frozen=True)
class PPOConfig:
    """Settings of the update. Discount and λ are per action chunk."""

    discount: float = 0.95
    lam: float = 0.9
    # Clip range of the tempered ratio r = exp(power * Δ log p).
    clip: float = 0.2
    # Exponent on the ratio of the chunk's joint likelihood (the paper's s).
    power: float = 0.2
    epochs: int = 2
    minibatches: int = 3
    learning_rate: float = 1e-4
    # Minibatches over which the policy's rate rises, and iterations over which it falls to a tenth
    # along a cosine (0: it stays). Adam's first steps are as large as its rate whatever the
    # gradient, and one such step can undo what imitation taught.
    warmup_updates: int = 20
    decay_iterations: int = 0
    max_grad_norm: float = 0.5
    entropy_weight: float = 0.0
    # Weight of the auxiliary localization loss (where the named objects are). Large: the eyes then
    # learn mostly from it, and Adam's scaling leaves the action expert to the surrogate.
    ground_weight: float = 25.0
    # The critic is small and sees the simulator's state: it learns faster, and alone at first.
    critic_epochs: int = 10
    critic_learning_rate: float = 1e-3
    # Iterations in which only the critic learns.
    value_warmup: int = 3


class Transitions(NamedTuple):
    """A rollout, leading axes [T, N] (or [B] once flattened)."""

    obs: Any
    privileged: jax.Array  # f32[..., Q]
    located: jax.Array  # f32[..., 16] where target and receptacle are, see Env.located
    chain: jax.Array  # f32[..., K+1, C, A]
    log_prob: jax.Array  # f32[...]
    advantage: jax.Array  # f32[...]
    value_target: jax.Array  # f32[...]
    valid: jax.Array  # f32[...] 0 where the physics broke: never learned from


def optimizers(
    agent: Agent, config: PPOConfig
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Adam for the policy and for the critic; each leaves the other's parameters alone."""

    def only(rate: float | optax.Schedule, critic: bool) -> optax.GradientTransformation:
        adam = optax.chain(
            optax.clip_by_global_norm(config.max_grad_norm), optax.adam(rate, eps=1e-5)
        )
        labels = lambda params: jax.tree.map(  # noqa: E731
            lambda mine: "learn" if mine == critic else "keep", agent.is_critic(params)
        )
        return optax.partition({"learn": adam, "keep": optax.set_to_zero()}, labels)

    return only(learning_rate(config), False), only(config.critic_learning_rate, True)


def learning_rate(config: PPOConfig) -> optax.Schedule:
    """The policy's rate as a function of the minibatches that it has learned from."""
    top, updates = (
        config.learning_rate,
        config.decay_iterations * config.epochs * config.minibatches,
    )
    fall = optax.cosine_decay_schedule(top, updates, 0.1) if updates else (lambda count: top)
    rise = max(config.warmup_updates, 1)
    return lambda count: fall(count) * jnp.minimum(1.0, (count + 1.0) / rise)


def init_optimizers(params: Params, agent: Agent, config: PPOConfig) -> tuple[Any, Any]:
    """Optimizer states of policy and critic."""
    policy, critic = optimizers(agent, config)
    return policy.init(params), critic.init(params)


def policy_loss(
    params: Params, agent: Agent, batch: Transitions, config: PPOConfig
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Clipped surrogate and auxiliary localization loss of one minibatch.

    Args:
        params: the policy's parameters.
        agent: pure functions of the policy.
        batch: transitions with leading axis [B]; advantages are normalized over the rollout.
        config: settings.

    Returns:
        the loss f32[] and its parts, each f32[].
    """
    total = jnp.maximum(batch.valid.sum(), 1.0)

    def mean(x: jax.Array) -> jax.Array:
        return jnp.sum(x * batch.valid) / total

    log_prob, entropy, ground = agent.evaluate(params, batch.obs, batch.chain, batch.located)
    log_ratio = log_prob - batch.log_prob
    ratio = jnp.exp(config.power * log_ratio)
    clipped = jnp.clip(ratio, 1.0 - config.clip, 1.0 + config.clip)
    surrogate = mean(jnp.minimum(ratio * batch.advantage, clipped * batch.advantage))
    parts = {
        "policy_loss": -surrogate,
        "ground_loss": mean(ground),
        "entropy": mean(entropy),
        "approx_kl": mean(jnp.expm1(log_ratio) - log_ratio),
        "clip_fraction": mean((jnp.abs(ratio - 1.0) > config.clip).astype(jnp.float32)),
        "max_ratio_error": jnp.max(jnp.abs(ratio - 1.0) * batch.valid),
    }
    extra = config.ground_weight * parts["ground_loss"] - config.entropy_weight * parts["entropy"]
    return extra - surrogate, parts


def critic_loss(params: Params, agent: Agent, batch: Transitions) -> jax.Array:
    """Mean squared error of the values of one minibatch, f32[]."""
    error = agent.value(params, batch.privileged) - batch.value_target
    return jnp.sum(error**2 * batch.valid) / jnp.maximum(batch.valid.sum(), 1.0)


def update(
    params: Params,
    opt_state: tuple[Any, Any],
    agent: Agent,
    data: Transitions,
    key: jax.Array,
    config: PPOConfig,
    learn_policy: jax.Array,
) -> tuple[Params, tuple[Any, Any], dict[str, jax.Array]]:
    """Epochs of shuffled minibatches over a flattened rollout: the policy's, then the critic's.

    An update whose gradient is not finite is skipped and counted.

    Args:
        opt_state: from `init_optimizers`.
        data: transitions with leading axis [B], B divisible by `config.minibatches`.
        learn_policy: bool[], false during value warm-up.

    Returns:
        new parameters and optimizer states, and the loss parts averaged over all minibatches, with
        `first_ratio_error` of the very first minibatch (0 up to rounding).
    """
    policy_adam, critic_adam = optimizers(agent, config)
    key_policy, key_critic = jax.random.split(key)

    def policy_step(carry, rows):
        batch = jax.tree.map(lambda x: x[rows], data)
        grads, parts = jax.grad(policy_loss, has_aux=True)(carry[0], agent, batch, config)
        carry, sound, norm = _apply(policy_adam, carry, grads, learn_policy)
        return carry, parts | {"grad_norm": norm, "skipped_updates": 1.0 - sound}

    def critic_step(carry, rows):
        batch = jax.tree.map(lambda x: x[rows], small)
        value, grads = jax.value_and_grad(critic_loss)(carry[0], agent, batch)
        carry, _, _ = _apply(critic_adam, carry, grads, jnp.bool_(True))
        return carry, value

    carry = (params, opt_state[0])
    rows = _shuffled(key_policy, data.advantage.shape[0], config.epochs, config.minibatches)
    carry, parts = jax.lax.scan(policy_step, carry, rows)
    params, policy_state = carry
    # The critic needs no pictures: leave them out of its minibatches.
    small = data._replace(obs=None, chain=None, located=None)
    rows = _shuffled(key_critic, data.advantage.shape[0], config.critic_epochs, config.minibatches)
    (params, critic_state), values = jax.lax.scan(critic_step, (params, opt_state[1]), rows)
    metrics = {name: jnp.mean(x) for name, x in parts.items()}
    metrics["value_loss"] = values[-1]
    metrics["first_ratio_error"] = parts["max_ratio_error"][0]
    return params, (policy_state, critic_state), metrics


def _shuffled(key: jax.Array, size: int, epochs: int, minibatches: int) -> jax.Array:
    """Row numbers i32[epochs * minibatches, size / minibatches], each epoch a permutation."""
    if size % minibatches:
        raise ValueError(
            f"{size} samples do not divide into {minibatches} minibatches: "
            "choose num_envs x rollout length as a multiple of it"
        )
    order = jax.vmap(lambda k: jax.random.permutation(k, size))(jax.random.split(key, epochs))
    return order.reshape(epochs * minibatches, -1)


def _apply(adam, carry, grads, wanted: jax.Array):
    """One optimizer step if it is wanted and finite; also returns whether it is, and the norm."""
    params, state = carry
    norm = optax.tree.norm(grads)
    changes, new_state = adam.update(grads, state, params)
    sound = jnp.isfinite(norm)
    new = (optax.apply_updates(params, changes), new_state)
    carry = jax.tree.map(lambda a, b: jnp.where(sound & wanted, a, b), new, (params, state))
    return carry, sound.astype(jnp.float32), norm
