"""Small pictures of single objects, for contact sheets of asset libraries; needs NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from generation.assets.mass import extents, quat_to_matrix
from generation.spec import Part

Array = NDArray[np.float64]

_AZIMUTH, _ELEVATION = math.radians(-60.0), math.radians(28.0)  # of the camera
_LIGHT = np.array([0.35, -0.55, 0.76])
_AMBIENT = 0.45
_MARGIN = 1.15
_SMOOTH = 2  # rays per pixel and axis
_TOP, _BOTTOM = np.array([0.97, 0.97, 0.98]), np.array([0.86, 0.87, 0.89])  # behind the object
_ROUND = 20  # points around a curved part


def portrait(parts: Sequence[Part], size: int = 160) -> NDArray[np.uint8]:
    """The visible parts as u8[size, size, 3], seen from above the front in parallel perspective.

    Args:
        parts: of one object, in its body frame.
        size: side of the picture in pixels.
    """
    solids = [_solid(part) for part in parts if part.visible]
    points = np.concatenate([solid.points for solid in solids])
    right, up, ahead = _camera()
    seen = points @ np.stack([right, up], axis=1)
    low, high = seen.min(axis=0), seen.max(axis=0)
    half = _MARGIN * max(float((high - low).max()) / 2, 1e-6)
    steps = size * _SMOOTH
    ticks = (np.arange(steps) + 0.5) / steps * 2 - 1
    x, y = np.meshgrid(ticks * half, -ticks * half)
    centre = (low + high) / 2
    far = 10 * float(np.abs(points).max()) + 1.0
    # Rays [P, 3] start far in front of the object.
    starts = (x.reshape(-1, 1) + centre[0]) * right + (y.reshape(-1, 1) + centre[1]) * up
    starts -= far * ahead
    depth = np.full(len(starts), np.inf)
    mix = np.linspace(0, 1, steps)[:, None, None]
    image = np.broadcast_to(_TOP * (1 - mix) + _BOTTOM * mix, (steps, steps, 3)).reshape(-1, 3)
    image = image.copy()
    light = _LIGHT / np.linalg.norm(_LIGHT)
    flat = np.stack([x.ravel() + centre[0], y.ravel() + centre[1]], axis=1)
    for solid in solids:
        bounds = solid.points @ np.stack([right, up], axis=1)
        inside = ((flat >= bounds.min(axis=0)) & (flat <= bounds.max(axis=0))).all(axis=1)
        rays = np.flatnonzero(inside)
        distance, normal = solid.hit(starts[rays], ahead)
        nearer = distance < depth[rays]
        drawn = rays[nearer]
        depth[drawn] = distance[nearer]
        shade = _AMBIENT + (1 - _AMBIENT) * np.clip(normal[nearer] @ light, 0, 1)
        image[drawn] = np.array(solid.rgb) * shade[:, None]
    small = image.reshape(size, _SMOOTH, size, _SMOOTH, 3).mean(axis=(1, 3))
    return np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)


@dataclass(frozen=True)
class _Solid:
    """A convex body: its corners [V, 3], and planes with normals [F, 3] and offsets [F]."""

    points: Array
    normals: Array
    offsets: Array
    rgb: tuple[float, ...]

    def hit(self, starts: Array, ahead: Array) -> tuple[Array, Array]:
        """Distance [P] along rays, inf where they miss, and the outward normal [P, 3] there."""
        slope = self.normals @ ahead
        with np.errstate(divide="ignore", invalid="ignore"):
            where = (self.offsets - starts @ self.normals.T) / slope
        enter = np.where(slope < -1e-9, where, -np.inf)
        leave = np.where(slope > 1e-9, where, np.inf)
        face = enter.argmax(axis=1)
        first = enter[np.arange(len(starts)), face]
        missed = first >= leave.min(axis=1)
        beside = (np.abs(slope) <= 1e-9) & (starts @ self.normals.T > self.offsets)
        return np.where(missed | beside.any(axis=1), np.inf, first), self.normals[face]


def _camera() -> tuple[Array, Array, Array]:
    """Unit vectors to the right and up in the picture, and into it."""
    c, s = math.cos(_ELEVATION), math.sin(_ELEVATION)
    ahead = -np.array([c * math.cos(_AZIMUTH), c * math.sin(_AZIMUTH), s])
    right = np.array([-math.sin(_AZIMUTH), math.cos(_AZIMUTH), 0.0])
    return right, np.cross(right, ahead), ahead


def _solid(part: Part) -> _Solid:
    local = _outline(part)
    points = local @ quat_to_matrix(part.quat).T + np.array(part.pos)
    try:
        hull = ConvexHull(points)
    except QhullError:  # as good as flat: joggled, it is a hull too
        hull = ConvexHull(points, qhull_options="QJ")
    planes = np.unique(np.asarray(hull.equations).round(9), axis=0)
    return _Solid(points, planes[:, :3], -planes[:, 3], part.rgba[:3])


def _outline(part: Part) -> Array:
    """Points [V, 3] whose hull is the part, or nearly so if it is curved; part frame."""
    if part.shape == "convex":
        return np.array(part.vertices)
    a, b, _ = part.size
    around = np.linspace(0, 2 * math.pi, _ROUND, endpoint=False)
    if part.shape == "cylinder":
        ring = np.stack([a * np.cos(around), a * np.sin(around)], axis=1)
        return np.concatenate([np.c_[ring, np.full(_ROUND, z)] for z in (-b, b)])
    if part.shape == "box":
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
        return signs * extents(part)
    tilt = np.linspace(0, math.pi, _ROUND // 2 + 1)
    u, v = np.meshgrid(around, tilt)
    unit = np.stack([np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)], axis=-1)
    ball = unit.reshape(-1, 3)
    if part.shape == "capsule":
        return a * ball + np.where(ball[:, 2:] >= 0, 1.0, -1.0) * np.array([0, 0, b])
    return ball * extents(part)
