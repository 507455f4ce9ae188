"""A mesh, its solid and its collision parts in the body frame of one resting pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from generation.assets.importing.asset import Array, Piece, Rest
from generation.assets.importing.clean import Surface, components_of, joined
from generation.assets.importing.pose import table_frame
from generation.assets.importing.solid import Solid, fill


@dataclass(frozen=True)
class Placed:
    """Everything in the body frame of one resting pose, in metres."""

    surface: Surface
    solid: Solid
    pieces: tuple[Piece, ...]
    collision: tuple[Array, ...]
    rotation: Array

    @classmethod
    def of(
        cls,
        surface: Surface,
        solid: Solid,
        rest: Rest,
        pieces: Sequence[Piece],
        collision: Sequence[Piece],
        factor: float,
    ) -> Placed:
        used = surface.vertices[np.unique(surface.faces)]
        rotation, shift = table_frame(rest, used)
        moved = replace(
            surface,
            vertices=surface.vertices @ rotation.T + shift,
            opening=rotation @ surface.opening,
        )
        refilled = fill(moved, np.array([0.0, 0.0, 1.0]))
        if solid.sheet and not refilled.sheet:  # what is a sheet in one pose is one in all
            refilled = fill(replace(moved, opening=np.array([0.0, 0.0, np.inf])), np.eye(3)[2])
        placed = tuple(p.moved(p.vertices * factor @ rotation.T + shift) for p in pieces)
        hulls = tuple(_convex_parts(collision, factor, rotation, shift))
        return cls(moved, refilled, placed, hulls, rotation)


def _convex_parts(
    collision: Sequence[Piece], factor: float, rotation: Array, shift: Array
) -> list[Array]:
    """Hull vertices of each connected part of the collision pieces, in the body frame."""
    out = []
    for piece in collision:
        vertices, faces = joined([piece])
        for part in components_of(vertices, faces):
            points = vertices[part] * factor @ rotation.T + shift
            try:
                out.append(points[ConvexHull(points).vertices])
            except (QhullError, ValueError):
                continue  # a flat scrap holds nothing
    return out[:200]
