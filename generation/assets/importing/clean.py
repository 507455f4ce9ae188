"""Turns a heap of pieces into one consistently oriented surface, and says what was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from generation.assets.importing.asset import Array, AssetError, Faces, Piece

SOLID_FACES = 20_000  # what the solid is computed from at most; the eye gets its own mesh

_FLOATER_AREA = 0.01  # share of the surface below which a piece apart from the rest is dropped


@dataclass(frozen=True)
class Surface:
    """One triangle surface, oriented outwards as far as it has an outside.

    Attributes:
        vertices, faces: merged by position, without degenerate and double faces.
        kept: bool over the faces of all pieces in order: which of them are part of it.
        watertight: every edge has exactly two faces, oppositely directed.
        opening: [3] vector area of its holes, pointing out of them; zeros when watertight.
        notes: what was found and repaired.
        numbers: counts for the report.
    """

    vertices: Array
    faces: Faces
    kept: NDArray[np.bool_]
    watertight: bool
    opening: Array
    notes: tuple[str, ...]
    numbers: dict[str, int]


def clean(pieces: Sequence[Piece]) -> Surface:
    """Merges, drops and orients; see `Surface`.

    Raises:
        AssetError: nothing with an extent is left.
    """
    vertices, faces = joined(pieces)
    notes: list[str] = []
    lowest, extent = vertices[faces].min((0, 1)), np.ptp(vertices[faces].reshape(-1, 3), axis=0)
    longest = float(extent.max())
    if longest <= 0.0 or not np.isfinite(longest):
        raise AssetError("the mesh has no extent: all its vertices coincide")
    if float(np.sort(extent)[1]) < 1e-6 * longest:
        raise AssetError("the mesh is a line: it has no surface")
    given = len(faces)
    unit, faces = _merged((vertices - lowest) / longest, faces)
    kept = _sound(unit, faces)
    dropped = int((~kept).sum())
    if dropped:
        notes.append(f"{dropped} degenerate or double faces dropped")
    if not kept.any():
        raise AssetError("all faces are degenerate")
    floaters = _floaters(unit, faces, kept)
    if floaters.any():
        notes.append(f"{int(floaters.sum())} faces of floating specks dropped")
        kept &= ~floaters
    faces = faces[kept]
    numbers = {"faces": given, "vertices": len(unit), "faces_clean": len(faces)}
    if len(faces) > SOLID_FACES:
        unit, faces = simplified(unit, faces, SOLID_FACES)
        unit, faces = _merged(unit, faces)
        faces = faces[_sound(unit, faces)]
        notes.append(f"solid computed from {len(faces)} of {numbers['faces_clean']} faces")
    faces, turned = oriented(unit, faces)
    if turned:
        notes.append(f"{turned} faces were turned inside out: turned back")
    watertight = is_watertight(faces)
    if not watertight:
        notes.append(f"not watertight: {_open_edges(faces)} open or crowded edges")
    components = int(_components(len(unit), faces)[0])
    numbers |= {"faces_solid": len(faces), "components": components}
    opening = np.zeros(3) if watertight else -vector_area(unit, faces) * longest**2
    vertices = unit * longest + lowest
    return Surface(vertices, faces, kept, watertight, opening, tuple(notes), numbers)


def joined(pieces: Sequence[Piece]) -> tuple[Array, Faces]:
    """Vertices and faces of all pieces in one pair of arrays.

    Raises:
        AssetError: no faces, indices beyond the vertices, or vertices that are not finite.
    """
    offsets = np.cumsum([0, *(len(p.vertices) for p in pieces)])
    for piece in pieces:
        bad = piece.faces.size and not 0 <= piece.faces.min() <= piece.faces.max() < len(
            piece.vertices
        )
        if bad or not np.isfinite(piece.vertices).all():
            raise AssetError(f"piece {piece.name!r}: bad face indices or vertices")
    if not any(len(p.faces) for p in pieces):
        raise AssetError("no triangles in the mesh")
    vertices = np.concatenate([p.vertices.reshape(-1, 3) for p in pieces])
    faces = [p.faces.reshape(-1, 3) + o for p, o in zip(pieces, offsets, strict=False)]
    return vertices, np.concatenate(faces)


def simplified(vertices: Array, faces: Faces, target: int) -> tuple[Array, Faces]:
    """Quadric decimation to about `target` faces."""
    if len(faces) <= target:
        return vertices, faces
    import fast_simplification  # compiled code, loaded only for large meshes

    out, cut, *_ = fast_simplification.simplify(
        vertices, faces.astype(np.int32), target_count=target
    )
    if len(cut) == 0:
        return vertices, faces
    return np.asarray(out, np.float64), np.asarray(cut, np.int64)


def _merged(unit: Array, faces: Faces) -> tuple[Array, Faces]:
    """Vertices closer than a millionth of the size become one."""
    keys = np.round(unit * 1e6).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return unit[first], inverse.reshape(-1)[faces]


def _sound(unit: Array, faces: Faces) -> NDArray[np.bool_]:
    """Faces that have an area, each set of three corners once."""
    corners = unit[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    good = np.linalg.norm(cross, axis=1) > 1e-13
    ordered = np.sort(faces, axis=1)
    first = np.unique(ordered, axis=0, return_index=True)[1]
    unique = np.zeros(len(faces), bool)
    unique[first] = True
    return good & unique


def _components(count: int, faces: Faces) -> tuple[int, NDArray[np.int32]]:
    """Number of connected components, and the component [F] of each face."""
    a, b = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    graph = coo_matrix((np.ones(len(a), bool), (a, b)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1]
    names, own = np.unique(labels[faces[:, 0]], return_inverse=True)
    return len(names), np.asarray(own.reshape(-1), np.int32)


def components_of(vertices: Array, faces: Faces) -> list[NDArray[np.int64]]:
    """Vertex indices of each connected part; corners at the same place are connected."""
    unique, inverse = np.unique(vertices, axis=0, return_inverse=True)
    count, label = _components(len(unique), inverse.reshape(-1)[faces])
    order = np.argsort(label, kind="stable")
    ends = np.cumsum(np.bincount(label, minlength=count))[:-1]
    return [np.unique(faces[part]) for part in np.split(order, ends)]


def _floaters(unit: Array, faces: Faces, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Faces of small components whose bounding boxes stand apart from everything else."""
    count, label = _components(len(unit), faces)
    out = np.zeros(len(faces), bool)
    if not 1 < count <= 2000:
        return out
    corners = unit[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.bincount(label[kept], np.linalg.norm(cross[kept], axis=1), minlength=count)
    low = np.full((count, 3), np.inf)
    high = np.full((count, 3), -np.inf)
    np.minimum.at(low, label, corners.min(axis=1))
    np.maximum.at(high, label, corners.max(axis=1))
    small = area < _FLOATER_AREA * area.sum()
    big_low, big_high = low[~small].min(axis=0), high[~small].max(axis=0)
    apart = ((low > big_high + 0.02) | (high < big_low - 0.02)).any(axis=1)
    return (small & apart)[label]


def _edges(faces: Faces) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Undirected edge keys [3F, 2], the face of each, and whether it runs from low to high."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    owner = np.tile(np.arange(len(faces)), 3)
    return np.sort(pairs, axis=1), owner, pairs[:, 0] < pairs[:, 1]


def is_watertight(faces: Faces) -> bool:
    """Every edge lies between two faces that run along it in opposite directions."""
    keys, _, forward = _edges(faces)
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    directed = np.bincount(inverse.reshape(-1), forward)
    return bool((counts == 2).all() and (directed == 1).all())


def _open_edges(faces: Faces) -> int:
    counts = np.unique(_edges(faces)[0], axis=0, return_counts=True)[1]
    return int((counts != 2).sum())


def oriented(vertices: Array, faces: Faces) -> tuple[Faces, int]:
    """Faces with one winding per component, outwards; and how many had to be turned.

    A watertight surface of positive volume stays as it is: what is inside out in it is a cavity.
    """
    if is_watertight(faces) and volumes(vertices, faces).sum() > 0:
        return faces, 0
    keys, owner, forward = _edges(faces)
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    shared = order[counts[inverse[order]] == 2].reshape(-1, 2)
    a, b = owner[shared[:, 0]], owner[shared[:, 1]]
    same = forward[shared[:, 0]] == forward[shared[:, 1]]  # neighbours that disagree
    turn = _parity(len(faces), a, b, same)
    out = np.where(turn[:, None], faces[:, ::-1], faces)
    graph = coo_matrix((np.ones(len(a), bool), (a, b)), shape=(len(faces), len(faces)))
    label = connected_components(graph, directed=False)[1]
    centre = vertices[faces].reshape(-1, 3).mean(axis=0)
    inward = np.bincount(label, volumes(vertices - centre, out)) < 0
    out = np.where(inward[label][:, None], out[:, ::-1], out)
    changed = int((turn ^ inward[label]).sum())
    return out, changed


def _parity(
    count: int, a: NDArray[np.int64], b: NDArray[np.int64], odd: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which faces to turn so that all neighbours agree, walking outwards from one per component."""
    values = np.where(odd, 2, 1)
    graph = coo_matrix(
        (np.r_[values, values], (np.r_[a, b], np.r_[b, a])), shape=(count, count)
    ).tocsr()
    graph.data = np.minimum(graph.data, 2)  # two faces that share two edges
    pairs = {}
    rows = np.repeat(np.arange(count), np.diff(graph.indptr))
    for row, column, value in zip(rows, graph.indices, graph.data, strict=True):
        pairs[int(row), int(column)] = value == 2
    turn = np.zeros(count, bool)
    seen = np.zeros(count, bool)
    for start in range(count):
        if seen[start]:
            continue
        nodes, before = breadth_first_order(graph, start, directed=False)
        seen[nodes] = True
        for node in nodes[1:]:
            turn[node] = turn[before[node]] ^ pairs[int(before[node]), int(node)]
    return turn


def volumes(vertices: Array, faces: Faces) -> Array:
    """Signed volumes [F] of the tetrahedra between the faces and the origin."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0


def vector_area(vertices: Array, faces: Faces) -> Array:
    """Sum [3] of area times normal: zero for a closed surface."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a).sum(axis=0) / 2.0
