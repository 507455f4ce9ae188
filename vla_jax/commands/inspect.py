"""`vla-jax inspect`: what is wrong with the scenes or the assets of a folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_jax.commands.common import PICTURES, Outcome, percent, scene_pictures
from vla_jax.progress import Progress

if TYPE_CHECKING:
    from generation.measures.asset_quality import AssetVerdict
    from generation.quality import Verdict
    from generation.spec import SceneSpec
    from vla_jax.sheet import Figure, Tile

NAME = "inspect"
SUMMARY = "quality of a folder of scenes or of an asset library, and a contact sheet"
DESCRIPTION = """\
Scenes: simulates every one for three seconds without a robot and measures whether objects move,
overlap, are out of reach, cannot be gripped or stand elsewhere than the scene says; lets the
scripted expert try the task (--no-solve leaves that out; without either, folders of up to 1000
scenes are tried, about ten scenes a second); and says how different the scenes are.
Assets: drops each, and checks grip, mass, inertia and how well its shape fits the mesh.
Writes inspect.json and contact_sheet.png into the folder. Problems are a finding, not a failure:
the exit status is 0."""
AGAIN = "run the same command again to start over"

_SOLVED_UP_TO = 1000  # scenes that the expert tries unless told otherwise
_FRACTIONS = {
    "stable_fraction": ("stand still", "stand still"),
    "collision_free_fraction": ("are free of collisions", "free of overlap"),
    "reachable_fraction": ("are within reach", "within reach"),
    "graspable_fraction": ("can be gripped", "graspable"),
    "relations_satisfied_fraction": ("are arranged as described", "arranged as told"),
    "in_bounds_fraction": ("are on the table", "on the table"),
    "solved_fraction": ("are solved by the scripted expert", "solved by the expert"),
}
_FAULTS = {
    "stable": "moves",
    "collision_free": "overlap",
    "reachable": "out of reach",
    "graspable": "no grip",
    "relations": "not as told",
    "in_bounds": "off the table",
}
_SHOWN = 20  # problems in the summary
_BAD_TILES = 6  # at most so many of the pictures are kept for what has problems


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument(
        "dir", type=Path, metavar="DIR", help="folder of scenes, or an asset library"
    )
    parser.add_argument(
        "--solve",
        action=argparse.BooleanOptionalAction,
        default=None,
        help=f"let the scripted expert try every scene (default: up to {_SOLVED_UP_TO} scenes)",
    )


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Measures what is in the folder and draws it."""
    if (args.dir / "assets").is_dir() and not (args.dir / "index.json").exists():
        return _assets(args.dir, progress)
    return _scenes(args.dir, args.solve, args.seed, progress)


def _scenes(folder: Path, solve: bool | None, seed: int, progress: Progress) -> Outcome:
    from generation.measures.diversity import farthest_points
    from generation.quality import inspect_scene, summarise
    from generation.store import load_scenes

    scenes = load_scenes(folder)
    stage = progress.stage(f"simulating {len(scenes)} scenes", len(scenes))
    verdicts = []
    for number, scene in enumerate(scenes):
        verdicts.append(inspect_scene(scene))
        stage(number + 1)
    solved = None
    if solve or (solve is None and len(scenes) <= _SOLVED_UP_TO):
        from sim.solve import solve_scenes

        stage = progress.stage("the scripted expert at work", len(scenes))
        solved = [bool(x) for x in solve_scenes(scenes, seed, progress=stage.callback)]
    progress.stage("comparing the scenes")
    report = summarise(scenes, verdicts, solved)
    progress.stage("drawing the contact sheet")
    bad = [
        i for i, v in enumerate(verdicts) if v.problems or (solved is not None and not solved[i])
    ]
    shown = _choose(bad, len(scenes), lambda ids, n: farthest_points([scenes[i] for i in ids], n))
    tiles = _scene_tiles(scenes, verdicts, solved, shown)
    note = f"{len(tiles)} of {len(scenes)} scenes, chosen to differ" if len(tiles) < len(
        scenes
    ) else f"all {len(scenes)} scenes"  # fmt: skip
    if solved is not None:
        note += "  ·  green dot: solved by the scripted expert"
    return _written(folder, report, tiles, note, _scene_figures(report), _scene_lines(report))


def _choose(bad: Sequence[int], count: int, pick: Any) -> list[int]:
    """Which of `count` to show: some of the bad ones, and as many others as have room."""
    good = [i for i in range(count) if i not in set(bad)]
    room = min(PICTURES, count)
    few = min(len(bad), max(_BAD_TILES, room - len(good)))
    chosen = [bad[k] for k in pick(bad, few)] if few else []
    rest = room - len(chosen)
    return sorted(chosen + ([good[k] for k in pick(good, rest)] if rest else []))


def _scene_tiles(
    scenes: Sequence[SceneSpec],
    verdicts: Sequence[Verdict],
    solved: Sequence[bool] | None,
    shown: Sequence[int],
) -> list[Tile]:
    from vla_jax.sheet import Tile

    pictures = scene_pictures([scenes[i] for i in shown])
    return [
        Tile(
            picture,
            scenes[i].task.instruction,
            number=i,
            faults=tuple(w for name, w in _FAULTS.items() if not getattr(verdicts[i], name)),
            solved=None if solved is None else solved[i],
        )
        for picture, i in zip(pictures, shown, strict=True)
    ]


def _scene_figures(report: dict[str, Any]) -> list[Figure]:
    from vla_jax.sheet import Figure

    figures = [
        Figure(short, percent(report[key]), good=report[key] == 1.0)
        for key, (_, short) in _FRACTIONS.items()
        if report[key] is not None
    ]
    figures = [*figures[-1:], *figures[:-1]] if report["solved_fraction"] is not None else figures
    spread = report["diversity"]
    figures.append(Figure("objects a scene", f"{report['objects_per_scene']:.1f}"))
    figures.append(Figure("different objects", f"{report['unique_objects']:,}"))
    figures.append(Figure("pairs alike", f"{spread['scenes']['alike_pairs']:,}"))
    return figures


def _scene_lines(report: dict[str, Any]) -> list[str]:
    spread = report["diversity"]
    objects, layouts, words = (spread[k] for k in ("objects", "layouts", "instructions"))
    lines = [
        f"{report['scenes']} scenes with {report['unique_objects']} different objects, "
        f"{report['objects_per_scene']:.1f} in each"
    ]
    for key, (said, _) in _FRACTIONS.items():
        value = report[key]
        lines.append(f"{'not tried' if value is None else percent(value):>10} {said}")
    lines.append(
        f"shapes differ by {objects['shape']['mean']:.1f} mm on average, from the most similar "
        f"one by {objects['shape']['mean_nearest']:.2f} mm; as many as "
        f"{objects['effective_number']:.0f} wholly different objects"
    )
    lines.append(
        f"layouts differ by {layouts['mean']:.1f} cm, the two nearest by "
        f"{layouts['min_nearest']:.1f} cm; {spread['scenes']['alike_pairs']} pairs of scenes look "
        "alike"
    )
    lines.append(
        f"{words['wordings']} wordings, instructions share "
        f"{percent(1.0 - words['mean_distance'])} of their words"
    )
    lines += _licence_lines(report["licences"])
    worst = [
        (row["target"]["solved_fraction"], name, row["target"]["scenes"])
        for name, row in report["per_family"].items()
        if row["target"]["solved_fraction"] is not None and row["target"]["solved_fraction"] < 1.0
    ]
    for rate, name, tries in sorted(worst)[:5]:
        lines.append(f"{percent(rate):>10} of {tries} scenes solved whose target is a {name}")
    return lines


def _licence_lines(found: dict[str, Any]) -> list[str]:
    forbidden = found["training_forbidden"]
    return [
        f"licence of {row['noun']} {row['asset']} ({row['licence']}) forbids training on it; "
        f"{row['scenes']} scenes have it"
        for row in forbidden
    ]


def _assets(folder: Path, progress: Progress) -> Outcome:
    from generation.assets.store import AssetLibrary
    from generation.measures.asset_quality import (
        STAGE,
        inspect_asset,
        stage_scene,
        summarise_assets,
    )
    from vla_jax.sheet import Figure, Tile, portraits

    library = AssetLibrary(folder)
    names = library.ids()
    if not names:
        raise ValueError(f"{folder} is an asset library without assets: import some first")
    stage = progress.stage(f"dropping {len(names)} assets", len(names))
    assets, verdicts, damaged = [], [], []
    for number, name in enumerate(names):
        try:
            asset = library.get(name)
        except ValueError as error:
            damaged.append(str(error))
        else:
            assets.append(asset)
            verdicts.append(inspect_asset(asset))
        stage(number + 1)
    report = summarise_assets(assets, verdicts, damaged)
    progress.stage("drawing the contact sheet")
    bad = [i for i, verdict in enumerate(verdicts) if verdict.problems]
    shown = _choose(bad, len(assets), lambda ids, n: range(min(n, len(ids))))
    pictures = portraits([stage_scene(assets[i]) for i in shown], STAGE) if shown else []
    tiles = [
        Tile(picture, _asset_caption(verdicts[i]), faults=verdicts[i].faults)
        for picture, i in zip(pictures, shown, strict=True)
    ]
    figures = [Figure("assets", f"{report['assets']:,}")]
    figures += [
        Figure(label, percent(report[key]), good=report[key] == 1.0)
        for key, label in (("stable_fraction", "stand when dropped"),
                           ("graspable_fraction", "fit the gripper as claimed"),
                           ("plausible_mass_fraction", "plausible weight"))
        if report[key] is not None
    ]  # fmt: skip
    note = f"{len(tiles)} of {len(assets)} assets"
    lines = [f"{report['assets']} assets, {len(damaged)} damaged"]
    lines += [f"{figure.value:>10} {figure.label}" for figure in figures[1:]]
    return _written(folder, report, tiles, note, figures, [*lines, *_licence_lines(
        report["licences"])])  # fmt: skip


def _asset_caption(verdict: AssetVerdict) -> str:
    licence = "licence unknown" if verdict.licence == "unknown" else verdict.licence
    return f"{verdict.noun}, {verdict.mass * 1000:.0f} g, {licence}"


def _written(
    folder: Path,
    report: dict[str, Any],
    tiles: Sequence[Tile],
    note: str,
    figures: Sequence[Figure],
    lines: list[str],
) -> Outcome:
    """inspect.json, the contact sheet, and the outcome for people and programs."""
    from vla_jax.pictures import save_png, write_whole
    from vla_jax.sheet import contact_sheet

    lines += report["problems"][:_SHOWN]
    if (more := len(report["problems"]) - _SHOWN) > 0:
        lines.append(f"and {more} more problems; --json and inspect.json list them all")
    if tiles:
        sheet = contact_sheet(tiles, title=folder.resolve().name, note=note, figures=figures)
        report["contact_sheet"] = str(save_png(sheet, folder / "contact_sheet.png"))
        lines.append(f"contact sheet: {report['contact_sheet']}")
    path = folder / "inspect.json"
    report["report"] = str(path)
    write_whole(path, (json.dumps(report, indent=1) + "\n").encode())
    return Outcome(report, "\n".join([*lines, f"report: {path}"]))
