"""How different things are: objects, layouts, sentences and whole scenes, by distances.

A count of distinct objects calls two mugs distinct that differ by a hair. Here everything gets a
descriptor in which a distance means something (millimetres of shape, a step of colour,
centimetres on the table), and three figures say how a set is spread in it: the mean distance,
the distances to the nearest neighbour, and the effective number of different members, the
exponential of the entropy of the eigenvalues of the similarity matrix (Vendi score,
arXiv 2210.02410): 1 if all are alike, n if no two resemble each other.

All is deterministic, and bounded: sets beyond `SAMPLE` members are thinned out evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generation.measures.descriptors import (
    describe,
    diameter,
    layout_descriptor,
    look_descriptor,
)
from generation.measures.wordings import instruction_diversity
from generation.spec import ObjectSpec, SceneSpec

Array = NDArray[np.float64]

SAMPLE = 1000  # members of which all pairs are compared
# Distances at which two things are plainly different, the width of the similarity kernel.
SHAPE, COLOUR, LAYOUT = 0.008, 0.12, 0.06  # m, Oklab, m
# Two scenes are alike if all of these together differ by less than one such step.
_SHAPE_STEP, _COLOUR_STEP, _LAYOUT_STEP = 0.003, 0.05, 0.02
_ONE_SIZE = 0.1  # m, to which objects of one family are scaled before they are compared
_LISTED = 20  # pairs of scenes that are too close, named in the report


@dataclass(frozen=True)
class Spread:
    """How a set of n members lies in its space; 0 for distances that take two members.

    Attributes:
        count: members, of which at most `SAMPLE` were compared.
        effective_number: of different members, between 1 and the number compared.
        mean: distance over all pairs.
        mean_nearest: distance to the nearest other member, on average.
        min_nearest: the smallest distance of two members.
    """

    count: int
    effective_number: float
    mean: float
    mean_nearest: float
    min_nearest: float


def spread(points: Array, width: float) -> Spread:
    """The spread of points [n, d] under Euclidean distance.

    Args:
        points: descriptors.
        width: distance at which two members are plainly different: their similarity is
            exp(-(distance / width)^2 / 2).
    """
    chosen = thinned(len(points))
    distances = pairwise(points[chosen])
    n = len(distances)
    if n < 2:
        return Spread(len(points), float(n), 0.0, 0.0, 0.0)
    mean = float(distances.sum() / (n * (n - 1)))
    nearest = (distances + np.diag(np.full(n, np.inf))).min(axis=1)
    number = effective_number(np.exp(-0.5 * (distances / width) ** 2))
    return Spread(len(points), number, mean, float(nearest.mean()), float(nearest.min()))


def thinned(count: int) -> NDArray[np.int64]:
    """At most `SAMPLE` of `count` indices, evenly spread."""
    if count <= SAMPLE:
        return np.arange(count)
    return np.linspace(0, count - 1, SAMPLE).round().astype(np.int64)


def pairwise(points: Array) -> Array:
    """Euclidean distances [n, n] of points [n, d]; exactly 0 on the diagonal."""
    # Centred, so that the difference of squares keeps its digits.
    centred = points - points.mean(axis=0, keepdims=True)
    squares = (centred**2).sum(axis=1)
    gaps = squares[:, None] + squares[None] - 2.0 * centred @ centred.T
    tiny = 1e-12 * float(squares.max(initial=0.0))  # rounding: these points are equal
    gaps = np.where(gaps > tiny, gaps, 0.0)
    np.fill_diagonal(gaps, 0.0)
    return np.sqrt(gaps)


def effective_number(similarity: Array) -> float:
    """Vendi score of a similarity matrix [n, n] with ones on its diagonal, between 1 and n."""
    values = np.linalg.eigvalsh(similarity / len(similarity))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def diversity(scenes: Sequence[SceneSpec]) -> dict[str, Any]:
    """How different the scenes and what is in them are.

    Returns:
        objects: `count`, `distinct` (by exact parts), and for shape (mm) and colour (Oklab,
            times 100: about 2 is just noticeable) mean, mean and minimal nearest distance and
            effective number; `same_family_nearest_mm`: mean distance to the most similar object
            of the same family after scaling both to one size of 10 cm.
        layouts: distances in cm, effective number.
        instructions: see `generation.measures.wordings.instruction_diversity`.
        scenes: `nearest` mean and minimal distance in steps (1 = just alike), `alike` pairs
            [first, second, distance] closer than one step, `alike_pairs` their number.
    """
    things = [thing for scene in scenes for thing in scene.objects]
    made: dict[str, tuple[Array, Array]] = {}
    keys = []
    for thing in things:
        key, measure = describe(thing)
        if key not in made:
            made[key] = measure()
        keys.append(key)
    shapes = np.stack([made[key][0] for key in keys])
    colours = np.stack([made[key][1] for key in keys])
    return {
        "objects": _objects(things, keys, shapes, colours),
        "layouts": _layouts(scenes),
        "instructions": instruction_diversity(scenes),
        "scenes": _alike(scenes, shapes, colours),
    }


def _objects(
    things: Sequence[ObjectSpec], keys: Sequence[str], shapes: Array, colours: Array
) -> dict[str, Any]:
    first = sorted({key: i for i, key in reversed(list(enumerate(keys)))}.values())
    shape, colour = spread(shapes[first], SHAPE), spread(colours[first], COLOUR)
    both = np.concatenate([shapes[first] / SHAPE, colours[first] / COLOUR], axis=1)
    overall = spread(both, 1.0)
    return {
        "count": len(things),
        "distinct": len(first),
        "compared": len(thinned(len(first))),
        "effective_number": round(overall.effective_number, 2),
        "shape": _row(shape, 1e3, "mm"),
        "colour": _row(colour, 1e2, "oklab_100"),
        "families": len({thing.family for thing in things}),
        "same_family_nearest_mm": _same_family([things[i] for i in first], shapes[first]),
    }


def _row(found: Spread, scale: float, unit: str) -> dict[str, Any]:
    return {
        "unit": unit,
        "mean": round(found.mean * scale, 3),
        "mean_nearest": round(found.mean_nearest * scale, 3),
        "min_nearest": round(found.min_nearest * scale, 3),
        "effective_number": round(found.effective_number, 2),
    }


def _same_family(things: Sequence[ObjectSpec], shapes: Array) -> float | None:
    """Mean over families of the mean nearest distance at one size, mm; None without two alike."""
    families: dict[str, list[Array]] = {}
    for thing, shape in zip(things, shapes, strict=True):
        families.setdefault(thing.family, []).append(shape * (_ONE_SIZE / diameter(thing)))
    found = [
        spread(np.stack(members), SHAPE).mean_nearest
        for _, members in sorted(families.items())
        if len(members) > 1
    ]
    return round(1e3 * float(np.mean(found)), 3) if found else None


def _layouts(scenes: Sequence[SceneSpec]) -> dict[str, Any]:
    points = np.stack([layout_descriptor(scene) for scene in scenes])
    return _row(spread(points, LAYOUT), 1e2, "cm")


def scene_points(scenes: Sequence[SceneSpec], shapes: Array, colours: Array) -> Array:
    """Descriptors [S, d] of whole scenes in steps of just noticeable differences.

    Args:
        scenes: S scenes.
        shapes, colours: descriptors of all their objects, one scene after the other.
    """
    points, at = [], 0
    for scene in scenes:
        own = slice(at, at := at + len(scene.objects))
        seen = [layout_descriptor(scene) / _LAYOUT_STEP, look_descriptor(scene) / _COLOUR_STEP]
        for descriptors, step in ((shapes[own], _SHAPE_STEP), (colours[own], _COLOUR_STEP)):
            others = (
                descriptors[2:].mean(axis=0) if len(scene.objects) > 2 else 0.0 * descriptors[0]
            )
            seen += [descriptors[0] / step, descriptors[1] / step, others / step]
        points.append(np.concatenate([np.atleast_1d(x) for x in seen]))
    return np.stack(points)


def _alike(scenes: Sequence[SceneSpec], shapes: Array, colours: Array) -> dict[str, Any]:
    points = scene_points(scenes, shapes, colours)
    pairs, nearest = _close_pairs(points, 1.0)
    return {
        "count": len(scenes),
        "mean_nearest": round(float(nearest.mean()), 3) if len(scenes) > 1 else None,
        "min_nearest": round(float(nearest.min()), 3) if len(scenes) > 1 else None,
        "alike_pairs": len(pairs),
        "alike": [[a, b, round(d, 4)] for a, b, d in pairs[:_LISTED]],
    }


def _close_pairs(points: Array, limit: float) -> tuple[list[tuple[int, int, float]], Array]:
    """All pairs closer than `limit`, the closest first, and each member's nearest distance."""
    nearest = np.full(len(points), np.inf)
    pairs = []
    for first in range(0, len(points), SAMPLE):
        rows = slice(first, min(first + SAMPLE, len(points)))
        # Of the rows and all others; in blocks, so that memory stays bounded.
        for second in range(first, len(points), SAMPLE):
            columns = slice(second, min(second + SAMPLE, len(points)))
            block = np.concatenate([points[rows], points[columns]])
            n = rows.stop - rows.start
            distances = pairwise(block)[:n, n:]
            same = np.arange(rows.start, rows.stop)[:, None] == np.arange(
                columns.start, columns.stop
            )
            distances = np.where(same, np.inf, distances)
            nearest[rows] = np.minimum(nearest[rows], distances.min(axis=1))
            nearest[columns] = np.minimum(nearest[columns], distances.min(axis=0))
            for i, j in zip(*np.nonzero(distances < limit), strict=True):
                a, b = rows.start + int(i), columns.start + int(j)
                if a < b:
                    pairs.append((a, b, float(distances[i, j])))
    return sorted(pairs, key=lambda pair: (pair[2], pair[:2])), nearest


def farthest_points(scenes: Sequence[SceneSpec], count: int) -> list[int]:
    """Indices of at most `count` scenes that differ most, in their order.

    Starts with the first scene and goes on adding the one farthest from all taken.
    """
    made = [[measure() for _, measure in map(describe, scene.objects)] for scene in scenes]
    shapes = np.stack([shape for scene in made for shape, _ in scene])
    colours = np.stack([colour for scene in made for _, colour in scene])
    points = scene_points(scenes, shapes, colours)
    taken = [0]
    away = np.linalg.norm(points - points[0], axis=1)
    while len(taken) < min(count, len(scenes)):
        taken.append(int(away.argmax()))
        away[taken] = -1.0
        closer = np.linalg.norm(points - points[taken[-1]], axis=1)
        away = np.where(away < 0.0, -1.0, np.minimum(away, closer))
    return sorted(taken)
