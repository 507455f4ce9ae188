"""Looks at a mesh file before any parser does: what it claims must fit the bytes that are there."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np

from generation.assets.importing.asset import AssetError

MAX_FILE_BYTES = 200_000_000
MAX_FACES = 10_000_000
MAX_PIXELS = 8192 * 8192
FORMATS = ("glb", "gltf", "obj", "stl", "ply", "off")

_MAX_NODES = 20_000
# What a splat file has beside its points: it holds no surface.
_SPLAT = ("f_dc_0", "rot_0", "scale_0")
_UNREADABLE = {
    "KHR_draco_mesh_compression": "Draco compression",
    "EXT_meshopt_compression": "meshopt compression",
}


def read_bytes(path: Path) -> bytes:
    """The file's content, if it is a plain file of a bearable size.

    Raises:
        AssetError: no such file, not a file, empty, or above `MAX_FILE_BYTES`.
    """
    if not path.is_file():
        raise AssetError(f"{path.name}: no such file")
    size = path.stat().st_size
    if size == 0:
        raise AssetError(f"{path.name}: the file is empty")
    if size > MAX_FILE_BYTES:
        raise AssetError(
            f"{path.name}: {size / 1e6:.0f} MB, the limit is {MAX_FILE_BYTES / 1e6:.0f} MB; "
            "decimate it first"
        )
    return path.read_bytes()


def file_format(path: Path, data: bytes) -> str:
    """One of `FORMATS`, by content where that tells, else by suffix.

    Raises:
        AssetError: none of them.
    """
    suffix = path.suffix.lower().lstrip(".")
    if data[:4] == b"glTF":
        return "glb"
    if data[:3] == b"ply" and data[3:4] in b"\r\n":
        return "ply"
    if suffix not in FORMATS:
        raise AssetError(f"{path.name}: {suffix or 'no'} suffix; readable are {', '.join(FORMATS)}")
    if suffix == "glb":
        raise AssetError(f"{path.name}: not a binary glTF file (it does not start with 'glTF')")
    return suffix


def check(data: bytes, kind: str) -> dict[str, Any]:
    """Refuses what would take too long or too much memory to parse; returns a glTF's JSON, or {}.

    Raises:
        AssetError: says what is wrong.
    """
    if kind == "obj":
        _check_faces(data.count(b"\nf "))
    elif kind == "stl":
        _check_stl(data)
    elif kind == "ply":
        _check_ply(data)
    elif kind == "off":
        _check_off(data)
    else:
        document = _gltf_json(data, kind)
        _check_gltf(document, len(data))
        return document
    return {}


def check_picture(data: bytes) -> None:
    """Refuses a picture with too many pixels, from its header alone.

    Raises:
        AssetError: not a picture, or too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
    except Exception as error:  # PIL raises whatever the broken format makes it raise
        raise AssetError(f"unreadable texture ({error})") from None
    if width * height > MAX_PIXELS:
        raise AssetError(
            f"texture of {width} x {height} pixels, the limit is {MAX_PIXELS / 1e6:.0f} million"
        )


def local_file(folder: Path, reference: str) -> tuple[Path | None, str]:
    """The file in `folder` or below that a mesh refers to, and a note if that took a liberty.

    A reference that leads elsewhere (another folder, a drive, a URL) is not followed; if a file of
    that name lies beside the mesh, that one is taken.
    """
    name = unquote(reference.strip().strip('"')).replace("\\", "/")
    root = folder.resolve()
    foreign = bool(urlparse(name).scheme) or name.startswith("/") or ".." in name.split("/")
    if "\0" in name or not name:
        return None, f"reference {reference!r} ignored: not a file name"
    if not foreign:
        candidate = (root / name).resolve()
        if candidate.is_relative_to(root) and candidate.is_file():
            return candidate, ""
        foreign = not candidate.is_relative_to(root)
    beside = (root / name.rsplit("/", 1)[-1]).resolve()
    if beside.is_relative_to(root) and beside.is_file():
        return beside, f"reference {reference!r} leads elsewhere: took {beside.name} beside it"
    why = "leads outside the mesh's folder: not followed" if foreign else "does not exist"
    return None, f"reference {reference!r} {why}"


def _check_faces(count: int) -> None:
    if count > MAX_FACES:
        raise AssetError(
            f"{count / 1e6:.1f} million faces, the limit is {MAX_FACES / 1e6:.0f} million; "
            "decimate it first"
        )


def _check_stl(data: bytes) -> None:
    if len(data) >= 84:
        count = int(np.frombuffer(data, "<u4", 1, 80)[0])
        if len(data) == 84 + 50 * count:
            _check_faces(count)
            return
    if not data.lstrip()[:5].lower() == b"solid":
        raise AssetError("neither a binary STL (its length contradicts its face count) nor ASCII")
    _check_faces(data.count(b"endfacet"))


def _check_ply(data: bytes) -> None:
    end = data.find(b"end_header", 0, 100_000)
    if end < 0:
        raise AssetError("PLY without end_header")
    lines = data[:end].decode("ascii", "replace").split("\n")
    names = {words[-1] for line in lines if (words := line.split()) and words[0] == "property"}
    if all(name in names for name in _SPLAT):
        raise AssetError("Gaussian splats: points without a surface; export a mesh instead")
    for line in lines:
        words = line.split()
        if words[:1] == ["element"]:
            count = _whole(words[-1], "PLY element count")
            if count > len(data):
                raise AssetError(
                    f"PLY announces {count} of {words[1]} in a file of {len(data)} bytes"
                )
            if words[1] == "face":
                _check_faces(count)
                if count == 0:
                    raise AssetError("PLY with 0 faces: a point cloud has no surface")
    if not any(line.split()[:2] == ["element", "face"] for line in lines):
        raise AssetError("PLY without faces: a point cloud has no surface")


def _check_off(data: bytes) -> None:
    numbers = []
    for line in data[:4096].decode("ascii", "replace").splitlines():
        words = line.split("#")[0].split()
        numbers += [word for word in words if word.lstrip("-").isdigit()]
        if len(numbers) >= 3:
            break
    if len(numbers) < 3:
        raise AssetError("OFF without its three counts")
    for number in numbers[:2]:
        if int(number) > len(data) or int(number) < 0:
            raise AssetError(f"OFF announces {number} elements in a file of {len(data)} bytes")
    _check_faces(int(numbers[1]))


def _whole(text: str, what: str) -> int:
    if not text.isdigit() or len(text) > 12:
        raise AssetError(f"{what} {text[:20]!r}: not a whole number")
    return int(text)


def _gltf_json(data: bytes, kind: str) -> dict[str, Any]:
    text = data
    if kind == "glb":
        if len(data) < 20:
            raise AssetError("binary glTF cut off in its header")
        version, total, length = struct.unpack("<III", data[4:16])
        if version != 2:
            raise AssetError(f"glTF version {version}; 2 is readable")
        if total > len(data) or 20 + length > len(data) or data[16:20] != b"JSON":
            raise AssetError(f"binary glTF cut off: {len(data)} of {total} bytes are there")
        text = data[20 : 20 + length]
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AssetError(f"glTF with broken JSON ({error})") from None
    if not isinstance(document, dict):
        raise AssetError("glTF whose JSON is no object")
    return document


def _check_gltf(document: dict[str, Any], size: int) -> None:
    for name in document.get("extensionsRequired") or ():
        if name in _UNREADABLE:
            raise AssetError(f"{_UNREADABLE[name]} ({name}): export it uncompressed")
    try:
        budget = 4 * size + 1_000_000
        for accessor in document.get("accessors") or ():
            count = int(accessor["count"])
            stored = "bufferView" in accessor or "buffers" not in document
            external = any("uri" in b for b in document.get("buffers") or ())
            limit = MAX_FACES * 3 if external or stored else budget
            if count < 0 or count > limit or (stored and not external and count > budget):
                raise AssetError(f"glTF accessor with {count} elements in a file of {size} bytes")
        total = sum(int(b.get("byteLength", 0)) for b in document.get("buffers") or ())
        if total > MAX_FILE_BYTES:
            raise AssetError(f"glTF buffers of {total / 1e6:.0f} MB: decimate it first")
        _check_nodes(document)
    except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
        if isinstance(error, AssetError):
            raise
        raise AssetError(f"glTF with a malformed {type(error).__name__}: {error}") from None


def _check_nodes(document: dict[str, Any]) -> None:
    """Nodes form a forest: no cycles, no node with two parents, not too many."""
    nodes = document.get("nodes") or []
    if len(nodes) > _MAX_NODES:
        raise AssetError(f"glTF with {len(nodes)} nodes, the limit is {_MAX_NODES}")
    children = [[int(c) for c in node.get("children") or ()] for node in nodes]
    parent: dict[int, int] = {}
    for index, below in enumerate(children):
        for child in below:
            if not 0 <= child < len(nodes) or child in parent:
                raise AssetError(f"glTF node {child} has two parents or does not exist")
            parent[child] = index
    for node in range(len(nodes)):
        step, seen = node, 0
        while step in parent:
            step, seen = parent[step], seen + 1
            if seen > 500:
                raise AssetError("glTF nodes form a circle or are nested too deep")
    faces = 0
    for node in nodes:
        if "mesh" in node:
            for primitive in document["meshes"][int(node["mesh"])]["primitives"]:
                accessor = primitive.get("indices", primitive["attributes"].get("POSITION", 0))
                faces += int(document["accessors"][int(accessor)]["count"]) // 3
    _check_faces(faces)
