"""Convex decomposition: a solid is cut by planes until every piece nearly fills its hull.

The cuts are searched on the cells of the solid, which bounds the time; the hulls are then taken
from the true surface, clipped by the same planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, KDTree, QhullError

from generation.assets.importing.asset import Array, Faces
from generation.assets.importing.solid import Solid

MAX_HULLS = 12

_GOOD = 0.02  # of the solid's volume: pieces whose hulls exceed them by less are not cut
_CLEAR_GAIN = 0.2  # share of a piece's excess; a cut that gains less is judged by the next one
_PLANES = (0.2, 0.35, 0.5, 0.65, 0.8)  # where a piece is tried to be cut
_AHEAD = (0.35, 0.5, 0.65)  # the same for the second cut


_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


@dataclass(frozen=True, eq=False)
class Cell:
    """Part of the solid between planes: `normal . x <= offset` for each row [K, 4].

    A cell joined from others keeps them in `members`.
    """

    planes: Array
    points: Array  # [P, 3] centres of its cells
    hull_volume: float
    members: tuple[Cell, ...] = ()

    def excess(self, pitch: float) -> float:
        """How much its hull exceeds it, m^3."""
        return self.hull_volume - len(self.points) * pitch**3


def whole(solid: Solid) -> Cell:
    """The solid as one cell."""
    return cell_of(solid.points(), solid.pitch)


def cell_of(points: Array, pitch: float) -> Cell:
    """Grid cells [P, 3] as one cell without planes."""
    return Cell(np.zeros((0, 4)), points, _volume(points, pitch))


def decompose(solid: Solid, limit: int = MAX_HULLS, start: Sequence[Cell] = ()) -> list[Cell]:
    """Cells whose hulls cover the solid with little excess, at most `limit`.

    Args:
        start: cells to cut further instead of the whole.
    """
    pitch = solid.pitch
    done = list(start) or list(_separate(whole(solid), pitch))
    good = _GOOD * float(solid.cells.sum()) * pitch**3
    stuck: list[Cell] = []
    while len(done) < limit:
        open_ = [c for c in done if not any(c is s for s in stuck)]
        worst = max(open_, key=lambda c: c.excess(pitch), default=None)
        if worst is None or worst.excess(pitch) < good:
            break
        pieces = _cut(worst, pitch)
        if pieces is None:
            stuck.append(worst)
            continue
        done = [c for c in done if c is not worst] + pieces
    return merged(done, pitch, limit, 0.25 * good)


def refined(cells: Sequence[Cell], solid: Solid) -> list[Cell]:
    """The cells of a coarse grid on a finer one: each point goes to the nearest."""
    leaves = [leaf for cell in cells for leaf in (cell.members or (cell,))]
    points = solid.points()
    tree = KDTree(np.concatenate([leaf.points for leaf in leaves]))
    label = np.repeat(np.arange(len(leaves)), [len(leaf.points) for leaf in leaves])
    own = label[tree.query(points)[1]]
    fine = {
        id(leaf): replace(cell_of(points[own == k], solid.pitch), planes=leaf.planes)
        for k, leaf in enumerate(leaves)
        if (own == k).any()
    }
    out = []
    for cell in cells:
        members = tuple(fine[id(m)] for m in (cell.members or (cell,)) if id(m) in fine)
        if len(members) > 1:
            joined = cell_of(np.concatenate([m.points for m in members]), solid.pitch)
            out.append(replace(joined, members=members))
        elif members:
            out.append(members[0])
    return out


def by_planes(solid: Solid, planes: Sequence[Sequence[Sequence[float]]]) -> list[Cell]:
    """The cells between given sets of planes [K, 4], their separate parts apart."""
    points, out = solid.points(), []
    for rows in planes:
        array = np.asarray(rows, float).reshape(-1, 4)
        inside = (points @ array[:, :3].T <= array[:, 3]).all(axis=1)
        if inside.sum() >= 8:
            own = points[inside]
            out += _separate(Cell(array, own, _volume(own, solid.pitch)), solid.pitch)
    return out


def excess(cells: Sequence[Cell], pitch: float) -> float:
    """How much the hulls exceed the cells together, m^3."""
    return sum(max(cell.excess(pitch), 0.0) for cell in cells)


def merged(cells: Sequence[Cell], pitch: float, limit: int, free: float = 0.0) -> list[Cell]:
    """Joins pairs of cells while there are more than `limit` or joining adds less than `free`."""
    cells = list(cells)
    costs = np.full((0, 0), np.inf)
    while len(cells) > 1:
        known = len(costs)
        costs = np.pad(costs, (0, len(cells) - known), constant_values=np.inf)
        for i in range(len(cells)):
            for j in range(max(i + 1, known), len(cells)):
                both = np.concatenate([cells[i].points, cells[j].points])
                apart = cells[i].hull_volume + cells[j].hull_volume
                costs[i, j] = _volume(both, pitch) - apart
        i, j = np.unravel_index(int(np.argmin(costs)), costs.shape)
        if len(cells) <= limit and costs[i, j] > free:
            break
        a, b = cells[i], cells[j]
        points = np.concatenate([a.points, b.points])
        members = (*(a.members or (a,)), *(b.members or (b,)))
        keep = [k for k in range(len(cells)) if k not in (i, j)]
        costs = costs[np.ix_(keep, keep)]
        joined = Cell(np.zeros((0, 4)), points, _volume(points, pitch), members)
        cells = [cells[k] for k in keep] + [joined]
    return cells


def _separate(cell: Cell, pitch: float) -> list[Cell]:
    """The cell's connected parts; specks stay with the largest."""
    low = cell.points.min(axis=0)
    index = np.rint((cell.points - low) / pitch).astype(int)
    grid = np.zeros(index.max(axis=0) + 1, bool)
    grid[tuple(index.T)] = True
    found = ndimage.label(grid, np.ones((3, 3, 3)))
    labels = np.asarray(found[0], np.int64)  # type: ignore[index]  # a pair
    count = int(labels.max())
    if count == 1:
        return [replace(cell, hull_volume=_volume(cell.points, pitch))]
    own = labels[tuple(index.T)]
    sizes = np.asarray(np.bincount(own, minlength=count + 1), np.int64)
    own[sizes[own] < max(8, 0.01 * len(own))] = int(np.argmax(sizes))
    parts = [cell.points[own == k] for k in np.unique(own)]
    return [Cell(cell.planes, points, _volume(points, pitch)) for points in parts]


def _cut(cell: Cell, pitch: float) -> list[Cell] | None:
    """The parts of the cut of least total hull volume, or None if nothing can be cut off.

    One plane through a ring or a cup gains nothing, two do: where the best cut gains little, the
    best of each axis are judged by what a second cut makes of their parts.
    """
    by_axis = [best for axis in range(3) if (best := _best(_cuts(cell, axis, pitch)))]
    if not by_axis:
        return None
    by_axis.sort(key=lambda pair: pair[0])
    gain = cell.hull_volume - by_axis[0][0]
    if gain > _CLEAR_GAIN * cell.excess(pitch):
        return by_axis[0][1]

    def ahead(parts: list[Cell]) -> float:
        total = 0.0
        for part in parts:
            options = [_best(_cuts(part, axis, pitch, _AHEAD)) for axis in range(3)]
            total += min([part.hull_volume, *(option[0] for option in options if option)])
        return total

    return min(by_axis, key=lambda pair: ahead(pair[1]))[1]


def _best(cuts: Sequence[list[Cell]]) -> tuple[float, list[Cell]] | None:
    totals = [sum(part.hull_volume for part in parts) for parts in cuts]
    # Of equal cuts the middle one: its parts are the likeliest to be cut well again.
    low = min(totals, default=0.0)
    ties = [k for k, total in enumerate(totals) if total <= low * (1 + 1e-3)]
    return (low, cuts[ties[len(ties) // 2]]) if ties else None


def _cuts(
    cell: Cell, axis: int, pitch: float, shares: Sequence[float] = _PLANES
) -> list[list[Cell]]:
    """What the planes tried along one axis make of a cell, by rising level."""
    values = cell.points[:, axis]
    low, width = values.min(), np.ptp(values)
    levels = {round(float(low + share * width), 9) for share in shares}
    if shares is _PLANES:
        levels |= set(_steps(values, pitch))
    out = []
    for level in sorted(levels):
        below = values <= level
        if not 8 <= below.sum() <= len(below) - 8:
            continue
        parts: list[Cell] = []
        for side, sign in ((below, 1.0), (~below, -1.0)):
            plane = np.zeros((1, 4))
            plane[0, axis], plane[0, 3] = sign, sign * level
            half = Cell(np.concatenate([cell.planes, plane]), cell.points[side], 0.0)
            parts += _separate(half, pitch)
        out.append(parts)
    return out


def _steps(values: Array, pitch: float) -> list[float]:
    """Levels where the cross-section along an axis jumps most: floors, lids, shoulders."""
    index = np.rint((values - values.min()) / pitch).astype(int)
    count = np.bincount(index)
    if len(count) < 4:
        return []
    jump = np.abs(np.diff(count.astype(float)))
    top = np.argsort(-jump, kind="stable")[:2]
    return [float(values.min() + (k + 0.5) * pitch) for k in sorted(top)]


def _volume(points: Array, pitch: float) -> float:
    """Volume of the hull of cells: of their centres, moved out by half a cell."""
    try:
        hull = ConvexHull(_extremes(points, pitch))
    except (QhullError, ValueError):  # a layer of cells
        corners = (_extremes(points, pitch)[:, None] + _CORNERS * pitch / 2).reshape(-1, 3)
        return float(ConvexHull(corners).volume)
    return max(hull.volume + 0.45 * hull.area * pitch, len(points) * pitch**3 * 0.9)


def _extremes(points: Array, pitch: float) -> Array:
    """Cells that are the first or last on their lines along all three axes, as hull corners are."""
    index = np.rint((points - points.min(axis=0)) / pitch).astype(np.int64)
    keep = np.ones(len(points), bool)
    span = index.max(axis=0) + 1
    for axis in range(3):
        a, b = (k for k in range(3) if k != axis)
        line = index[:, a] * span[b] + index[:, b]
        first = np.full(int(span[a] * span[b]), span[axis])
        last = np.full(int(span[a] * span[b]), -1)
        np.minimum.at(first, line, index[:, axis])
        np.maximum.at(last, line, index[:, axis])
        keep &= (index[:, axis] == first[line]) | (index[:, axis] == last[line])
    return points[keep]


def hull_points(cell: Cell, vertices: Array, faces: Faces, solid: Solid) -> Array:
    """Vertices [V, 3] of the exact hull of the surface within a cell.

    A sheet, which has no thickness of its own, takes the corners of its grid cells instead.
    """
    if cell.members:
        points = np.concatenate([hull_points(m, vertices, faces, solid) for m in cell.members])
        return points[ConvexHull(points).vertices]
    if solid.sheet:
        return grid_hull(cell.points, solid.pitch * 0.5)
    corners = vertices[faces]
    for plane in cell.planes:
        corners = _clipped(corners, plane[:3], plane[3])
    points = np.unique(corners.reshape(-1, 3), axis=0)
    if len(points) and len(cell.planes):
        # Corners of another part between the same planes, or of a face that encloses nothing.
        near, _ = KDTree(cell.points).query(points, distance_upper_bound=2.5 * solid.pitch)
        points = points[np.isfinite(near)]
    try:
        return points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        return grid_hull(cell.points, 0.5 * solid.pitch)


def grid_hull(points: Array, reach: float) -> Array:
    """Hull vertices of cells with half size `reach`."""
    try:
        outer = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        outer = points
    corners = (outer[:, None] + _CORNERS * reach).reshape(-1, 3)
    return corners[ConvexHull(corners).vertices]


def _clipped(corners: Array, normal: Array, offset: float) -> Array:
    """Triangles [F, 3, 3] cut to `normal . x <= offset`, as more triangles."""
    side = corners @ normal - offset
    inside = side <= 0
    count = inside.sum(axis=1)
    out = [corners[count == 3]]
    for wanted in (1, 2):
        mask = count == wanted
        if not mask.any():
            continue
        tri, dist, flag = corners[mask], side[mask], inside[mask]
        # The corner that is alone on its side comes first.
        alone = np.argmax(flag if wanted == 1 else ~flag, axis=1)
        order = (alone[:, None] + np.arange(3)) % 3
        rows = np.arange(len(tri))[:, None]
        tri, dist = tri[rows, order], dist[rows, order]
        t1 = (dist[:, 0] / (dist[:, 0] - dist[:, 1]))[:, None]
        t2 = (dist[:, 0] / (dist[:, 0] - dist[:, 2]))[:, None]
        p = tri[:, 0] + t1 * (tri[:, 1] - tri[:, 0])
        q = tri[:, 0] + t2 * (tri[:, 2] - tri[:, 0])
        if wanted == 1:
            out.append(np.stack([tri[:, 0], p, q], axis=1))
        else:
            out.append(np.stack([p, tri[:, 1], tri[:, 2]], axis=1))
            out.append(np.stack([p, tri[:, 2], q], axis=1))
    return np.concatenate(out)
