"""Epochs of minibatches over a rollout, and what keeps a bad one from doing harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vla_jax.rl.agent import Agent, Params
from vla_jax.rl.ppo import PPOConfig, Transitions, critic_loss, optimizers, policy_loss


class BadBatch(NamedTuple):
    """The first minibatch of an update whose gradient was not finite, if there was one.

    A minibatch of the critic is kept only if none of the policy's was bad.
    """

    found: jax.Array  # bool[]
    batch: Transitions  # leading axis [B]; zeros where nothing was found


def update(
    params: Params,
    opt_state: tuple[Any, Any],
    agent: Agent,
    data: Transitions,
    key: jax.Array,
    config: PPOConfig,
    learn_policy: jax.Array,
) -> tuple[Params, tuple[Any, Any], dict[str, jax.Array], BadBatch]:
    """The policy's epochs, then the critic's.

    A step whose gradient is not finite is not taken; its minibatch is kept for a closer look.

    Args:
        opt_state: from `init_optimizers`.
        data: transitions with leading axes [T, N], T divisible by `config.minibatches`.
        learn_policy: bool[], false during value warm-up.

    Returns:
        new parameters and optimizer states, the loss parts averaged over all minibatches, with
        `first_ratio_error` of the very first minibatch (0 up to rounding), and the bad minibatch.
    """
    policy_adam, critic_adam = optimizers(config)
    key_policy, key_critic = jax.random.split(key)
    length, num_envs = data.advantage.shape

    def policy_step(carry, rows):
        actor, state, learn, bad = carry
        batch = minibatch(data, rows)

        def loss(actor):
            return policy_loss(params._replace(actor=actor), agent, batch, config)

        grads, parts = jax.grad(loss, has_aux=True)(actor)
        if config.target_kl:
            learn &= parts["approx_kl"] <= config.target_kl
        actor, state, sound, norm = _apply(policy_adam, actor, state, grads, learn)
        bad = _keep_first(bad, sound, lambda: batch)
        parts |= {"grad_norm": norm, "skipped_updates": 1.0 - sound, "updated": learn * sound}
        return (actor, state, learn, bad), parts

    def critic_step(carry, rows):
        critic, state = carry
        batch = minibatch(small, rows)
        loss = lambda critic: critic_loss(params._replace(critic=critic), agent, batch, config)  # noqa: E731
        value, grads = jax.value_and_grad(loss)(critic)
        critic, state, sound, norm = _apply(critic_adam, critic, state, grads, jnp.bool_(True))
        return (critic, state), (value, norm, 1.0 - sound)

    rows = shuffled(key_policy, length, num_envs, config.epochs, config.minibatches)
    start = jax.tree.map(jnp.zeros_like, minibatch(data, rows[0]))
    carry = (params.actor, opt_state[0], learn_policy, BadBatch(jnp.bool_(False), start))
    (actor, policy_state, _, bad), parts = jax.lax.scan(policy_step, carry, rows)
    # The critic needs no pictures: leave them out of its minibatches.
    small = data._replace(obs=None, chain=None, located=None)
    rows = shuffled(key_critic, length, num_envs, config.critic_epochs, config.minibatches)
    carry = (params.critic, opt_state[1])
    (critic, critic_state), (values, norms, skipped) = jax.lax.scan(critic_step, carry, rows)
    worst = skipped.argmax()  # the first, as they are 0 or 1
    bad = _keep_first(bad, 1.0 - skipped[worst], lambda: minibatch(data, rows[worst]))
    metrics = {name: jnp.mean(x) for name, x in parts.items()}
    metrics |= {"value_loss": values[-1], "critic_grad_norm": norms.mean()}
    metrics["first_ratio_error"] = parts["max_ratio_error"][0]
    metrics["skipped_updates"] = parts["skipped_updates"].sum()
    metrics["skipped_critic_updates"] = skipped.sum()
    return Params(actor, critic, params.frozen), (policy_state, critic_state), metrics, bad


def shuffled(
    key: jax.Array, length: int, num_envs: int, epochs: int, minibatches: int
) -> jax.Array:
    """Times i32[epochs * minibatches, length / minibatches, N]: which chunks a minibatch takes.

    Every environment's chunks are shuffled apart, and a minibatch takes equally many of each: on
    several devices no sample then leaves the device that collected it, and the minibatches are the
    same on any number of devices.
    """
    check_minibatches(length, minibatches)
    order = jnp.argsort(jax.random.uniform(key, (epochs, length, num_envs)), axis=1)
    return order.reshape(epochs * minibatches, -1, num_envs)


def check_minibatches(length: int, minibatches: int) -> None:
    """ValueError unless every environment's chunks divide evenly among the minibatches."""
    if length % minibatches:
        raise ValueError(
            f"a rollout of length {length} does not divide into {minibatches} minibatches: "
            "choose a length that is a multiple of it"
        )


def minibatch(data: Transitions, rows: jax.Array) -> Transitions:
    """The chunks at times `rows` i32[R, N] of transitions [T, N]: leading axis [N R]."""

    def pick(x: jax.Array) -> jax.Array:
        x = jax.vmap(lambda column, at: column[at], in_axes=(1, 1))(x, rows)
        return x.reshape(-1, *x.shape[2:])

    return jax.tree.map(pick, data)


def _keep_first(bad: BadBatch, sound: jax.Array, batch: Callable[[], Transitions]) -> BadBatch:
    """The first minibatch that was not sound; gathered and copied only then."""
    take = (sound == 0.0) & ~bad.found
    kept = jax.lax.cond(take, batch, lambda: bad.batch)
    return BadBatch(bad.found | take, kept)


def _apply(adam, params, state, grads, wanted: jax.Array):
    """One optimizer step if it is wanted and finite; also returns whether it is, and the norm."""
    norm = optax.tree.norm(grads)
    changes, new_state = adam.update(grads, state, params)
    sound = jnp.isfinite(norm)
    new = (optax.apply_updates(params, changes), new_state)
    take = sound & wanted
    params, state = jax.tree.map(lambda a, b: jnp.where(take, a, b), new, (params, state))
    return params, state, sound.astype(jnp.float32), norm
