"""A single Gymnasium environment, for tools that know no vector environments."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from sim.adapters.gymnasium import GymVectorEnv, ResetNeeded, gymnasium
from sim.env import Env
from sim.scene_batch import SceneBatch


class GymEnv(gymnasium.Env):
    """One environment; `step` returns the episode's own last observation, then call `reset`.

    For tools that know no vector environments, and for Gymnasium's `check_env`.

    Args:
        env, batch, seed, observation, render_mode, render_size: see `GymVectorEnv`; of
            `env.num_envs` only one copy is made. `reset(options={"scene": 3})` chooses the scene.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012

    def __init__(
        self,
        env: Env,
        batch: SceneBatch,
        seed: int | None = None,
        *,
        observation: str = "policy",
        render_mode: str | None = None,
        render_size: int = 224,
    ) -> None:
        self._one = GymVectorEnv(
            dataclasses.replace(env, num_envs=1),
            batch,
            seed,
            observation=observation,
            render_mode=render_mode,
            render_size=render_size,
        )
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": env.config.control_hz}
        self.render_mode = render_mode
        self.observation_space = self._one.single_observation_space
        self.action_space = self._one.single_action_space
        self._np_random, self._np_random_seed = self._one._np_random, self._one._np_random_seed
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see `GymVectorEnv.reset`."""
        super().reset(seed=seed)
        options = dict(options or {})
        if "scene" in options:
            options["scene"] = [options["scene"]]
        self._one.np_random = self.np_random
        observation, info = self._one.reset(options=options)
        self._over = False
        return _first(observation), _single(info)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One control step.

        Raises:
            ResetNeeded: before the first `reset`, or after the end of an episode.
        """
        if self._over:
            raise ResetNeeded("step after the end of an episode: call reset() first")
        seen, reward, terminated, truncated, info = self._one.step(np.asarray(action)[None])
        self._over = bool(terminated[0] or truncated[0])
        last = info["final_obs"][0] if self._over else _first(seen)
        facts = _single(info["final_info"] if self._over else info)
        return last, float(reward[0]), bool(terminated[0]), bool(truncated[0]), facts

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A picture u8[size, size, 3] of the fixed camera."""
        pictures = self._one.render(ended=self._over)
        return None if pictures is None else pictures[0]

    def close(self) -> None:
        """See `GymVectorEnv.close`."""
        self._one.close()


def _first(observation: Any) -> Any:
    return jax.tree.map(lambda x: x[0].copy(), observation)


def _single(info: dict[str, Any]) -> dict[str, Any]:
    """The only environment's part of a vector environment's info."""
    names = ("scene", "length", "success", "broken", "saturated")
    return {name: info[name][0].item() for name in names if name in info}
