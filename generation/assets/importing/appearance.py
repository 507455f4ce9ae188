"""Colours: read off the surface, averaged over regions, named, and kept in a binary glTF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from generation.assets.colours import COLOURS
from generation.assets.importing.asset import Array, Piece
from generation.assets.importing.clean import simplified
from generation.assets.importing.solid import Solid

VISUAL_FACES = 5000
SAMPLES = 6000
UNPAINTED = (0.62, 0.62, 0.64)  # of a file that says nothing about colour


@dataclass(frozen=True)
class Samples:
    """Points spread evenly over a surface: positions [P, 3] in m, unit normals, sRGB [P, 3]."""

    points: Array
    normals: Array
    rgb: Array


def has_colour(piece: Piece) -> bool:
    """Whether the piece says what colour it is."""
    return any(v is not None for v in (piece.rgb, piece.face_rgb, piece.vertex_rgb, piece.uv))


def sample(pieces: Sequence[Piece], kept: NDArray[np.bool_], rng: np.random.Generator) -> Samples:
    """`SAMPLES` points on the kept faces of all pieces, by area.

    Args:
        kept: bool over the faces of all pieces in order.
    """
    starts = np.cumsum([0, *(len(p.faces) for p in pieces)])
    corners = np.concatenate([p.vertices[p.faces] for p in pieces])
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.where(kept, np.linalg.norm(cross, axis=1), 0.0)
    total = np.cumsum(area)
    steps = (np.arange(SAMPLES) + rng.uniform(size=SAMPLES)) / SAMPLES * total[-1]
    face = np.minimum(np.searchsorted(total, steps), len(area) - 1)
    u, v = np.sqrt(rng.uniform(size=SAMPLES)), rng.uniform(size=SAMPLES)
    weights = np.stack([1 - u, u * (1 - v), u * v], axis=1)
    points = np.einsum("pk,pkd->pd", weights, corners[face])
    normals = cross[face] / np.maximum(np.linalg.norm(cross[face], axis=1), 1e-30)[:, None]
    rgb = np.empty((SAMPLES, 3))
    for k, piece in enumerate(pieces):
        own = (face >= starts[k]) & (face < starts[k + 1])
        if own.any():
            rgb[own] = _colours(piece, face[own] - starts[k], weights[own])
    return Samples(points, normals, np.clip(rgb, 0.0, 1.0))


def exposed(samples: Samples, solid: Solid) -> Samples:
    """The samples that can be seen: those with the solid on both sides lie inside it."""
    hidden = np.ones(len(samples.points), bool)
    for side in (1.5, -1.5):
        beside = samples.points + side * solid.pitch * samples.normals
        index = np.rint((beside - solid.origin) / solid.pitch).astype(int)
        within = ((index >= 0) & (index < solid.cells.shape)).all(axis=1)
        index = np.where(within.reshape(-1, 1), index, 0)
        hidden &= within & solid.cells[tuple(index.T)]
    if hidden.mean() > 0.9:  # nothing would be left to average
        return samples
    return Samples(samples.points[~hidden], samples.normals[~hidden], samples.rgb[~hidden])


def _colours(piece: Piece, face: NDArray[np.int64], weights: Array) -> Array:
    """sRGB [P, 3] at barycentric coordinates of faces."""
    if piece.face_rgb is not None:
        return piece.face_rgb[face]
    if piece.vertex_rgb is not None:
        return np.einsum("pk,pkd->pd", weights, piece.vertex_rgb[piece.faces[face]])
    base = np.array(piece.rgb if piece.rgb is not None else UNPAINTED)
    if piece.uv is None or piece.image is None:
        return np.tile(base, (len(face), 1))
    uv = np.einsum("pk,pkd->pd", weights, piece.uv[piece.faces[face]])
    height, width = piece.image.shape[:2]
    column = np.floor(np.mod(uv[:, 0], 1.0) * width).astype(int) % width
    row = np.floor((1.0 - np.mod(uv[:, 1], 1.0)) * height).astype(int) % height
    tint = np.ones(3) if piece.rgb is None else base
    return piece.image[row, column, :3] / 255.0 * tint


def colour_name(rgb: Array) -> str:
    """The colour word that most of the sampled surface [P, 3] answers to.

    Compared in CIE Lab, where distances are closer to what is seen; greys weigh less than colours,
    since a red can with a white label is a red can.
    """
    names = list(COLOURS)
    gap = np.linalg.norm(_lab(rgb)[:, None] - _lab(np.array(list(COLOURS.values()))), axis=2)
    votes = np.bincount(np.argmin(gap, axis=1), minlength=len(names)).astype(float)
    for k, name in enumerate(names):
        if name in ("white", "grey", "black"):
            votes[k] *= 0.6
    return names[int(np.argmax(votes))]


def _lab(rgb: Array) -> Array:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


def to_glb(pieces: Sequence[Piece], kept: NDArray[np.bool_]) -> tuple[bytes, int]:
    """Binary glTF of at most about `VISUAL_FACES` faces, y up as the format wants, and its faces.

    Textures are kept: a decimated vertex takes the coordinates of the nearest original one.
    """
    scene = trimesh.Scene()
    total, start, count = int(kept.sum()), 0, 0
    for k, piece in enumerate(pieces):
        mask = kept[start : start + len(piece.faces)]
        start += len(piece.faces)
        if not mask.any():
            continue
        target = max(12, int(VISUAL_FACES * mask.sum() / max(total, VISUAL_FACES)))
        mesh = _visual(piece, mask, target)
        count += len(mesh.faces)
        scene.add_geometry(mesh, geom_name=f"piece{k}")
    # The scene is z up; glTF is y up.
    scene.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))
    data = scene.export(file_type="glb")
    assert isinstance(data, bytes)  # for this format
    return data, count


def _visual(piece: Piece, mask: NDArray[np.bool_], target: int) -> trimesh.Trimesh:
    faces = piece.faces[mask]
    used, inverse = np.unique(faces, return_inverse=True)
    vertices, faces = piece.vertices[used], inverse.reshape(-1, 3)
    before, own = vertices, np.arange(len(vertices))
    face_rgb = None if piece.face_rgb is None else piece.face_rgb[mask]
    if len(faces) > target:
        centres = vertices[faces].mean(axis=1)
        vertices, faces = simplified(vertices, faces, target)
        own = _nearest(before, vertices)
        if face_rgb is not None:
            face_rgb = face_rgb[_nearest(centres, vertices[faces].mean(axis=1))]
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if face_rgb is not None:
        mesh.visual = ColorVisuals(mesh, face_colors=_bytes(face_rgb))
    elif piece.vertex_rgb is not None:
        mesh.visual = ColorVisuals(mesh, vertex_colors=_bytes(piece.vertex_rgb[used][own]))
    elif piece.uv is not None and piece.image is not None:
        mesh.visual = TextureVisuals(uv=piece.uv[used][own], material=_material(piece))
    else:
        rgb = np.array([piece.rgb if piece.rgb is not None else UNPAINTED])
        material = PBRMaterial(baseColorFactor=_bytes(rgb)[0])
        mesh.visual = TextureVisuals(uv=None, material=material)
    return mesh


def _material(piece: Piece) -> PBRMaterial:
    from PIL import Image

    assert piece.image is not None  # the caller has looked
    factor = None if piece.rgb is None else _bytes(np.array([piece.rgb]))[0]
    return PBRMaterial(
        baseColorTexture=Image.fromarray(piece.image), baseColorFactor=factor,
        metallicFactor=0.0, roughnessFactor=0.8,
    )  # fmt: skip


def _nearest(points: Array, queries: Array) -> NDArray[np.int64]:
    from scipy.spatial import KDTree

    return np.asarray(KDTree(points).query(queries)[1], np.int64)


def _bytes(rgb: Array) -> NDArray[np.uint8]:
    rgba = np.concatenate([rgb, np.ones((len(rgb), 1))], axis=1)
    return np.rint(np.clip(rgba, 0, 1) * 255).astype(np.uint8)
