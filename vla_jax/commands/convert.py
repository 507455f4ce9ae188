"""`vla-jax convert`: openpi and PaliGemma checkpoints to runs, and back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_jax.commands.common import Outcome, add_out, check_new_folder
from vla_jax.progress import Progress

if TYPE_CHECKING:
    from vla_jax.models.config import PolicyConfig

NAME = "convert"
SUMMARY = "make a run of an openpi or PaliGemma checkpoint, or an openpi checkpoint of a run"
DESCRIPTION = """\
Makes a run of an openpi checkpoint of π0 or π0.5 (the folder that holds `params`), or of
PaliGemma's .npz, for `pretrain --init`, `train --init` and `eval`. With --to-openpi it goes the
other way: a run whose policy has π0's architecture becomes a checkpoint that openpi reads.

π0's tokenizer is PaliGemma's SentencePiece model, which is not part of this library:
pass its file with --tokenizer."""
AGAIN = "run the same command again to start over"
_PRESETS = ("pi0", "pi05")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument("source", type=Path, metavar="CHECKPOINT|RUN", help="what to convert")
    add_out(parser, "DIR", "new folder")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="paligemma_tokenizer.model")
    parser.add_argument(
        "--preset", choices=_PRESETS, default="pi0", help="architecture (default %(default)s)"
    )
    parser.add_argument(
        "--asset",
        metavar="ID",
        help="which robot's statistics to take (default: those that fit the policy's states and "
        "actions, if there are such)",
    )
    parser.add_argument("--to-openpi", action="store_true", help="write an openpi checkpoint")


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Converts."""
    check_new_folder(args.out)
    if not args.source.exists():
        raise FileNotFoundError(2, "no such file or folder", str(args.source))
    if not args.to_openpi and args.tokenizer is None:
        raise ValueError("π0 reads its instructions with PaliGemma's tokenizer: pass --tokenizer")
    from vla_jax.models.config import get_config
    from vla_jax.openpi.runs import checkpoint_from_run, run_from_checkpoint

    update = progress.stage("converting", 1)
    if args.to_openpi:
        data = checkpoint_from_run(args.source, args.out)
        text = f"openpi checkpoint in {args.out}"
    else:
        policy = get_config(args.preset)
        data = run_from_checkpoint(
            args.source, args.out, policy, args.tokenizer, asset=args.asset, seed=args.seed
        )
        text = f"{data['parameters']:,} parameters, {_statistics(data, policy)}; run in {args.out}"
    update(1)
    return Outcome(data | {"dir": str(args.out)}, text)


def _statistics(data: dict[str, Any], policy: PolicyConfig) -> str:
    """Which statistics the run has, in words."""
    if data["asset"] is not None:
        return f"normalized by the statistics of {data['asset']}"
    if data["assets"]:
        size = f"{policy.proprio} states and {policy.action} actions"
        return f"not normalized (none of {len(data['assets'])} statistics are for {size})"
    return "not normalized"
