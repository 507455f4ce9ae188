"""What several commands share: argument types, checks of paths, pictures of scenes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from generation.spec import SceneSpec

PICTURES = 24  # scenes on a contact sheet
BACKENDS = ("auto", "native", "mjx", "mjx-warp")


@dataclass(frozen=True)
class Outcome:
    """What a command did: the object that --json prints, and a summary for people."""

    data: dict[str, Any]
    text: str


def positive(text: str) -> int:
    """Argument type: an integer of at least 1."""
    return _integer(text, 1)


def natural(text: str) -> int:
    """Argument type: an integer of at least 0."""
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} is too small: it must be at least {least}")
    return number


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Adds --backend."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="physics engine: native on the CPU, mjx or mjx-warp on accelerators (default: "
        "whichever fits)",
    )


def add_scenes(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Adds --scenes."""
    parser.add_argument(
        "--scenes",
        type=Path,
        metavar="DIR",
        required=required,
        help="folder of scenes, made by `vla-jax design`",
    )


def add_out(
    parser: argparse.ArgumentParser, metavar: str, text: str, *, required: bool = True
) -> None:
    """Adds -o/--out."""
    parser.add_argument("-o", "--out", type=Path, metavar=metavar, required=required, help=text)


def check_new_folder(out: Path) -> None:
    """Refuses a folder that holds something already, before any work is done.

    Raises:
        FileExistsError: the folder is not empty, or the path is a file.
    """
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out} exists and is not empty: choose another folder with -o")
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file: choose a folder with -o")


def check_new_file(out: Path, suffix: str) -> None:
    """Refuses a file that exists already or is of another kind.

    Raises:
        FileExistsError: the file exists.
        ValueError: the name does not end in `suffix`.
    """
    if out.suffix.lower() != suffix:
        raise ValueError(f"{out} does not end in {suffix}: that is what this writes; see -o")
    if out.exists():
        raise FileExistsError(f"{out} exists: choose another file with -o or remove it")


def scene_pictures(scenes: Sequence[SceneSpec]) -> np.ndarray:
    """Pictures u8[min(S, 24), h, w, 3] of the first scenes as they were designed."""
    from vla_jax.sheet import portraits

    return portraits(scenes[:PICTURES])


def save_sheet(scenes: Sequence[SceneSpec], pictures: np.ndarray, path: Path) -> Path:
    """Writes a contact sheet of `scene_pictures` with the instructions as captions."""
    from vla_jax.pictures import save_png
    from vla_jax.sheet import Tile, contact_sheet

    tiles = [
        Tile(picture, scene.task.instruction, number)
        for number, (picture, scene) in enumerate(zip(pictures, scenes, strict=False))
    ]
    note = f"the first {len(tiles)}" if len(tiles) < len(scenes) else ""
    return save_png(contact_sheet(tiles, title=f"{len(scenes)} scenes", note=note), path)


def percent(value: float) -> str:
    """A fraction as people read it."""
    return f"{100 * value:.1f} %"
