"""`vla-jax render`: a film of a policy, or a picture grid of scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_jax.commands.common import (
    Outcome,
    add_backend,
    add_out,
    add_scenes,
    check_new_file,
    positive,
    save_sheet,
    scene_pictures,
)
from vla_jax.progress import Progress

NAME = "render"
SUMMARY = "a film of a policy at work, or a picture grid of scenes"
DESCRIPTION = """\
Of a run: a GIF of the policy in the first scenes of --scenes (of a demo: its unseen scenes).
Of a folder of scenes: a PNG grid."""
AGAIN = "run the same command again to start over"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument("source", type=Path, metavar="RUN|DIR", help="a run or a scene folder")
    add_scenes(parser, required=False)
    add_out(
        parser,
        "PATH",
        "new file (default: film.gif or scenes.png inside RUN|DIR)",
        required=False,
    )
    parser.add_argument(
        "--episodes",
        type=positive,
        default=8,
        metavar="E",
        help="episodes side by side in a film, one per scene (default %(default)s)",
    )
    add_backend(parser)


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Draws the film or the grid."""
    if not args.source.is_dir():
        raise FileNotFoundError(f"no folder {args.source}: pass a run or a folder of scenes")
    if (args.source / "index.json").exists():
        return _grid(args, progress)
    return _film(args, progress)


def _grid(args: argparse.Namespace, progress: Progress) -> Outcome:
    if args.scenes is not None:
        raise ValueError(f"{args.source} is a folder of scenes already: leave out --scenes")
    out = args.out or args.source / "scenes.png"
    check_new_file(out, ".png")
    from generation.store import load_scenes

    scenes = load_scenes(args.source)
    progress.stage("drawing the scenes")
    save_sheet(scenes, scene_pictures(scenes), out)
    return Outcome({"path": str(out)}, f"picture grid: {out}")


def _film(args: argparse.Namespace, progress: Progress) -> Outcome:
    out = args.out or args.source / "film.gif"
    check_new_file(out, ".gif")
    own = args.source / "scenes" / "heldout"
    folder = args.scenes or (own if own.is_dir() else None)
    if folder is None:
        raise ValueError(f"no scenes to film {args.source} in: pass --scenes DIR")
    import numpy as np

    from generation.store import load_scenes
    from vla_jax.api import build_batch, build_env, load_policy
    from vla_jax.film import film_policy

    scenes = load_scenes(folder)[: args.episodes]
    policy = load_policy(args.source)
    progress.stage(f"filming {len(scenes)} episodes")
    env = build_env(len(scenes), policy.env, backend=args.backend)
    batch = build_batch(scenes, policy.tokenizer, backend=args.backend)
    captions = [scene.task.instruction for scene in scenes]
    order = np.arange(len(scenes), dtype=np.int32)
    played = film_policy(env, batch, policy, order, captions, args.seed, out)
    text = f"{played['successes']} of {played['episodes']} episodes solved; film: {out}"
    return Outcome({"path": str(out)} | played, text)
