"""Short films of a policy at work, and the same episodes as files for MuJoCo's viewer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from generation.spec import SceneSpec
from sim.env import Env
from sim.randomize import Randomization
from sim.recording import Trajectory, save_recording, scene_mjcf
from sim.robots import get_robot
from sim.scene_batch import SceneBatch
from sim.state import EnvState
from vla_jax.pictures import film_frames, save_gif
from vla_jax.rl.agent import Agent
from vla_jax.run import Policy


@dataclass(frozen=True)
class Episodes:
    """One episode per environment, N of them.

    Attributes:
        states: leaves [F, N, ...]: the start and the state after each control step.
        scene: i32[N] scene of each environment.
        success: bool[N] whether the task was solved.
        length: i32[N] control steps; states beyond it are not of the episode.
    """

    states: EnvState
    scene: np.ndarray
    success: np.ndarray
    length: np.ndarray


def play_episodes(
    env: Env, batch: SceneBatch, policy: Policy, scene: np.ndarray, seed: int
) -> Episodes:
    """Play one episode in every environment.

    Args:
        env, batch, policy: who plays where.
        scene: i32[N] scene of each environment.
        seed: of the starts and of the policy.
    """
    play = _player(env, policy.agent)
    start, seen, over, success, length = play(
        policy.params, batch, jax.random.key(seed), jnp.asarray(scene)
    )
    first = np.argmax(np.asarray(over), axis=0)
    rows = np.arange(env.num_envs)
    join = lambda a, b: jnp.concatenate([a[None], b.reshape(-1, *b.shape[2:])])  # noqa: E731
    return Episodes(
        states=jax.tree.map(join, start, seen),
        scene=np.asarray(scene),
        success=np.asarray(success)[first, rows],
        length=np.asarray(length)[first, rows],
    )


@functools.lru_cache(maxsize=4)
def _player(env: Env, agent: Agent) -> Callable:
    """Compiled once for all policies of one shape: play an episode."""

    def play(params, batch, key, scene):
        key_reset, key_act = jax.random.split(key)
        start, obs = env.reset_to(batch, key_reset, scene)

        def step(carry, key):
            state, obs = carry
            actions = agent.act(params, obs, key)
            act = lambda state, step: (actions[:, step], state)  # noqa: E731
            after, outcome, seen = env.advance(batch, state, act, env.config.chunk)
            # Records hold the states before each action: drop the first, add the last.
            seen = jax.tree.map(lambda x, y: jnp.concatenate([x[1:], y[None]]), seen, after)
            state, out = env.renew(batch, after, outcome)
            over = out.terminated | out.truncated
            return (state, out.observation), (seen, over, out.success, out.info["length"])

        chunks = env.config.episode_steps // env.config.chunk
        return start, *jax.lax.scan(step, (start, obs), jax.random.split(key_act, chunks))[1]

    return jax.jit(play)


@functools.lru_cache(maxsize=4)
def _painter(env: Env, size: int) -> Callable:
    return jax.jit(lambda batch, state: env.render(batch, state, size))


def draw_episodes(env: Env, batch: SceneBatch, episodes: Episodes, size: int = 160) -> np.ndarray:
    """Pictures u8[F, N, size, size, 3]; an environment's stand still once its episode is over."""
    draw, rows = _painter(env, size), np.arange(env.num_envs)
    pictures = []
    for f in range(int(episodes.length.max()) + 1):
        frame = np.minimum(f, episodes.length)
        state = jax.tree.map(lambda x: x[frame, rows], episodes.states)  # noqa: B023
        pictures.append(np.asarray(draw(batch, state)))
    return np.stack(pictures)


def film_policy(
    env: Env,
    batch: SceneBatch,
    policy: Policy,
    scene: np.ndarray,
    captions: Sequence[str],
    seed: int,
    path: Path,
    title: str = "",
) -> dict[str, int]:
    """Save a GIF of one episode per environment; returns {"episodes", "successes"}."""
    return save_film(
        env, batch, play_episodes(env, batch, policy, scene, seed), captions, path, title
    )


def save_film(
    env: Env,
    batch: SceneBatch,
    episodes: Episodes,
    captions: Sequence[str],
    path: Path,
    title: str = "",
) -> dict[str, int]:
    """Save a GIF of the episodes side by side; returns {"episodes", "successes"}."""
    solved = episodes.success
    frames = film_frames(
        draw_episodes(env, batch, episodes),
        captions,
        episodes.length.tolist(),
        solved.tolist(),
        title=title,
    )
    save_gif(frames, path, env.config.control_hz)
    return {"episodes": len(solved), "successes": int(solved.sum())}


def _told(scene: SceneSpec, phrase: int) -> str:
    """The wording of that number; see `WordTokenizer.encode_scenes`."""
    return scene.task.paraphrases[int(phrase) % len(scene.task.paraphrases)]


_README = """\
Episodes for MuJoCo's viewer, one folder each: the scene (scene.xml) and what happened in it
(trajectory.npz: time in s, qpos, ctrl, success, instruction).

Play one back:       python -m vla_jax.replay {example}
Only look at it:     python -m mujoco.viewer --mjcf={example}/scene.xml
"""


def save_replay(
    env: Env, batch: SceneBatch, episodes: Episodes, scenes: Sequence[SceneSpec], folder: Path
) -> list[Path]:
    """Write every episode as MJCF and trajectory, see `sim.recording`.

    Args:
        env, batch: where the episodes were played.
        episodes: from `play_episodes`.
        scenes: the scenes of the batch.
        folder: new; gets one folder per episode and a README.

    Returns:
        the episodes' folders.
    """
    robot = get_robot(batch.robot)
    physics = episodes.states.physics
    qpos, ctrl = (np.asarray(x, np.float64) for x in (physics.qpos, physics.ctrl))
    phrase, saved = np.asarray(episodes.states.phrase)[0], []
    for i, (s, length) in enumerate(zip(episodes.scene, episodes.length, strict=True)):
        trajectory = Trajectory(
            time=np.arange(length + 1) / env.config.control_hz,
            qpos=qpos[: length + 1, i],
            ctrl=ctrl[: length + 1, i],
            success=bool(episodes.success[i]),
            instruction=_told(scenes[s], phrase[i]),
        )
        parts = {"template": batch.template, "timestep": batch.timestep}
        mjcf = scene_mjcf(scenes[s], robot, **parts, start=trajectory)
        saved.append(save_recording(folder / f"episode{i:02d}", mjcf, trajectory))
    (folder / "README.txt").write_text(_README.format(example=saved[0]))
    return saved


def draw_scenes(env: Env, batch: SceneBatch, count: int, size: int = 224) -> np.ndarray:
    """Pictures u8[count, size, size, 3] of the first scenes as designed; env has `count` copies."""
    still = replace(env, config=replace(env.config, randomization=Randomization.none()))

    @jax.jit
    def draw(batch):
        keys = jax.random.split(jax.random.key(0), count)
        return still.render(batch, still.start(batch, keys, jnp.arange(count)), size)

    return np.asarray(draw(batch))
