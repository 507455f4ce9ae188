"""Collect experience: T action chunks in N environments, then advantages. Pure and jittable."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vla_jax.rl.agent import Agent, Params
from vla_jax.rl.gae import generalized_advantages
from vla_jax.rl.ppo import PPOConfig, Transitions


class EpisodeStats(NamedTuple):
    """Sums over the episodes that ended in a rollout, per scene: f32[S] each."""

    episodes: jax.Array
    successes: jax.Array
    lengths: jax.Array  # control steps of the successful ones
    broken: jax.Array  # ended by a NaN in the physics


def collect(
    params: Params,
    agent: Agent,
    env: Any,
    batch: Any,
    state: Any,
    obs: Any,
    key: jax.Array,
    length: int,
    config: PPOConfig,
    scene_logits: jax.Array | None = None,
) -> tuple[Any, Any, Transitions, EpisodeStats, dict[str, jax.Array]]:
    """Run the stochastic policy for `length` chunks in every environment.

    Args:
        params, agent: the policy.
        env, batch, state, obs: the environment, its scenes, state and current observation.
        key: random key.
        length: T, chunks.
        config: discount and λ.
        scene_logits: f32[S] log-weights with which resets choose scenes; uniform if None.

    Returns:
        state, obs, transitions with leading axes [T, N], per-scene episode sums, and scalars.
    """
    num_scenes = batch.num_scenes

    def step(carry, key):
        state, obs = carry
        privileged = env.privileged(batch, state)
        chain, log_prob = agent.sample(params, obs, key)
        located = env.located(batch, state)
        state, out = env.step_chunk(batch, state, agent.action(chain), scene_logits)
        done = out.terminated | out.truncated
        stats = EpisodeStats(
            *(
                jax.ops.segment_sum(x.astype(jnp.float32), out.info["scene"], num_scenes)
                for x in (
                    done,
                    out.success,
                    out.info["length"] * out.success,
                    out.info["broken"],
                )
            )
        )
        kept = {
            "obs": obs,
            "privileged": privileged,
            "located": located,
            "chain": chain,
            "log_prob": log_prob,
            "value": agent.value(params, privileged),
            "next_value": agent.value(params, out.info["privileged"]),
            "reward": out.reward,
            "terminated": out.terminated,
            "truncated": out.truncated,
            "saturated": out.info["saturated"],
            "scene": out.info["scene"],
            "valid": 1.0 - out.info["broken"].astype(jnp.float32),
        }
        return (state, out.observation), (kept, stats)

    (state, obs), (kept, stats) = jax.lax.scan(step, (state, obs), jax.random.split(key, length))
    advantage, target = generalized_advantages(
        kept["reward"],
        kept["value"],
        kept["next_value"],
        kept["terminated"],
        kept["truncated"],
        discount=config.discount,
        lam=config.lam,
    )
    explained = 1.0 - jnp.var(target - kept["value"]) / (jnp.var(target) + 1e-8)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    data = Transitions(
        obs=kept["obs"],
        privileged=kept["privileged"],
        located=kept["located"],
        chain=kept["chain"],
        log_prob=kept["log_prob"],
        value=kept["value"],
        advantage=advantage,
        value_target=target,
        valid=kept["valid"],
        scene=kept["scene"],
    )
    scalars = {
        "reward": kept["reward"].sum(0).mean(),
        "explained_variance": explained,
        "saturated": kept["saturated"].astype(jnp.float32).mean(),
    }
    return state, obs, data, jax.tree.map(lambda x: x.sum(0), stats), scalars
