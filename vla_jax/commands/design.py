"""`vla-jax design`: sentences to a folder of scenes."""

from __future__ import annotations

import argparse

from vla_jax.commands.common import (
    Outcome,
    add_out,
    check_new_folder,
    positive,
    save_sheet,
    scene_pictures,
)
from vla_jax.progress import Progress

NAME = "design"
SUMMARY = "sentences to a folder of scenes with a preview"
DESCRIPTION = """\
Designs scenes from sentences: chooses objects, gives them shape, places them so that they
stand still and can be reached, and writes the folder with a contact sheet (preview.png).

  vla-jax design "put the banana in the blue bowl" -n 8 -o scenes/banana
  vla-jax design "put something in a container" -n 64 --difficulty full -o scenes/many"""
AGAIN = "nothing was written; run the same command again to start over"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument(
        "prompts",
        nargs="+",
        metavar="PROMPT",
        help='sentence such as "put the red block on the blue plate"; several take turns',
    )
    parser.add_argument(
        "-n", type=positive, default=8, metavar="N", help="scenes in all (default %(default)s)"
    )
    add_out(parser, "DIR", "new folder for the scenes")
    parser.add_argument(
        "--designer",
        choices=("grammar", "llm"),
        default="grammar",
        help="who reads the sentences: grammar works offline (default); llm comes later",
    )
    parser.add_argument(
        "--difficulty",
        choices=("easy", "full"),
        default="easy",
        help="easy: small objects close by, one distractor (default); full: everything",
    )
    parser.add_argument(
        "--split",
        choices=("train", "heldout", "all"),
        default="all",
        help="objects, colour pairs and wordings to choose from; train and heldout share none "
        "(default all)",
    )


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Designs the scenes and writes them with their preview."""
    if args.designer == "llm":
        raise ValueError("--designer llm comes with a later version: use --designer grammar")
    check_new_folder(args.out)
    from generation.designer import design
    from generation.quality import shape_id
    from generation.store import save_scenes

    progress.stage(f"designing {args.n} scenes")
    scenes = design(args.prompts, args.n, args.seed, difficulty=args.difficulty, split=args.split)
    progress.stage("drawing the preview")
    pictures = scene_pictures(scenes)
    save_scenes(scenes, args.out)
    preview = save_sheet(scenes, pictures, args.out / "preview.png")
    unique = len({shape_id(thing) for scene in scenes for thing in scene.objects})
    data = {
        "scenes": len(scenes),
        "unique_objects": unique,
        "dir": str(args.out),
        "preview": str(preview),
    }
    text = f"{len(scenes)} scenes with {unique} different objects in {args.out}; look at {preview}"
    return Outcome(data, text)
