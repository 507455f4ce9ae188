"""Gymnasium environments over generated scenes: N at a time, or a single one.

    env, batch = vla_jax.make_env(scenes, num_envs=64)
    envs = GymVectorEnv(env, batch, seed=0)

Arrays cross to NumPy at every step; training in JAX is faster on `sim.env` itself.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.env import Env, where
from sim.scene_batch import SceneBatch
from sim.state import EnvState
from sim.types import Observation

try:
    import gymnasium
    from gymnasium.error import ResetNeeded
    from gymnasium.spaces import Box, Dict, Space
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError as error:
    raise ImportError(
        f"sim.adapters.gymnasium needs Gymnasium ({error}): pip install 'vla-jax[gym]'"
    ) from error

OBSERVATIONS = ("policy", "state")
_ACTIONS = 7
# Environments whose final observation is drawn at once; most steps end few episodes.
_GROUP = 8


class GymVectorEnv(VectorEnv):
    """N environments with same-step automatic reset (`AutoresetMode.SAME_STEP`).

    When an episode ends, `step` returns the first observation of the next one, in another random
    scene, and `info` holds the last of the old one in `final_obs[i]` and `final_info`, marked in
    `_final_obs` and `_final_info`, as in Gymnasium's own `SyncVectorEnv`. Actions are f32[N, 7] in
    [-1, 1], see `Env.step`. `info` has `scene` (index in the batch), `length` (control steps so
    far), and of steps `success`, `broken` (the physics diverged) and `saturated` (more contacts
    than the engine has room for); terminated also means that the target fell off the table for
    good.

    Rewards are f64[N]. Observations are new arrays in every call.

    Args:
        env: the environment; its number of copies is N.
        batch: its scenes.
        seed: of everything random until `reset(seed=...)` gives another; None draws one.
        observation: "policy": a dict of image u8[H, W, 3], wrist u8[h, w, 3], proprio f32[P] and
            instruction i32[L] (word tokens, 0 is padding); "state": f32[P + Q], proprioception
            and the privileged state that only a simulator knows (`Env.privileged`), no pictures.
        render_mode: "rgb_array" or None.
        render_size: side of the pictures of `render`, pixels.

    Raises:
        ValueError: unknown observation or render mode.
    """

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
        if observation not in OBSERVATIONS:
            raise ValueError(f"observation is {observation!r}: choose from {OBSERVATIONS}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode is {render_mode!r}: choose 'rgb_array' or None")
        super().__init__()
        self.env, self.batch, self.num_envs = env, batch, env.num_envs
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": env.config.control_hz,
            "autoreset_mode": AutoresetMode.SAME_STEP,
        }
        self.render_mode = render_mode
        self._np_random, self._np_random_seed = seeding.np_random(seed)
        self._programs = _programs(env, observation, render_size)
        shapes = jax.eval_shape(self._programs["reset"], batch, jax.random.key(0), None)[1]
        self.single_observation_space = _space(shapes)
        self.single_action_space = Box(-1.0, 1.0, (_ACTIONS,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._state: EnvState | None = None
        self._ended: EnvState | None = None  # before the last automatic reset
        self._length = np.zeros(self.num_envs, np.int32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start all environments, or some of them.

        Args:
            seed: the same seed gives the same episodes; None continues the present one's.
            options: `scene`: i32[N], scenes to start in instead of random ones; `reset_mask`:
                bool[N], environments to start, the others go on.

        Raises:
            ValueError: unknown options, or some of wrong shape or out of range.
            TypeError: a mask that is no array of booleans.
        """
        super().reset(seed=seed)
        scene, mask = self._read_options(options or {})
        key = jax.random.key(int(self.np_random.integers(2**32)))
        state, observation = self._programs["reset"](self.batch, key, scene)
        if mask is not None and not mask.all():
            if self._state is None:
                raise ResetNeeded("reset_mask before the first reset: reset all environments first")
            state, observation = self._programs["merge"](self.batch, mask, state, self._state)
        started = np.ones(self.num_envs, bool) if mask is None else mask
        self._state = state
        self._length[started] = 0
        return _numpy(observation), self._start_info(started)

    def step(
        self, actions: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control step of every environment; see the class about ends of episodes.

        Raises:
            ResetNeeded: before the first `reset`.
            ValueError: actions of another shape.
        """
        if self._state is None:
            raise ResetNeeded("step before the first reset: call reset() first")
        actions = np.asarray(actions, np.float32)
        if actions.shape != self.action_space.shape:
            raise ValueError(
                f"actions have shape {actions.shape}, but {self.num_envs} environments need "
                f"{self.action_space.shape}"
            )
        self._state, ended, observation, out = self._programs["step"](
            self.batch, self._state, actions
        )
        self._ended = ended
        out = {name: np.array(value) for name, value in out.items()}
        done = out["terminated"] | out["truncated"]
        self._length = np.where(done, 0, out["length"]).astype(np.int32)
        info = self._start_info(np.ones(self.num_envs, bool))
        facts = {name: out[name] for name in ("success", "broken", "saturated")}
        if not done.all():
            _add(info, facts, ~done)
        if done.any():
            last = _add({}, facts | {name: out[name] for name in ("scene", "length")}, done)
            info |= {"final_obs": self._final_observations(ended, done), "_final_obs": done.copy()}
            info |= {"final_info": last, "_final_info": done.copy()}
        reward = out["reward"].astype(np.float64)
        return _numpy(observation), reward, out["terminated"], out["truncated"], info

    def render(self, *, ended: bool = False) -> tuple[np.ndarray, ...] | None:
        """Pictures u8[size, size, 3] of the fixed camera, one per environment.

        Args:
            ended: as they were before the last step's automatic reset.
        """
        if self.render_mode is None:
            gymnasium.logger.warn("render() without a render_mode: pass render_mode='rgb_array'")
            return None
        if self._state is None:
            raise ResetNeeded("render before the first reset: call reset() first")
        return tuple(
            np.array(self._programs["render"](self.batch, self._ended if ended else self._state))
        )

    def close_extras(self, **kwargs: Any) -> None:
        """Forget the state; scenes and compiled programs go with their last user."""
        self._state = None

    def _read_options(
        self, options: Mapping[str, Any]
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        if unknown := sorted(set(options) - {"scene", "reset_mask"}):
            raise ValueError(f"unknown reset options {unknown}: choose 'scene' or 'reset_mask'")
        scene, mask = options.get("scene"), options.get("reset_mask")
        shape = (self.num_envs,)
        if scene is not None:
            scene = np.asarray(scene, np.int32)
            if scene.shape != shape or not ((scene >= 0) & (scene < self.batch.num_scenes)).all():
                raise ValueError(
                    f"options['scene'] is {scene.tolist()}: give {self.num_envs} numbers from 0 to "
                    f"{self.batch.num_scenes - 1}"
                )
        if mask is not None:
            if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
                raise TypeError(f"options['reset_mask'] is {mask!r}: give a NumPy array of bool")
            if mask.shape != shape or not mask.any():
                raise ValueError(
                    f"options['reset_mask'] is {mask.tolist()}: give {self.num_envs} booleans, at "
                    "least one of them true"
                )
        return scene, mask

    def _start_info(self, mask: np.ndarray) -> dict[str, Any]:
        assert self._state is not None
        now = {"scene": np.array(self._state.scene), "length": self._length.copy()}
        return _add({}, now, mask)

    def _final_observations(self, ended: EnvState, done: np.ndarray) -> np.ndarray:
        """Object array [N]: what the environments that are done saw last, None elsewhere.

        Only the environments that are done are drawn, a few at a time.
        """
        final = np.full(self.num_envs, None, dtype=object)
        rows = np.flatnonzero(done)
        group = min(_GROUP, self.num_envs)
        for first in range(0, len(rows), group):
            part = rows[first : first + group]
            padded = np.resize(part, group)
            seen = _numpy(self._programs["look"](self.batch, ended, padded))
            for i, row in enumerate(part):
                final[row] = jax.tree.map(lambda x: x[i].copy(), seen)  # noqa: B023
        return final


@functools.lru_cache(maxsize=8)
def _programs(env: Env, observation: str, size: int) -> dict[str, Any]:
    """The compiled functions, shared by equal environments; scenes are always an argument."""

    def look(batch: SceneBatch, state: EnvState, seen: Observation) -> Any:
        if observation == "state":
            return jnp.concatenate([seen.proprio, env.privileged(batch, state)], axis=-1)
        return {name: getattr(seen, name) for name in ("image", "wrist", "proprio", "instruction")}

    def reset(batch, key, scene):
        state, seen = (
            env.reset(batch, key) if scene is None else env.reset_to(batch, key, jnp.asarray(scene))
        )
        return state, look(batch, state, seen)

    def merge(batch, mask, new, old):
        state = where(mask, new, old)
        return state, look(batch, state, env.observe(batch, state))

    def step(batch, state, actions):
        after, outcome, _ = env.advance(batch, state, lambda *_: (actions, None), 1)
        state, out = env.renew(batch, after, outcome)
        facts = {name: getattr(out, name) for name in ("reward", "terminated", "truncated")}
        facts |= {"success": out.success}
        facts |= {name: out.info[name] for name in ("length", "broken", "saturated", "scene")}
        return state, after, look(batch, state, out.observation), facts

    def look_at(batch, state, rows):
        state = jax.tree.map(lambda x: x[rows], state)
        return look(batch, state, env.observe(batch, state))

    return {
        "reset": jax.jit(reset),
        "merge": jax.jit(merge),
        "step": jax.jit(step),
        "look": jax.jit(look_at),
        "render": jax.jit(lambda batch, state: env.render(batch, state, size)),
    }


def _space(shapes: Any) -> Space:
    """The space of one environment's observation, from arrays with a leading axis N."""
    if isinstance(shapes, dict):
        return Dict({name: _space(part) for name, part in shapes.items()})
    shape, dtype = shapes.shape[1:], np.dtype(shapes.dtype)
    if dtype == np.uint8:
        return Box(0, 255, shape, np.uint8)
    if dtype.kind == "i":
        return Box(0, int(np.iinfo(dtype).max), shape, dtype.type)
    return Box(-np.inf, np.inf, shape, dtype.type)


def _numpy(tree: Any) -> Any:
    """New, writable arrays on the host."""
    return jax.tree.map(np.array, tree)


def _add(info: dict[str, Any], facts: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, Any]:
    """Put arrays [N] into `info` as Gymnasium does: 0 where they do not apply, and a mask each."""
    for name, value in facts.items():
        info[name] = np.where(mask, value, np.zeros((), value.dtype))
        info[f"_{name}"] = mask.copy()
    return info
