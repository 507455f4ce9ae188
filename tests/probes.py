"""Tiny environments and agents with known answers, for the RL core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vla_jax.rl.agent import Agent, Params
from vla_jax.rl.flow import (
    FLOW_NOISE,
    FlowConfig,
    chain_log_prob,
    count_terms,
    integrate,
    sample_chain,
)


class ProbeObs(NamedTuple):
    goal: jax.Array  # f32[N]


class ProbeState(NamedTuple):
    goal: jax.Array  # f32[N]
    time: jax.Array  # i32[N]
    key: jax.Array  # key[N]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ProbeOut:
    observation: ProbeObs
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    success: jax.Array
    info: dict


@dataclass(frozen=True)
class Probe:
    """`length` steps an episode; each pays -(a - goal)² with a the mean of the action chunk.

    With `truncate` the episode is cut off rather than ended, so a constant reward of c is worth
    c / (1 - discount) everywhere.
    """

    num_envs: int
    length: int = 1
    truncate: bool = False
    constant: float | None = None
    axes: tuple[str, ...] = ()  # nothing here depends on all environments together

    def reset(self, batch, key):
        keys = jax.random.split(key, self.num_envs)
        state = self.start(batch, keys)
        return state, self.observe(batch, state)

    def reset_to(self, batch, key, scene):
        state = self.start(batch, jax.random.split(key, self.num_envs), scene)
        return state, self.observe(batch, state)

    def observe(self, batch, state):
        return ProbeObs(state.goal)

    def start(self, batch, keys, scene=0):
        split = jax.vmap(jax.random.split)(keys)
        goal = jax.vmap(lambda k: jax.random.uniform(k, minval=-0.8, maxval=0.8))(split[:, 0])
        goal = goal + scene
        return ProbeState(goal, jnp.zeros(keys.shape[0], jnp.int32), split[:, 1])

    def privileged(self, batch, state):
        return jnp.stack([state.goal, jnp.ones_like(state.goal)], -1)

    def located(self, batch, state):
        return jnp.zeros((state.goal.shape[0], 14))

    def step_chunk(self, batch, state, actions, scene_logits=None):
        error = actions.mean((1, 2)) - state.goal
        reward = -(error**2) if self.constant is None else jnp.full_like(error, self.constant)
        time = state.time + 1
        over = time >= self.length
        info = {
            "scene": jnp.zeros_like(time),
            "length": time,
            "broken": jnp.zeros_like(over),
            "saturated": jnp.zeros_like(over),
            "privileged": self.privileged(batch, state),
        }
        fresh = self.start(batch, state.key)
        held = ProbeState(state.goal, time, state.key)
        pick = lambda a, b: jnp.where(over, a, b)  # noqa: E731
        state = ProbeState(
            pick(fresh.goal, held.goal),
            pick(fresh.time, held.time),
            jax.random.wrap_key_data(
                jnp.where(
                    over[:, None], jax.random.key_data(fresh.key), jax.random.key_data(held.key)
                )
            ),
        )
        ended = jnp.zeros_like(over)
        terminated, truncated = (ended, over) if self.truncate else (over, ended)
        out = ProbeOut(ProbeObs(state.goal), reward, terminated, truncated, error**2 < 0.01, info)
        return state, out


class ProbeBatch(NamedTuple):
    """No scenes to speak of; `num_scenes` is static, as in a real batch."""

    nothing: float = 0.0

    @property
    def num_scenes(self) -> int:
        return 1


def probe_agent(steps: int = 1, std: float = 0.2, flow: FlowConfig = FLOW_NOISE) -> Agent:
    """A flow policy whose velocity is linear in the goal and in x; two numbers a dimension."""

    def velocity(params, obs):
        actor = params.actor

        def at(x, time):
            goal = obs.goal[:, None, None]
            v = actor["w"] * goal + actor["b"] - x + actor["t"] * time[:, None, None]
            return v, jnp.full_like(x, std) * jnp.exp(actor["s"])

        return at

    def sample(params, obs, key):
        shape = (obs.goal.shape[0], 2, 3)
        return sample_chain(velocity(params, obs), key, shape, steps, flow)

    def evaluate(params, obs, chain, located):
        log_prob, entropy = chain_log_prob(velocity(params, obs), chain, flow)
        return log_prob, entropy, jnp.zeros(obs.goal.shape[0])

    def value(params, privileged):
        return privileged @ params.critic["v"] + params.critic["v2"] * privileged[:, 0] ** 2

    def act(params, obs, key):
        return integrate(velocity(params, obs), key, (obs.goal.shape[0], 2, 3), steps)

    def action(chain):
        return chain.x[:, -1]

    return Agent(sample, evaluate, value, act, action, count_terms(steps, flow, (2, 3)))


def probe_params() -> Params:
    actor = {name: jnp.zeros((2, 3)) for name in ("w", "t", "s")} | {"b": jnp.full((2, 3), 0.3)}
    return Params(actor, {"v": jnp.zeros(2), "v2": jnp.zeros(())}, {})
