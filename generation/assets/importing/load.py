"""Reads mesh files: bytes in, pieces with colours out, nothing followed outside the folder."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.resolvers import Resolver

from generation.assets.importing import checks
from generation.assets.importing.asset import AssetError, Piece, Unit, Up

TEXTURE_PIXELS = 512  # longest side kept of a texture

_KEPT_TEXTURES = 32  # more textures than this in one file are ignored


@dataclass(frozen=True)
class Loaded:
    """What a file holds.

    Attributes:
        pieces: in the file's own frame and unit, at least one.
        kind: one of `checks.FORMATS`.
        up: "y" for glTF, which defines it; else "".
        unit: "" unless the file says it.
        notes: what was odd, for the report.
    """

    pieces: tuple[Piece, ...]
    kind: str
    up: Up
    unit: Unit
    notes: tuple[str, ...]


class _Folder(Resolver):
    """Gives a parser the files beside the mesh, and none elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._bytes = 0

    def get(self, key: str) -> bytes:
        found, note = checks.local_file(self.folder, key)
        if note:
            self.notes.append(note)
        if found is None:
            raise FileNotFoundError(note)
        data = checks.read_bytes(found)
        self._bytes += len(data)
        if self._bytes > checks.MAX_FILE_BYTES:
            raise AssetError("more than 200 MB of files beside the mesh: decimate it first")
        if found.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tga", ".tif"):
            try:
                checks.check_picture(data)
            except AssetError as error:
                self.notes.append(f"{found.name} ignored: {error}")
                raise FileNotFoundError(str(error)) from None
        return data

    def keys(self) -> list[str]:
        return []

    def write(self, name: str, data: bytes) -> None:
        raise PermissionError(name)

    def namespaced(self, namespace: str) -> Resolver:
        return self


def load_pieces(path: Path) -> Loaded:
    """Reads one file of untrusted origin.

    Raises:
        AssetError: it cannot be read or holds no triangle; one line says why.
    """
    data = checks.read_bytes(path)
    kind = checks.file_format(path, data)
    document = checks.check(data, kind)
    folder = _Folder(path.parent)
    scene = _parse(data, kind, folder)
    notes = list(dict.fromkeys(folder.notes))
    converter = _Converter(kind, document, notes)
    pieces = tuple(converter.pieces(scene))
    if not pieces:
        raise AssetError("no triangles in the file")
    unit: Unit = _obj_unit(data) if kind == "obj" else ""
    return Loaded(pieces, kind, "y" if kind in ("glb", "gltf") else "", unit, tuple(notes))


def _parse(data: bytes, kind: str, folder: _Folder) -> trimesh.Scene:
    logger = logging.getLogger("trimesh")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = trimesh.load_scene(
                io.BytesIO(data), file_type=kind, resolver=folder, process=False
            )
    except AssetError:
        raise
    except Exception as error:  # a parser fed with garbage raises anything
        reason = " ".join(str(error).split())[:160]
        raise AssetError(f"unreadable {kind.upper()}: {type(error).__name__} {reason}") from None
    finally:
        logger.setLevel(level)
    return loaded


def _obj_unit(data: bytes) -> Unit:
    """The unit that exporters write into an OBJ's comments, such as `# Units: millimeters`."""
    head = data[:4000].decode("ascii", "replace").lower()
    found = re.search(r"^#.*units?\s*[:=]\s*\(?(mm|cm|m|in|mill|cent|met|inch)", head, re.MULTILINE)
    names: dict[str, Unit] = {"mill": "mm", "cent": "cm", "met": "m", "inch": "in"}
    known: dict[str, Unit] = {"mm": "mm", "cm": "cm", "m": "m", "in": "in"}
    known.update(names)
    return known[found.group(1)] if found else ""


class _Converter:
    """From trimesh's scene to pieces."""

    def __init__(self, kind: str, document: dict[str, Any], notes: list[str]) -> None:
        self.notes = notes
        self.kind = kind
        generator = str((document.get("asset") or {}).get("generator", ""))
        # glTF's colours are linear. trimesh writes sRGB values into them all the same.
        self.linear = kind in ("glb", "gltf") and "trimesh" not in generator
        self.images: dict[int, np.ndarray | None] = {}

    def pieces(self, scene: trimesh.Scene) -> Iterator[Piece]:
        faces = 0
        for node in sorted(scene.graph.nodes_geometry):
            matrix, name = scene.graph[node]
            geometry = scene.geometry[name]
            if not isinstance(geometry, trimesh.Trimesh) or len(geometry.faces) == 0:
                self.notes.append(f"{name}: {type(geometry).__name__} without faces ignored")
                continue
            faces += len(geometry.faces)
            if faces > checks.MAX_FACES:
                raise AssetError(f"more than {checks.MAX_FACES / 1e6:.0f} million faces in all")
            yield self._piece(str(name), geometry, np.asarray(matrix, float))

    def _piece(self, name: str, mesh: trimesh.Trimesh, matrix: np.ndarray) -> Piece:
        vertices = np.asarray(mesh.vertices, np.float64).reshape(-1, 3)
        faces = np.asarray(mesh.faces, np.int64).reshape(-1, 3)
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise AssetError(f"{name}: face indices beyond its {len(vertices)} vertices")
        if not np.isfinite(matrix).all():
            raise AssetError(f"{name}: its placement is not finite")
        used = np.asarray(np.isfinite(vertices).all(axis=1))
        if not used.all():
            good = np.asarray(used[faces].all(axis=1))
            if good.mean() < 0.95:
                raise AssetError(f"{name}: {int((~used).sum())} vertices are NaN or infinite")
            self.notes.append(f"{name}: {int((~good).sum())} faces with NaN vertices dropped")
            vertices = np.where(used.reshape(-1, 1), vertices, 0.0)
            mesh.update_faces(good)
            faces = faces[good]
        with np.errstate(all="ignore"):
            placed = vertices @ matrix[:3, :3].T + matrix[:3, 3]
        if not np.isfinite(placed).all() or np.abs(placed).max() > 1e9:
            raise AssetError(f"{name}: coordinates up to {np.abs(vertices).max():.1e} are unusable")
        if np.linalg.det(matrix[:3, :3]) < 0:
            faces = faces[:, ::-1]
        try:
            colours = self._colours(mesh, len(vertices), len(faces))
        except Exception as error:  # a broken material must not cost the shape
            self.notes.append(f"{name}: colours ignored ({type(error).__name__}: {error})")
            colours = {}
        if np.linalg.det(matrix[:3, :3]) < 0 and "face_rgb" in colours:
            colours["face_rgb"] = np.asarray(colours["face_rgb"])
        return Piece(placed, faces, name=name[:60], **colours)

    def _colours(self, mesh: trimesh.Trimesh, vertices: int, faces: int) -> dict[str, Any]:
        visual: Any = mesh.visual
        if visual.kind == "texture":
            return self._material(visual, vertices)
        if visual.kind == "face" and len(visual.face_colors) == faces:
            return {"face_rgb": self._rgb(visual.face_colors)}
        if visual.kind == "vertex" and len(visual.vertex_colors) == vertices:
            return {"vertex_rgb": self._rgb(visual.vertex_colors)}
        return {}

    def _material(self, visual: Any, vertices: int) -> dict[str, Any]:
        material = visual.material
        factor = getattr(material, "baseColorFactor", None)
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        found: dict[str, Any] = {}
        if factor is None and hasattr(material, "diffuse") and image is None:
            factor = material.diffuse
        if factor is not None:
            found["rgb"] = tuple(float(v) for v in self._rgb(np.atleast_2d(factor))[0])
        picture = self._picture(image)
        uv = None if visual.uv is None else np.asarray(visual.uv, float)
        if picture is not None and uv is not None and uv.shape == (vertices, 2):
            found["uv"], found["image"] = np.nan_to_num(uv), picture
        elif picture is not None:
            mean = picture.reshape(-1, 3).mean(axis=0) / 255
            found.setdefault("rgb", tuple(float(v) for v in mean))
            self.notes.append("a texture without usable coordinates: its mean colour is used")
        return found

    def _picture(self, image: Any) -> np.ndarray | None:
        if image is None:
            return None
        if id(image) not in self.images:
            self.images[id(image)] = self._shrunk(image)
        return self.images[id(image)]

    def _shrunk(self, image: Any) -> np.ndarray | None:
        if len(self.images) >= _KEPT_TEXTURES:
            self.notes.append(f"more than {_KEPT_TEXTURES} textures: the others are ignored")
            return None
        width, height = image.size
        if width * height > checks.MAX_PIXELS:
            self.notes.append(f"texture of {width} x {height} pixels ignored: too large")
            return None
        try:
            if max(width, height) > TEXTURE_PIXELS:
                self.notes.append(f"texture of {width} x {height} pixels made smaller")
                image.draft("RGB", (2 * TEXTURE_PIXELS, 2 * TEXTURE_PIXELS))
                image = image.convert("RGB").reduce(max(1, max(width, height) // 2048))
                image.thumbnail((TEXTURE_PIXELS, TEXTURE_PIXELS))
            return np.asarray(image.convert("RGB"), np.uint8)
        except Exception as error:  # PIL raises whatever the broken picture makes it raise
            self.notes.append(f"unreadable texture ignored ({error})")
            return None

    def _rgb(self, values: Any) -> np.ndarray:
        """sRGB in [0, 1] of 8-bit or float colours."""
        rgb = np.asarray(values)
        scale = 255.0 if rgb.dtype.kind in "ui" else 1.0
        linear = np.clip(np.nan_to_num(rgb[:, :3].astype(float)) / scale, 0.0, 1.0)
        if not self.linear:
            return linear
        return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
