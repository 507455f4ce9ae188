"""`vla-jax pretrain`: demonstrations and imitation."""

from __future__ import annotations

import argparse
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
    from vla_jax.imitation import ImitationConfig
    from vla_jax.models.config import PolicyConfig

NAME = "pretrain"
SUMMARY = "record a scripted expert and pretrain a policy by imitation"
DESCRIPTION = """\
Records a scripted expert on the scenes until enough successful action chunks are at hand,
adds pictures with the arm anywhere, and trains a flow-matching policy on both. With
--dataset it learns from a LeRobot v3.0 dataset on disk beside the scenes or, without
--scenes, from that alone.

--resume continues a stopped run from its last checkpoint, to the bit: give the same
options as before."""
AGAIN = "run the same command again with --resume to continue"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments; the numbers are those of ImitationConfig."""
    add_scenes(parser, required=False)
    parser.add_argument(
        "--dataset", type=Path, metavar="DIR", help="folder of a LeRobot v3.0 dataset"
    )
    parser.add_argument(
        "--cameras",
        metavar="FIXED[,WRIST]",
        help="the dataset's features that show what the fixed and the wrist camera see (default: "
        "told by their names)",
    )
    add_out(parser, "RUN", "folder for the policy: new, or with --resume its own")
    number = "%(default)s"
    for option, kind, default, text in (
        ("--chunks", positive, 12000, f"action chunks to record (default {number})"),
        ("--stills", natural, None, "pictures without actions (default 24000, for π0's none)"),
        ("--steps", positive, 1500, f"minibatches of training (default {number})"),
        ("--num-envs", positive, 256, f"environments of the recording (default {number})"),
        ("--episode-steps", positive, 100, f"control steps of an episode (default {number})"),
    ):
        parser.add_argument(option, type=kind, default=default, metavar="N", help=text)
    parser.add_argument(
        "--heldout",
        type=_share,
        default=0.05,
        metavar="SHARE",
        help="share of the demonstrations that only measures the loss (default %(default)s)",
    )
    parser.add_argument(
        "--ema",
        type=_share,
        default=0.0,
        metavar="DECAY",
        help="save a moving average of the parameters, of this decay, as the policy; 0.99 is "
        "usual (default: off)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change any other setting, for instance learning_rate=1e-4 (usually 5e-3 for tiny, "
        "1e-3 for others, 2.5e-5 with an --init of π0's shape), demo_rows=64 or augment.shift=2; "
        "may be repeated; a mistyped name is told its neighbours",
    )
    parser.add_argument(
        "--augment",
        action="store_true",
        help="vary the pictures while training: colours, and shifts of a few pixels",
    )
    parser.add_argument(
        "--preset",
        default="tiny",
        help="size of the policy: tiny (default, for a CPU), small, base, pi0 or pi05",
    )
    parser.add_argument(
        "--init", type=Path, metavar="RUN", help="start from this run's policy (its size and words)"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in -o")
    add_backend(parser)


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Records or reads, pretrains and saves."""
    if args.scenes is None and args.dataset is None:
        raise ValueError("nothing to learn from: pass --scenes DIR, --dataset DIR or both")
    if not args.resume:
        check_new_folder(args.out)
    from dataclasses import replace

    from generation.store import load_scenes
    from vla_jax.models.config import get_config
    from vla_jax.pipeline import ENV, pretrain_on
    from vla_jax.run import load_config

    policy = get_config(args.preset) if args.init is None else load_config(args.init).policy
    settings = _settings(args, policy)
    env = replace(ENV, episode_steps=args.episode_steps)
    data = pretrain_on(
        [] if args.scenes is None else load_scenes(args.scenes),
        args.out,
        policy,
        settings,
        args.seed,
        env=env,
        backend=args.backend,
        dataset=args.dataset,
        cameras=_cameras(args.cameras),
        resume=args.resume,
        init=args.init,
        stage=progress.stage,
    )
    solved, heldout = data["expert_success"], data["heldout_loss"]
    text = f"{data['demos']} demonstrations"
    text += "" if solved is None else f", of which the expert solved {percent(solved)}"
    text += f"; loss {data['loss']:.3f}"
    text += "" if heldout is None else f", held out {heldout:.3f}"
    return Outcome(data | {"dir": str(args.out)}, f"{text}; policy in {args.out}")


def _settings(args: argparse.Namespace, policy: PolicyConfig) -> ImitationConfig:
    """The options over what is usual for the policy."""
    from dataclasses import replace

    from vla_jax.config import settle
    from vla_jax.data.augment import USUAL
    from vla_jax.imitation import usual_settings

    usual = usual_settings(policy, fresh=args.init is None)
    settings = replace(
        usual,
        chunks=args.chunks,
        stills=usual.stills if args.stills is None else args.stills,
        steps=args.steps,
        num_envs=args.num_envs,
        heldout=args.heldout,
        ema=args.ema,
        augment=USUAL if args.augment else usual.augment,
    )
    return settle(settings, args.set)


def _share(text: str) -> float:
    """Argument type: a number in [0, 1)."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0.0 <= number < 1.0:
        raise argparse.ArgumentTypeError(f"{text} is out of range: it must be in [0, 1)")
    return number


def _cameras(text: str | None) -> tuple[str, str | None] | None:
    if text is None:
        return None
    fixed, _, wrist = text.partition(",")
    return fixed, wrist or None
