"""Pretraining and fine-tuning on folders of scenes: what the commands of those names run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from generation.spec import SceneSpec
from sim.env import Env, EnvConfig
from sim.randomize import Randomization
from sim.scene_batch import SceneBatch
from vla_jax.api import build_batch, build_env
from vla_jax.config import settle
from vla_jax.data.demonstrations import Demonstrations
from vla_jax.data.lerobot import LeRobotDataset, load_demonstrations, open_dataset, task_words
from vla_jax.data.samples import demonstration_set
from vla_jax.distributed import check_same
from vla_jax.imitation import ImitationConfig, Stage, imitate, pretrain
from vla_jax.logs import check_sinks
from vla_jax.memory import MemoryPlan, available_bytes, plan_memory
from vla_jax.models.agent import make_agent, param_shapes, sort_params
from vla_jax.models.config import PolicyConfig
from vla_jax.planning.advice import check_plan, lighter_policies
from vla_jax.run import Policy, RunConfig, load_config, load_policy, make_tokenizer
from vla_jax.tokenizers import Tokenizer, WordTokenizer
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
    dataset: Path | None = None,
    cameras: tuple[str, str | None] | None = None,
    resume: bool = False,
    init: Path | None = None,
    stage: Stage,
) -> dict[str, Any]:
    """Imitate an expert on scenes, a LeRobot dataset, or both; `out` becomes a run.

    Args:
        scenes: where the expert is recorded; none to learn from the dataset alone.
        out: folder of the run.
        policy, settings, seed, env, backend, stage: see `imitation.pretrain`. From a dataset alone
            the policy gets the dataset's size of state and as many words as its tasks have, and
            the environment its rate of control.
        dataset: folder of a LeRobot v3.0 dataset.
        cameras: keys of its fixed and its wrist camera; by default told by their names.
        resume: continue the run in `out`.
        init: a run whose policy to start from; its sizes and words take the place of `policy`.

    Raises:
        FileExistsError: if `out` holds something and `resume` is not asked for.
        ValueError: neither scenes nor dataset, a dataset that cannot be read or does not fit the
            scenes, or nothing to resume.
    """
    if resume and not (Path(out) / "config.json").exists():
        raise ValueError(f"{out} has no run to resume: start it without --resume")
    if not resume:
        _must_be_new(out)
    data = None if dataset is None else open_dataset(dataset)
    if not scenes and data is None:
        raise ValueError("nothing to learn from: give scenes, a dataset, or both")
    start = None if init is None else load_config(init)
    if start is not None:
        policy = start.policy
    env = replace(env, image_size=policy.image_size, wrist_size=policy.wrist_size)
    texts = [p for s in scenes for p in s.task.paraphrases]
    if data is not None:
        texts += [task_words(task) for task in data.tasks.values()]
        if scenes or start is not None:
            _check_fit(data, policy, env)
        else:
            policy, env = _adapt(data, policy, env)
    tokenizer, words = _vocabulary(texts, policy, start)
    if start is None:
        policy = replace(policy, vocabulary=len(words) + 2)
    samples = None if data is None else _read(data, tokenizer, policy, cameras, stage)
    common = (env, policy, words, settings, seed, Path(out), stage)
    if not scenes:
        assert samples is not None
        part, _ = demonstration_set(
            samples, settings.dataset_rows, settings.heldout, seed, placed=False
        )
        found = {"episodes": len(np.unique(samples.source[:, 1])), "expert_success": None}
        return imitate([part], found, *common, init)
    world = build_env(settings.num_envs, env, backend=backend)
    batch = build_batch(scenes, tokenizer, backend=backend)
    return pretrain(world, batch, world, batch, *common, samples, init)


def _vocabulary(
    texts: Sequence[str], policy: PolicyConfig, start: RunConfig | None
) -> tuple[Tokenizer, tuple[str, ...]]:
    """Tokenizer and words: those of the policy to start from, or the texts' own."""
    if start is not None:
        return make_tokenizer(start.policy, start.words, start.pieces), start.words
    made = WordTokenizer.from_phrases(texts, policy.instruction_length)
    if policy.pi0 is not None and made.size > policy.pi0.vocabulary:
        raise ValueError(
            f"the instructions have {made.size} words, the policy's embedding only "
            f"{policy.pi0.vocabulary} rows"
        )
    return made, made.words


def _check_fit(data: LeRobotDataset, policy: PolicyConfig, env: EnvConfig) -> None:
    """Samples of the simulator and of a dataset can only be mixed if they mean the same."""
    if data.state_size != policy.proprio:
        raise ValueError(
            f"{data.root} has states of {data.state_size} numbers, the simulated robot has "
            f"{policy.proprio}: learn from the dataset alone, without scenes"
        )
    if abs(data.fps - env.control_hz) > 1e-6:
        raise ValueError(
            f"{data.root} has {data.fps:g} frames a second, the scenes are controlled at "
            f"{env.control_hz:g} Hz: actions would mean different motions; learn from it alone"
        )


def _adapt(
    data: LeRobotDataset, policy: PolicyConfig, env: EnvConfig
) -> tuple[PolicyConfig, EnvConfig]:
    """Sizes and rate for a policy that learns from a dataset alone."""
    if policy.pi0 is None and data.state_size < 4:
        raise ValueError(
            f"{data.root} has states of {data.state_size} numbers, this policy reads at least 4"
        )
    longest = max(len(task_words(task).split()) for task in data.tasks.values())
    length = max(policy.instruction_length, longest)
    policy = replace(policy, proprio=data.state_size, instruction_length=length)
    return policy, replace(env, control_hz=data.fps, chunk=policy.chunk)


def _read(
    data: LeRobotDataset, tokenizer: Tokenizer, policy: PolicyConfig, cameras, stage: Stage
) -> Demonstrations:
    update = stage("reading the dataset", data.frames)
    return load_demonstrations(
        data,
        tokenizer,
        image_size=policy.image_size,
        wrist_size=policy.wrist_size,
        chunk=policy.chunk,
        instruction_length=policy.instruction_length,
        cameras=cameras,
        progress=lambda done, total: update(done, ""),
    )


def train_on(
    scenes: Sequence[SceneSpec],
    init: Path,
    out: Path,
    settings: TrainConfig,
    seed: int,
    *,
    resume: bool = False,
    changes: Sequence[str] = (),
    logs: Sequence[str] = (),
    backend: str = "auto",
    progress: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Fine-tune the policy of run `init` on scenes; see `train.fine_tune`.

    `changes` to the policy's settings leave its parameters' shapes alone, see `changed`.

    Raises:
        FileExistsError: if `out` holds something and `resume` is not asked for.
        ValueError: if there is nothing to resume, the run was started with other settings, the
            processes of the run were, or it does not fit the memory.
    """
    check_sinks(logs)
    if not resume:
        _must_be_new(out)
    elif not (Path(out) / "config.json").exists():
        raise ValueError(f"{out} has no run to resume: start it without --resume")
    ids = [scene.id for scene in scenes]
    policy = changed(load_policy(init), changes)
    if resume:
        check_resume(out, policy, settings, seed, ids)
    # The run's state gets the only copy on the devices; `load_policy` left one there.
    policy = replace(policy, params=jax.device_get(policy.params))
    check_same(f"{ids} {settings} {changes} {seed} {resume}", "scenes or settings")
    env = build_env(settings.num_envs, policy.env, backend=backend)
    batch = build_batch(scenes, policy.tokenizer, backend=backend)
    check_memory(policy, env, batch, settings)
    return fine_tune(
        env, batch, policy, Path(out), settings, seed, progress, scene_ids=ids, logs=logs
    )


def changed(policy: Policy, changes: Sequence[str]) -> Policy:
    """A policy with other settings (see `config.settle`) and the same parameters.

    Raises:
        ValueError: an unknown setting, or one that would need other parameters.
    """
    config = settle(policy.config, changes)
    if config.chunk != policy.config.chunk:
        raise ValueError(
            f"policy.chunk={config.chunk}: its environment takes chunks of {policy.env.chunk} "
            "actions; pretrain a policy with the other chunk"
        )
    if config.pi0 is not None and config.freeze != "none":
        raise ValueError(f"policy.freeze={config.freeze} is of the small policies: set pi0.freeze")
    params = sort_params(policy.params, config)
    flat, structure = jax.tree.flatten(params)
    wanted, needed = jax.tree.flatten(param_shapes(config))
    if structure != needed or [x.shape for x in flat] != [x.shape for x in wanted]:
        raise ValueError(f"{list(changes)} would need other parameters: pretrain such a policy")
    return replace(policy, config=config, params=params)


def check_resume(
    out: Path, policy: Policy, settings: TrainConfig, seed: int, scene_ids: Sequence[str]
) -> None:
    """ValueError unless `out` is a run of this kind; it may have been killed at any time."""
    before = RunConfig.load(out)
    # More iterations make it longer, and another mesh makes it faster; it stays the same run.
    free = ("iterations", "mesh")
    same = [
        {name: value for name, value in found.items() if name not in free}
        for found in (before.settings, asdict(settings))
    ]
    differ = {
        "settings": same[0] != same[1],
        "seed": before.seed != seed,
        "policy": (before.policy, before.words) != (policy.config, policy.words),
        "environment": before.env != policy.env,
        "scenes": before.scenes != tuple(scene_ids),
    }
    if any(differ.values()):
        what = " and ".join(name for name, other in differ.items() if other)
        raise ValueError(f"{out} was started with other {what}: resume it with the same")


def plan(
    policy: Policy, scenes: Sequence[SceneSpec], settings: TrainConfig, *, backend: str = "auto"
) -> dict[str, Any]:
    """What a run will need, from shapes alone.

    Returns:
        samples and minibatch size of an iteration, env_steps of the run; parameters, and bytes of
        them, of the optimizer's state and of the rollout on one device; and what
        `MemoryPlan.to_json` tells.
    """
    env = build_env(settings.num_envs, policy.env, backend=backend)
    batch = build_batch(scenes, policy.tokenizer, backend=backend)
    memory = _planner(policy, env, batch)(settings)
    n = settings.num_envs * settings.length
    return {
        "scenes": len(scenes),
        "iterations": settings.iterations,
        "samples_per_iteration": n,
        "minibatch": n // settings.ppo.minibatches,
        "env_steps": settings.iterations * n * policy.config.chunk,
        "parameters": sum(x.size for x in jax.tree.leaves(policy.params)),
        "parameter_bytes": memory.actor + memory.critic + memory.frozen,
        "optimizer_bytes": memory.optimizer,
        "rollout_bytes": memory.rollout,
        **memory.to_json(),
    }


def check_memory(policy: Policy, env: Env, batch: SceneBatch, settings: TrainConfig) -> None:
    """ValueError with advice unless a run fits the memory of its devices; see `planning.advice`."""
    planner = _planner(policy, env, batch)
    variants = {
        text: functools.partial(planner, settings, config)
        for text, config in lighter_policies(policy.config).items()
    }
    check_plan(planner(settings), settings, planner, variants)


def _planner(policy: Policy, env: Env, batch: SceneBatch) -> Callable[..., MemoryPlan]:
    """f(settings, another policy's configuration) → plan on the devices there are."""
    room = available_bytes()

    def planner(settings: TrainConfig, config: PolicyConfig = policy.config) -> MemoryPlan:
        params = policy.params
        if config != policy.config:
            params = param_shapes(config)
        agent = make_agent(config, settings.flow)
        return plan_memory(agent, params, env, batch, settings, available=room)

    return planner


def _must_be_new(out: Path) -> None:
    if Path(out).exists() and any(Path(out).iterdir()):
        raise FileExistsError(f"{out} exists and is not empty: choose another folder")
