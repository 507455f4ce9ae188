"""Boxes, capsules and spheres in place of convex hulls: what MJX can collide in every pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from generation.assets.importing.asset import Array
from generation.assets.importing.primitives import Primitive, ball, boxes, capsules, covers, hexagon
from generation.assets.importing.rest import hull_of
from generation.assets.importing.solid import Solid

MAX_COLLIDING = 8

_SAMPLES = 3000  # points at which a hull and its stand-in are compared
_MOVES = (0.0, 0.06, 0.12, 0.2, 0.3, 0.42)  # shares of a box's width by which a face moves in
_MISSING = 1.3  # a missing volume against an excess one: what is not there falls through
_WORTH = 0.02  # of the solid's volume that another part must improve


@dataclass(frozen=True)
class Fit:
    """Stand-ins of one hull and the weighted volume in which they differ, m^3."""

    primitives: tuple[Primitive, ...]
    error: float


@dataclass(frozen=True)
class _Hull:
    """A hull and sample points in and around it, each of which stands for `cell` m^3.

    What belongs to other hulls is no sample: whether it is covered does not matter.
    """

    points: Array
    volume: float
    samples: Array
    inside: NDArray[np.bool_]
    cell: float

    @cached_property
    def bounds(self) -> list[Primitive]:
        return boxes(self.points)

    def error(self, primitives: Sequence[Primitive]) -> float:
        covered = covers(primitives, self.samples)
        missing = (self.inside & ~covered).sum()
        return float((covered & ~self.inside).sum() + _MISSING * missing) * self.cell


def fit_hulls(
    hulls: Sequence[Array],
    cells: Sequence[Array],
    solid: Solid,
    limit: int = MAX_COLLIDING,
    *,
    balls: bool = True,
) -> list[Primitive]:
    """At most `limit` primitives for at most `limit` hulls.

    Every hull gets the best single primitive; what is left of the budget goes where it improves
    most: a round hull gets three boxes that make a hexagon, another one is halved.

    Args:
        hulls: vertices [V, 3] of each.
        cells: centres [P, 3] of the solid's cells in each.
        solid: what is to be approximated.
        balls: allow spheres and capsules. A thing that stands would roll on them.
    """
    volume = float(solid.cells.sum()) * solid.pitch**3
    pieces = [_Piece(hull, _best_single(hull, balls)) for hull in _sampled(hulls, cells, solid)]
    while (spare := limit - sum(len(p.fit.primitives) for p in pieces)) > 0:
        best: tuple[float, _Piece, list[_Piece]] | None = None
        for piece in sorted(pieces, key=lambda p: -p.fit.error)[:3]:
            if piece.fit.error < _WORTH * volume:
                continue
            for option in piece.options(balls):
                extra = sum(len(p.fit.primitives) for p in option) - len(piece.fit.primitives)
                gain = (piece.fit.error - sum(p.fit.error for p in option)) / max(extra, 1)
                if 0 < extra <= spare and gain > _WORTH * volume and (not best or gain > best[0]):
                    best = (gain, piece, option)
        if best is None:
            break
        k = next(i for i, p in enumerate(pieces) if p is best[1])
        pieces[k : k + 1] = best[2]
    return [one for piece in pieces for one in piece.fit.primitives]


def _best_single(hull: _Hull, balls: bool = True) -> Fit:
    """The primitive that differs least from a hull's part of the solid."""
    bounds = hull.bounds
    options = [_shrunk(box, hull) for box in bounds]
    if balls:
        for shape in (*capsules(bounds[0]), ball(hull.points, hull.volume)):
            options.append(Fit((shape,), hull.error((shape,))))
    # A box that is upright is preferred to a slightly better one that stands on an edge.
    return min(options, key=lambda fit: fit.error * (1.0 if _upright(fit) else 1.05))


def _upright(fit: Fit) -> bool:
    return bool(np.abs(fit.primitives[0].rotation[2]).max() > 0.999)


@dataclass(eq=False)
class _Piece:
    """A hull, its present stand-ins, and what else could be made of it."""

    hull: _Hull
    fit: Fit
    found: list[list[_Piece]] | None = None

    def options(self, balls: bool) -> list[list[_Piece]]:
        """Other stand-ins with more parts: a hexagon, or two halves with their own."""
        if self.found is None:
            self.found = [[_Piece(self.hull, fit)] for fit in _hexagons(self.hull)]
            bounds = self.hull.bounds[0]
            for axis in np.argsort(-np.array(bounds.size), kind="stable")[:2]:
                halves = _halves(self.hull, bounds, int(axis))
                if halves:
                    self.found.append([_Piece(half, _best_single(half, balls)) for half in halves])
        return self.found


def _hexagons(hull: _Hull) -> list[Fit]:
    out = []
    for box in hull.bounds:
        for axis in range(3):
            rounds = hexagon(box, axis)
            if rounds:
                out.append(Fit(rounds, hull.error(rounds)))
    return out


def _sampled(hulls: Sequence[Array], cells: Sequence[Array], solid: Solid) -> list[_Hull]:
    """Every hull with samples: cells of the solid's grid, thinned to `_SAMPLES`."""
    shape = np.array(solid.cells.shape)
    label = np.where(solid.cells, -2, -1)
    indices = [np.rint((points - solid.origin) / solid.pitch).astype(int) for points in cells]
    for k, index in enumerate(indices):
        label[tuple(index.T)] = k
    out = []
    for k, (points, index) in enumerate(zip(hulls, indices, strict=True)):
        hull = hull_of(points)
        low = np.floor((points.min(axis=0) - solid.origin) / solid.pitch).astype(int) - 1
        high = np.ceil((points.max(axis=0) - solid.origin) / solid.pitch).astype(int) + 1
        low = np.maximum(np.minimum(low, index.min(axis=0)), 0)
        high = np.minimum(np.maximum(high, index.max(axis=0)), shape - 1)
        step = max(1, round((np.prod(high - low + 1) / _SAMPLES) ** (1 / 3)))
        # Thin parts keep all their layers.
        steps = np.where(high - low + 1 >= 12 * step, step, np.minimum(step, 2))
        axes = [np.arange(a, b + 1, s) for a, b, s in zip(low, high, steps, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        own = label[tuple(grid.T)]
        used = (own == k) | (own == -1)
        samples = grid[used] * solid.pitch + solid.origin
        cell = float(solid.pitch**3 * np.prod(steps))
        out.append(_Hull(hull.points[hull.vertices], hull.volume, samples, own[used] == k, cell))
    return out


def _shrunk(box: Primitive, hull: _Hull) -> Fit:
    """The box with each face moved in as far as that helps."""
    half = np.array(box.size)
    share = ((box.local(hull.samples) / half + 1) / 2).T.copy()  # 0 to 1 from face to face
    span = np.array([[0.0, 1.0]] * 3)

    def within(axis: int, low: float, high: float) -> NDArray[np.bool_]:
        return (share[axis] >= low - 1e-9) & (share[axis] <= high + 1e-9)

    masks = [within(axis, 0.0, 1.0) for axis in range(3)]
    total = int(hull.inside.sum())

    def error(covered: NDArray[np.bool_], filled: NDArray[np.bool_]) -> float:
        hit = int((covered & filled).sum())
        return (int(covered.sum()) - hit + _MISSING * (total - hit)) * hull.cell

    full = best = error(masks[0] & masks[1] & masks[2], hull.inside)
    for _ in range(2):
        for axis in range(3):
            others = masks[(axis + 1) % 3] & masks[(axis + 2) % 3]
            # Only what the other two axes let in can change.
            own, filled = share[axis][others], hull.inside[others]
            for end in range(2):
                for move in _MOVES:
                    low, high = span[axis] if end else (move, span[axis, 1])
                    high = 1.0 - move if end else high
                    found = error((own >= low - 1e-9) & (own <= high + 1e-9), filled)
                    if found < best - 1e-15 and high - low > 0.15:
                        best, span[axis] = found, (low, high)
            masks[axis] = within(axis, *span[axis])
    if best > full - 0.04 * total * hull.cell:  # not for a rounding of the samples
        best, span = full, np.array([[0.0, 1.0]] * 3)
    size = tuple((half * (span[:, 1] - span[:, 0])).tolist())
    pos = box.pos + box.rotation @ (half * (span.sum(axis=1) - 1))
    return Fit((replace(box, size=size, pos=pos),), best)


def _halves(hull: _Hull, box: Primitive, axis: int) -> tuple[_Hull, _Hull] | None:
    """The hull cut in the middle along an axis of its box."""
    outer = hull_of(hull.points)
    height = box.local(outer.points)[:, axis]
    a, b = outer.simplices[:, [0, 1, 2]].ravel(), outer.simplices[:, [1, 2, 0]].ravel()
    across = (height[a] < 0) & (height[b] > 0)
    a, b = a[across], b[across]
    share = (height[a] / (height[a] - height[b]))[:, None]
    cut = outer.points[a] + share * (outer.points[b] - outer.points[a])
    level = box.local(hull.samples)[:, axis]
    out = []
    for points, side in (
        (np.concatenate([outer.points[height <= 0], cut]), level <= 0),
        (np.concatenate([outer.points[height > 0], cut]), level > 0),
    ):
        if len(points) < 4 or not hull.inside[side].any():
            return None
        half = hull_of(points)
        out.append(_Hull(points, half.volume, hull.samples[side], hull.inside[side], hull.cell))
    return out[0], out[1]
