"""`vla-jax render`: a film of a policy, or a picture grid of scenes."""

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
    check_new_file,
    check_new_folder,
    positive,
    save_sheet,
    scene_pictures,
)
from vla_jax.progress import Progress

if TYPE_CHECKING:
    from generation.spec import SceneSpec

NAME = "render"
SUMMARY = "a film of a policy at work, or a picture grid of scenes"
DESCRIPTION = """\
Of a run: a GIF of the policy in the first scenes of --scenes (of a demo: its unseen scenes), and
beside it the same episodes as MJCF and trajectories, for MuJoCo's viewer:
  python -m vla_jax.replay film_replay/episode00
Of a folder of scenes: a PNG grid; with --mjcf also every scene as MJCF."""
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
    parser.add_argument(
        "--mjcf",
        type=Path,
        metavar="DIR",
        help="new folder for files that mujoco.viewer opens (default: of a film, NAME_replay "
        "beside it; of scenes, none)",
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
    if args.mjcf is not None:
        _check_mjcf_folder(args.mjcf)
    from generation.store import load_scenes

    scenes = load_scenes(args.source)
    progress.stage("drawing the scenes")
    save_sheet(scenes, scene_pictures(scenes), out)
    text = f"picture grid: {out}"
    if args.mjcf is not None:
        _write_scenes(scenes, args.mjcf)
        text += f"; MJCF: {args.mjcf}"
    return Outcome({"path": str(out), "replay": args.mjcf}, text)


def _check_mjcf_folder(folder: Path) -> None:
    try:
        check_new_folder(folder)
    except FileExistsError as error:
        raise FileExistsError(str(error).replace("-o", "--mjcf")) from None


def _write_scenes(scenes: Sequence[SceneSpec], folder: Path) -> None:
    """Every scene as `<id>.xml`, without the slots that only a batch needs."""
    from sim.recording import scene_mjcf
    from sim.robots import DEFAULT_ROBOT, get_robot

    folder.mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        (folder / f"{scene.id}.xml").write_text(scene_mjcf(scene, get_robot(DEFAULT_ROBOT)))


def _film(args: argparse.Namespace, progress: Progress) -> Outcome:
    out = args.out or args.source / "film.gif"
    check_new_file(out, ".gif")
    replay = args.mjcf or out.with_name(f"{out.stem}_replay")
    _check_mjcf_folder(replay)
    own = args.source / "scenes" / "heldout"
    folder = args.scenes or (own if own.is_dir() else None)
    if folder is None:
        raise ValueError(f"no scenes to film {args.source} in: pass --scenes DIR")
    import numpy as np

    from generation.store import load_scenes
    from vla_jax.api import build_batch, build_env, load_policy
    from vla_jax.film import play_episodes, save_film, save_replay

    scenes = load_scenes(folder)[: args.episodes]
    policy = load_policy(args.source)
    progress.stage(f"filming {len(scenes)} episodes")
    env = build_env(len(scenes), policy.env, backend=args.backend)
    batch = build_batch(scenes, policy.tokenizer, backend=args.backend)
    order = np.arange(len(scenes), dtype=np.int32)
    episodes = play_episodes(env, batch, policy, order, args.seed)
    captions = [scene.task.instruction for scene in scenes]
    played = save_film(env, batch, episodes, captions, out)
    first = save_replay(env, batch, episodes, scenes, replay)[0]
    text = (
        f"{played['successes']} of {played['episodes']} episodes solved; film: {out}; "
        f"to play one back: python -m vla_jax.replay {first}"
    )
    return Outcome({"path": str(out), "replay": str(replay)} | played, text)
