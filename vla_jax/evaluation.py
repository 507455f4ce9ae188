"""Evaluation: fixed seeds, every scene alike, confidence intervals."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from generation.spec import SceneSpec
from sim.env import Env
from sim.scene_batch import SceneBatch
from vla_jax.rl.agent import Agent


@dataclass(frozen=True)
class EvalResult:
    """Outcome of an evaluation."""

    success_rate: float
    ci95: tuple[float, float]  # Wilson score interval
    episodes: int
    mean_time_to_success_s: float | None  # over the solved episodes
    broken: int  # episodes ended by a NaN in the physics; they count as failed
    per_scene: list[dict[str, Any]]  # scene (id), instruction, episodes, successes
    solved: list[bool]  # per episode, in the order of the seeds
    steps: list[int]  # control steps of each episode

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def wilson_interval(successes: int, episodes: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson, 1927)."""
    if episodes == 0:
        return 0.0, 1.0
    p, n = successes / episodes, episodes
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


@functools.lru_cache(maxsize=8)
def make_episode(env: Env, agent: Agent) -> Callable:
    """One whole episode per environment: (params, batch, key, scene i32[N]) → dict of [N].

    The policy acts without exploration noise. The result has `success`, `length` (control steps of
    the first episode) and `broken`.
    """
    chunks = env.config.episode_steps // env.config.chunk

    def run(params, batch: SceneBatch, key, scene):
        key_reset, key_act = jax.random.split(key)
        state, obs = env.reset_to(batch, key_reset, scene)
        n = scene.shape[0]
        first = {
            "success": jnp.zeros(n, bool),
            "length": jnp.full(n, env.config.episode_steps),
            "broken": jnp.zeros(n, bool),
        }

        def step(carry, key):
            state, obs, over, result = carry
            state, out = env.step_chunk(batch, state, agent.act(params, obs, key))
            ended = (out.terminated | out.truncated) & ~over
            news = {
                "success": out.success,
                "length": out.info["length"],
                "broken": out.info["broken"],
            }
            result = {k: jnp.where(ended, news[k], v) for k, v in result.items()}
            return (state, out.observation, over | ended, result), None

        carry = (state, obs, jnp.zeros(n, bool), first)
        (_, _, _, result), _ = jax.lax.scan(step, carry, jax.random.split(key_act, chunks))
        return result

    return jax.jit(run)


def run_evaluation(
    env: Env,
    agent: Agent,
    params: Any,
    batch: SceneBatch,
    scenes: Sequence[SceneSpec],
    episodes: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> EvalResult:
    """Play `episodes` episodes, scene i mod S in episode i, and summarize.

    Two policies evaluated with the same scenes, seed and number of environments meet the same
    starts, so their episodes can be compared one by one.
    """
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}: it must be at least 1")
    episode = make_episode(env, agent)
    n = env.num_envs
    scene = np.arange(-(-episodes // n) * n) % len(scenes)  # rows beyond them only fill a batch
    parts = []
    for i in range(0, len(scene), n):
        key = jax.random.fold_in(jax.random.key(seed), i)
        parts.append(jax.device_get(episode(params, batch, key, jnp.asarray(scene[i : i + n]))))
        progress(min(i + n, episodes), episodes)
    result = {k: np.concatenate([p[k] for p in parts])[:episodes] for k in parts[0]}
    return summarize(result, scene[:episodes], scenes, 1.0 / env.config.control_hz)


def summarize(
    result: dict[str, np.ndarray], scene: np.ndarray, scenes: Sequence[SceneSpec], seconds: float
) -> EvalResult:
    """Summary of played episodes.

    Args:
        result: of `make_episode`, each [E].
        scene: i[E] index into `scenes`.
        scenes: all that were played.
        seconds: a control step takes.
    """
    success, length = result["success"], result["length"]
    total, episodes = int(success.sum()), len(success)
    per_scene = [
        {
            "scene": spec.id,
            "instruction": spec.task.instruction,
            "episodes": int((scene == i).sum()),
            "successes": int(success[scene == i].sum()),
        }
        for i, spec in enumerate(scenes)
    ]
    return EvalResult(
        success_rate=total / episodes,
        ci95=wilson_interval(total, episodes),
        episodes=episodes,
        mean_time_to_success_s=float(length[success].mean() * seconds) if total else None,
        broken=int(result["broken"].sum()),
        per_scene=per_scene,
        solved=[bool(x) for x in success],
        steps=[int(x) for x in length],
    )
