"""From a URDF, EmbodiedGen's included, to an asset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from generation.assets.formats.urdf import Shape, UrdfModel, read_urdf
from generation.assets.importing.asset import AssetError, ImportedAsset, Piece, Unit, Up
from generation.assets.importing.chain import build_asset
from generation.assets.importing.load import load_pieces
from generation.assets.importing.nouns import latin

_MAX_TRIANGLES = 10_000_000
_MAX_HULLS = 256  # more collision pieces than this are no convex decomposition
_SIDES = (0.005, 2.0)  # m, longest side of what stands on a table and is in metres
_ROOM = 20.0  # m; a URDF in which things are larger is not in metres
_MASSES = (0.001, 50.0)  # kg
_FRICTION = (0.1, 1.5)
_ROUND = 24  # sides of a cylinder
_GENERIC = ("robot", "object", "mesh", "model", "asset", "base_link", "link")


def import_urdf(
    path: str | Path,
    *,
    root: str | Path | None = None,
    noun: str = "",
    size: float | None = None,
    up: Up = "",
    unit: Unit = "",
    mass: float | None = None,
    friction: float | None = None,
    material: str = "",
    licence: str = "unknown",
    source: str = "",
    seed: int = 0,
) -> ImportedAsset:
    """Reads a URDF with its meshes as one rigid object; see `import_mesh` for the other arguments.

    Mass and friction are the file's if it states any that can be; the inertia never is, it follows
    from the geometry. EmbodiedGen's `extra_info` gives the noun.

    Args:
        path: the URDF.
        root: folder that meshes may come from; by default the URDF's own.
        up: axis of the root link that points up; "" takes z, as URDF has it.
        unit: "" takes metres, unless nothing at all is that large or small.

    Raises:
        AssetError: the file or one of its meshes cannot be used; says why.
    """
    path = Path(path)
    model = read_urdf(path, root)
    seen = shapes_to_pieces(model.visuals)
    collision = shapes_to_pieces(model.collisions)
    notes = [*model.notes, *seen.notes, *collision.notes, *_quality(model)]
    hulls = [part for piece in collision.pieces for part in split(piece)]
    if not seen.pieces:
        notes.append("no visual geometry: the collision geometry is shown")
        seen = collision
    if len(hulls) > _MAX_HULLS:
        notes.append(f"{len(hulls)} separate collision pieces: decomposed anew instead")
        hulls = []
    if not unit and size is None:
        unit = _unit(seen)
    return build_asset(
        seen.pieces,
        noun=noun or _noun(model, path),
        size=size,
        up=up or "z",
        unit=unit,
        mass=mass if mass is not None else _within(model.mass, _MASSES, "mass", "kg", notes),
        friction=friction
        if friction is not None
        else _within(model.friction, _FRICTION, "friction", "", notes),
        material=material,
        licence=licence,
        source=source or path.name,
        seed=seed,
        collision=hulls,
        notes=tuple(dict.fromkeys(notes)),
    )


def _unit(seen: Gathered) -> Unit:
    """Metres, as URDF has it; "" for what only another unit makes a tabletop object."""
    longest = float(np.ptp(np.concatenate([p.vertices for p in seen.pieces]), axis=0).max())
    if _SIDES[1] < longest <= _ROOM:
        raise AssetError(
            f"{longest:.1f} m long: furniture or a room; pass its size or unit if it is neither"
        )
    return "m" if _SIDES[0] <= longest <= _SIDES[1] else ""


@dataclass(frozen=True)
class Gathered:
    """Pieces in the body's frame, and what was odd about them."""

    pieces: tuple[Piece, ...]
    notes: tuple[str, ...]


def shapes_to_pieces(shapes: Sequence[Shape]) -> Gathered:
    """Triangle meshes of URDF geometries, placed in the body's frame.

    Raises:
        AssetError: a mesh cannot be read, or there are too many triangles in all.
    """
    pieces: list[Piece] = []
    notes: list[str] = []
    files: dict[Path, tuple[Piece, ...]] = {}
    triangles = 0
    for shape in shapes:
        if shape.file is not None:
            if shape.file not in files:
                try:
                    loaded = load_pieces(shape.file)
                except AssetError as error:
                    raise AssetError(f"{shape.file.name}: {error}") from None
                files[shape.file] = loaded.pieces
                notes += loaded.notes
            parts: tuple[Piece, ...] = files[shape.file]
        else:
            parts = (_primitive(shape),)
        triangles += sum(len(part.faces) for part in parts)
        if triangles > _MAX_TRIANGLES:
            raise AssetError(f"more than {_MAX_TRIANGLES / 1e6:.0f} million triangles in all")
        pieces += [_placed(part, shape) for part in parts]
    return Gathered(tuple(pieces), tuple(notes))


def _placed(piece: Piece, shape: Shape) -> Piece:
    scale = np.array(shape.size if shape.file is not None else (1.0, 1.0, 1.0))
    moved = piece.moved((piece.vertices * scale) @ shape.pose[:3, :3].T + shape.pose[:3, 3])
    if np.prod(scale) < 0:  # a mirrored mesh is inside out
        moved = replace(moved, faces=moved.faces[:, ::-1].copy())
    coloured = (piece.rgb, piece.face_rgb, piece.vertex_rgb, piece.image)
    if shape.rgb is not None and all(c is None for c in coloured):
        moved = replace(moved, rgb=shape.rgb)
    return moved


def _primitive(shape: Shape) -> Piece:
    import trimesh

    if shape.kind == "box":
        mesh = trimesh.creation.box(shape.size)
    elif shape.kind == "cylinder":
        mesh = trimesh.creation.cylinder(shape.size[0], shape.size[1], sections=_ROUND)
    else:
        mesh = trimesh.creation.icosphere(2, shape.size[0])
    return Piece(
        np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int64), name=shape.kind
    )


def split(piece: Piece) -> Iterator[Piece]:
    """The connected parts of a mesh without colours, in the order of their first faces.

    EmbodiedGen writes all hulls of a decomposition into one OBJ, where they share no vertices.
    """
    faces, count = piece.faces, len(piece.vertices)
    ends = faces[:, [1, 2, 0]]
    graph = coo_matrix((np.ones(faces.size, bool), (faces.ravel(), ends.ravel())), (count, count))
    number, label = connected_components(graph, directed=False)
    of_face = label[faces[:, 0]]
    used, first = np.unique(of_face, return_index=True)
    if number > 4 * _MAX_HULLS:
        # Nothing shares vertices, as in an STL: only equal positions tell what is connected.
        vertices, same = np.unique(piece.vertices, axis=0, return_inverse=True)
        if len(vertices) < count:
            yield from split(Piece(vertices, same.reshape(-1)[faces], name=piece.name))
            return
    for part in used[np.argsort(first)][: _MAX_HULLS + 1]:
        chosen = faces[of_face == part]
        kept, renamed = np.unique(chosen, return_inverse=True)
        yield Piece(piece.vertices[kept], renamed.reshape(chosen.shape), name=piece.name)


def _noun(model: UrdfModel, path: Path) -> str:
    for text in (model.extra.get("category", ""), path.stem, model.name):
        words = as_noun(text)
        if words and words.replace(" ", "_") not in _GENERIC:
            return words
    return "object"


def as_noun(text: str) -> str:
    """Free text as a noun phrase of lower-case letters: "Coffee_Mug-02" is "coffee mug"."""
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", latin(text))
    return " ".join(re.findall(r"[a-z]+", words.lower())[:4])[:60].strip()


def _within(
    value: float | None, bounds: tuple[float, float], name: str, unit: str, notes: list[str]
) -> float | None:
    if value is None or bounds[0] <= value <= bounds[1]:
        return value
    notes.append(f"{name} {value:g} {unit} in the file ignored: not believable".replace("  ", " "))
    return None


def _quality(model: UrdfModel) -> list[str]:
    """What EmbodiedGen's own checks and descriptions say."""
    known = {k: model.extra[k] for k in ("description", "version") if model.extra.get(k)}
    return [f"EmbodiedGen {key}: {value[:160]}" for key, value in known.items()]
