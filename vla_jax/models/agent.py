"""The policy as pure functions of its parameters: the only thing the RL core and the tools see."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from vla_jax.models.config import PolicyConfig
from vla_jax.models.policy import VLA
from vla_jax.rl.agent import Agent, Params
from vla_jax.rl.flow import (
    FLOW_NOISE,
    FlowConfig,
    chain_log_prob,
    count_terms,
    integrate,
    sample_chain,
)

# Flow times and noises per picture in imitation: the prefix is by far the dearer part.
_FLOW_SAMPLES = 4


def module_class(config: PolicyConfig) -> type:
    """π0's architecture if `config.pi0` gives its sizes, else the small one."""
    if config.pi0 is None:
        return VLA
    from vla_jax.models.pi0 import Pi0

    return Pi0


def make_module(config: PolicyConfig, seed: int):
    """The policy's module with fresh parameters."""
    return module_class(config)(config, rngs=nnx.Rngs(seed))


def init_params(config: PolicyConfig, seed: int) -> Params:
    """Fresh parameters of the policy."""
    if config.pi0 is not None:
        from vla_jax.models.pi0 import fresh_params

        return split_params(fresh_params(config, seed), config)
    return split_params(nnx.state(make_module(config, seed), nnx.Param), config)


def param_shapes(config: PolicyConfig) -> Params:
    """The shapes of the policy's parameters; nothing is allocated."""
    module = nnx.eval_shape(lambda: make_module(config, 0))
    return split_params(nnx.state(module, nnx.Param), config)


def split_params(state: nnx.State, config: PolicyConfig) -> Params:
    """A module's parameters by what trains them."""
    module = module_class(config)

    def only(role: str):
        return lambda path, _: module.role(path, config) == role

    return Params(*nnx.split_state(state, only("actor"), only("critic"), only("frozen")))


def sort_params(params: Params, config: PolicyConfig) -> Params:
    """The same parameters, sorted anew by what trains them under another freeze rule."""
    return split_params(nnx.merge_state(*params), config)


def merger(config: PolicyConfig) -> Callable:
    """parameters -> module, without ever making parameters of its own."""
    graph, _ = nnx.split(nnx.eval_shape(lambda: make_module(config, 0)), nnx.Param)

    def merge(params: Params):
        actor = params.actor
        if config.dtype == "bfloat16":
            # The critic is small and sees no picture: it stays in float32.
            actor = jax.tree.map(lambda x: x.astype(jnp.bfloat16), actor)
        return nnx.merge(graph, actor, params.critic, params.frozen)

    return merge


@functools.lru_cache(maxsize=16)
def make_agent(config: PolicyConfig, flow: FlowConfig = FLOW_NOISE) -> Agent:
    """Pure functions of the policy with `config.flow_steps` (K) integration steps of the flow."""
    merge = merger(config)
    module = nnx.eval_shape(lambda: make_module(config, 0))
    steps, horizon, executed = config.flow_steps, module.horizon, module.executed

    def shape(obs) -> tuple[int, int, int]:
        return obs.proprio.shape[0], *horizon

    def sample(params, obs, key):
        vla = merge(params)
        prefix, _ = vla.see(obs)
        flowing = lambda x, t: vla.velocity(prefix, x, t)  # noqa: E731
        return sample_chain(flowing, key, shape(obs), steps, flow, executed)

    def evaluate(params, obs, chain, located):
        vla = merge(params)
        prefix, sight = vla.see(obs)
        flowing = lambda x, t: vla.velocity(prefix, x, t)  # noqa: E731
        log_prob, entropy = chain_log_prob(flowing, chain, flow, executed)
        return log_prob, entropy, vla.localization_loss(sight, located)[0]

    def value(params, privileged):
        return merge(params).value(privileged)

    def act(params, obs, key):
        vla = merge(params)
        prefix, _ = vla.see(obs)
        x = integrate(lambda x, t: vla.velocity(prefix, x, t), key, shape(obs), steps)
        return module.to_env(x)

    def action(chain):
        return module.to_env(chain.x[:, -1])

    terms = count_terms(steps, flow, (config.chunk, config.action))
    return Agent(sample, evaluate, value, act, action, terms)


def make_imitation_loss(config: PolicyConfig):
    """Flow matching towards an expert's chunks, and the localization loss.

    Returns:
        f(params, obs, action f32[B, C, 7], located f32[B, 16], has_action f32[B], key) ->
        (flow loss, localization loss, localization error in dm), each f32[]. Rows with `has_action`
        0 are stills without an action: they teach only where the named things are.
    """
    merge = merger(config)

    def loss(params, obs, action, located, has_action, key):
        vla = merge(params)
        prefix, sight = vla.see(obs)
        key_noise, key_time = jax.random.split(key)
        target = vla.from_env(action)
        time = vla.flow_time(key_time, (_FLOW_SAMPLES, target.shape[0]))
        noise = jax.random.normal(key_noise, (_FLOW_SAMPLES, *target.shape))

        def squared_error(noise, time):
            t = time[:, None, None]
            velocity, _ = vla.velocity(prefix, (1.0 - t) * noise + t * target, time)
            return ((velocity - (target - noise)) ** 2).mean((1, 2))

        error = jax.vmap(squared_error)(noise, time).mean(0)
        flow = (error * has_action).sum() / (has_action.sum() + 1e-6)
        ground, error = vla.localization_loss(sight, located)
        return flow, ground.mean(), error.mean()

    return loss
