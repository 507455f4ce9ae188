"""`vla-jax import`: meshes, URDFs and EmbodiedGen folders to a library of assets."""

from __future__ import annotations

import argparse
import shlex
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_jax.commands.common import Outcome, add_out, percent, positive
from vla_jax.progress import Progress

if TYPE_CHECKING:
    from generation.assets.intake.importer import Harvest
    from generation.assets.store import AssetLibrary

NAME = "import"
SUMMARY = "meshes, URDFs and EmbodiedGen folders to a library of assets"
DESCRIPTION = """\
Reads GLB, glTF, OBJ, STL, PLY, OFF and URDF files, also in folders, and the folders that
EmbodiedGen writes, and makes of each an object with convex parts, mass, inertia, a grip and
a look (preview.png). Files are not trusted: each is read in a process of its own, with
limits, and a bad one is rejected with a reason while the rest goes on. EmbodiedGen's tasks
become scenes too, in DIR/scenes. Run again, it continues: what DIR has is not read twice.

  vla-jax import mug.glb -o library --noun mug --size 0.1 --licence CC-BY-4.0
  vla-jax import outputs/layouts/ -o library --licence Apache-2.0 --processes 4"""
AGAIN = "what is imported already is kept; run the same command again to continue"

_SHOWN = 20  # assets and rejections in the summary
_PICTURES = 24  # assets on the contact sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="file or folder; several are fine"
    )
    add_out(parser, "DIR", "library, new or not")
    parser.add_argument("--noun", default="", help="what they are (default: from the file's name)")
    parser.add_argument(
        "--size",
        type=_metres,
        metavar="M",
        help="longest side in metres (default: from the file, or usual for the noun)",
    )
    parser.add_argument(
        "--unit",
        choices=("m", "dm", "cm", "mm", "in", "ft"),
        default="",
        help="unit of the files (default: from the file, or what fits the noun)",
    )
    parser.add_argument(
        "--up",
        choices=("x", "y", "z", "-x", "-y", "-z"),
        default="",
        help="axis of the files that points up (default: from the file); write --up=-y",
    )
    parser.add_argument(
        "--licence",
        default="unknown",
        help="of the files, such as CC-BY-4.0 or MIT; kept with each asset (default %(default)s)",
    )
    parser.add_argument(
        "--source", default="", help="where they are from (default: the file's name)"
    )
    parser.add_argument(
        "--processes", type=positive, default=1, metavar="N", help="imports at a time (default 1)"
    )


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Imports the files and shows what came of it."""
    from generation.assets.intake.importer import import_sources
    from generation.assets.store import AssetLibrary

    if args.out.exists() and not args.out.is_dir():
        raise FileExistsError(f"{args.out} is a file: choose a folder with -o")
    if not 1 <= len(args.licence) <= 80 or len(args.source) > 200:
        raise ValueError("--licence takes 1 to 80 characters, --source at most 200: shorten it")
    library = AssetLibrary(args.out)
    stage = progress.stage("importing")
    harvest = import_sources(
        args.paths,
        library,
        options=_options(args),
        processes=args.processes,
        seed=args.seed,
        report=stage.callback,
    )
    data = _data(harvest, library, args.out)
    if harvest.scenes:
        progress.stage("writing the scenes")
        data["scenes_dir"] = str(_save_scenes(harvest, args.out))
    if data["assets"]:
        progress.stage("drawing the preview")
        data["preview"] = str(_draw(harvest, library, args.out / "preview.png"))
    lines = [*_doctor(harvest, library), *_summary(harvest, data), *_next(harvest, library)]
    return Outcome(data, "\n".join(lines))


def _options(args: argparse.Namespace) -> dict[str, Any]:
    names = ("noun", "size", "unit", "up", "licence", "source")
    return {name: getattr(args, name) for name in names}


def _data(harvest: Harvest, library: AssetLibrary, out: Path) -> dict[str, Any]:
    tried = len(harvest.imported) + len(harvest.rejected)
    records = [library.record(item.asset) for item in harvest.imported]
    return {
        "imported": len(harvest.imported),
        "rejected": [{"path": str(r.path), "reason": r.reason} for r in harvest.rejected],
        "dir": str(out),
        "assets": [
            {
                "path": str(item.path),
                "id": item.asset,
                "noun": record.thing.noun,
                "graspable": record.graspable,
                "receptacle": list(record.receptacle),
                "licence": record.licence,
                "training": record.training,
                "known": item.known,
            }
            for item, record in zip(harvest.imported, records, strict=True)
        ],
        "unique_assets": len({item.asset for item in harvest.imported}),
        "scenes": len(harvest.scenes),
        "success_rate": len(harvest.imported) / tried if tried else 0.0,
        "training_forbidden": sum(r.training == "forbidden" for r in records),
    }


def _save_scenes(harvest: Harvest, out: Path) -> Path:
    """Writes DIR/scenes anew, with the scenes of earlier imports that it holds."""
    import fcntl
    import shutil

    from generation.store import load_scenes, save_scenes

    folder, old, new = out / "scenes", out / ".scenes.old", out / ".scenes.new"
    with (out / ".scenes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if old.exists() and not folder.exists():  # stopped between the two renames
            old.rename(folder)
        for leftover in (old, new):
            shutil.rmtree(leftover, ignore_errors=True)
        known = load_scenes(folder) if folder.exists() else []
        scenes = {scene.id: scene for scene in [*known, *(item.scene for item in harvest.scenes)]}
        save_scenes(list(scenes.values()), new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _draw(harvest: Harvest, library: AssetLibrary, path: Path) -> Path:
    """Writes a contact sheet of what was imported."""
    import numpy as np

    from generation.assets.portrait import portrait
    from vla_jax.pictures import contact_sheet, save_png

    ids = list(dict.fromkeys(item.asset for item in harvest.imported))
    things = [library.record(asset).thing for asset in ids[:_PICTURES]]
    pictures = np.stack([portrait(thing.parts) for thing in things])
    captions = [
        f"{thing.noun}, {thing.height * 100:.1f} cm, {asset[:8]}"
        for thing, asset in zip(things, ids, strict=False)
    ]
    title = f"{len(things)} of {len(ids)} assets" if len(things) < len(ids) else ""
    return save_png(contact_sheet(pictures, captions, title=title), path)


def _doctor(harvest: Harvest, library: AssetLibrary) -> list[str]:
    """A line for each asset on what was found and repaired."""
    from generation.assets.intake.importer import doctor_line

    lines = []
    for item in harvest.imported[:_SHOWN]:
        known = " (known)" if item.known else ""
        lines.append(f"{item.path.name}{known}: {doctor_line(library, item.asset)}")
    if (more := len(harvest.imported) - _SHOWN) > 0:
        lines.append(f"and {more} more; --json lists them all")
    for scene in harvest.scenes[:_SHOWN]:
        words = "; ".join(scene.notes)
        lines.append(f"{scene.path.name}: {scene.scene.task.instruction} · {words}")
    return lines


def _summary(harvest: Harvest, data: dict[str, Any]) -> list[str]:
    lines = [f"rejected {r.path}: {r.reason}" for r in harvest.rejected[:_SHOWN]]
    if (more := len(harvest.rejected) - _SHOWN) > 0:
        lines.append(f"and {more} more rejected; --json lists them all")
    kinds = {item.path: item.path.suffix.lower() or "task" for item in harvest.imported}
    kinds |= {item.path: item.path.suffix.lower() or "task" for item in harvest.rejected}
    good = Counter(kinds[item.path] for item in harvest.imported)
    good.update(kinds.get(item.path, "task") for item in harvest.scenes)
    bad = Counter(kinds[item.path] for item in harvest.rejected)
    lines.append(f"{'kind':<8}{'done':>8}{'rejected':>10}{'rate':>10}")
    for kind in sorted({*good, *bad}):
        rate = percent(good[kind] / (good[kind] + bad[kind]))
        lines.append(f"{kind:<8}{good[kind]:>8}{bad[kind]:>10}{rate:>10}")
    if data["training_forbidden"]:
        lines.append(
            f"{data['training_forbidden']} assets must not be used for training: their licence "
            "forbids it"
        )
    words = f"{data['unique_assets']} different assets"
    words += f" and {data['scenes']} scenes" if data["scenes"] else ""
    look = f"; look at {data['preview']}" if "preview" in data else ""
    return [*lines, f"{words} in {data['dir']}{look}"]


def _next(harvest: Harvest, library: AssetLibrary) -> list[str]:
    """The command that puts one of the imports into scenes."""
    from generation.assets.stored import noun_to_lift

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what may not be used: the summary has said it
        families = library.families(training=True)
    noun = noun_to_lift(families.values(), {item.asset for item in harvest.imported})
    if not noun:
        return []
    goal = "on the plate" if "bowl" in noun.split() else "in the bowl"
    out = f"scenes/{noun.replace(' ', '_')}"
    where = shlex.quote(str(library.root))
    return [f'next: vla-jax design "put the {noun} {goal}" --library {where} -o {out}']


def _metres(text: str) -> float:
    from generation.assets.importing.asset import MAX_LENGTH, MIN_LENGTH

    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not MIN_LENGTH <= size <= MAX_LENGTH:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no length from {MIN_LENGTH:g} to {MAX_LENGTH:g} metres"
        )
    return size
