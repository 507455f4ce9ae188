"""Scenes on disk: one JSON file each and an index, written whole or not at all.

The index also lists the imported assets that the scenes contain, with where they are from and what
their licences say: scenes are copied and shared, and that must not get lost on the way.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generation.spec import SPEC_VERSION, SceneSpec

INDEX = "index.json"
# More than any valid scene needs: 16 objects of 32 parts of 64 vertices and a picture.
_SCENE_BYTES = 16 * 2**20
_INDEX_BYTES = 64 * 2**20


def save_scenes(
    scenes: Sequence[SceneSpec],
    folder: str | os.PathLike[str],
    *,
    extras: Mapping[str, bytes] | None = None,
) -> Path:
    """Writes `scenes` into a new folder: `<index>_<id>.json` each, and `index.json`.

    The folder appears complete under its name or not at all. An empty folder may exist already.

    Args:
        scenes: what to write, in this order.
        folder: where.
        extras: further files by name, such as a preview.

    Returns:
        The folder.

    Raises:
        FileExistsError: the folder holds something already, or the path is a file.
        ValueError: no scenes.
    """
    folder = Path(folder)
    if not scenes:
        raise ValueError(f"no scenes to save in {folder}: design at least one")
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: choose a new folder or remove it first")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its final place, so that the last step is a rename within one file system.
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        entries = []
        for number, scene in enumerate(scenes):
            name = f"{number:04d}_{scene.id}.json"
            (draft / name).write_text(scene.to_json() + "\n")
            entries.append({"file": name, "id": scene.id, "instruction": scene.task.instruction})
        for name, content in sorted((extras or {}).items()):
            (draft / name).write_bytes(content)
        index = {"version": SPEC_VERSION, "scenes": entries, "assets": assets_of(scenes)}
        (draft / INDEX).write_text(json.dumps(index, indent=1) + "\n")
        draft.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        os.replace(draft, folder)  # onto an empty folder this works, onto a full one it fails
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def assets_of(scenes: Sequence[SceneSpec]) -> list[dict[str, Any]]:
    """The imported assets in `scenes`: asset, source, licence, training, objects (how many)."""
    counts: dict[str, int] = {}
    origins: dict[str, dict[str, Any]] = {}
    for thing in (thing for scene in scenes for thing in scene.objects):
        if thing.provenance is not None:
            origins[thing.provenance.asset] = thing.provenance.model_dump(mode="json")
            counts[thing.provenance.asset] = counts.get(thing.provenance.asset, 0) + 1
    return [{**origins[asset], "objects": counts[asset]} for asset in sorted(origins)]


def load_scenes(folder: str | os.PathLike[str]) -> list[SceneSpec]:
    """Reads the scenes that `save_scenes` wrote, in order, checking every file against its id.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: the folder holds no index, is empty, or a file is missing, damaged or altered;
            names the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no scene folder {folder}: make one with `vla-jax design`")
    scenes = [_load_scene(folder / entry["file"], entry["id"]) for entry in _read_index(folder)]
    if not scenes:
        raise ValueError(f"{folder / INDEX} lists no scenes: design the folder again")
    return scenes


def _read_index(folder: Path) -> list[dict[str, str]]:
    path = folder / INDEX
    if not path.is_file():
        raise ValueError(f"{folder} is no scene folder, {INDEX} is missing: design it again")
    try:
        index: Any = json.loads(_read(path, _INDEX_BYTES))
        version, entries = index["version"], index["scenes"]
        listed = [{"file": str(e["file"]), "id": str(e["id"])} for e in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): design the folder again") from None
    if version != SPEC_VERSION:
        raise ValueError(
            f"{path} has version {version!r}, this program reads {SPEC_VERSION}: "
            "design the folder again"
        )
    for entry in listed:
        if Path(entry["file"]).name != entry["file"]:
            raise ValueError(f"{path} names a file outside the folder: {entry['file']!r}")
    return listed


def _read(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes; a pipe would block for ever."""
    with open(path, "rb", opener=_nonblocking) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it is larger than {limit / 2**20:.0f} MiB")
    return content


def _nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _load_scene(path: Path, expected: str) -> SceneSpec:
    try:
        scene = SceneSpec.from_json(_read(path, _SCENE_BYTES))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing though the index lists it: design again") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if scene.id != expected:
        raise ValueError(f"{path} was altered: its content has id {scene.id}, not {expected}")
    return scene
