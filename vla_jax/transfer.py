"""Evaluation in the transfer domain, which stands in for the real robot; see `sim.transfer`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from generation.spec import SceneSpec
from sim.env import EnvConfig
from sim.state import EnvState
from sim.transfer import NO_OPENGL, USUAL, Played, TransferConfig, TransferEnv, find_opengl
from vla_jax.api import build_batch, build_env
from vla_jax.evaluation import EvalResult, summarize
from vla_jax.pictures import contact_sheet
from vla_jax.run import Policy
from vla_jax.tokenizers import Tokenizer, WordTokenizer

MOST_ENVS = 256
Report = Callable[[int, int], None]
# A chunk of one environment and all its fellows: (state, key, bool[N] still playing).
_Move = Callable[[EnvState, jax.Array, np.ndarray], tuple[EnvState, Played]]


def run_transfer(
    policy: Policy,
    scenes: Sequence[SceneSpec],
    episodes: int = 256,
    seed: int = 0,
    config: TransferConfig = USUAL,
    progress: Report = lambda done, total: None,
    *,
    num_envs: int | None = None,
) -> EvalResult:
    """Success of a policy in the transfer domain.

    Episode i plays scene i mod S and starts as in `evaluate` with the same scenes, seed, episodes
    and num_envs, but for the gaps: the domains can be compared episode by episode.

    Args:
        policy: from `load_policy`.
        scenes: played in turn.
        episodes: how many in all.
        seed: everything random descends from it.
        config: sizes of the gaps.
        progress: called with (episodes over, episodes).
        num_envs: parallel environments, at most 256 by default.

    Raises:
        ValueError: no episodes, MuJoCo cannot draw here, or the policy's control period does not
            fit the physics step.
    """
    if find_opengl() is None:
        raise ValueError(NO_OPENGL)
    with _world(policy.env, scenes, policy.tokenizer, config) as env:

        def move(state: EnvState, key: jax.Array, playing: np.ndarray) -> tuple[EnvState, Played]:
            with _host():
                seen = env.observe(state, playing)
            actions = policy.act(seen, key)
            with _host():
                return env.step_chunk(state, jnp.asarray(np.asarray(actions)))

        return _run(env, move, scenes, episodes, seed, progress, num_envs)


def run_expert(
    env_config: EnvConfig,
    scenes: Sequence[SceneSpec],
    episodes: int = 256,
    seed: int = 0,
    config: TransferConfig = USUAL,
    progress: Report = lambda done, total: None,
    *,
    num_envs: int | None = None,
) -> EvalResult:
    """What the scripted expert, which needs no pictures, makes of the episodes of `run_transfer`.

    It bounds what the gaps in the physics leave possible. See `run_transfer` for the arguments;
    with `TransferConfig.none()` it plays in the training domain.
    """
    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    with _world(env_config, scenes, tokenizer, config) as env:

        def move(state: EnvState, key: jax.Array, playing: np.ndarray) -> tuple[EnvState, Played]:
            with _host():
                return env.expert_chunk(state)

        return _run(env, move, scenes, episodes, seed, progress, num_envs)


def side_by_side(
    scenes: Sequence[SceneSpec],
    env_config: EnvConfig,
    seed: int = 0,
    config: TransferConfig = USUAL,
) -> Image.Image:
    """The same starts in both domains: a column for each scene, fixed camera above wrist camera.

    Args:
        scenes: about eight.
        env_config: of the training domain; gives the sizes of the pictures, which must be equal.
        seed: of the starts.
        config: sizes of the gaps.

    Raises:
        ValueError: the cameras' pictures differ in size, or MuJoCo cannot draw here.
    """
    if env_config.image_size != env_config.wrist_size:
        raise ValueError("side_by_side needs an image_size equal to the wrist_size")
    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    key, which = jax.random.key(seed), jnp.arange(len(scenes))
    usual = build_env(len(scenes), env_config, backend="native")
    batch = build_batch(scenes, tokenizer, backend="native")
    _, ours = jax.jit(usual.reset_to)(batch, key, which)
    with TransferEnv(env_config, batch, scenes, config) as env:
        _, theirs = env.reset_to(key, which)
    rows = (ours.image, theirs.image, ours.wrist, theirs.wrist)
    names = ("training", "transfer", "training, wrist", "transfer, wrist")
    return contact_sheet(
        np.concatenate([np.asarray(row) for row in rows]),
        [name for name in names for _ in scenes],
        columns=len(scenes),
    )


def _host() -> contextlib.AbstractContextManager[Any]:
    """On a machine with an accelerator, what is simulated stays beside MuJoCo."""
    try:
        return jax.default_device(jax.devices("cpu")[0])
    except RuntimeError:  # JAX was told to use the accelerator alone
        return contextlib.nullcontext()


def _world(
    env_config: EnvConfig,
    scenes: Sequence[SceneSpec],
    tokenizer: Tokenizer,
    config: TransferConfig,
) -> TransferEnv:
    with _host():
        batch = build_batch(scenes, tokenizer, backend="native")
        return TransferEnv(env_config, batch, scenes, config)


def _run(
    env: TransferEnv,
    move: _Move,
    scenes: Sequence[SceneSpec],
    episodes: int,
    seed: int,
    progress: Report,
    num_envs: int | None,
) -> EvalResult:
    """The keys and scenes of `vla_jax.evaluation.run_evaluation`, played by `move`."""
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}: it must be at least 1")
    n = num_envs or min(episodes, MOST_ENVS)
    scene = np.arange(-(-episodes // n) * n) % len(scenes)
    parts = []
    for i in range(0, len(scene), n):

        def report(over: int, first: int = i) -> None:
            progress(min(first + over, episodes), episodes)

        key = jax.random.fold_in(jax.random.key(seed), i)
        idle = np.arange(i, i + n) >= episodes
        parts.append(_play(env, move, key, scene[i : i + n], idle, report))
    whole = {name: np.concatenate([p[name] for p in parts])[:episodes] for name in parts[0]}
    return summarize(whole, scene[:episodes], scenes, 1.0 / env.env.config.control_hz)


def _play(
    env: TransferEnv,
    move: _Move,
    key: jax.Array,
    scene: np.ndarray,
    idle: np.ndarray,
    report: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """One episode per environment: success, broken and length, each [N].

    Args:
        env, move: where and how.
        key: of start and actions.
        scene: i[N].
        idle: bool[N] environments whose episode nobody asked for.
        report: told how many episodes are over.
    """
    config, n = env.env.config, len(scene)
    key_reset, key_act = jax.random.split(key)
    over, success, broken = idle.copy(), np.zeros(n, bool), np.zeros(n, bool)
    length = np.full(n, config.episode_steps)
    with _host():
        state = env.start(key_reset, jnp.asarray(scene))
    for key_chunk in jax.random.split(key_act, config.episode_steps // config.chunk):
        state, played = move(state, key_chunk, ~over)
        ended = played.over & ~over
        success |= ended & played.success
        broken |= ended & played.broken
        length = np.where(ended, played.length, length)
        over |= ended
        report(int(over.sum()))
        if over.all():
            break
    return {"success": success, "broken": broken, "length": length}
