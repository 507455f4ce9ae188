"""`vla-jax demo`: the whole pipeline at laptop size."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_jax.commands.common import Outcome, percent
from vla_jax.progress import Progress, clock_text

NAME = "demo"
SUMMARY = "the whole pipeline at laptop size: sentences to a fine-tuned policy and a report"
DESCRIPTION = """\
Designs scenes from sentences, records a scripted expert, pretrains a small policy by
imitation, fine-tunes it by PPO, and judges both policies on scenes they have not seen.
Writes a report with both success rates and films of the policies.

A stopped demo continues where it was; a finished one is shown again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument(
        "--out",
        "-o",
        type=Path,
        metavar="DIR",
        default=Path("runs/demo"),
        help="folder of the demo, new or its own (default: %(default)s)",
    )


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Runs or continues the demo."""
    from vla_jax.demo import run_demo

    finished = (args.out / "demo.json").exists()
    if finished:
        _check_seed(args.out, args.seed)
    summary = run_demo(args.out, args.seed, stage=progress.stage)
    took = "was done already, in" if finished else "took"
    text = "\n".join(
        [
            _line("before", summary["baseline_success"], summary["baseline_ci95"]),
            _line("after ", summary["finetuned_success"], summary["finetuned_ci95"]),
            f"the demo {took} {clock_text(summary['wall_s'])}; report: {summary['report']}",
        ]
    )
    return Outcome(summary, text)


def _check_seed(out: Path, seed: int) -> None:
    from vla_jax.checkpoint import read_json

    found = read_json(out / "config.json").get("seed")
    if found != seed:
        raise ValueError(
            f"{out} holds a finished demo of seed {found}, not {seed}: choose another folder "
            "with --out"
        )


def _line(name: str, rate: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return (
        f"{name} fine-tuning: {percent(rate)} of unseen scenes solved "
        f"(95 % interval {percent(low)} to {percent(high)})"
    )
