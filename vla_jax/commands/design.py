"""`vla-jax design`: sentences to a folder of scenes."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_jax.commands.common import (
    Outcome,
    add_out,
    check_new_folder,
    positive,
    save_sheet,
    scene_pictures,
)
from vla_jax.commands.llm_options import (
    add_llm_arguments,
    check_llm_arguments,
    designer_from_arguments,
    llm_summary,
    llm_usage,
)
from vla_jax.commands.provider_options import add_provider_arguments, provider_from_arguments
from vla_jax.progress import Progress

if TYPE_CHECKING:
    from generation.designer import Designer
    from generation.production.supply import Supply
    from generation.providers import AssetProvider
    from generation.spec import SceneSpec

NAME = "design"
SUMMARY = "sentences to a folder of scenes with a preview"
DESCRIPTION = """\
Designs scenes from sentences: chooses objects, gives them shape, places them so that they
stand still and can be reached, checks them, and writes the folder with a contact sheet
(preview.png). Many scenes are made side by side on all cores; an interrupted run continues.

  vla-jax design "put the banana in the blue bowl" -n 8 -o scenes/banana
  vla-jax design "put something in a container" -n 64 --difficulty full -o scenes/many
  vla-jax design "a messy breakfast table" -n 5000 -o scenes/breakfast --ray auto
  vla-jax design "put the egg in the samovar" -o scenes/tea --library mine --provider folder=glbs"""
_NOTES = 10  # notes shown in the summary
AGAIN = "finished scenes are kept; run the same command again to continue"


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
        help="who reads the sentences: grammar works offline (default); llm asks a language model",
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
    parser.add_argument(
        "--library",
        type=Path,
        metavar="DIR",
        help="asset library, made by `vla-jax import`: its objects take part",
    )
    parser.add_argument(
        "--background",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        metavar="FILE",
        help="equirectangular PNG, JPG or HDR pictures as surroundings, instead of rooms that the "
        "sentences name; several take turns",
    )
    parser.add_argument(
        "--processes",
        type=positive,
        metavar="P",
        help="processes side by side (default: one per core if there are many scenes)",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="work on a Ray cluster: its address, or nothing to start one here",
    )
    parser.add_argument(
        "--skip-failed",
        action="store_true",
        help="write the other scenes if some cannot be made",
    )
    add_provider_arguments(parser)
    add_llm_arguments(parser)


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Designs the scenes and writes them with their preview."""
    check_new_folder(args.out)
    check_llm_arguments(args)
    from generation.designer import notes_of
    from generation.production.parallel import Failure, design_many
    from generation.production.partial import kept_scenes
    from generation.quality import shape_id
    from generation.rooms import read_picture

    provider = provider_from_arguments(args)
    pictures = [read_picture(path) for path in args.background]
    designer: str | Designer = args.designer
    if designer == "llm":
        designer = designer_from_arguments(args)
    supplied = None if provider is None else _supply(args, provider, progress)
    nothing = provider is not None and not (args.library / "assets").is_dir()
    resumed = min(kept_scenes(args.out), args.n)
    failed: list[Failure] = []
    stage = progress.stage(f"designing {args.n} scenes", args.n)
    begin = time.perf_counter()
    spent = 0.0

    def preview(scenes: list[SceneSpec]) -> dict[str, bytes]:
        nonlocal spent
        spent = time.perf_counter() - begin
        progress.stage("drawing the preview")
        return {"preview.png": _sheet(scenes)}

    scenes = design_many(
        args.prompts,
        args.n,
        args.seed,
        args.out,
        processes=args.processes,
        designer=designer,
        difficulty=args.difficulty,
        split=args.split,
        library=None if nothing else args.library,
        backgrounds=pictures,
        progress=stage.callback,
        executor="processes" if args.ray is None else "ray",
        address=args.ray or None,
        failed=failed if args.skip_failed else None,
        preview=preview,
    )
    path = args.out / "preview.png"
    unique = len({shape_id(thing) for scene in scenes for thing in scene.objects})
    notes = list(dict.fromkeys(note for scene in scenes for note in notes_of(scene)))
    rate = (len(scenes) - resumed) / max(spent, 1e-9)
    data: dict[str, Any] = {
        "scenes": len(scenes),
        "unique_objects": unique,
        "dir": str(args.out),
        "preview": str(path),
        "resumed": resumed,
        "failed": [str(failure) for failure in failed],
        "notes": notes,
        "made": [] if supplied is None else _made(supplied),
        "scenes_per_s": round(rate, 2),
        "llm": None if isinstance(designer, str) else llm_usage(designer),
    }
    words = [f"{len(scenes)} scenes with {unique} different objects in {args.out}"]
    words += [f"{rate:.1f} scenes/s"]
    words += [f"{resumed} of them from an earlier run"] if resumed else []
    words += [] if isinstance(designer, str) else [llm_summary(designer)]
    lines = [f"made {m['noun']} ({m['id']}, {m['licence']})" for m in data["made"]]
    lines += notes[:_NOTES]
    lines += [f"and {len(notes) - _NOTES} more; --json lists them all"] * (len(notes) > _NOTES)
    lines += [f"{', '.join(words)}; look at {path}", *(f"left out: {f}" for f in failed)]
    return Outcome(data, "\n".join(lines))


def _supply(args: argparse.Namespace, provider: AssetProvider, progress: Progress) -> Supply:
    """Has the provider make what the sentences name and nothing is called."""
    from generation.assets.store import AssetLibrary
    from generation.production.supply import supply

    stage = progress.stage("making what the sentences name")
    library = AssetLibrary(args.library)
    supplied = supply(args.prompts, provider, library, seed=args.seed, report=stage.callback)
    for noun, reason in supplied.failed:
        progress.say(f"{noun}: not made, what is nearest stands in if anything is: {reason}")
    return supplied


def _made(supplied: Supply) -> list[dict[str, str]]:
    """The new assets for --json."""
    return [
        {
            "noun": record.thing.noun,
            "id": record.id,
            "source": record.source,
            "licence": record.licence,
            "training": record.training,
        }
        for record in supplied.made
    ]


def _sheet(scenes: list[SceneSpec]) -> bytes:
    """The contact sheet of the first scenes as a PNG."""
    with tempfile.TemporaryDirectory(prefix="vla-jax-preview-") as folder:
        path = save_sheet(scenes, scene_pictures(scenes), Path(folder) / "preview.png")
        return path.read_bytes()
