"""Finds what can be imported in files and folders, and knows what was imported before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from generation.assets.atomic import write_whole
from generation.assets.importing.asset import AssetError
from generation.assets.record import canonical
from generation.assets.store import AssetLibrary

MESHES = (".glb", ".gltf", ".obj", ".stl", ".ply", ".off")
LAYOUT = "layout.json"  # marks the folder of an EmbodiedGen task
_CHAIN_VERSION = 1  # raised when the import chain gives other results for the same file
_MAX_FOUND = 100_000
_BLOCK = 1 << 20
_MAX_BYTES = 256 << 20  # of a file; the importers' own limits are tighter
# Files that go with another: EmbodiedGen's collision hulls and Gaussian splats.
_COMPANIONS = ("_collision", "_gs")


@dataclass(frozen=True)
class Source:
    """Something to import.

    Attributes:
        kind: "mesh" or "urdf" becomes an asset, "task" (an EmbodiedGen folder) a scene.
        path: the file, or the task's folder.
        root: the folder named by the user; a URDF's meshes may come from anywhere inside.
    """

    kind: Literal["mesh", "urdf", "task"]
    path: Path
    root: Path = field(compare=False)


def find_sources(paths: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """Meshes, URDFs and EmbodiedGen tasks among files and in folders, however deep; sorted.

    In a folder with a URDF, meshes are its parts and no sources of their own; so is everything
    below an EmbodiedGen task. Links to folders are not followed.

    Raises:
        FileNotFoundError: a path that does not exist.
        AssetError: a folder with an absurd number of files.
    """
    found: dict[Source, None] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(2, "no such file or folder", str(path))
        folder = path.is_dir()
        for source in _in_folder(path) if folder else [_of_file(path)]:
            found.setdefault(source)
            if len(found) > _MAX_FOUND:
                raise AssetError(f"{path}: more than {_MAX_FOUND:,} files: import it in parts")
    return list(found)


def _of_file(path: Path) -> Source:
    if path.name == LAYOUT:
        return Source("task", path.parent, path.parent)
    # Whatever was named on its own is tried: a file of another kind is rejected with a reason.
    return Source("urdf" if path.suffix.lower() == ".urdf" else "mesh", path, path.parent)


def _in_folder(root: Path) -> Iterator[Source]:
    for here, folders, names in os.walk(root):
        folder = Path(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = sorted(name for name in names if not name.startswith("."))
        if LAYOUT in names:
            yield Source("task", folder, folder)
            folders.clear()
            continue
        urdfs = [folder / name for name in names if name.lower().endswith(".urdf")]
        if urdfs:
            yield from (Source("urdf", urdf, root) for urdf in urdfs)
            folders.clear()
            continue
        for name in names:
            path = folder / name
            if path.suffix.lower() in MESHES and not path.stem.endswith(_COMPANIONS):
                yield Source("mesh", path, root)


class Memory:
    """Which sources a library has already, by a hash of their content and of the options."""

    def __init__(self, library: AssetLibrary) -> None:
        self.library = library
        self._folder = library.root / "sources"
        self._sides: dict[Path, bytes] = {}

    def key(self, source: Source, options: dict[str, Any]) -> str:
        """The hash. Files beside an OBJ, a glTF or a URDF count by name, size and time."""
        hasher = hashlib.sha256(canonical([_CHAIN_VERSION, source.kind, source.path.name, options]))
        try:
            if not source.path.is_file():  # a pipe would block for ever
                raise AssetError("it is no file")
            if source.path.stat().st_size > _MAX_BYTES:
                raise AssetError(f"it is larger than {_MAX_BYTES >> 20} MiB: decimate it first")
            with source.path.open("rb") as file:
                while block := file.read(_BLOCK):
                    hasher.update(block)
        except OSError as error:
            raise AssetError(f"cannot be read ({error.strerror})") from None
        if source.path.suffix.lower() in (".obj", ".gltf", ".urdf"):
            hasher.update(self._beside(source.path.parent))
        return hasher.hexdigest()[:32]

    def recall(self, key: str) -> str | None:
        """The asset that a source became, if the library has it."""
        try:
            with (self._folder / f"{key}.json").open("rb") as file:
                asset = json.loads(file.read(1000))["asset"]
            self.library.record(asset)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return asset

    def store(self, key: str, asset: str) -> None:
        """Remembers what a source became."""
        write_whole(self._folder / f"{key}.json", canonical({"asset": asset}) + b"\n")

    def _beside(self, folder: Path) -> bytes:
        """Digest of the names, sizes and times of the files in a folder and below."""
        if folder not in self._sides:
            lines = []
            for here, folders, names in os.walk(folder):
                folders.sort()
                for name in sorted(names):
                    stat = os.lstat(os.path.join(here, name))
                    inner = os.path.relpath(os.path.join(here, name), folder)
                    lines.append(f"{inner}\0{stat.st_size}\0{stat.st_mtime_ns}")
                if len(lines) > _MAX_FOUND:
                    break
            text = "\n".join(lines).encode("utf-8", "surrogateescape")
            self._sides[folder] = hashlib.sha256(text).digest()
        return self._sides[folder]
