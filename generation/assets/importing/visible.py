"""The parts that are seen: convex hulls and round primitives that keep shape and colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, KDTree, QhullError

from generation.assets.importing import split
from generation.assets.importing.appearance import Samples
from generation.assets.importing.asset import Array, Faces
from generation.assets.importing.primitives import Primitive, ball, boxes
from generation.assets.importing.rest import hull_of
from generation.assets.importing.solid import Solid
from generation.assets.parts import Paint, rounded
from generation.spec import Part

MAX_VISIBLE = 16
MAX_VERTICES = 24
MAX_PLANES = 40

_ALIKE = 0.035  # share of a hull's volume by which a smooth primitive may differ from it
_COLOUR_GAIN = 0.04  # of the whole surface's colour variance that a cut must explain
_COLOUR_VARIANCE = 0.006  # of a region that is one colour to the eye, sRGB squared


def by_colour(
    cells: list[split.Cell], samples: Samples, solid: Solid, limit: int = MAX_VISIBLE
) -> list[split.Cell]:
    """The cells, cut further where a plane parts two colours; at most `limit`.

    Like a regression tree: each cut is the one that explains most of the colours' variance.
    """
    cells = [m for cell in cells for m in (cell.members or (cell,))]
    if len(cells) > limit:
        cells = split.merged(cells, solid.pitch, limit)
    centred = samples.rgb - samples.rgb.mean(axis=0)
    total = float((centred**2).sum())
    while len(cells) < limit:
        owner = owners(cells, samples.points)
        best: tuple[float, int, NDArray[np.float64]] | None = None
        for k, cell in enumerate(cells):
            own = owner == k
            if own.sum() < 60 or cell.members:
                continue
            found = _colour_plane(samples.points[own], samples.rgb[own])
            if found and (best is None or found[0] > best[0]):
                best = (found[0], k, found[1])
        if best is None or best[0] < _COLOUR_GAIN * total:
            break
        _, k, plane = best
        cell = cells[k]
        below = cell.points @ plane[:3] <= plane[3]
        if min(below.sum(), (~below).sum()) < 4:
            break
        halves = [
            replace(
                split.cell_of(cell.points[side], solid.pitch),
                planes=np.concatenate([cell.planes, sign * plane[None]]),
            )
            for side, sign in ((below, 1.0), (~below, -1.0))
        ]
        cells[k : k + 1] = halves
    return cells


def _colour_plane(points: Array, rgb: Array) -> tuple[float, Array] | None:
    """The axis-aligned plane that explains most of the colours' variance, and how much."""
    spread = ((rgb - rgb.mean(axis=0)) ** 2).sum(axis=1)
    if spread.mean() < _COLOUR_VARIANCE:
        return None
    best = (0.0, np.zeros(4))
    count = len(points)
    for axis in range(3):
        order = np.argsort(points[:, axis], kind="stable")
        ordered = rgb[order]
        summed = np.cumsum(ordered, axis=0)
        left = np.arange(1, count)[:, None]
        low, high = summed[:-1] / left, (summed[-1] - summed[:-1]) / (count - left)
        gain = (left[:, 0] * (count - left[:, 0]) / count) * ((low - high) ** 2).sum(axis=1)
        edge = max(12, count // 25)
        gain[:edge] = gain[-edge:] = 0.0
        k = int(np.argmax(gain))
        if gain[k] > best[0]:
            plane = np.zeros(4)
            plane[axis] = 1.0
            plane[3] = (points[order[k], axis] + points[order[k + 1], axis]) / 2
            best = (float(gain[k]), plane)
    return best if best[0] > 0 else None


def owners(cells: list[split.Cell], points: Array) -> NDArray[np.int64]:
    """The cell [P] whose grid points lie nearest to each point."""
    tree = KDTree(np.concatenate([cell.points for cell in cells]))
    label = np.repeat(np.arange(len(cells)), [len(cell.points) for cell in cells])
    return label[tree.query(points)[1]]


def visible_parts(
    cells: list[split.Cell], samples: Samples, vertices: Array, faces: Faces, solid: Solid
) -> list[Part]:
    """One painted part per cell, which does not collide."""
    owner = owners(cells, samples.points)
    everywhere = samples.rgb.mean(axis=0)
    out = []
    for k, cell in enumerate(cells):
        own = samples.rgb[owner == k]
        r, g, b = own.mean(axis=0) if len(own) else everywhere
        paint = Paint((float(r), float(g), float(b)))
        points = split.hull_points(cell, vertices, faces, solid)
        smooth = _smooth(points)
        if smooth is not None:
            out.append(smooth.part(paint, collide=False))
        else:
            out.append(convex_part(points, paint))
    return out


def _smooth(points: Array) -> Primitive | None:
    """The box, cylinder, sphere or ellipsoid that is as near as the hull of few corners, if any."""
    hull = hull_of(points)
    candidates = boxes(points)
    low, high = hull.points.min(axis=0), hull.points.max(axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-6) * 1.05
    axis = (np.arange(14) + 0.5) / 14 * 2 - 1
    grid = middle + half * np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    inside = (grid @ hull.equations[:, :3].T + hull.equations[:, 3] <= 1e-12).all(axis=1)
    options: list[Primitive] = list(candidates)
    for box in candidates:
        for k in range(3):
            a, b = (box.size[(k + step) % 3] for step in (1, 2))
            if max(a, b) < 1.08 * min(a, b):
                frame = np.roll(box.rotation, 2 - k, axis=1)
                size = ((a + b) / 2, box.size[k], 0.0)
                options.append(Primitive("cylinder", size, box.pos, frame))
        options.append(Primitive("ellipsoid", box.size, box.pos, box.rotation))
    options.append(ball(hull.points, hull.volume))
    wrong = []
    for one in options:
        q = one.local(grid)
        if one.shape == "ellipsoid":
            covered = ((q / one.size) ** 2).sum(axis=1) <= 1.0
        else:
            covered = one.distance(grid) <= 0.0
        wrong.append(int((covered != inside).sum()))
    few = hull_of(few_corners(points)).equations
    coarse = (grid @ few[:, :3].T + few[:, 3] <= 1e-12).all(axis=1)
    best = int(np.argmin(wrong))
    allowed = max(_ALIKE * inside.sum(), float((coarse != inside).sum()))
    return options[best] if wrong[best] <= allowed else None


def convex_part(points: Array, paint: Paint) -> Part:
    """A drawn convex part with at most `MAX_VERTICES` corners and `MAX_PLANES` faces."""
    corners = few_corners(points)
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle = np.array(rounded((low + high) / 2))
    local = [rounded(corner - middle) for corner in corners]
    size = np.maximum(np.abs(np.array(local)).max(axis=0), 5e-5)
    rgba = rounded((*paint.rgb, 1.0))
    return Part(
        shape="convex", size=rounded(size), pos=rounded(middle),  # type: ignore[arg-type]
        rgba=rgba, rgba2=rgba, collide=False, vertices=tuple(local),  # type: ignore[arg-type]
    )  # fmt: skip


def few_corners(points: Array) -> Array:
    """Some of a hull's corners [V, 3] that keep its shape: the farthest out is added in turn.

    The hull of these lies inside the given one; it is made as large again about its centre.
    """
    hull = hull_of(points)
    corners = hull.points[hull.vertices]
    if len(corners) <= MAX_VERTICES and _plane_count(hull) <= MAX_PLANES:
        return corners
    chosen = list(dict.fromkeys(int(f(corners[:, k])) for k in range(3) for f in _ENDS))
    directions = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    chosen = list(dict.fromkeys([*chosen, *np.argmax(corners @ directions.T, axis=0).tolist()]))
    while len(chosen) < MAX_VERTICES:
        try:
            inner = ConvexHull(corners[chosen])
        except QhullError:
            break
        out = (corners @ inner.equations[:, :3].T + inner.equations[:, 3]).max(axis=1)
        out[chosen] = -np.inf
        far = int(np.argmax(out))
        if out[far] <= 0.0 or _plane_count(ConvexHull(corners[[*chosen, far]])) > MAX_PLANES:
            break
        chosen.append(far)
    picked = corners[chosen]
    try:
        inner = ConvexHull(picked)
    except QhullError:
        return hull.points[hull.vertices][:MAX_VERTICES]
    grow = min((hull.volume / max(inner.volume, 1e-18)) ** (1 / 3), 1.06)
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle = picked.mean(axis=0)
    return np.clip(middle + (picked - middle) * grow, low, high)


_ENDS = (np.argmin, np.argmax)


def _plane_count(hull: ConvexHull) -> int:
    return len(np.unique(np.round(hull.equations, 6), axis=0))
