"""One PPO iteration — rollout, advantages, epochs of minibatches — as one compiled call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from vla_jax.distributed import compiled
from vla_jax.rl.agent import Agent, Params
from vla_jax.rl.ppo import PPOConfig, init_optimizers
from vla_jax.rl.rollout import collect
from vla_jax.rl.update import BadBatch, check_minibatches, update
from vla_jax.sharding import ShardedEnv, param_shardings, row_shardings, same_everywhere


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that the next iteration depends on; what a checkpoint holds."""

    params: Params
    opt_state: Any
    env: Any
    obs: Any
    key: jax.Array
    iteration: jax.Array  # i32[]
    solved: jax.Array  # f32[S] running success rate of every training scene


def init_train_state(params: Params, env, batch, config: PPOConfig, seed: int) -> TrainState:
    """A fresh run from the parameters of a pretrained policy.

    With a `ShardedEnv`, `params` and `batch` lie on its mesh already (`sharding.put`).
    """
    if isinstance(env, ShardedEnv):
        begin = lambda params, batch: _fresh(params, env, batch, config, seed)  # noqa: E731
        at = state_shardings(jax.eval_shape(begin, params, batch), env)
        return compiled(jax.jit(begin, out_shardings=at), params, batch)(params, batch)
    return _fresh(params, env, batch, config, seed)


def state_shapes(params: Params, env, batch, config: PPOConfig, seed: int) -> TrainState:
    """Shapes of `init_train_state`, and where it lies on the mesh of a `ShardedEnv`."""
    begin = lambda params, batch: _fresh(params, env, batch, config, seed)  # noqa: E731
    shapes = jax.eval_shape(begin, params, batch)
    if not isinstance(env, ShardedEnv):
        return shapes
    place = lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at)  # noqa: E731
    return jax.tree.map(place, shapes, state_shardings(shapes, env))


def state_shardings(state: TrainState, env: ShardedEnv) -> TrainState:
    """Where each array of a run lies on the environment's mesh."""
    everywhere = same_everywhere(state, env.mesh)
    trained = (state.params, state.opt_state)
    params, opt_state = param_shardings(trained, env.mesh, env.fsdp_threshold)
    rows, obs = row_shardings((state.env, state.obs), env.mesh)
    return replace(everywhere, params=params, opt_state=opt_state, env=rows, obs=obs)


def _fresh(params: Params, env, batch, config: PPOConfig, seed: int) -> TrainState:
    key_env, key = jax.random.split(jax.random.key(seed))
    state, obs = jax.jit(env.reset)(batch, key_env)
    start = TrainState(
        params=params,
        opt_state=init_optimizers(params, config),
        env=state,
        obs=obs,
        key=key,
        iteration=jnp.int32(0),
        solved=jnp.full(batch.num_scenes, 0.5),
    )
    return jax.tree.map(_own, start)


def _own(x: jax.Array) -> jax.Array:
    """A copy with a fixed dtype: a weakly typed leaf would compile the iteration twice."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return x.copy()
    return jnp.array(x, dtype=x.dtype)


def scene_logits(solved: jax.Array, focus: float) -> jax.Array:
    """Log-weights f32[S] of the scenes: those solved about half of the time come up most.

    With `focus` 0 all scenes are equally likely; a scene's weight never falls below 1/(1 + focus)
    of the largest.
    """
    return jnp.log1p(focus * 4.0 * solved * (1.0 - solved))


@functools.lru_cache(maxsize=4)
def make_iteration(
    env: Any, agent: Agent, config: PPOConfig, length: int, focus: float = 0.0
) -> Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array], BadBatch]]:
    """The jitted iteration: f(train state, scene batch) → (train state, metrics, bad minibatch).

    Args:
        env: the environment; its scenes are an argument of the returned function.
        agent: the policy's pure functions.
        config: PPO settings.
        length: action chunks per environment and iteration.
        focus: strength of the success-weighted choice of scenes.

    Raises:
        ValueError: if the chunks do not divide into the minibatches.
    """
    check_minibatches(length, config.minibatches)

    def iteration(state: TrainState, batch):
        key, key_rollout, key_update = jax.random.split(state.key, 3)
        logits = scene_logits(state.solved, focus)
        env_state, obs, data, stats, scalars = collect(
            state.params,
            agent,
            env,
            batch,
            state.env,
            state.obs,
            key_rollout,
            length,
            config,
            logits,
        )
        learn = state.iteration >= config.value_warmup
        params, opt_state, losses, bad = update(
            state.params, state.opt_state, agent, data, key_update, config, learn
        )
        seen = stats.episodes > 0
        rate = stats.successes / jnp.maximum(stats.episodes, 1.0)
        step = 0.2 * jnp.minimum(stats.episodes, 4.0) / 4.0
        solved = jnp.where(seen, state.solved + step * (rate - state.solved), state.solved)
        episodes, successes = stats.episodes.sum(), stats.successes.sum()
        metrics = losses | scalars
        metrics |= {
            "episodes": episodes,
            "successes": successes,
            "success_rate": successes / jnp.maximum(episodes, 1.0),
            "success_steps": stats.lengths.sum() / jnp.maximum(successes, 1.0),
            "broken": stats.broken.sum(),
        }
        new = TrainState(params, opt_state, env_state, obs, key, state.iteration + 1, solved)
        return new, metrics, bad

    if isinstance(env, ShardedEnv):
        return _Spread(iteration, env)
    return jax.jit(iteration, donate_argnums=0)


class _Spread:
    """The jitted iteration on a mesh: the state stays where it lies, metrics are everywhere."""

    def __init__(self, iteration: Callable, env: ShardedEnv):
        self._iteration, self._env = iteration, env
        self._programs: dict[Any, Callable] = {}

    def __call__(self, state: TrainState, batch):
        leaves, structure = jax.tree.flatten((state, batch))
        shapes = structure, tuple((x.shape, x.dtype) for x in leaves)
        if shapes not in self._programs:  # where the state lies depends on its shapes
            self._programs[shapes] = compiled(self, state, batch)
        return self._programs[shapes](state, batch)

    def lower(self, state: TrainState, batch) -> jax.stages.Lowered:
        """As of any jitted function."""
        at = state_shardings(state, self._env), NamedSharding(self._env.mesh, PartitionSpec()), None
        program = jax.jit(self._iteration, donate_argnums=0, out_shardings=at)
        return program.lower(state, batch)
