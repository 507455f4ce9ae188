"""Finished scenes of an unfinished run: a file each, written whole, kept until all is done."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generation.spec import SceneSpec


def partial_path(folder: Path) -> Path:
    """Where the finished scenes of an unfinished run for `folder` are."""
    whole = Path(os.path.abspath(folder))  # "." and "a/.." have no name of their own
    return whole.with_name(f"{whole.name}.partial")


def kept_scenes(folder: str | os.PathLike[str]) -> int:
    """How many finished scenes an interrupted run left behind for `folder`."""
    return sum(1 for _ in _scenes(partial_path(Path(folder))))


class PartialScenes:
    """A partial folder that this run alone may write.

    Attributes:
        path: of the folder.
        finished: set it when the scenes are elsewhere and the folder can go.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.finished = path, False

    def read(self, index: int) -> str:
        """The scene's JSON, "" if it is not there or was damaged."""
        try:
            return SceneSpec.from_json(self._file(index).read_bytes()).to_json()
        except (OSError, ValueError):
            return ""

    def write(self, index: int, text: str) -> None:
        """Writes a scene whole."""
        _write(self._file(index), text)

    def _file(self, index: int) -> Path:
        return self.path / f"{index:06d}.json"


@contextlib.contextmanager
def open_partial(folder: Path, arguments: Mapping[str, Any]) -> Iterator[PartialScenes]:
    """The partial folder of `folder`, locked; removed when the run finished or left nothing.

    Args:
        folder: that the scenes are for.
        arguments: all that the scenes depend on, as JSON.

    Raises:
        ValueError: another run holds it, or it has scenes of a run with other arguments.
    """
    path = partial_path(folder)
    path.mkdir(parents=True, exist_ok=True)
    store = PartialScenes(path)
    with (path / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another run is working in {path}: wait for it") from None
        _claim(path, json.dumps(arguments, indent=1, sort_keys=True))
        try:
            yield store
        finally:
            if store.finished or not any(_scenes(path)):
                shutil.rmtree(path, ignore_errors=True)


def _claim(path: Path, text: str) -> None:
    """Writes down the arguments; those of scenes that are there already must be the same."""
    settings = path / "settings.json"
    if any(_scenes(path)) and not (settings.exists() and settings.read_text() == text):
        raise ValueError(
            f"{path} belongs to a run with other arguments: repeat those of {settings.name} in it, "
            "choose another folder, or remove it"
        )
    _write(settings, text)


def _scenes(path: Path) -> Iterator[Path]:
    return path.glob("[0-9]*.json")


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(text)
    os.replace(draft, path)
