"""`vla-jax train`: PPO fine-tuning of a pretrained policy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_jax.commands.common import (
    Outcome,
    add_backend,
    add_out,
    add_scenes,
    check_new_folder,
    percent,
    positive,
)
from vla_jax.progress import Progress

if TYPE_CHECKING:
    from vla_jax.train import TrainConfig

NAME = "train"
SUMMARY = "fine-tune a policy by PPO"
DESCRIPTION = """\
Fine-tunes a policy by PPO on the scenes, in the environment it was pretrained for.

--resume continues a stopped run from its last checkpoint, to the bit: give the same
options as before. --plan says what a run will need and runs nothing."""
AGAIN = "run the same command again with --resume to continue"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments; the numbers are those of TrainConfig."""
    add_scenes(parser)
    parser.add_argument(
        "--init", type=Path, metavar="RUN", required=True, help="run of the policy to start from"
    )
    add_out(parser, "RUN", "folder of the run: new, or with --resume its own", required=False)
    for option, default, text in (
        ("--iterations", 150, "rollouts and updates (default %(default)s)"),
        ("--num-envs", 256, "parallel environments (default %(default)s)"),
        ("--length", 12, "action chunks per environment and iteration (default %(default)s)"),
    ):
        parser.add_argument(option, type=positive, default=default, metavar="N", help=text)
    parser.add_argument("--resume", action="store_true", help="continue the run in -o")
    parser.add_argument("--plan", action="store_true", help="print the plan and run nothing")
    add_backend(parser)


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Fine-tunes, resumes or plans."""
    if not args.plan:
        _check_out(args.out, args.resume)
    from generation.store import load_scenes
    from vla_jax.pipeline import train_on
    from vla_jax.train import TrainConfig

    settings = TrainConfig(iterations=args.iterations, num_envs=args.num_envs, length=args.length)
    scenes = load_scenes(args.scenes)
    if args.plan:
        return _plan(args.init, len(scenes), settings)
    stage = progress.stage("fine-tuning by PPO", args.iterations)
    data = train_on(
        scenes,
        args.init,
        args.out,
        settings,
        args.seed,
        resume=args.resume,
        backend=args.backend,
        progress=stage.callback,
    )
    text = (
        f"{data['iterations']} iterations, {data['env_steps']:,} control steps at "
        f"{data['sps']:,.0f} per second; success while exploring {percent(data['success_rate'])}; "
        f"policy in {args.out}"
    )
    return Outcome(data | {"dir": str(args.out)}, text)


def _check_out(out: Path | None, resume: bool) -> None:
    if out is None:
        raise ValueError("no folder for the run: pass -o RUN")
    if resume:
        return
    if any((out / "checkpoints").glob("*.json")):
        raise FileExistsError(
            f"{out} holds a run already: add --resume to continue it, or choose another folder "
            "with -o"
        )
    check_new_folder(out)


def _plan(init: Path, num_scenes: int, settings: TrainConfig) -> Outcome:
    from vla_jax.pipeline import plan
    from vla_jax.run import load_policy

    data: dict[str, Any] = plan(load_policy(init), num_scenes, settings)
    text = "\n".join(
        [
            f"{data['iterations']} iterations on {num_scenes} scenes: "
            f"{data['env_steps']:,} control steps",
            f"{data['samples_per_iteration']:,} samples an iteration, minibatches of "
            f"{data['minibatch']:,}",
            f"{data['parameters']:,} parameters: {_size(data['parameter_bytes'])}, optimizer "
            f"{_size(data['optimizer_bytes'])}, rollout {_size(data['rollout_bytes'])}",
        ]
    )
    return Outcome(data, text)


def _size(count: int) -> str:
    """Bytes as people read them."""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
