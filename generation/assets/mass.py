"""Mass properties of a rigid body made of overlapping primitives.

MuJoCo adds up the masses of all geoms, so where two parts overlap the material counts twice. Here
the solid is the union of the parts: every part is sampled on its own grid and each cell weighs
1 / (number of parts that contain its centre). A single box comes out exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generation.spec import Part

Array = NDArray[np.float64]

_CELLS = 10  # grid cells per axis of a box, whose second moments are exact at any number
_FINE_CELLS = 24  # of a part with a curved surface: 1 % of its inertia


@dataclass(frozen=True)
class MassProperties:
    """Volume in m^3, mass in kg, centre of mass in m, inertia in kg m^2 about that centre."""

    volume: float
    mass: float
    com: Array  # [3]
    inertia: Array  # [3, 3] in the body frame's axes

    def principal(self) -> tuple[Array, Array]:
        """Principal moments [3] (descending) and the quaternion [4] of their frame."""
        moments, axes = np.linalg.eigh(self.inertia)
        moments, axes = moments[::-1], axes[:, ::-1].copy()
        if np.linalg.det(axes) < 0:
            axes[:, 2] *= -1
        return moments, matrix_to_quat(axes)


def quat_to_matrix(quat: Sequence[float] | Array) -> Array:
    """Rotation matrix [3, 3] of a unit quaternion wxyz."""
    w, x, y, z = np.asarray(quat, float) / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def matrix_to_quat(matrix: Array) -> Array:
    """Unit quaternion wxyz with w >= 0 of a rotation matrix [3, 3]."""
    m = matrix
    # Bar-Itzhack's symmetric matrix: its dominant eigenvector is the quaternion, without cases.
    k = np.array(
        [
            [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [0, m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[0, 2] + m[2, 0]],
            [0, 0, m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2]],
            [0, 0, 0, m[2, 2] - m[0, 0] - m[1, 1]],
        ]
    )
    quat = np.linalg.eigh(k, UPLO="U")[1][:, -1]
    return quat if quat[0] >= 0 else -quat


def extents(part: Part) -> Array:
    """Half extents [3] of the part's bounding box in the part's own frame, in m."""
    a, b, _ = part.size
    if part.shape == "sphere":
        return np.array([a, a, a])
    if part.shape == "capsule":
        return np.array([a, a, a + b])
    if part.shape == "cylinder":
        return np.array([a, a, b])
    return np.array(part.size)


def contains(part: Part, points: Array) -> NDArray[np.bool_]:
    """Which of `points` [P, 3] (body frame) lie inside the part."""
    local = (points - np.array(part.pos)) @ quat_to_matrix(part.quat)
    a, b, _ = part.size
    x, y, z = local.T
    if part.shape == "box":
        return np.all(np.abs(local) <= extents(part) + 1e-12, axis=1)
    if part.shape == "cylinder":
        return (x * x + y * y <= a * a) & (np.abs(z) <= b)
    if part.shape == "capsule":
        beyond = np.maximum(np.abs(z) - b, 0.0)
        return x * x + y * y + beyond * beyond <= a * a
    return np.sum((local / extents(part)) ** 2, axis=1) <= 1.0


def mass_properties(parts: Sequence[Part], density: float) -> MassProperties:
    """Mass properties of the union of the colliding parts at `density` kg/m^3.

    Exact for boxes that do not overlap; overlaps are resolved to about a tenth of a part's size.
    """
    solid = [part for part in parts if part.collide]
    if not solid:
        raise ValueError("mass of an object without colliding parts: give it at least one")
    boxes = [_bounds(part) for part in solid]
    volume, first, second = 0.0, np.zeros(3), np.zeros((3, 3))
    for k, part in enumerate(solid):
        points, weights, own = _cells(part)
        shared = np.ones(len(points), np.int64)
        for j, other in enumerate(solid):
            if j != k and np.all((boxes[j][0] < boxes[k][1]) & (boxes[k][0] < boxes[j][1])):
                shared += contains(other, points)
        weights = weights / shared
        volume += weights.sum()
        first += weights @ points
        second += points.T @ (points * weights[:, None]) + weights.sum() * own
    com = first / volume
    spread = second - volume * np.outer(com, com)
    inertia = density * (np.trace(spread) * np.eye(3) - spread)
    return MassProperties(volume, density * volume, com, inertia)


def _bounds(part: Part) -> tuple[Array, Array]:
    """Lowest and highest coordinates [3] of the part's oriented box in the body frame."""
    reach = np.abs(quat_to_matrix(part.quat)) @ extents(part)
    return np.array(part.pos) - reach, np.array(part.pos) + reach


@functools.cache
def _grid(cells: int) -> Array:
    """Centres [cells^3, 3] of the cells of a cube with half extents 1."""
    axis = (np.arange(cells) + 0.5) / cells * 2 - 1
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def _cells(part: Part) -> tuple[Array, Array, Array]:
    """Cell centres [P, 3], cell volumes [P], and one cell's own second moment per volume [3, 3]."""
    half = extents(part)
    cells = _CELLS if part.shape == "box" else _FINE_CELLS
    rotation = quat_to_matrix(part.quat)
    points = (_grid(cells) * half) @ rotation.T + np.array(part.pos)
    cell = 2 * half / cells
    own = rotation @ np.diag(cell**2 / 12) @ rotation.T
    weights = np.full(len(points), float(np.prod(cell)))
    if part.shape != "box":
        inside = contains(part, points)
        points = points[inside]
        weights = np.full(len(points), part_volume(part) / len(points))
    return points, np.asarray(weights, float), own


def part_volume(part: Part) -> float:
    """Volume of one primitive in m^3."""
    a, b, c = part.size
    if part.shape == "box":
        return 8 * a * b * c
    if part.shape == "sphere":
        return 4 / 3 * np.pi * a**3
    if part.shape == "ellipsoid":
        return 4 / 3 * np.pi * a * b * c
    tube = 2 * np.pi * a * a * b
    return tube if part.shape == "cylinder" else tube + 4 / 3 * np.pi * a**3
