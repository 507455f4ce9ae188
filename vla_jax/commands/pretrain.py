"""`vla-jax pretrain`: demonstrations and imitation."""

from __future__ import annotations

import argparse

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

NAME = "pretrain"
SUMMARY = "record a scripted expert and pretrain a policy by imitation"
DESCRIPTION = """\
Records a scripted expert on the scenes until enough successful action chunks are at hand,
adds pictures with the arm anywhere, and trains a flow-matching policy on both."""
AGAIN = "run the same command again to start over"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments; the numbers are those of ImitationConfig."""
    add_scenes(parser)
    add_out(parser, "RUN", "new folder for the policy")
    number = "%(default)s"
    for option, kind, default, text in (
        ("--chunks", positive, 12000, f"action chunks to record (default {number})"),
        ("--stills", natural, 24000, f"pictures without actions (default {number})"),
        ("--steps", positive, 1500, f"minibatches of training (default {number})"),
        ("--num-envs", positive, 256, f"environments of the recording (default {number})"),
        ("--episode-steps", positive, 100, f"control steps of an episode (default {number})"),
    ):
        parser.add_argument(option, type=kind, default=default, metavar="N", help=text)
    parser.add_argument(
        "--preset", default="tiny", help="size of the policy: tiny (default) or small"
    )
    add_backend(parser)


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Records, pretrains and saves."""
    check_new_folder(args.out)
    from dataclasses import replace

    from generation.store import load_scenes
    from vla_jax.imitation import ImitationConfig
    from vla_jax.models.config import get_config
    from vla_jax.pipeline import ENV, pretrain_on

    policy = get_config(args.preset)
    settings = ImitationConfig(
        chunks=args.chunks, stills=args.stills, steps=args.steps, num_envs=args.num_envs
    )
    env = replace(ENV, episode_steps=args.episode_steps)
    data = pretrain_on(
        load_scenes(args.scenes),
        args.out,
        policy,
        settings,
        args.seed,
        env=env,
        backend=args.backend,
        stage=progress.stage,
    )
    text = (
        f"{data['demos']} demonstrations, of which the expert solved "
        f"{percent(data['expert_success'])}; loss {data['loss']:.3f}; policy in {args.out}"
    )
    return Outcome(data | {"dir": str(args.out)}, text)
