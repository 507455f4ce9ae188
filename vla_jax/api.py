"""The library's front door: environments from scenes, policies from runs, evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np

from generation.compile import SlotTemplate
from generation.spec import SceneSpec
from sim.buckets import make_room
from sim.env import Env, EnvConfig
from sim.physics.base import get_physics
from sim.rig import make_rig
from sim.robots import get_robot
from sim.scene_batch import SceneBatch, build_scene_batch
from sim.view import check_camera
from vla_jax.evaluation import EvalResult, run_evaluation
from vla_jax.run import Policy, load_policy
from vla_jax.tokenizers import Tokenizer, WordTokenizer

__all__ = ["build_env", "build_batch", "evaluate", "load_policy", "make_env"]

# Wordings kept per scene.
PHRASES = 8


if TYPE_CHECKING:
    from sim.physics.mjx_capacity import Capacity

# What an engine needs of `build_scene_batch`.
_MJX: dict[str, bool | Literal["warp"]] = {"mjx": True, "mjx-warp": "warp"}


def build_batch(
    scenes: Sequence[SceneSpec],
    tokenizer: Tokenizer,
    *,
    robot: str = "widowx",
    template: SlotTemplate | None = None,
    backend: str = "auto",
    panoramas: Sequence[np.ndarray] = (),
    rows: int | None = None,
    capacity: Capacity | None = None,
) -> SceneBatch:
    """Compile scenes into one batch, instructions as the tokenizer's ids.

    Batches of one `template` (see `generation.compile.slot_template`) and as many `rows` (see
    `sim.buckets.make_room`) share compiled programs; on MJX if they also have one `capacity`.
    """
    tokens = tokenizer.encode_scenes(scenes, tokenizer.length, PHRASES)
    mjx = _MJX.get(get_physics(backend).name, False)
    batch = build_scene_batch(
        scenes,
        get_robot(robot),
        tokens,
        template=template,
        mjx=mjx,
        panoramas=panoramas,
        capacity=capacity,
    )
    check_camera(make_rig(get_robot(robot)), batch, scenes)
    return batch if rows is None else make_room(batch, rows)


def build_env(
    num_envs: int, config: EnvConfig, *, backend: str = "auto", robot: str = "widowx"
) -> Env:
    """An environment of `num_envs` parallel copies; ValueError names what is out of range."""
    return Env(config, make_rig(get_robot(robot)), get_physics(backend), num_envs)


def make_env(
    scenes: Sequence[SceneSpec],
    num_envs: int = 64,
    backend: str = "auto",
    image_size: int = 64,
    *,
    robot: str = "widowx",
    tokenizer: Tokenizer | None = None,
    panoramas: Sequence[np.ndarray] = (),
    **settings: Any,
) -> tuple[Env, SceneBatch]:
    """Environments over generated scenes.

    Args:
        scenes: at least one scene; they may hold different objects.
        num_envs: N parallel environments.
        backend: physics engine, "native" (CPU), "mjx" (accelerators), "mjx-warp" (its second
            implementation, for NVIDIA GPUs) or "auto".
        image_size: side of the fixed camera's picture, pixels.
        robot: name in the robot registry.
        tokenizer: of a trained policy; by default one made of the scenes' own words.
        panoramas: u8[h, w, 3] equirectangular pictures of surroundings, given to scenes in turn
            instead of their own rooms.
        **settings: further fields of EnvConfig.

    Returns:
        the environment (pure functions) and the scenes as a pytree to pass to them.

    Raises:
        ValueError: no scenes, zero environments, an unknown backend, robot or setting, or a
            camera inside something.
    """
    known = {f.name for f in dataclasses.fields(EnvConfig)}
    if unknown := sorted(set(settings) - known):
        raise ValueError(f"unknown environment settings {unknown}: choose from {sorted(known)}")
    if tokenizer is None:
        tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    config = EnvConfig(image_size=image_size, **settings)
    env = build_env(num_envs, config, backend=backend, robot=robot)
    batch = build_batch(scenes, tokenizer, robot=robot, backend=backend, panoramas=panoramas)
    return env, batch


def evaluate(
    policy: Policy,
    scenes: Sequence[SceneSpec],
    episodes: int = 256,
    seed: int = 0,
    *,
    num_envs: int | None = None,
    backend: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> EvalResult:
    """Success of a policy on scenes, in the environment it was trained for.

    Args:
        policy: from `load_policy`.
        scenes: played in turn.
        episodes: how many episodes in all.
        seed: two policies with the same scenes, seed, episodes and num_envs meet the same starts.
        num_envs: parallel environments, at most 256 by default.
        backend: physics engine.
        progress: called with (episodes played, episodes).
    """
    env = build_env(num_envs or min(episodes, 256), policy.env, backend=backend)
    batch = build_batch(scenes, policy.tokenizer, backend=backend)
    params = jax.device_put(policy.params)
    return run_evaluation(env, policy.agent, params, batch, list(scenes), episodes, seed, progress)
