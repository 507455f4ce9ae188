"""Objects seen from above: the outline that an object covers, and the gaps between outlines."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generation.assets.mass import quat_to_matrix
from generation.assets.parts import corners
from generation.spec import ObjectSpec

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Footprint:
    """Bounds of an object on the table: a circle about its origin and a rectangle, both valid."""

    radius: float
    low: Array  # [2] body frame
    high: Array  # [2]

    @classmethod
    def of(cls, thing: ObjectSpec) -> Footprint:
        """The footprint of an object that stands upright."""
        points = np.concatenate([corners(part)[:, :2] for part in thing.parts])
        return cls(thing.radius, points.min(axis=0), points.max(axis=0))

    @classmethod
    def around(cls, points: Array) -> Footprint:
        """The footprint of points [P, 2] in m."""
        radius = float(np.linalg.norm(points, axis=1).max())
        return cls(radius, points.min(axis=0), points.max(axis=0))

    @classmethod
    def bar(cls, half_x: float, half_y: float) -> Footprint:
        """A rectangle about the origin with these half sides in m."""
        half = np.array([half_x, half_y])
        return cls(math.hypot(half_x, half_y), -half, half)

    @classmethod
    def disc(cls, radius: float) -> Footprint:
        """A circle about the origin."""
        return cls(radius, np.full(2, -radius), np.full(2, radius))

    @functools.cached_property
    def box(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Middle and half sides of the rectangle, m."""
        (x0, y0), (x1, y1) = self.low.tolist(), self.high.tolist()
        return ((x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) / 2, (y1 - y0) / 2)

    def rectangle(self, xy: Array, yaw: float) -> Array:
        """Corners [4, 2] in the world."""
        (x0, y0), (x1, y1) = self.low, self.high
        local = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        return local @ turn(yaw).T + xy


@dataclass(frozen=True)
class Pose:
    """A standing object: position on the table in m, heading in rad, height of its bottom in m."""

    xy: Array
    yaw: float
    z: float = 0.0

    def carried(self, xy: Array, yaw: float, z: float) -> Pose:
        """The world pose of what stands at a pose in this one's frame."""
        return Pose(self.xy + turn(self.yaw) @ xy, self.yaw + yaw, self.z + z)


def turn(yaw: float) -> Array:
    """Rotation matrix [2, 2] by `yaw` rad."""
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, -s], [s, c]])


def gap(a: Footprint, at: Pose, b: Footprint, bt: Pose) -> float:
    """A lower bound of the distance between two footprints in m, negative if they may overlap."""
    # Plain floats: layouts ask this hundreds of thousands of times.
    ax, ay, bx, by = float(at.xy[0]), float(at.xy[1]), float(bt.xy[0]), float(bt.xy[1])
    best = math.hypot(bx - ax, by - ay) - a.radius - b.radius
    (au, av), (ahx, ahy) = a.box
    (bu, bv), (bhx, bhy) = b.box
    ac, as_, bc, bs = math.cos(at.yaw), math.sin(at.yaw), math.cos(bt.yaw), math.sin(bt.yaw)
    # From the middle of one rectangle to that of the other.
    dx = bx + bc * bu - bs * bv - ax - ac * au + as_ * av
    dy = by + bs * bu + bc * bv - ay - as_ * au - ac * av
    cos, sin = abs(ac * bc + as_ * bs), abs(ac * bs - as_ * bc)
    return max(
        best,
        abs(dx * ac + dy * as_) - ahx - bhx * cos - bhy * sin,
        abs(dy * ac - dx * as_) - ahy - bhx * sin - bhy * cos,
        abs(dx * bc + dy * bs) - bhx - ahx * cos - ahy * sin,
        abs(dy * bc - dx * bs) - bhy - ahx * sin - ahy * cos,
    )


def apart(a: Footprint, at: Pose, b: Footprint, bt: Pose, distance: float) -> bool:
    """Whether two footprints are surely `distance` m apart; quicker than `gap` if circles say."""
    if math.dist(at.xy, bt.xy) - a.radius - b.radius >= distance:
        return True
    return gap(a, at, b, bt) >= distance


def heading(quat: Sequence[float]) -> float:
    """Direction of the body's x axis seen from above, rad."""
    w, x, y, z = quat
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def standing(thing: ObjectSpec) -> tuple[Footprint, Pose]:
    """What the object covers where it is, tilted or not."""
    pose = Pose(np.array(thing.pos[:2]), heading(thing.quat), thing.pos[2])
    if abs(thing.quat[1]) + abs(thing.quat[2]) < 0.01:
        return Footprint.of(thing), pose
    turned = np.concatenate([corners(part) for part in thing.parts])
    flat = (turned @ quat_to_matrix(thing.quat).T)[:, :2] @ turn(pose.yaw)
    return Footprint.around(flat), pose


def world(thing: ObjectSpec, local: Sequence[float]) -> Array:
    """A point [3] of the object's frame in the world, m."""
    return quat_to_matrix(thing.quat) @ np.array(local) + np.array(thing.pos)


def lowest(thing: ObjectSpec) -> float:
    """Height in m of the lowest point of the object's colliding parts."""
    rotation = quat_to_matrix(thing.quat)
    down = rotation[2]  # world heights of the body's axes
    ends = []
    for part in thing.parts:
        if not part.collide:
            continue
        axes = down @ quat_to_matrix(part.quat)
        a, b, _ = part.size
        if part.shape == "sphere":
            below = a
        elif part.shape == "capsule":
            below = a + b * abs(float(axes[2]))
        elif part.shape == "convex":
            below = -float((np.array(part.vertices) @ axes).min())
        else:
            below = float(np.abs(axes) @ np.array(part.size))
        ends.append(float(down @ np.array(part.pos)) - below)
    return min(ends) + thing.pos[2]
