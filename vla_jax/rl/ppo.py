"""Proximal policy optimization on a flow policy: the clipped losses.

Nothing here knows the model or the simulator: an `Agent` is a few pure functions of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vla_jax.rl.agent import Agent, Params
from vla_jax.rl.flow import Chain

REDUCTIONS = ("power", "mean", "sum")


@dataclass(frozen=True)
class PPOConfig:
    """Settings of the update. Discount and λ are per action chunk."""

    discount: float = 0.95
    lam: float = 0.9
    # Clip range of the ratio r = exp(scale * Δ log p).
    clip: float = 0.2
    # What the scale is. The log-likelihood of a chunk sums dozens of densities, so that its bare
    # ratio is wild. "power": `power`; "mean": 1 / number of densities; "sum": 1, the bare ratio.
    reduction: str = "power"
    # Exponent on the ratio of the chunk's joint likelihood (the paper's s).
    power: float = 0.2
    epochs: int = 2
    # Minibatches of an epoch; each holds length / minibatches chunks of every environment.
    minibatches: int = 3
    learning_rate: float = 1e-4
    # Minibatches over which the policy's rate rises, and iterations over which it falls to a tenth
    # along a cosine (0: it stays). Adam's first steps are as large as its rate whatever the
    # gradient, and one such step can undo what imitation taught.
    warmup_updates: int = 20
    decay_iterations: int = 0
    max_grad_norm: float = 0.5
    entropy_weight: float = 0.0
    # The policy learns no more in an iteration once a minibatch's KL from the policy that collected
    # it (of the chunk's joint likelihood) exceeds this; 0 switches it off.
    target_kl: float = 0.0
    # Weight of the auxiliary localization loss (where the named objects are). Large: the eyes then
    # learn mostly from it, and Adam's scaling leaves the action expert to the surrogate.
    ground_weight: float = 25.0
    # The critic is small and sees the simulator's state: it learns faster, and alone at first.
    critic_epochs: int = 10
    critic_learning_rate: float = 1e-3
    # Values move by at most this from those of the rollout in one iteration; 0 switches it off.
    value_clip: float = 0.0
    # Iterations in which only the critic learns.
    value_warmup: int = 3

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {self.reduction!r}: choose one of {REDUCTIONS}")
        for name in ("epochs", "minibatches", "critic_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")

    def ratio_scale(self, terms: int) -> float:
        """What multiplies Δ log p of a sum of `terms` log-densities."""
        return {"power": self.power, "mean": 1.0 / terms, "sum": 1.0}[self.reduction]


class Transitions(NamedTuple):
    """A rollout, leading axes [T, N] (or [B] in a minibatch)."""

    obs: Any
    privileged: jax.Array  # f32[..., Q]
    located: jax.Array  # f32[..., 16] where target and receptacle are, see Env.located
    chain: Chain  # leaves [..., K+1, H, A] and [...]
    log_prob: jax.Array  # f32[...]
    value: jax.Array  # f32[...] as judged in the rollout
    advantage: jax.Array  # f32[...]
    value_target: jax.Array  # f32[...]
    valid: jax.Array  # f32[...] 0 where the physics broke: never learned from
    scene: jax.Array  # i32[...] of the scene batch


def optimizers(
    config: PPOConfig,
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Adam for the policy and for the critic."""

    def adam(rate: float | optax.Schedule) -> optax.GradientTransformation:
        return optax.chain(
            optax.clip_by_global_norm(config.max_grad_norm), optax.adam(rate, eps=1e-5)
        )

    return adam(learning_rate(config)), adam(config.critic_learning_rate)


def learning_rate(config: PPOConfig) -> optax.Schedule:
    """The policy's rate as a function of the minibatches that it has learned from."""
    top, updates = (
        config.learning_rate,
        config.decay_iterations * config.epochs * config.minibatches,
    )
    fall = optax.cosine_decay_schedule(top, updates, 0.1) if updates else (lambda count: top)
    rise = max(config.warmup_updates, 1)
    return lambda count: fall(count) * jnp.minimum(1.0, (count + 1.0) / rise)


def init_optimizers(params: Params, config: PPOConfig) -> tuple[Any, Any]:
    """Optimizer states of policy and critic."""
    policy, critic = optimizers(config)
    return policy.init(params.actor), critic.init(params.critic)


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
    mean = lambda x: _mean(x, batch.valid)  # noqa: E731
    log_prob, entropy, ground = agent.evaluate(params, batch.obs, batch.chain, batch.located)
    log_ratio = log_prob - batch.log_prob
    ratio = jnp.exp(config.ratio_scale(agent.terms) * log_ratio)
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


def critic_loss(params: Params, agent: Agent, batch: Transitions, config: PPOConfig) -> jax.Array:
    """Mean squared error of the values of one minibatch, clipped if asked, f32[]."""
    value = agent.value(params, batch.privileged)
    error = (value - batch.value_target) ** 2
    if config.value_clip:
        near = batch.value + jnp.clip(value - batch.value, -config.value_clip, config.value_clip)
        error = jnp.maximum(error, (near - batch.value_target) ** 2)
    return _mean(error, batch.valid)


def _mean(x: jax.Array, weight: jax.Array) -> jax.Array:
    return jnp.sum(x * weight) / jnp.maximum(weight.sum(), 1.0)
