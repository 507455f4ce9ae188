"""Boxes, capsules, spheres and hexagons around points, and what they cover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from generation.assets.importing.asset import Array
from generation.assets.mass import matrix_to_quat
from generation.assets.parts import Paint, primitive
from generation.spec import Part, Shape

_FRAMES = 24  # directions of a hull's faces along which boxes are tried
_ROUND = 1.15  # ratio of two widths below which a hull may be round
_HEXAGON = 0.952  # apothem of the hexagon whose area is the circle's of radius 1


@dataclass(frozen=True)
class Primitive:
    """A part without paint: MuJoCo half sizes, centre, rotation [3, 3] (columns are its axes)."""

    shape: Shape
    size: tuple[float, float, float]
    pos: Array
    rotation: Array

    def local(self, points: Array) -> Array:
        return (points - self.pos) @ self.rotation

    def distance(self, points: Array) -> Array:
        """Signed distance [P] to the surface, negative inside; of an ellipsoid roughly."""
        q = self.local(points)
        a, b, c = self.size
        if self.shape == "sphere":
            return np.linalg.norm(q, axis=1) - a
        if self.shape == "capsule":
            q[:, 2] -= np.clip(q[:, 2], -b, b)
            return np.linalg.norm(q, axis=1) - a
        if self.shape == "cylinder":
            beyond = np.stack([np.hypot(q[:, 0], q[:, 1]) - a, np.abs(q[:, 2]) - b], axis=1)
        elif self.shape == "ellipsoid":
            return (np.linalg.norm(q / (a, b, c), axis=1) - 1) * min(self.size)
        else:
            beyond = np.abs(q) - (a, b, c)
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=1)
        return outside + np.minimum(beyond.max(axis=1), 0.0)

    def part(self, paint: Paint | None, *, collide: bool) -> Part:
        quat = matrix_to_quat(self.rotation)
        return primitive(
            self.shape, self.size, self.pos.tolist(), paint, quat=quat.tolist(), collide=collide
        )


def covers(primitives: Sequence[Primitive], points: Array) -> NDArray[np.bool_]:
    """Which points [P, 3] lie in any of the primitives."""
    out = np.zeros(len(points), bool)
    for one in primitives:
        out |= one.distance(points) <= 0.0
    return out


def boxes(points: Array) -> list[Primitive]:
    """Bounding boxes: the smallest that is upright, and the smallest over all hull faces."""
    frames = [_turn_about(np.eye(3), points)]
    try:
        hull = ConvexHull(points)
    except QhullError:
        return [_box_in(points, frames[0])]
    corners = hull.points[hull.simplices]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    rough = np.round(hull.equations[:, :3] * np.sign(hull.equations[:, 2:3] + 1e-9), 1) + 0.0
    normals, own = np.unique(rough, axis=0, return_inverse=True)
    area = np.bincount(own.reshape(-1), np.linalg.norm(cross, axis=1))
    # Of a direction's faces the largest gives the exact normal.
    sizes = np.linalg.norm(cross, axis=1)
    best = [int(np.argmax(np.where(own.reshape(-1) == k, sizes, -1.0))) for k in range(len(area))]
    order = np.argsort(-area, kind="stable")[:_FRAMES]
    normals = hull.equations[np.array(best)[order], :3]
    tilted = []
    for normal in normals:
        z = normal / np.linalg.norm(normal)
        if abs(z[2]) > 0.999:
            continue
        x = np.cross(z, [0.0, 0.0, 1.0])
        x /= np.linalg.norm(x)
        frame = np.stack([x, np.cross(z, x), z], axis=1)
        tilted.append(_turn_about(frame, points))
    upright = _box_in(points, frames[0])
    others = [_box_in(points, frame) for frame in tilted]
    return [upright, *sorted(others, key=lambda b: math.prod(b.size))[:1]]


def _turn_about(frame: Array, points: Array) -> Array:
    """The frame turned about its z axis to the smallest bounding rectangle."""
    flat = (points @ frame)[:, :2]
    try:
        ring = flat[ConvexHull(flat).vertices]
    except (QhullError, ValueError):
        return frame
    edges = np.roll(ring, -1, axis=0) - ring
    angles = np.unique(np.round(np.mod(np.arctan2(edges[:, 1], edges[:, 0]), np.pi / 2), 4))
    angles = np.r_[0.0, angles]
    c, s = np.cos(angles), np.sin(angles)
    u = ring[:, 0] * c[:, None] + ring[:, 1] * s[:, None]
    v = -ring[:, 0] * s[:, None] + ring[:, 1] * c[:, None]
    area = np.ptp(u, axis=1) * np.ptp(v, axis=1)
    k = int(np.argmin(area * np.r_[0.999, np.ones(len(angles) - 1)]))
    turn = np.array([[c[k], -s[k], 0.0], [s[k], c[k], 0.0], [0.0, 0.0, 1.0]])
    return frame @ turn


def _box_in(points: Array, frame: Array) -> Primitive:
    local = points @ frame
    low, high = local.min(axis=0), local.max(axis=0)
    half = np.maximum((high - low) / 2, 5e-4)
    return Primitive("box", tuple(half.tolist()), frame @ ((low + high) / 2), frame)


def capsules(box: Primitive) -> list[Primitive]:
    out = []
    for axis in range(3):
        frame = np.roll(box.rotation, 2 - axis, axis=1)
        a, b = (box.size[(axis + k) % 3] for k in (1, 2))
        for radius in (0.5 * (a + b), 0.46 * (a + b)):
            straight = box.size[axis] - radius
            if straight > 0.05 * radius and max(a, b) < 1.6 * min(a, b):
                out.append(Primitive("capsule", (radius, straight, 0.0), box.pos, frame))
    return out


def ball(points: Array, volume: float) -> Primitive:
    radius = (volume * 3 / (4 * math.pi)) ** (1 / 3)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return Primitive("sphere", (radius, 0.0, 0.0), middle, np.eye(3))


def hexagon(box: Primitive, axis: int) -> tuple[Primitive, ...]:
    """Three boxes that fill a hexagonal prism, if the box's other widths are alike."""
    a, b = (box.size[(axis + k) % 3] for k in (1, 2))
    if max(a, b) > _ROUND * min(a, b):
        return ()
    apothem = _HEXAGON * (a + b) / 2
    frame = np.roll(box.rotation, 2 - axis, axis=1)  # the prism's axis last
    size = (apothem, apothem * math.tan(math.pi / 6), box.size[axis])
    out = []
    for k in range(3):
        c, s = math.cos(k * math.pi / 3), math.sin(k * math.pi / 3)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        out.append(Primitive("box", size, box.pos, frame @ turn))
    return tuple(out)
