"""Pretraining and fine-tuning on folders of scenes: what the commands of those names run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax

from generation.spec import SceneSpec
from sim.env import EnvConfig
from sim.randomize import Randomization
from vla_jax.api import build_batch, build_env
from vla_jax.checkpoint import checkpoint_steps
from vla_jax.imitation import ImitationConfig, Stage, pretrain
from vla_jax.models.config import PolicyConfig
from vla_jax.run import Policy, RunConfig, load_policy
from vla_jax.tokenizers import WordTokenizer
from vla_jax.train import TrainConfig, fine_tune

# The paper's episode (5 Hz, 100 control steps) on a workspace that the arm reaches everywhere.
ENV = EnvConfig(reward="shaped", randomization=Randomization(object_xy=0.05, camera=0.03))


def pretrain_on(
    scenes: Sequence[SceneSpec],
    out: Path,
    policy: PolicyConfig,
    settings: ImitationConfig,
    seed: int,
    *,
    env: EnvConfig = ENV,
    backend: str = "auto",
    stage: Stage,
) -> dict[str, Any]:
    """Demonstrate and imitate on scenes; `out` becomes a run. See `imitation.pretrain`.

    Raises:
        FileExistsError: if `out` exists and is not empty.
    """
    _must_be_new(out)
    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    policy = replace(policy, vocabulary=tokenizer.size)
    env = replace(env, image_size=policy.image_size, wrist_size=policy.wrist_size)
    world = build_env(settings.num_envs, env, backend=backend)
    batch = build_batch(scenes, tokenizer, backend=backend)
    return pretrain(
        world, batch, world, batch, env, policy, tokenizer.words, settings, seed, Path(out), stage
    )


def train_on(
    scenes: Sequence[SceneSpec],
    init: Path,
    out: Path,
    settings: TrainConfig,
    seed: int,
    *,
    resume: bool = False,
    backend: str = "auto",
    progress: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Fine-tune the policy of run `init` on scenes; see `train.fine_tune`.

    Raises:
        FileExistsError: if `out` holds something and `resume` is not asked for.
        ValueError: if there is nothing to resume, or the run was started with other settings.
    """
    if resume:
        if not checkpoint_steps(out):
            raise ValueError(f"{out} has no checkpoint to resume: start it without --resume")
        before = RunConfig.load(out)
        wanted = asdict(settings) | {"iterations": before.settings.get("iterations")}
        if before.settings != wanted or before.seed != seed:
            raise ValueError(
                f"{out} was started with other settings or another seed: resume it with the same"
            )
    else:
        _must_be_new(out)
    policy = load_policy(init)
    env = build_env(settings.num_envs, policy.env, backend=backend)
    batch = build_batch(scenes, policy.tokenizer, backend=backend)
    return fine_tune(env, batch, policy, Path(out), settings, seed, progress)


def plan(policy: Policy, num_scenes: int, settings: TrainConfig) -> dict[str, Any]:
    """What a run will need, from shapes alone.

    Returns:
        samples and minibatch size of an iteration, env_steps of the run, and bytes of parameters,
        optimizer state and rollout (observations as stored: uint8 pictures).
    """
    params = jax.eval_shape(lambda: policy.params)
    size = lambda tree: sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))  # noqa: E731
    c, n = policy.config, settings.num_envs * settings.length
    picture = 3 * (c.image_size**2 + c.wrist_size**2)
    numbers = c.proprio + c.instruction_length + c.privileged + 14 + 2 * c.chunk * c.action + 8
    return {
        "scenes": num_scenes,
        "iterations": settings.iterations,
        "samples_per_iteration": n,
        "minibatch": n // settings.ppo.minibatches,
        "env_steps": settings.iterations * n * c.chunk,
        "parameters": sum(x.size for x in jax.tree.leaves(params)),
        "parameter_bytes": size(params),
        "optimizer_bytes": 2 * size(params),
        "rollout_bytes": n * (picture + 4 * numbers),
    }


def _must_be_new(out: Path) -> None:
    if Path(out).exists() and any(Path(out).iterdir()):
        raise FileExistsError(f"{out} exists and is not empty: choose another folder")
