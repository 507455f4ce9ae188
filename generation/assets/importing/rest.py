"""How a body comes to rest on a table: the faces of its convex hull that it can stand on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from generation.assets.importing.asset import Array, AssetError, Rest
from generation.assets.mass import matrix_to_quat, quat_to_matrix

_SAME_FACE = math.radians(2.0)  # hull triangles within this angle are one face
_MAX_POSES = 24  # of a round body, which rests on everything


def hull_of(points: Array) -> ConvexHull:
    """Convex hull; flat sets are given a thousandth of their size as thickness.

    Raises:
        AssetError: the points span no volume even so.
    """
    extent = float(np.ptp(points, axis=0).max())
    try:
        return ConvexHull(points)
    except QhullError:
        rng = np.random.default_rng(0)
        try:
            return ConvexHull(
                np.concatenate([points, points + rng.normal(0, 1e-3 * extent, points.shape)])
            )
        except QhullError:
            raise AssetError("the mesh spans no volume") from None


def resting_poses(points: Array, com: Array) -> list[Rest]:
    """Stable poses of a convex body, the most probable first.

    Quasi-static: dropped in a random orientation, it lands on the hull face that lies below its
    centre of mass and tips over edges until the centre of mass is above the face.

    Args:
        points: [P, 3] whose hull the body is.
        com: [3] its centre of mass.

    Raises:
        AssetError: the points span no volume.
    """
    hull = hull_of(points)
    normals, offsets = hull.equations[:, :3], hull.equations[:, 3]
    corners = hull.points[hull.simplices]
    final = _tumbled(hull, corners, normals, com)
    share = np.abs(_solid_angles(corners - com)) / (4 * math.pi)
    landed = np.bincount(final, share, minlength=len(final))
    rests: list[Rest] = []
    order = np.argsort(-landed, kind="stable")
    order = order[landed[order] > 0.0]
    # A round body rests on everything: its axes go first, so that upright stays upright.
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    first = order[np.argmax(normals[order] @ axes.T, axis=0)]
    for face in (*first, *order):
        if len(rests) == _MAX_POSES:
            break
        down = normals[face]
        if any(np.dot(down, down_of(rest)) > math.cos(_SAME_FACE) for rest in rests):
            continue
        alike = normals @ down > math.cos(_SAME_FACE)
        height = float(-(down @ com + offsets[face]))
        tip = _tip_angle(hull.points, down, -float(offsets[face]), com, height)
        rests.append(
            Rest(_quat(rotation_down(down)), max(height, 0.0), tip, float(landed[alike].sum()))
        )
    return sorted(rests, key=lambda rest: -rest.probability)


def _quat(matrix: Array) -> tuple[float, float, float, float]:
    w, x, y, z = (round(float(v), 9) + 0.0 for v in matrix_to_quat(matrix))
    return (w, x, y, z)


def down_of(rest: Rest) -> Array:
    """Direction in the body's own frame that points down in the resting pose."""
    return -quat_to_matrix(rest.quat)[2]


def rotation_down(down: Array) -> Array:
    """The smallest rotation [3, 3] that turns the direction `down` to -z."""
    down = down / np.linalg.norm(down)
    target = np.array([0.0, 0.0, -1.0])
    cross, cosine = np.cross(down, target), float(down @ target)
    if cosine < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def _tumbled(hull: ConvexHull, corners: Array, normals: Array, com: Array) -> NDArray[np.int64]:
    """The triangle [F] on which a body ends that lands on each triangle."""
    count = len(corners)
    step = np.arange(count)
    projected = com - normals * np.einsum("ij,ij->i", com - corners[:, 0], normals)[:, None]
    # Neighbour k lies opposite corner k; the body tips over the edge that lies nearest inside.
    worst, over = np.full(count, -1e-9), np.full(count, -1)
    centre = corners.mean(axis=1)
    for k in range(3):
        a, b = corners[:, (k + 1) % 3], corners[:, (k + 2) % 3]
        out = np.cross(b - a, normals)
        out *= np.sign(np.einsum("ij,ij->i", a - centre, out))[:, None]
        out /= np.maximum(np.linalg.norm(out, axis=1), 1e-30)[:, None]
        beyond = np.einsum("ij,ij->i", projected - a, out)
        further = beyond > np.maximum(worst, 1e-9 * np.linalg.norm(b - a, axis=1))
        worst = np.where(further, beyond, worst)
        over = np.where(further, hull.neighbors[:, k], over)
    step = np.where(over >= 0, over, step)
    height = np.einsum("ij,ij->i", corners[:, 0] - com, normals)
    # Tipping lowers the centre of mass; where rounding says otherwise the body stays.
    step = np.where(height[step] < height + 1e-12, step, np.arange(count))
    for _ in range(12):
        step = step[step]
    return step


def _solid_angles(corners: Array) -> Array:
    """Signed solid angles [F] of triangles seen from the origin (van Oosterom and Strackee)."""
    a, b, c = (corners[:, k] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    top = np.einsum("ij,ij->i", a, np.cross(b, c))
    bottom = (
        la * lb * lc
        + np.einsum("ij,ij->i", a, b) * lc
        + np.einsum("ij,ij->i", b, c) * la
        + np.einsum("ij,ij->i", c, a) * lb
    )
    return 2 * np.arctan2(top, bottom)


def _tip_angle(points: Array, down: Array, level: float, com: Array, height: float) -> float:
    """Smallest tilt that brings the centre of mass over the edge of what it stands on, rad."""
    extent = float(np.ptp(points, axis=0).max())
    standing = points[points @ down > level - 2e-3 * extent]
    rotation = rotation_down(down)
    flat, centre = (standing @ rotation.T)[:, :2], (rotation @ com)[:2]
    return math.atan2(max(inside_margin(flat, centre), 0.0), max(height, 1e-9))


def inside_margin(flat: Array, point: Array) -> float:
    """Distance from a point to the edge of the hull of `flat` [P, 2]; negative outside, m."""
    try:
        hull = ConvexHull(flat)
    except (QhullError, ValueError):
        return -float(np.linalg.norm(flat - point, axis=1).min())
    return float(-(hull.equations[:, :2] @ point + hull.equations[:, 2]).max())


def choose(rests: Sequence[Rest], preferred: Array | None, sure: bool) -> tuple[Rest, str]:
    """The pose that becomes the body frame, and why.

    Args:
        rests: stable poses, at least one.
        preferred: [3] the direction that should point up, in the frame of the poses.
        sure: the direction is known, so that only how well a pose matches it counts.

    Raises:
        AssetError: nothing to stand on.
    """
    if not rests:
        raise AssetError("no pose in which it would rest on a table")
    if preferred is None:
        best = max(rests, key=lambda r: r.probability)
        return best, f"the most probable of {len(rests)} resting poses ({best.probability:.0%})"

    def score(rest: Rest) -> float:
        upright = float(-down_of(rest) @ preferred)
        firm = min(rest.tip / math.radians(10), 1.0)
        if sure:
            return upright + 0.3 * firm + 0.1 * rest.probability
        return 0.7 * max(upright, 0.0) + 0.5 * firm + rest.probability

    best = max(rests, key=score)
    angle = math.degrees(math.acos(np.clip(float(-down_of(best) @ preferred), -1, 1)))
    return best, (
        f"rests {angle:.0f}° from its own upright, tips over at {math.degrees(best.tip):.0f}°"
    )
