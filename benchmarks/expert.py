"""The scripted expert's success: `python -m benchmarks.expert [--quick] [--json] [--save]`.

Rows `expert.native` and `expert.mjx` give the fraction of episodes that the expert solves on
generated scenes, with its 95 % interval. Episode i starts alike in both engines (same scene, same
random start), so the rows of MJX also say what native made of the very same episodes. On a CPU,
where MJX is slow, it plays fewer of them, and only easy scenes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import vla_jax as vj
from benchmarks import common
from generation.layout import Difficulty
from sim.env import Env
from sim.expert import expert_action
from sim.physics import get_physics
from sim.scene_batch import SceneBatch
from vla_jax.demo import TRAIN_SENTENCES
from vla_jax.evaluation import wilson_interval

UNIT = "episodes solved"
NUM_SCENES, EPISODES = 64, 256
MJX_EPISODES = 64  # on a CPU
NUM_ENVS_CPU, NUM_ENVS = 16, 256
SEGMENT = 20  # control steps between two looks whether all episodes are over


@dataclass(frozen=True)
class World:
    """Scenes, and an environment over them."""

    env: Env
    batch: SceneBatch
    difficulty: Difficulty


class Played(NamedTuple):
    """Outcome of E episodes, and what they took."""

    success: np.ndarray  # bool[E]
    broken: np.ndarray  # bool[E] NaN in the physics
    length: np.ndarray  # i32[E] control steps
    saturated: np.ndarray  # i32[E] control steps with more contacts than there is room for
    compile_s: float
    wall_s: float


def make_world(num_envs: int, num_scenes: int, difficulty: Difficulty, mjx: bool) -> World:
    """Generated scenes and environments with the default randomization."""
    scenes = vj.design(list(TRAIN_SENTENCES), n=num_scenes, seed=0, difficulty=difficulty)
    backend = "mjx" if mjx else "native"
    env, batch = vj.make_env(scenes, num_envs=num_envs, backend=backend, image_size=8, wrist_size=8)
    return World(env, batch, difficulty)


def play(world: World, engine: str, episodes: int, seed: int = 0) -> Played:
    """The expert in `episodes` episodes, scene i mod S in episode i.

    Args:
        world: where; built with MJX arrays if the engine is mjx.
        engine: name of the physics.
        episodes: a multiple of the number of environments.
        seed: of the random starts, the same for every engine.
    """
    env, batch = replace(world.env, physics=get_physics(engine)), world.batch
    n = env.num_envs

    def segment(batch: SceneBatch, state: Any) -> tuple[Any, Any]:
        def act(state: Any, step: jax.Array) -> tuple[jax.Array, None]:
            view, turn = env.view(batch, state), env.tool_yaw(state)
            return expert_action(view, env.rig.robot, turn), None

        state, out, _ = env.run_chunk(batch, state, act, SEGMENT)
        facts = (out.info[name] for name in ("broken", "length", "saturated"))
        return state, (out.terminated | out.truncated, out.success, *facts)

    reset = jax.jit(env.reset_to)
    start = lambda i: reset(  # noqa: E731
        batch, jax.random.fold_in(jax.random.key(seed), i), (i + jnp.arange(n)) % batch.num_scenes
    )[0]
    program, compile_s = common.compiled(segment, batch, start(0))
    begin = time.perf_counter()
    parts = [_episodes(lambda s: program(batch, s), start(i), n) for i in range(0, episodes, n)]
    wall_s = time.perf_counter() - begin
    success, broken, length, saturated = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Played(success, broken, length, saturated, compile_s, wall_s)


def _episodes(program: Any, state: Any, n: int) -> tuple[np.ndarray, ...]:
    """Plays until every environment has ended once: success, broken, length, saturated [n]."""
    running = np.ones(n, bool)
    success, broken = np.zeros(n, bool), np.zeros(n, bool)
    length, saturated = np.zeros(n, np.int32), np.zeros(n, bool)
    while running.any():
        state, out = program(state)
        over, solved, nan, steps, full = (np.asarray(x) for x in out)
        saturated |= full & running
        ended = running & over
        success |= ended & solved
        broken |= ended & nan
        length = np.where(ended, steps, length)
        running &= ~over
    return success, broken, length, saturated


def row(world: World, engine: str, played: Played, **more: Any) -> common.Row:
    """Success of one engine with its 95 % interval."""
    episodes, solved = len(played.success), int(played.success.sum())
    return {
        "name": f"expert.{engine}",
        "value": round(solved / episodes, 4),
        "unit": UNIT,
        "ci95": [round(x, 4) for x in wilson_interval(solved, episodes)],
        "episodes": episodes,
        "difficulty": world.difficulty,
        "num_scenes": world.batch.num_scenes,
        "broken": int(played.broken.sum()),
        "mean_steps": round(float(played.length.mean()), 2),
        "saturated_steps": round(float(played.saturated.sum() / played.length.sum()), 5),
        "wall_s": round(played.wall_s, 1),
        "compile_s": round(played.compile_s, 2),
        "device": "cpu" if engine == "native" else jax.devices()[0].device_kind,
        "num_envs": world.env.num_envs,
        **more,
        **common.machine(),
    }


def compare(
    num_envs: int, num_scenes: int, difficulty: Difficulty, episodes: int, mjx_episodes: int
) -> list[common.Row]:
    """Row of native, and of MJX unless it plays no episodes."""
    world = make_world(num_envs, num_scenes, difficulty, mjx=mjx_episodes > 0)
    native = play(world, "native", episodes)
    result = [row(world, "native", native)]
    if mjx_episodes:
        mjx = play(world, "mjx", mjx_episodes)
        twin = native.success[:mjx_episodes]
        same = float((twin == mjx.success).mean())
        beside = {"native_same_episodes": round(float(twin.mean()), 4), "same_outcome": same}
        capacity = world.batch.mjx.capacity if world.batch.mjx else None
        room = {"pairs": capacity.pairs, "contacts": capacity.contacts} if capacity else {}
        result.append(row(world, "mjx", mjx, **beside, **room))
    return result


def rows(quick: bool = False) -> list[common.Row]:
    """Rows `expert.native` and `expert.mjx`, for easy and full scenes."""
    if quick:
        return compare(8, 8, "easy", 16, 8)
    cpu = jax.default_backend() == "cpu"
    envs, mjx_episodes = (NUM_ENVS_CPU, MJX_EPISODES) if cpu else (NUM_ENVS, EPISODES)
    easy = compare(envs, NUM_SCENES, "easy", EPISODES, mjx_episodes)
    return easy + compare(envs, NUM_SCENES, "full", EPISODES, 0 if cpu else mjx_episodes)


if __name__ == "__main__":
    common.main("expert", rows, (__doc__ or "").splitlines()[0])
