"""`vla-jax train`: PPO fine-tuning of a pretrained policy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vla_jax.commands.common import (
    Outcome,
    add_backend,
    add_out,
    add_scenes,
    check_new_folder,
    natural,
    percent,
    positive,
)
from vla_jax.progress import Progress

if TYPE_CHECKING:
    from generation.spec import SceneSpec
    from vla_jax.train import TrainConfig

NAME = "train"
SUMMARY = "fine-tune a policy by PPO"
DESCRIPTION = """\
Fine-tunes a policy by PPO on the scenes, in the environment it was pretrained for.

--resume continues a stopped run from its last checkpoint, to the bit: give the same
options as before. --plan says what a run will need and runs nothing.

Takes all devices of the machine. For several machines, start the command on each of
them with the same options, one folder that all can write, and either --distributed (on
Slurm, Open MPI, Kubernetes and TPU pods) or --coordinator, --processes and
--process-index."""
# What the parts of a memory plan are called.
PARTS = {
    "actor": "parameters that the policy loss trains",
    "critic": "parameters of the value head",
    "frozen": "parameters that stay as they are",
    "optimizer": "optimizer state",
    "environment": "environments and their observations",
    "scenes": "scenes",
    "rollout": "stored transitions",
    "gradients": "gradients",
    "copies": "optimizer state, while it is updated",
    "activations": "backward pass of a minibatch",
    "gathered": "parameters gathered from other devices",
    "step": "a step of the rollout: policy, renderer, physics",
    "packing": "gaps between buffers",
    "other": "everything else",
}
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
        ("--minibatches", 3, "parts of an iteration to learn from in turn (default %(default)s)"),
    ):
        parser.add_argument(option, type=positive, default=default, metavar="N", help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change any other setting, for instance ppo.learning_rate=5e-5, ppo.reduction=mean, "
        "flow.kind=sde, on_nan=stop, policy.flow_steps=4 or policy.freeze=vision; may be repeated; "
        "a mistyped name is told its neighbours",
    )
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="WHERE",
        help="log metrics there too: tensorboard or wandb; may be repeated",
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in -o")
    parser.add_argument("--plan", action="store_true", help="print the plan and run nothing")
    add_backend(parser)
    _add_devices(parser.add_argument_group("devices"))


def _add_devices(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--mesh-data",
        type=positive,
        metavar="N",
        help="groups of devices, each with all parameters (default: as many as there are)",
    )
    group.add_argument(
        "--mesh-fsdp",
        type=positive,
        default=1,
        metavar="N",
        help="devices that share one copy of the parameters (default %(default)s)",
    )
    group.add_argument(
        "--distributed", action="store_true", help="join the processes that a cluster started"
    )
    group.add_argument(
        "--coordinator", metavar="HOST:PORT", help="join the processes that meet at this address"
    )
    group.add_argument("--processes", type=positive, metavar="N", help="how many they are")
    group.add_argument("--process-index", type=natural, metavar="I", help="which of them this is")


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Fine-tunes, resumes or plans."""
    told = args.processes is not None or args.process_index is not None
    if told and not (args.distributed or args.coordinator):
        raise ValueError(
            "--processes and --process-index need --coordinator HOST:PORT (or --distributed): "
            "without it every process would be a run of its own"
        )
    if args.distributed or args.coordinator:
        from vla_jax.distributed import join

        join(args.coordinator, args.processes, args.process_index)
    if not args.plan:
        _check_out(args.out, args.resume)
    from generation.store import load_scenes
    from vla_jax.config import settle
    from vla_jax.pipeline import train_on
    from vla_jax.rl.ppo import PPOConfig
    from vla_jax.sharding import MeshConfig
    from vla_jax.train import TrainConfig

    ours, theirs = _split(args.set)
    settings = TrainConfig(
        iterations=args.iterations,
        num_envs=args.num_envs,
        length=args.length,
        ppo=PPOConfig(minibatches=args.minibatches),
        mesh=MeshConfig(args.mesh_data or -1, args.mesh_fsdp),
    )
    settings = settle(settings, ours)
    scenes = load_scenes(args.scenes)
    if args.plan:
        return _plan(args, scenes, settings, theirs)
    stage = progress.stage("fine-tuning by PPO", args.iterations)
    data = train_on(
        scenes,
        args.init,
        args.out,
        settings,
        args.seed,
        resume=args.resume,
        changes=theirs,
        logs=args.log,
        backend=args.backend,
        progress=stage.callback,
    )
    text = (
        f"{data['iterations']} iterations, {data['env_steps']:,} control steps at "
        f"{data['sps']:,.0f} per second; success while exploring {percent(data['success_rate'])}; "
        f"policy in {args.out}"
    )
    return Outcome(data | {"dir": str(args.out)}, text)


def _split(assignments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings of the training, and those of the policy without their prefix."""
    prefix = "policy."
    theirs = [text.removeprefix(prefix) for text in assignments if text.startswith(prefix)]
    return [text for text in assignments if not text.startswith(prefix)], theirs


def _check_out(out: Path | None, resume: bool) -> None:
    if out is None:
        raise ValueError("no folder for the run: pass -o RUN")
    if resume:
        return
    if (out / "config.json").exists():
        raise FileExistsError(
            f"{out} holds a run already: add --resume to continue it, or choose another folder "
            "with -o"
        )
    check_new_folder(out)


def _plan(
    args: argparse.Namespace,
    scenes: Sequence[SceneSpec],
    settings: TrainConfig,
    changes: Sequence[str],
) -> Outcome:
    from vla_jax.memory import size_text
    from vla_jax.pipeline import changed, plan
    from vla_jax.run import load_policy

    data = plan(changed(load_policy(args.init), changes), scenes, settings, backend=args.backend)
    room = data["available_bytes"]
    available = "" if room is None else f" of {size_text(room)} available"
    parts = sorted(data["parts"].items(), key=lambda part: -part[1])
    text = "\n".join(
        [
            f"{data['iterations']} iterations on {data['scenes']} scenes: "
            f"{data['env_steps']:,} control steps",
            f"{data['samples_per_iteration']:,} samples an iteration, minibatches of "
            f"{data['minibatch']:,}, {data['flops_per_iteration']:.2g} flops in matrix products",
            f"{data['parameters']:,} parameters; {data['devices']} devices",
            f"{size_text(data['total_bytes'])} on each device{available}"
            + ("" if data["fits"] else ": does not fit"),
            *(f"  {size_text(size):>10s}  {PARTS[name]}" for name, size in parts if size),
        ]
    )
    return Outcome(data, text)
