"""Whole episodes of the scripted expert or of a policy, frame by frame, as datasets have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from generation.spec import SceneSpec
from sim.env import Env
from sim.expert import expert_action
from sim.scene_batch import SceneBatch
from vla_jax.data.demonstrations import JITTER
from vla_jax.data.episode import Episode

# (env, batch, obs, key) -> act(state, step) -> (what is done, what is recorded), each f32[N, 7]:
# how a chunk of control steps is acted out.
Player = Callable[[Env, SceneBatch, Any, jax.Array], Callable]


def expert_player(noise: float = 0.0) -> Player:
    """The scripted expert; `noise` is added to what it does and not to what is recorded, so that
    the recording shows how to recover."""

    def play(env: Env, batch: SceneBatch, obs, key: jax.Array):
        def act(state, step):
            clean = expert_action(env.view(batch, state), env.rig.robot, env.tool_yaw(state))
            jitter = jax.random.normal(jax.random.fold_in(key, step), clean.shape)
            return clean + noise * jitter * jnp.asarray(JITTER), clean

        return act

    return play


def policy_player(act: Callable[[Any, jax.Array], jax.Array]) -> Player:
    """A policy, given as (obs, key) -> action chunks f32[N, C, 7]."""

    def play(env: Env, batch: SceneBatch, obs, key: jax.Array):
        chunk = act(obs, key)
        return lambda state, step: (chunk[:, step], chunk[:, step])

    return play


class _Frames(NamedTuple):
    """Frames of a chunk of control steps in N environments."""

    image: Any  # u8[C, N, H, W, 3]
    wrist: Any
    proprio: Any  # f32[C, N, P]
    action: Any  # f32[C, N, 7]
    time: Any  # i32[C, N] control steps before the frame
    scene: Any  # i32[N]
    phrase: Any  # i32[N]


def record_episodes(
    env: Env,
    batch: SceneBatch,
    scenes: Sequence[SceneSpec],
    player: Player,
    count: int,
    seed: int,
    *,
    only_solved: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Episode]:
    """Episodes as they end, one frame per control step.

    Args:
        env, batch: where; all environments are in memory until their episodes end.
        scenes: the batch's scenes, for their wordings.
        player: who acts.
        count: episodes wanted.
        seed: everything random descends from it.
        only_solved: leave out episodes that fail.
        progress: called with (episodes so far, episodes wanted).

    Raises:
        RuntimeError: fewer than one episode in twenty is solved, and only solved ones are wanted.
    """
    roll = jax.jit(_roller(env, player))
    key = jax.random.key(seed)
    state, obs = jax.jit(env.reset)(batch, key)
    open_chunks: list[list[_Frames]] = [[] for _ in range(env.num_envs)]
    done = ended = 0
    while done < count:
        key, k = jax.random.split(key)
        state, obs, *found = roll(batch, state, obs, k)
        frames, over, solved, length = jax.tree.map(np.asarray, found)
        for i in range(env.num_envs):
            open_chunks[i].append(_of(frames, i))
            if not over[i]:
                continue
            ended += 1
            chunks, open_chunks[i] = open_chunks[i], []
            if solved[i] or not only_solved:
                yield _episode(chunks, int(length[i]), scenes)
                done += 1
                progress(done, count)
                if done == count:
                    return
        if only_solved and ended > 200 and done < 0.05 * ended:
            raise RuntimeError(
                f"{done} of {ended} episodes were solved: too few to record; inspect the scenes"
            )


def _of(frames: _Frames, i: int) -> _Frames:
    """What belongs to environment i."""
    seen = (x[:, i] for x in frames[:5])
    return _Frames(*seen, scene=frames.scene[i], phrase=frames.phrase[i])


def _roller(env: Env, player: Player):
    def roll(batch: SceneBatch, state, obs, key):
        scene, phrase = state.scene, state.phrase
        play = player(env, batch, obs, key)

        def act(state, step):
            seen = env.observe(batch, state)
            action, recorded = play(state, step)
            return action, (seen.image, seen.wrist, seen.proprio, recorded, state.time)

        state, out, records = env.run_chunk(batch, state, act, env.config.chunk)
        over = out.terminated | out.truncated
        frames = _Frames(*records, scene, phrase)
        return state, out.observation, frames, over, out.success, out.info["length"]

    return roll


def _episode(chunks: list[_Frames], length: int, scenes: Sequence[SceneSpec]) -> Episode:
    """The frames of one environment's chunks up to the episode's end."""
    image, wrist, state, action, time = (
        np.concatenate([chunk[field] for chunk in chunks]) for field in range(5)
    )
    # An episode that ends within a chunk stands still for the rest of it.
    kept = time < length
    wordings = scenes[int(chunks[0].scene)].task.paraphrases
    task = wordings[int(chunks[0].phrase) % len(wordings)]
    action = np.clip(action[kept], -1.0, 1.0)
    return Episode((task,) * len(action), image[kept], wrist[kept], state[kept], action)
