"""Foreign checkpoints as runs, and runs as openpi checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from vla_jax.checkpoint import save_checkpoint
from vla_jax.convert import (
    complete_folder,
    list_assets,
    load_openpi,
    load_paligemma,
    read_norm_stats,
    save_openpi,
)
from vla_jax.models.agent import split_params
from vla_jax.models.config import PolicyConfig
from vla_jax.models.pi0_config import NormStats
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
        asset: which robot's statistics to take; by default those that have as many numbers as the
            policy's states and actions, if there are such.
        seed: for what the checkpoint does not have: noise and value head, LoRA.

    Returns:
        parameters (their number), asset (whose statistics the policy normalizes by, None for
        nobody's), assets (whose there are).

    Raises:
        ValueError: if `policy` has no π0 sizes, the checkpoint does not fit them, the statistics
            asked for do not fit its states and actions, those of several robots do, or `out` holds
            something already.
    """
    if policy.pi0 is None:
        raise ValueError("only policies of π0's architecture can be converted: choose pi0 or pi05")
    tokenizer = SentencePieceTokenizer(pieces, pi05=policy.pi0.pi05)
    assets = list_assets(source)
    asset, norms = _choose_stats(policy, source, asset)
    state_prompt = tokenizer.state_prompt() if policy.pi0.pi05 else policy.pi0.state_prompt
    policy = replace(policy, pi0=replace(policy.pi0, state_prompt=state_prompt, **norms))
    load = load_openpi if source.is_dir() else load_paligemma
    with complete_folder(out) as begun:
        params = split_params(load(source, policy, seed=seed), policy)
        env = replace(ENV, image_size=policy.image_size, wrist_size=policy.wrist_size)
        env = replace(env, chunk=policy.chunk)
        RunConfig(policy, (), env, seed, {"converted": source.name}, pieces).save(begun)
        save_checkpoint(begun, 0, params)
    count = sum(x.size for x in jax.tree.leaves(params))
    return {"parameters": count, "asset": asset, "assets": assets}


def _choose_stats(
    policy: PolicyConfig, source: Path, asset: str | None
) -> tuple[str | None, dict[str, NormStats]]:
    """Whose statistics to normalize by, None if nobody's fit, and those as fields of `pi0`.

    Raises:
        ValueError: the robot asked for has none or other numbers, or several robots' fit.
    """
    wanted = (policy.proprio, policy.action)
    names = list_assets(source) if asset is None else [asset]
    found = {name: read_norm_stats(source, name) for name in names}
    sizes = {
        name: tuple(len(s[key].mean) if key in s else 0 for key in ("state", "actions"))
        for name, s in found.items()
    }
    fitting = [name for name, size in sizes.items() if size == wanted]
    if asset is not None and not fitting:
        raise ValueError(
            f"the statistics of {asset} are for {sizes[asset][0]} states and {sizes[asset][1]} "
            f"actions, this policy has {wanted[0]} and {wanted[1]}: choose another asset, or none"
        )
    if len(fitting) > 1:
        raise ValueError(f"statistics of {fitting} fit this policy: choose one of them as asset")
    if not fitting:
        return None, {}
    stats = found[fitting[0]]
    return fitting[0], {"state_norm": stats["state"], "action_norm": stats["actions"]}


def checkpoint_from_run(run: Path, out: Path) -> dict[str, Any]:
    """Write a run's policy as a checkpoint that openpi reads.

    Returns:
        dir.

    Raises:
        ValueError: if the policy is not of π0's architecture, or `out` holds something already.
    """
    policy = load_policy(run)
    if policy.config.pi0 is None:
        raise ValueError(f"{run} holds no policy of π0's architecture: openpi cannot read it")
    save_openpi(nnx.merge_state(*policy.params), policy.config, out)
    return {"dir": str(out)}
