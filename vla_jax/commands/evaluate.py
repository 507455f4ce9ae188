"""`vla-jax eval`: success of a policy with its confidence interval."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from vla_jax.commands.common import Outcome, add_backend, add_scenes, percent, positive
from vla_jax.progress import Progress

NAME = "eval"
SUMMARY = "success of a policy on scenes, with a confidence interval"
DESCRIPTION = """\
Plays episodes without exploration noise, scene after scene in turn, and counts successes.
Two policies with the same scenes, seed and numbers meet the same starts. So do both domains: the
transfer domain stands in for a real robot, with other shapes, contacts, timing, light, surfaces and
cameras, stepped and drawn by MuJoCo itself."""
AGAIN = "run the same command again to start over"

_BULK = ("solved", "steps")  # one entry per episode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument("policy", type=Path, metavar="RUN", help="run of the policy, or a demo")
    add_scenes(parser)
    parser.add_argument(
        "--episodes",
        type=positive,
        default=256,
        metavar="E",
        help="episodes in all (default %(default)s)",
    )
    parser.add_argument(
        "--num-envs",
        type=positive,
        metavar="N",
        help="parallel environments (default: one per episode, at most 256)",
    )
    parser.add_argument(
        "--domain",
        choices=("train", "transfer"),
        default="train",
        help="physics and pictures as in training (default), or unlike anything in it",
    )
    add_backend(parser)


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Plays the episodes."""
    transfer = args.domain == "transfer"
    if transfer:
        _check_transfer(args.backend)
    from generation.store import load_scenes
    from vla_jax.api import evaluate, load_policy

    scenes = load_scenes(args.scenes)
    policy = load_policy(args.policy)
    stage = progress.stage("playing episodes", args.episodes)
    shared = {"num_envs": args.num_envs, "progress": stage.callback}
    if transfer:
        from vla_jax.transfer import run_transfer

        result = run_transfer(policy, scenes, args.episodes, args.seed, **shared)
    else:
        result = evaluate(policy, scenes, args.episodes, args.seed, backend=args.backend, **shared)
    data = {key: value for key, value in result.to_json().items() if key not in _BULK}
    data["domain"] = args.domain
    low, high = result.ci95
    lines = [
        f"{percent(result.success_rate)} of {result.episodes} episodes solved "
        f"(95 % interval {percent(low)} to {percent(high)})"
    ]
    if result.mean_time_to_success_s is not None:
        lines.append(f"solved after {result.mean_time_to_success_s:.1f} s on average")
    if result.broken:
        lines.append(f"{result.broken} episodes ended by a fault of the physics count as failed")
    return Outcome(data, "\n".join(lines))


def _check_transfer(backend: str) -> None:
    """Refuses what the transfer domain cannot do, before any work is done."""
    if backend not in ("auto", "native"):
        raise ValueError(
            f"--domain transfer runs on MuJoCo's own engine, not on {backend}: leave --backend out"
        )
    try:
        from sim.transfer import NO_OPENGL, find_opengl
    except (AttributeError, ImportError, RuntimeError) as error:
        way = os.environ.get("MUJOCO_GL")
        if not way:
            raise
        raise ValueError(  # MuJoCo loads what the variable names when it is imported
            f"MuJoCo cannot be loaded with MUJOCO_GL={way} ({error}): install it (Debian and "
            "Ubuntu: apt-get install libegl1 libgl1-mesa-dri, or libosmesa6) or unset MUJOCO_GL"
        ) from None
    if find_opengl() is None:
        raise ValueError(NO_OPENGL)
