"""Foreign checkpoints as runs, and runs as openpi checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from vla_jax.checkpoint import save_checkpoint
from vla_jax.convert import load_openpi, load_paligemma, read_norm_stats, save_openpi
from vla_jax.models.agent import split_params
from vla_jax.models.config import PolicyConfig
from vla_jax.pipeline import ENV
from vla_jax.run import RunConfig, load_policy
from vla_jax.tokenizers_sentencepiece import SentencePieceTokenizer


def run_from_checkpoint(
    source: Path,
    out: Path,
    policy: PolicyConfig,
    pieces: Path,
    *,
    asset: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Make a run of an openpi checkpoint, or of a PaliGemma file, that `train` can start from.

    Args:
        source: openpi's folder of a step, or PaliGemma's .npz.
        out: folder of the run.
        policy: with `pi0` of the checkpoint's sizes.
        pieces: PaliGemma's SentencePiece model; copied into the run.
        asset: which robot's statistics to take, if the checkpoint has several.
        seed: for what the checkpoint does not have: noise and value head, LoRA.

    Returns:
        parameters (their number), normalized (whether the checkpoint's statistics are used: only
        if they have as many numbers as the policy's states and actions).

    Raises:
        ValueError: if `policy` has no π0 sizes, or the checkpoint does not fit them.
    """
    if policy.pi0 is None:
        raise ValueError("only policies of π0's architecture can be converted: choose pi0 or pi05")
    tokenizer = SentencePieceTokenizer(pieces, pi05=policy.pi0.pi05)
    openpi = source.is_dir()
    if openpi and (source / "assets").is_dir():
        policy = _with_stats(policy, source, asset)
    if policy.pi0 is not None and policy.pi0.pi05:
        policy = replace(policy, pi0=replace(policy.pi0, state_prompt=tokenizer.state_prompt()))
    load = load_openpi if openpi else load_paligemma
    params = split_params(load(source, policy, seed=seed), policy)
    env = replace(ENV, image_size=policy.image_size, wrist_size=policy.wrist_size)
    env = replace(env, chunk=policy.chunk)
    RunConfig(policy, (), env, seed, {"converted": source.name}, pieces).save(out)
    save_checkpoint(out, 0, params)
    count = sum(x.size for x in jax.tree.leaves(params))
    normalized = policy.pi0 is not None and policy.pi0.action_norm is not None
    return {"parameters": count, "normalized": normalized}


def _with_stats(policy: PolicyConfig, source: Path, asset: str | None) -> PolicyConfig:
    """The policy with the checkpoint's statistics, if those have numbers like its."""
    stats = read_norm_stats(source, asset)
    state, action = stats.get("state"), stats.get("actions")
    if state is None or action is None or policy.pi0 is None:
        return policy
    if len(state.mean) != policy.proprio or len(action.mean) != policy.action:
        return policy
    return replace(policy, pi0=replace(policy.pi0, state_norm=state, action_norm=action))


def checkpoint_from_run(run: Path, out: Path) -> dict[str, Any]:
    """Write a run's policy as a checkpoint that openpi reads.

    Returns:
        dir.

    Raises:
        ValueError: if the policy is not of π0's architecture, or `out` exists.
    """
    policy = load_policy(run)
    if policy.config.pi0 is None:
        raise ValueError(f"{run} holds no policy of π0's architecture: openpi cannot read it")
    save_openpi(nnx.merge_state(*policy.params), policy.config, out)
    return {"dir": str(out)}
