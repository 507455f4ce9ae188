"""Short films of a policy at work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from sim.env import Env
from sim.randomize import Randomization
from sim.scene_batch import SceneBatch
from vla_jax.pictures import film_frames, save_gif
from vla_jax.rl.ppo import Agent
from vla_jax.run import Policy


def record_episode(
    env: Env, batch: SceneBatch, policy: Policy, scene: np.ndarray, seed: int, size: int = 160
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Play one episode in every environment and draw each control step.

    Args:
        env, batch, policy: who plays where.
        scene: i32[N] scene of each environment.
        seed: of the starts and of the policy.
        size: side of a picture, pixels.

    Returns:
        pictures u8[F, N, size, size, 3], success bool[N] and last control step i32[N] of the first
        episode; an environment's pictures stand still from its last step on.
    """
    play, draw = _player(env, policy.agent, size)
    scene_of = jnp.asarray(scene)
    seen, over, success, length = play(policy.params, batch, jax.random.key(seed), scene_of)
    first = np.argmax(np.asarray(over), axis=0)
    rows = np.arange(env.num_envs)
    solved, last = np.asarray(success)[first, rows], np.asarray(length)[first, rows]
    frames = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)
    pictures = []
    for f in range(env.config.episode_steps):
        step = np.minimum(f, last - 1)
        # Frame f of an environment whose episode is over is its last one.
        state = jax.tree.map(lambda x: x[step, rows], frames)  # noqa: B023
        pictures.append(np.asarray(draw(batch, replace(state, scene=jnp.asarray(scene)))))
        if f > last.max():
            break
    return np.stack(pictures), solved, last


@functools.lru_cache(maxsize=4)
def _player(env: Env, agent: Agent, size: int) -> tuple[Callable, Callable]:
    """Compiled once for all policies of one shape: play an episode, draw a state."""

    def play(params, batch, key, scene):
        key_reset, key_act = jax.random.split(key)
        state, obs = env.reset_to(batch, key_reset, scene)

        def step(carry, key):
            state, obs = carry
            actions = agent.act(params, obs, key)
            act = lambda state, i: (actions[:, i], state)  # noqa: E731
            state, out, seen = env.run_chunk(batch, state, act, env.config.chunk)
            over = out.terminated | out.truncated
            return (state, out.observation), (seen, over, out.success, out.info["length"])

        chunks = env.config.episode_steps // env.config.chunk
        return jax.lax.scan(step, (state, obs), jax.random.split(key_act, chunks))[1]

    return jax.jit(play), jax.jit(lambda batch, state: env.render(batch, state, size))


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
    pictures, solved, last = record_episode(env, batch, policy, scene, seed)
    ends = np.minimum(last, len(pictures) - 1).tolist()
    frames = film_frames(pictures, captions, ends, solved.tolist(), title=title)
    save_gif(frames, path, env.config.control_hz)
    return {"episodes": len(solved), "successes": int(solved.sum())}


def draw_scenes(env: Env, batch: SceneBatch, count: int, size: int = 224) -> np.ndarray:
    """Pictures u8[count, size, size, 3] of the first scenes as designed; env has `count` copies."""
    still = replace(env, config=replace(env.config, randomization=Randomization.none()))

    @jax.jit
    def draw(batch):
        keys = jax.random.split(jax.random.key(0), count)
        return still.render(batch, still.start(batch, keys, jnp.arange(count)), size)

    return np.asarray(draw(batch))
