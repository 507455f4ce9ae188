"""`vla-jax inspect`: what is wrong with the scenes of a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_jax.commands.common import Outcome, percent, save_sheet, scene_pictures
from vla_jax.progress import Progress

NAME = "inspect"
SUMMARY = "quality of a folder of scenes, and a contact sheet"
DESCRIPTION = """\
Simulates every scene for three seconds without a robot and measures whether objects move,
overlap, are out of reach or stand elsewhere than the scene says. Writes contact_sheet.png
into the folder. Problems are a finding, not a failure: the exit status is 0."""
AGAIN = "run the same command again to start over"

_FRACTIONS = {
    "stable_fraction": "stand still",
    "collision_free_fraction": "are free of collisions",
    "reachable_fraction": "are within reach",
    "relations_satisfied_fraction": "are arranged as described",
}
_SHOWN = 20  # problems in the summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of scenes")


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Measures the scenes and draws them."""
    from generation.quality import inspect_scenes
    from generation.store import load_scenes

    scenes = load_scenes(args.dir)
    progress.stage(f"simulating {len(scenes)} scenes")
    report = inspect_scenes(scenes)
    progress.stage("drawing the contact sheet")
    sheet = save_sheet(scenes, scene_pictures(scenes), args.dir / "contact_sheet.png")
    report["contact_sheet"] = str(sheet)
    lines = [f"{report['scenes']} scenes with {report['unique_objects']} different objects"]
    lines += [f"{percent(report[key]):>8} {words}" for key, words in _FRACTIONS.items()]
    lines += report["problems"][:_SHOWN]
    if (more := len(report["problems"]) - _SHOWN) > 0:
        lines.append(f"and {more} more problems; --json lists them all")
    return Outcome(report, "\n".join([*lines, f"contact sheet: {sheet}"]))
