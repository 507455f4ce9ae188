"""Imitation: flow-matching pretraining on the scripted expert, on stills and on datasets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.env import Env, EnvConfig
from sim.scene_batch import SceneBatch
from vla_jax.checkpoint import (
    checkpoint_steps,
    load_checkpoint,
    read_json,
    save_checkpoint,
    write_json,
)
from vla_jax.data.augment import Augmentation
from vla_jax.data.demonstrations import (
    Demonstrations,
    collect_demonstrations,
    collect_stills,
    fingerprint,
    join,
)
from vla_jax.data.samples import SampleSet, demonstration_set, heldout_rows, pools
from vla_jax.data.stats import RunningStats, save_norm_stats
from vla_jax.imitation_step import Pretrainer, Trained, make_pretrainer, vary_words
from vla_jax.models.agent import param_shapes
from vla_jax.models.config import PolicyConfig
from vla_jax.run import RunConfig, load_config, load_policy

__all__ = ["ImitationConfig", "SampleSet", "imitate", "pretrain", "usual_settings", "vary_words"]


@dataclass(frozen=True)
class ImitationConfig:
    """Settings of data collection and pretraining."""

    # Action chunks the expert is recorded for, and the noise added to what it does (not to what
    # is recorded), so that the demonstrations show how to recover.
    chunks: int = 12000
    noise: float = 0.15
    # Share of the chunks in which the expert is mistaken about where the target is, and by how far
    # (standard deviation, m). They are not imitated: what follows shows how to mend a failed grasp.
    mistakes: float = 0.3
    mistake_xy: float = 0.03
    # Still pictures of scenes with the arm anywhere: they teach what the words refer to, the part
    # that a large VLA's vision-language pretraining plays.
    stills: int = 24000
    # Demonstrations and stills of one minibatch, and minibatches in all.
    demo_rows: int = 128
    still_rows: int = 128
    steps: int = 1500
    learning_rate: float = 1e-3
    ground_weight: float = 1.0
    # Environments of the recording.
    num_envs: int = 256
    # Rate at which words are hidden, so that an unseen word does not confuse, and at which one
    # (twice) an unknown word is slipped in, so that a longer wording does not either. Prompts in
    # SentencePiece's tokens stay as they are: it has no unknown words.
    word_dropout: float = 0.15
    word_insertion: float = 0.4
    # Changes to the pictures, see `data.augment`; by default none.
    augment: Augmentation = Augmentation()
    # Share of the demonstrations, by scene or episode, that is only looked at to see how well the
    # policy does on what it was not trained on; 0 holds none out.
    heldout: float = 0.0
    # Decay of the moving average of the parameters, which then is the policy; 0 takes none.
    ema: float = 0.0
    # Rows of a dataset from disk in one minibatch.
    dataset_rows: int = 128
    # Minibatches between checkpoints, and between looks at what is held out.
    save_every: int = 250

    def __post_init__(self) -> None:
        rows = ("demo_rows", "still_rows", "dataset_rows")
        for name in (*rows, "chunks", "num_envs", "steps", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("heldout", "ema"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be in [0, 1)")


def usual_settings(policy: PolicyConfig, fresh: bool = True) -> ImitationConfig:
    """The settings that suit a policy, whose parameters are `fresh` or those of another run.

    Policies of π0's shape point at nothing, so stills teach them nothing; trained ones go on at
    openpi's rate. The rate of `tiny` was measured: five times the common one leaves 20 instead of
    32 % of first looks off by 4 cm after 800 minibatches of stills.
    """
    if policy.pi0 is None:
        return ImitationConfig(learning_rate=5e-3 if policy.width <= 64 else 1e-3)
    return ImitationConfig(stills=0, learning_rate=1e-3 if fresh else 2.5e-5)


Stage = Callable[[str, int], Callable[[int, str], None]]
# Minibatches in one compiled call, between two reports of progress.
_CALL = 50
# Rows of one look at what is held out, and of all looks.
_LOOK, _LOOKED_AT = 256, 4096
_SUMMARY, _LOG = "pretrain.json", "pretrain_log.json"


def pretrain(
    env: Env,
    batch: SceneBatch,
    still_env: Env,
    still_batch: SceneBatch,
    deploy: EnvConfig,
    policy: PolicyConfig,
    words: tuple[str, ...],
    settings: ImitationConfig,
    seed: int,
    out: Path,
    stage: Stage,
    dataset: Demonstrations | None = None,
    init: Path | None = None,
) -> dict[str, Any]:
    """Record demonstrations and stills, pretrain a policy on them, and save it as a run.

    Called again after an interruption with the same arguments, it records the same samples again
    and goes on from the last checkpoint to the same bits.

    Args:
        env, batch: where the expert is recorded.
        still_env, still_batch: where the stills are taken.
        deploy: the environment that the policy is meant for; saved with it.
        policy: sizes of the policy.
        words: its vocabulary.
        settings: of data and training.
        seed: everything random descends from it.
        out: folder of the run.
        stage: (name, total) -> update(done, note), to report progress.
        dataset: more demonstrations, from disk.
        init: a run whose policy to start from, instead of fresh parameters; it has these sizes and
            words.

    Returns:
        what `imitate` returns, with demos (episodes recorded) and expert_success.

    Raises:
        ValueError: `out` holds a run of other settings, or the recording came out otherwise.
    """
    config = RunConfig(policy, words, deploy, seed, asdict(settings))
    if (done := _finished(out, config)) is not None:
        return done
    update = stage("recording the expert", settings.chunks)
    demos, found = collect_demonstrations(
        env, batch, seed, settings, lambda done, total: update(done, "")
    )
    recorded, scenes = demonstration_set(demos, settings.demo_rows, settings.heldout, seed)
    sets = [recorded]
    if settings.stills:
        stills = collect_stills(still_env, still_batch, seed + 1, settings.stills)
        # What is held out must not be known from stills either.
        same = np.isin(stills.source[:, 0], scenes) & (still_batch is batch)
        sets.append(SampleSet(stills, settings.still_rows, train=~same))
    if dataset is not None:
        rows, share = settings.dataset_rows, settings.heldout
        sets.append(demonstration_set(dataset, rows, share, seed, placed=False)[0])
        found = {**found, "episodes": found["episodes"] + len(np.unique(dataset.source[:, 1]))}
    return imitate(sets, found, deploy, policy, words, settings, seed, out, stage, init)


def imitate(
    sets: Sequence[SampleSet],
    found: dict[str, Any],
    deploy: EnvConfig,
    policy: PolicyConfig,
    words: tuple[str, ...],
    settings: ImitationConfig,
    seed: int,
    out: Path,
    stage: Stage,
    init: Path | None = None,
) -> dict[str, Any]:
    """Pretrain a policy on samples and save it as a run, or go on where the run stopped.

    Args:
        sets: the samples; those that know where things are come first.
        found: episodes, expert_success of the samples.
        deploy, policy, words, settings, seed, out, stage, init: see `pretrain`.

    Returns:
        demos, expert_success, loss (flow), ground_error_dm, heldout_loss (flow; None without
        anything held out). `pretrain.json` has them with the log of the training.

    Raises:
        ValueError: `out` holds a run of other settings or samples.
    """
    pieces = None if init is None else load_config(init).pieces
    out, config = Path(out), RunConfig(policy, words, deploy, seed, asdict(settings), pieces)
    if (finished := _finished(out, config)) is not None:
        return finished
    data = join(*(part.data for part in sets))
    trained_on, heldout = pools(sets), heldout_rows(sets)
    placed = sum(part.rows for part in sets if part.placed)
    unplaced = any(not part.placed for part in sets)
    words_vary = pieces is None
    trainer = make_pretrainer(policy, settings, placed if unplaced else None, words_vary)
    mark = fingerprint(data)
    if checkpoint_steps(out):
        state, log = _resume(out, trainer, policy, mark)
    else:
        config.save(out)
        state, log = trainer.init(seed, None if init is None else load_policy(init).params), []
    _save_stats(out, data, np.concatenate(trained_on))
    data = jax.tree.map(jnp.asarray, data)
    rng = np.random.default_rng(seed)
    update = stage("pretraining by imitation", settings.steps)
    behind = int(state.step)
    for done in range(0, settings.steps, _CALL):
        end = min(done + _CALL, settings.steps)
        # Drawn for the steps behind us too: the numbers that follow depend on them.
        picks = [
            pool[rng.integers(0, len(pool), (end - done, part.rows))]
            for part, pool in zip(sets, trained_on, strict=True)
        ]
        if end <= behind:
            continue
        key = jax.random.fold_in(jax.random.key(seed), done)
        state, parts = trainer.run(state, data, jnp.asarray(np.concatenate(picks, axis=1)), key)
        flow, ground = (float(x) for x in parts)
        log.append({"step": end, "flow_loss": flow, "ground_error_dm": ground})
        if end == settings.steps or end // settings.save_every > done // settings.save_every:
            if len(heldout):
                log[-1]["heldout_loss"] = _look(trainer, state, data, heldout, seed)
            write_json(out / _LOG, log)
            save_checkpoint(out, end, state.policy, _rest(state, mark))
        update(end, f"loss {flow:.3f}")
    summary = {
        "demos": found["episodes"],
        "expert_success": found["expert_success"],
        "loss": log[-1]["flow_loss"],
        "ground_error_dm": log[-1]["ground_error_dm"],
        "heldout_loss": log[-1].get("heldout_loss"),
    }
    write_json(out / _SUMMARY, summary | {"log": log})
    (out / _LOG).unlink()
    return summary


def _look(
    trainer: Pretrainer, state: Trained, data: Demonstrations, heldout: np.ndarray, seed: int
) -> float:
    """Flow loss of the policy on held-out samples, always with the same noise."""
    picked = heldout[np.linspace(0, len(heldout) - 1, min(len(heldout), _LOOKED_AT)).astype(int)]
    calls = -(-len(picked) // _LOOK)
    rows = np.resize(picked, (calls, _LOOK))
    known = (np.arange(calls * _LOOK) < len(picked)).reshape(calls, _LOOK).astype(np.float32)
    key = jax.random.key(seed)
    return float(trainer.heldout(state.policy, data, jnp.asarray(rows), jnp.asarray(known), key))


def _finished(out: Path, config: RunConfig) -> dict[str, Any] | None:
    """The results of a finished run, None if there is something to do.

    Raises:
        ValueError: the folder holds a run of other settings.
    """
    if not (Path(out) / "config.json").exists():
        return None
    if RunConfig.load(out) != config:
        raise ValueError(
            f"{out} was started with other settings, scenes or another seed: resume it with the "
            "same, or choose another folder"
        )
    if not (Path(out) / _SUMMARY).exists():
        return None
    summary = read_json(Path(out) / _SUMMARY)
    summary.pop("log")
    return summary


def _resume(
    out: Path, trainer: Pretrainer, policy: PolicyConfig, mark: int
) -> tuple[Trained, list[dict[str, float]]]:
    """State and log of the last checkpoint; its samples must have the fingerprint `mark`."""
    # Shapes alone: parameters and moments made only to be replaced would take as much memory again.
    expected = jax.eval_shape(functools.partial(trainer.init, 0), param_shapes(policy))
    _, params, rest = load_checkpoint(out, expected.policy, _rest(expected, mark))
    if int(rest["samples"]) != mark:
        raise ValueError(
            f"{out} was trained on other samples than these, so it cannot go on exactly: give the "
            "same scenes or dataset, on the same machine, or start anew in another folder"
        )
    average = None
    if expected.average is not None:
        params, average = params._replace(actor=rest["actor"]), params.actor
    log = [row for row in read_json(out / _LOG) if row["step"] <= int(rest["step"])]
    return Trained(params, rest["opt_state"], average, rest["step"]), log


def _rest(state: Trained, mark: int) -> dict[str, Any]:
    """What a checkpoint holds beside the policy."""
    return {
        "opt_state": state.opt_state,
        # With a moving average that is the policy, and what is trained comes here.
        "actor": None if state.average is None else state.params.actor,
        "step": state.step,
        "samples": jnp.asarray(np.uint32(mark)),
    }


def _save_stats(out: Path, data: Demonstrations, rows: np.ndarray) -> None:
    """`norm_stats.json`: what is imitated, described. The policy does not normalize by it."""
    rows = rows[data.has_action[rows] > 0.0]
    values = {"state": np.asarray(data.obs.proprio)[rows], "actions": data.action[rows]}
    stats = {}
    for name, value in values.items():
        running = RunningStats(value.shape[-1])
        running.update(value)
        stats[name] = running.finish()
    save_norm_stats(out / "norm_stats.json", stats)
