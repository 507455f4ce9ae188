"""Finds what can be imported in files and folders, and knows what was imported before."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from generation.assets.atomic import write_whole
from generation.assets.formats.bounded_xml import MAX_BYTES
from generation.assets.importing.asset import NAMING_FOLDERS, AssetError
from generation.assets.record import canonical
from generation.assets.store import WRITTEN, AssetLibrary, is_library

MESHES = (".glb", ".gltf", ".obj", ".stl", ".ply", ".off")
LAYOUT = "layout.json"  # marks the folder of an EmbodiedGen task
_CHAIN_VERSION = 1  # raised when the import chain gives other results for the same file
_MAX_FOUND = 100_000
_BLOCK = 1 << 20
_MAX_BYTES = 256 << 20  # of a file; the importers' own limits are tighter
# Files that go with another: EmbodiedGen's collision hulls and Gaussian splats.
_COMPANIONS = ("_collision", "_gs")
_FILENAME = re.compile(rb"""filename\s*=\s*["']([^"']{1,500})["']""")


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

    Meshes that a URDF of the same folder names are its parts and no sources of their own; so is
    everything below an EmbodiedGen task. Asset libraries are passed over, links to folders not
    followed.

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


def _in_folder(root: Path) -> list[Source]:
    found: list[Source] = []
    for folder, folders, names in _walk(root):
        if LAYOUT in names:
            found.append(Source("task", folder, folder))
            folders.clear()
            continue
        for name in sorted(names, key=lambda name: not name.lower().endswith(".urdf")):
            path = folder / name
            if path.suffix.lower() == ".urdf":
                found.append(Source("urdf", path, root))
            elif path.suffix.lower() in MESHES and not path.stem.endswith(_COMPANIONS):
                found.append(Source("mesh", path, root))
        if len(found) > _MAX_FOUND:
            raise AssetError(f"{root}: more than {_MAX_FOUND:,} files: import it in parts")
    parts = _Parts([source.path for source in found if source.kind == "urdf"])
    return [source for source in found if source.kind != "mesh" or source.path not in parts]


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`os.walk` in order, without hidden files and without what an import writes to a library."""
    for here, folders, names in os.walk(root):
        folder = Path(here)
        own = WRITTEN if is_library(folder) else ()
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n not in own)
        yield folder, folders, sorted(n for n in names if not n.startswith(".") and n not in own)


class _Parts:
    """The mesh files that URDFs name. The URDFs are not parsed: that is for the sandbox."""

    def __init__(self, urdfs: Iterable[Path]) -> None:
        self._paths: set[str] = set()
        self._tails: set[tuple[str, ...]] = set()
        for urdf in urdfs:
            for name in _references(urdf):
                scheme, _, rest = name.rpartition("://")
                if scheme == "package":  # its folder can be called otherwise than the package
                    self._tails.add(tuple(rest.split("/"))[1:])
                else:
                    self._paths.add(os.path.abspath(urdf.parent / rest))

    def __contains__(self, path: Path) -> bool:
        ends = (path.parts[-length:] for length in range(1, len(path.parts)))
        return os.path.abspath(path) in self._paths or any(end in self._tails for end in ends)


def _references(urdf: Path) -> list[str]:
    try:
        with urdf.open("rb") as file:
            data = file.read(MAX_BYTES) if urdf.is_file() else b""
    except OSError:
        return []
    return [name.decode("utf-8", "replace") for name in _FILENAME.findall(data)]


class Memory:
    """Which sources a library has already, by a hash of their content and of the options."""

    def __init__(self, library: AssetLibrary) -> None:
        self.library = library
        self._folder = library.root / "sources"
        self._sides: dict[Path, bytes] = {}

    def key(self, source: Source, options: dict[str, Any]) -> str:
        """The hash. Files beside an OBJ, a glTF or a URDF count by name, size and time."""
        # Without a noun, a mesh is called by its file or by one of the folders above.
        named = options.get("noun") or source.kind != "mesh"
        above = [] if named else [p.name for p in source.path.absolute().parents[:NAMING_FOLDERS]]
        about = [_CHAIN_VERSION, source.kind, source.path.name, above, options]
        hasher = hashlib.sha256(canonical(about))
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
        """The asset that a source became, if the library has it undamaged."""
        try:
            with (self._folder / f"{key}.json").open("rb") as file:
                asset = json.loads(file.read(1000))["asset"]
            self.library.get(asset)
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
            for here, _, names in _walk(folder):
                for path in (here / name for name in names):
                    try:
                        stat = path.lstat()
                    except OSError:  # gone since
                        continue
                    inner = path.relative_to(folder)
                    lines.append(f"{inner}\0{stat.st_size}\0{stat.st_mtime_ns}")
                if len(lines) > _MAX_FOUND:
                    break
            text = "\n".join(lines).encode("utf-8", "surrogateescape")
            self._sides[folder] = hashlib.sha256(text).digest()
        return self._sides[folder]
