"""The parts that collide: several ways to take a solid apart are tried, the nearest is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import ConvexHull

from generation.assets.importing import split
from generation.assets.importing.asset import Array, Faces
from generation.assets.importing.fit import MAX_COLLIDING, fit_hulls
from generation.assets.importing.hold import Surface2D
from generation.assets.importing.primitives import Primitive, covers
from generation.assets.importing.rest import hull_of
from generation.assets.importing.solid import Solid

_CONVEX = 0.97  # share of its hull that a solid fills to be taken as convex
_HOLLOW_BONUS = 0.05  # of the hull's volume, for keeping a hollow open
_STANDS_OUT = 1.08  # against the other walls, of what is a handle or a spout
_SQUARE = 0.87  # share of its bounding rectangle that a floor fills to be one
_INSCRIBED = 0.76  # half side of a square whose corners lie 8 % outside the circle of radius 1
_PART_COST = 0.004  # share of the hull's volume that a further part must gain


@dataclass(frozen=True)
class Body:
    """Primitives in place of a solid.

    Attributes:
        primitives: 1 to `MAX_COLLIDING`.
        error: volume in which they differ from the solid, relative to the solid.
        distance: mean distance of the solid's surface from theirs, m.
        way: how the solid was taken apart.
    """

    primitives: tuple[Primitive, ...]
    error: float
    distance: float
    way: str


def is_convex(solid: Solid, vertices: Array) -> bool:
    """Whether the solid nearly fills its hull."""
    return not solid.sheet and solid.properties.volume > _CONVEX * hull_of(vertices).volume


def container_cells(
    solid: Solid, basin: Surface2D, bottom: float, sides: int
) -> list[list[split.Cell]]:
    """A floor and `sides` walls around the axis of a hollow, then what stands out from a wall.

    Each with its separate parts.
    """
    points = solid.points()
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = _axis(basin, low, high)
    floor = bottom + basin.z
    planes: list[list[tuple[float, ...]]] = [[(0.0, 0.0, 1.0, floor)]]
    angles = _corner_angles(sides, high - low)
    for k, start in enumerate(angles):
        end = angles[(k + 1) % sides]
        rows = [(0.0, 0.0, -1.0, -floor)]
        for theta, sign in ((start, 1.0), (end, -1.0)):
            normal = (sign * math.sin(theta), -sign * math.cos(theta), 0.0)
            rows.append((*normal, normal[0] * x + normal[1] * y))
        planes.append(rows)
    if sides != 4:
        planes += _handles(planes, angles, points, np.array([x, y, 0.0]))
    return [split.by_planes(solid, [rows]) for rows in planes]


def _handles(
    planes: list[list[tuple[float, ...]]], angles: Sequence[float], points: Array, centre: Array
) -> list[list[tuple[float, ...]]]:
    """Cuts off what stands out from a round wall, such as a handle; returns the pieces cut off."""
    middles = [angle + math.pi / len(angles) for angle in angles]
    outward = np.array([[math.cos(m), math.sin(m), 0.0] for m in middles])
    reach = []
    for k, rows in enumerate(planes[1:]):
        array = np.array(rows)
        own = points[(points @ array[:, :3].T <= array[:, 3]).all(axis=1)]
        reach.append(float(((own - centre) @ outward[k]).max()) if len(own) else 0.0)
    usual = _STANDS_OUT * float(np.median(reach))
    cut = []
    for k, rows in enumerate(planes[1:]):
        if reach[k] > _STANDS_OUT * usual:
            offset = usual + float(outward[k] @ centre)
            cut.append([*rows, (*(-outward[k]).tolist(), -offset)])
            rows.append((*outward[k].tolist(), offset))
    return cut


def _axis(basin: Surface2D, low: Array, high: Array) -> tuple[float, float]:
    """Where the walls meet in plan: the middle of the body unless the hollow lies elsewhere."""
    x, y = (low[:2] + high[:2]) / 2
    aside = abs(x - basin.x) + abs(y - basin.y) > 0.1 * float((high - low)[:2].max())
    return (basin.x, basin.y) if aside else (float(x), float(y))


def _corner_angles(sides: int, extent: Array) -> list[float]:
    """Directions of the corners: of a rectangle its own, else even steps, half a step off x."""
    if sides == 4:
        angle = math.atan2(extent[1], extent[0])
        return [-angle, angle, math.pi - angle, math.pi + angle]
    return [(k + 0.5) * 2 * math.pi / sides for k in range(sides)]


def _container(
    solid: Solid, vertices: Array, faces: Faces, basin: Surface2D, sides: int
) -> list[Primitive]:
    """A box for the floor and one for each wall, long enough to meet its neighbours.

    What is left of the budget goes to parts that stand apart, such as a handle.
    """
    groups = container_cells(solid, basin, 0.0, sides)
    if not all(groups[: sides + 1]):
        return []
    points = solid.points()
    low, high = points.min(axis=0), points.max(axis=0)
    centre = np.array([*_axis(basin, low, high), 0.0])
    groups = [sorted(group, key=lambda c: -len(c.points)) for group in groups]
    main = [group[0] for group in groups[: sides + 1]]
    rest = [c for group in groups[: sides + 1] for c in group[1:]]
    rest += [c for group in groups[sides + 1 :] for c in group]
    extra = sorted(rest, key=lambda c: -len(c.points))
    cells = main + extra[: MAX_COLLIDING - len(main)]
    hulls = [split.hull_points(c, vertices, faces, solid) for c in cells]
    fitted = fit_hulls(hulls, [c.points for c in cells], solid, len(cells), balls=False)
    angles = _corner_angles(sides, high - low)
    out = [_floor(fitted[0], cells[0], solid.pitch)]
    for k, wall in enumerate(fitted[1 : sides + 1]):
        step = (angles[(k + 1) % sides] - angles[k]) % (2 * math.pi)
        middle = angles[k] + step / 2
        outward = np.array([math.cos(middle), math.sin(middle), 0.0])
        tangent = np.array([-outward[1], outward[0], 0.0])
        along = int(np.argmax(np.abs(tangent @ wall.rotation)))
        others = [a for a in range(3) if a != along]
        rise = max(others, key=lambda a: abs(float(wall.rotation[2, a])))
        wall = _stretched(wall, hulls[k + 1], rise)
        thickness = min(wall.size[a] for a in others)
        # A wall that leans outwards is long enough at three quarters of its height.
        lean = sum(abs(wall.rotation[:, a] @ outward) * wall.size[a] for a in others)
        reach = float((wall.pos - centre) @ outward) + 0.5 * max(lean - thickness, 0.0)
        size = list(wall.size)
        size[along] = max(size[along], float(reach * math.tan(step / 2) + 0.5 * thickness))
        shift = tangent * float((wall.pos - centre) @ tangent)
        out.append(replace(wall, size=(size[0], size[1], size[2]), pos=wall.pos - shift))
    return out + fitted[sides + 1 :]


def _floor(floor: Primitive, cell: split.Cell, pitch: float) -> Primitive:
    """The floor's box, of a round floor so small that its corners stay under the walls."""
    extent = np.ptp(cell.points, axis=0)[:2] + pitch
    columns = len(np.unique(np.round(cell.points[:, :2] / pitch).astype(int), axis=0))
    if columns * pitch**2 > _SQUARE * float(np.prod(extent)):
        return floor
    a, b, c = floor.size
    half = _INSCRIBED * extent / 2
    return replace(floor, size=(min(a, float(half.max())), min(b, float(half.min())), c))


def _stretched(box: Primitive, hull: Array, axis: int) -> Primitive:
    """The box made as long along one of its axes as the hull [V, 3]."""
    along = box.local(hull)[:, axis]
    size = list(box.size)
    size[axis] = float(np.ptp(along)) / 2
    middle = float(along.max() + along.min()) / 2
    return replace(
        box, size=(size[0], size[1], size[2]), pos=box.pos + middle * box.rotation[:, axis]
    )


def collision_body(
    solid: Solid,
    vertices: Array,
    faces: Faces,
    *,
    cells: Sequence[split.Cell],
    basin: Surface2D | None,
    given: Sequence[Array] = (),
    samples: Array,
    balls: bool,
) -> Body:
    """The colliding primitives of a solid in its body frame (z up, bottom at z = 0).

    Args:
        cells: its convex decomposition; one cell is taken as convex.
        basin: its hollow, if it has one.
        given: convex hulls [V, 3] that the source brought along.
        samples: [P, 3] points on its surface.
        balls: allow spheres and capsules.
    """
    trials = [
        ("planes" if len(cells) > 1 else "convex", split.merged(cells, solid.pitch, MAX_COLLIDING))
    ]
    sets = [
        (way, [split.hull_points(c, vertices, faces, solid) for c in parts], parts)
        for way, parts in trials
    ]
    if given:
        sets.append(("collision mesh of the source", *_given(given, solid)))
    made = [
        (way, fit_hulls(hulls, [c.points for c in parts], solid, balls=balls))
        for way, hulls, parts in sets
    ]
    if basin is not None:
        made += [
            ("floor and walls", _container(solid, vertices, faces, basin, n)) for n in (4, 6, 7)
        ]
    bodies = []
    grid, filled = solid.grid(), solid.cells.ravel()
    hull_volume = hull_of(vertices).volume
    for way, primitives in made:
        if not primitives:
            continue
        wrong = float((covers(primitives, grid) != filled).sum())
        cost = wrong * solid.pitch**3 / hull_volume + _PART_COST * len(primitives)
        if way == "floor and walls":
            cost -= _HOLLOW_BONUS  # a vessel that holds nothing is no vessel
        bodies.append((cost, Body(tuple(primitives), wrong / filled.sum(), 0.0, way)))
    best = min(bodies, key=lambda pair: pair[0])[1]
    gap = np.abs(np.min([one.distance(samples) for one in best.primitives], axis=0)).mean()
    return Body(best.primitives, float(best.error), float(gap), best.way)


def _given(hulls: Sequence[Array], solid: Solid) -> tuple[list[Array], list[split.Cell]]:
    """The source's hulls with the cells that lie in them, joined to the limit."""
    points, cells, kept = solid.points(), [], []
    taken = np.zeros(len(points), bool)
    for corners in sorted(hulls, key=lambda h: -hull_of(h).volume):
        sides = hull_of(corners).equations
        inside = ~taken & (points @ sides[:, :3].T + sides[:, 3] <= solid.pitch / 2).all(axis=1)
        if inside.sum() >= 8:
            taken |= inside
            cells.append(split.cell_of(points[inside], solid.pitch))
            kept.append(corners)
    index = {id(cell): k for k, cell in enumerate(cells)}
    joined = split.merged(cells, solid.pitch, MAX_COLLIDING)
    merged_hulls = []
    for cell in joined:
        own = np.concatenate([kept[index[id(m)]] for m in cell.members or (cell,)])
        merged_hulls.append(own[ConvexHull(own).vertices])
    return merged_hulls, joined
