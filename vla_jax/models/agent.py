"""The policy as pure functions of its parameters: the only thing the RL core and the tools see."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
from flax import nnx

from vla_jax.models.config import PolicyConfig
from vla_jax.models.policy import VLA
from vla_jax.rl.flow import chain_log_prob, integrate, sample_chain
from vla_jax.rl.ppo import Agent

# Flow times and noises per picture in imitation: the prefix is by far the dearer part.
_FLOW_SAMPLES = 4


def init_params(config: PolicyConfig, seed: int) -> nnx.State:
    """Fresh parameters of the policy, a pytree of arrays."""
    return nnx.state(VLA(config, rngs=nnx.Rngs(seed)), nnx.Param)


def _merger(config: PolicyConfig) -> Callable[[nnx.State], VLA]:
    """parameters -> module, without ever making parameters of its own."""
    graph, _ = nnx.split(nnx.eval_shape(lambda: VLA(config, rngs=nnx.Rngs(0))), nnx.Param)
    return lambda params: nnx.merge(graph, params)


@functools.lru_cache(maxsize=8)
def make_agent(config: PolicyConfig, flow_steps: int = 1) -> Agent:
    """Pure functions of the policy with `flow_steps` (K) integration steps of the flow."""
    merge = _merger(config)

    def shape(obs) -> tuple[int, int, int]:
        return obs.proprio.shape[0], config.chunk, config.action

    def sample(params, obs, key):
        vla = merge(params)
        prefix, _ = vla.see(obs)
        return sample_chain(lambda x, t: vla.velocity(prefix, x, t), key, shape(obs), flow_steps)

    def evaluate(params, obs, chain, located):
        vla = merge(params)
        prefix, sight = vla.see(obs)
        log_prob, entropy = chain_log_prob(lambda x, t: vla.velocity(prefix, x, t), chain)
        return log_prob, entropy, vla.localization_loss(sight, located)[0]

    def value(params, privileged):
        return merge(params).value(privileged)

    def act(params, obs, key):
        vla = merge(params)
        prefix, _ = vla.see(obs)
        return integrate(lambda x, t: vla.velocity(prefix, x, t), key, shape(obs), flow_steps)

    def is_critic(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "value_layers" in jax.tree_util.keystr(path), params
        )

    return Agent(sample, evaluate, value, act, is_critic)


def make_imitation_loss(config: PolicyConfig):
    """Flow matching towards an expert's chunks, and the localization loss.

    Returns:
        f(params, obs, action f32[B, C, A], located f32[B, 16], has_action f32[B], key) ->
        (flow loss, localization loss, localization error in dm), each f32[]. Rows with `has_action`
        0 are stills without an action: they teach only where the named things are.
    """
    merge = _merger(config)

    def loss(params, obs, action, located, has_action, key):
        vla = merge(params)
        prefix, sight = vla.see(obs)
        key_noise, key_time, key_zero = jax.random.split(key, 3)
        # RL acts with a single integration step, whose input is pure noise: half of the samples
        # train that very point, the others the rest of the path.
        size = (_FLOW_SAMPLES, action.shape[0])
        time = jax.random.uniform(key_time, size) * jax.random.bernoulli(key_zero, 0.5, size)
        noise = jax.random.normal(key_noise, (_FLOW_SAMPLES, *action.shape))

        def squared_error(noise, time):
            t = time[:, None, None]
            velocity, _ = vla.velocity(prefix, (1.0 - t) * noise + t * action, time)
            return ((velocity - (action - noise)) ** 2).mean((1, 2))

        error = jax.vmap(squared_error)(noise, time).mean(0)
        flow = (error * has_action).sum() / (has_action.sum() + 1e-6)
        ground, error = vla.localization_loss(sight, located)
        return flow, ground.mean(), error.mean()

    return loss
