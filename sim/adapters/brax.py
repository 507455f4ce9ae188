"""Our environment for brax's trainers, with the state as its observation.

    from brax.training.agents.ppo import train as ppo
    env, batch = vla_jax.make_env(scenes, reward="shaped", episode_steps=100)
    ppo.train(BraxEnv(env, batch), episode_length=100, wrap_env_fn=wrap, num_envs=256, ...)

brax's usual wrapper turns single environments into many with `vmap` and restarts each from its own
first state again. Ours are many from the start and restart in another scene, so `wrap` replaces it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sim.env import Env
from sim.scene_batch import SceneBatch
from sim.types import Observation

try:
    from brax.envs.base import Env as BraxBase
    from brax.envs.base import State
except ImportError as error:
    raise ImportError(f"sim.adapters.brax needs brax ({error}): pip install 'vla-jax[brax]'") from (
        error
    )

_ACTIONS = 7


def trainer_problem() -> str | None:
    """Why brax's trainers cannot run on the installed JAX, or None if they can.

    brax 0.14.2 calls `jax.device_put_replicated`, which JAX 0.10 removed (brax issue 671).
    """
    if hasattr(jax, "device_put_replicated"):
        return None
    return (
        f"brax's trainers call jax.device_put_replicated, which JAX {jax.__version__} no longer "
        "has: install jax<0.10"
    )


class BraxEnv(BraxBase):
    """N environments as one `brax.envs.Env`, batched and resetting themselves.

    The observation is f32[N, P + Q]: proprioception and the privileged state that only a simulator
    knows (`Env.privileged`). Actions are f32[N, 7], see `Env.step`. `metrics` has `success`, 1 on
    the step that solves the task, so brax reports `eval/episode_success` as a success rate.

    The number of environments is that of the random keys given to `reset`; `env.num_envs` plays no
    role. The scenes are constants of the programs that brax compiles: a few hundred kB.

    Args:
        env: the environment; its pictures are never drawn.
        batch: its scenes.
    """

    def __init__(self, env: Env, batch: SceneBatch) -> None:
        self.env, self.batch = env, batch

    @property
    def observation_size(self) -> int:
        """P + Q."""
        state = jax.eval_shape(self.reset, jax.ShapeDtypeStruct((1, 2), jnp.uint32))
        return state.obs.shape[-1]

    @property
    def action_size(self) -> int:
        """Components of an action."""
        return _ACTIONS

    @property
    def backend(self) -> str:
        """Name of the physics engine."""
        return self.env.physics.name

    def reset(self, rng: jax.Array) -> State:
        """Start one environment per key, u32[N, 2].

        Raises:
            ValueError: a single key: brax's own wrapper called, and would `vmap` the physics.
        """
        if rng.ndim != 2:
            raise ValueError(
                f"reset got random keys of shape {rng.shape}, not (environments, 2): these "
                "environments are batched already; pass wrap_env_fn=sim.adapters.brax.wrap to "
                "ppo.train and leave use_pmap_on_reset on"
            )
        num = rng.shape[0]
        env = dataclasses.replace(self.env, num_envs=num)
        state, seen = env.reset(self.batch, rng[0])
        zero = jnp.zeros(num)
        totals = dict.fromkeys(("sum_reward", "length", "success"), zero)
        info = {
            "steps": zero,
            "truncation": zero,
            "time_out": zero,
            "episode_done": zero,
            "episode_metrics": totals,
        }
        return State(
            pipeline_state=state,  # pyright: ignore[reportArgumentType] brax's own wrappers copy it
            obs=self._look(state, seen),
            reward=zero,
            done=zero,
            metrics={"success": zero},
            info=info,
        )

    def step(self, state: State, action: jax.Array) -> State:
        """One control step; what ended starts anew, `done` and `truncation` say so."""
        after, out = self.env.step(self.batch, state.pipeline_state, action)  # pyright: ignore[reportArgumentType]
        truncation = out.truncated.astype(jnp.float32)
        done = jnp.maximum(out.terminated.astype(jnp.float32), truncation)
        success = out.success.astype(jnp.float32)
        length = out.info["length"].astype(jnp.float32)
        goes_on = 1.0 - state.info["episode_done"]
        before = state.info["episode_metrics"]
        totals = {
            "sum_reward": before["sum_reward"] * goes_on + out.reward,
            "length": length,
            "success": before["success"] * goes_on + success,
        }
        info = state.info | {
            "steps": length,
            "truncation": truncation,
            "time_out": truncation,
            "episode_done": done,
            "episode_metrics": totals,
        }
        return State(
            pipeline_state=after,  # pyright: ignore[reportArgumentType]
            obs=self._look(after, out.observation),
            reward=out.reward,
            done=done,
            metrics=state.metrics | {"success": success},
            info=info,
        )

    def _look(self, state: Any, seen: Observation) -> jax.Array:
        return jnp.concatenate([seen.proprio, self.env.privileged(self.batch, state)], axis=-1)


def wrap(
    env: BraxEnv,
    episode_length: int = 1000,
    action_repeat: int = 1,
    randomization_fn: Callable | None = None,
) -> BraxEnv:
    """What `wrap_env_fn` of brax's trainers wants: sets the length of episodes, nothing else.

    Args:
        env: from `BraxEnv`.
        episode_length: control steps.
        action_repeat: must be 1.
        randomization_fn: must be None: `EnvConfig.randomization` says what varies.

    Raises:
        ValueError: an argument that this environment cannot honour.
    """
    if action_repeat != 1:
        raise ValueError(f"action_repeat is {action_repeat}: use EnvConfig.control_hz instead")
    if randomization_fn is not None:
        raise ValueError("randomization_fn is given: use EnvConfig.randomization instead")
    config = dataclasses.replace(env.env.config, episode_steps=episode_length)
    return BraxEnv(dataclasses.replace(env.env, config=config), env.batch)
