"""Descriptors of objects, layouts and looks: vectors whose distances people can read.

A distribution (of distances, heights, colours) is described by its quantiles. The root mean square
difference of two such vectors is the 2-Wasserstein distance of the distributions, in their unit:
how far, on average, one has to be moved to become the other.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from generation.assets.mass import extents, quat_to_matrix
from generation.spec import ObjectSpec, Part, Rgba, SceneSpec

Array = NDArray[np.float64]

_QUANTILES = (np.arange(12) + 0.5) / 12
_POINTS = (8, 24)  # on the surface of a part, at least and at most ...
_ALL_POINTS = 128  # ... and about so many on an object
_PLACES = (np.arange(5) + 0.5) / 5  # quantiles of positions on the table


def shape_id(thing: ObjectSpec) -> str:
    """Content hash of an object's parts: equal for the same shape and looks in any pose."""
    parts = json.dumps([p.model_dump(mode="json") for p in thing.parts], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def describe(thing: ObjectSpec) -> tuple[str, Callable[[], tuple[Array, Array]]]:
    """The object's content hash, and a function that gives its shape and colour descriptors."""
    return shape_id(thing), lambda: (shape_descriptor(thing), colour_descriptor(thing))


def shape_descriptor(thing: ObjectSpec) -> Array:
    """What an object's visible surface looks like whatever way it is turned about its z axis.

    Distances of pairs of surface points (the D2 shape distribution, Osada et al. 2002), heights,
    and distances from the axis, as quantiles. The Euclidean distance of two descriptors is in m;
    that of an object scaled by a factor is scaled by it.
    """
    points, weights = surface(thing)
    rows, columns = np.triu_indices(len(points), 1)
    gaps = np.linalg.norm(points[rows] - points[columns], axis=1)
    kinds = (
        _quantiles(gaps, weights[rows] * weights[columns], _QUANTILES),
        _quantiles(points[:, 2], weights, _QUANTILES),
        _quantiles(np.linalg.norm(points[:, :2], axis=1), weights, _QUANTILES),
    )
    # Of three views of one difference the mean counts, not the sum.
    return np.concatenate(kinds) / math.sqrt(len(kinds) * len(_QUANTILES))


def diameter(thing: ObjectSpec) -> float:
    """Diagonal in m of the box around the visible surface."""
    return float(np.linalg.norm(np.ptp(surface(thing)[0], axis=0)))


def colour_descriptor(thing: ObjectSpec) -> Array:
    """Colours of an object by the area they cover, as quantiles of Oklab lightness, a and b.

    The Euclidean distance of two uniformly coloured objects is that of their colours in Oklab
    (0 to 1; 0.02 is just noticeable).
    """
    parts = [part for part in thing.parts if part.visible]
    colours, weights = [], []
    for part in parts:
        area = _area(part)
        if part.texture == "plain":
            colours.append(oklab(part.rgba))
            weights.append(area)
        else:
            colours += [oklab(part.rgba), oklab(part.rgba2)]
            weights += [area / 2, area / 2]
    mixed = np.stack(colours)
    found = [_quantiles(mixed[:, k], np.array(weights), _QUANTILES) for k in range(3)]
    return np.concatenate(found) / math.sqrt(len(_QUANTILES))


def layout_descriptor(scene: SceneSpec) -> Array:
    """Where things stand, whatever they are: target, receptacle, and how all are spread.

    The Euclidean distance is the root mean square way, in m, that target, receptacle and the
    objects as a whole have moved.
    """
    at = np.array([thing.pos for thing in scene.objects])
    weights = np.ones(len(at))
    together = [_quantiles(at[:, k], weights, _PLACES) / math.sqrt(len(_PLACES)) for k in range(3)]
    return np.concatenate([at[0], at[1], *together]) / math.sqrt(3.0)


def look_descriptor(scene: SceneSpec) -> Array:
    """Colours of table and surroundings in Oklab."""
    table, back = scene.table, scene.background
    plain = table.texture == "plain"
    colours = [table.rgba, table.rgba if plain else table.rgba2]
    colours += [(*rgb, 1.0) for rgb in (back.top, back.horizon, back.floor)]
    return np.concatenate([oklab(rgba) for rgba in colours]) / math.sqrt(len(colours))


def oklab(rgba: Rgba) -> Array:
    """An sRGB colour in Oklab (Ottosson 2020), where distances are differences people see."""
    rgb = np.array(rgba[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return _TO_LAB @ np.cbrt(_TO_CONES @ linear)


_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def surface(thing: ObjectSpec) -> tuple[Array, Array]:
    """Points [P, 3] on the visible parts in the body frame, and their areas [P]."""
    points, weights = [], []
    visible = [part for part in thing.parts if part.visible]
    count = min(max(_ALL_POINTS // len(visible), _POINTS[0]), _POINTS[1])
    for part in visible:
        if part.shape == "convex":
            local = np.array(part.vertices)[:: max(1, len(part.vertices) // count)]
        else:
            local = _unit_points(part.shape, count) * extents(part)
        points.append(local @ quat_to_matrix(part.quat).T + np.array(part.pos))
        weights.append(np.full(len(local), _area(part) / len(local)))
    return np.concatenate(points), np.concatenate(weights)


@functools.cache
def _unit_points(shape: str, count: int) -> Array:
    """Even points [count, 3] on the surface of a shape with half extents 1."""
    index = np.arange(count) + 0.5
    z = 1.0 - 2.0 * index / count
    turn = math.pi * (1.0 + math.sqrt(5.0)) * index  # a Fibonacci spiral
    ball = np.stack(
        [np.sqrt(1.0 - z * z) * np.cos(turn), np.sqrt(1.0 - z * z) * np.sin(turn), z], axis=1
    )
    if shape == "box":
        return ball / np.abs(ball).max(axis=1, keepdims=True)
    if shape == "cylinder":
        side = np.maximum(np.linalg.norm(ball[:, :2], axis=1), np.abs(ball[:, 2]))
        return ball / side[:, None]
    return ball


def _area(part: Part) -> float:
    """Surface in m^2; of the half extents' ellipsoid where there is no simpler formula."""
    a, b, c = (float(x) for x in extents(part))
    if part.shape == "box":
        return 8.0 * (a * b + b * c + c * a)
    if part.shape == "cylinder":
        return 2.0 * math.pi * a * (a + 2.0 * c)
    if part.shape == "capsule":
        return 4.0 * math.pi * a * c
    power = 1.6075  # Thomsen's formula, within 1.1 %
    mean = ((a * b) ** power + (b * c) ** power + (c * a) ** power) / 3.0
    return 4.0 * math.pi * mean ** (1.0 / power)


def _quantiles(values: Array, weights: Array, at: Array) -> Array:
    """Quantiles of weighted values, constant between the steps of their distribution."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    found = np.searchsorted(reached / reached[-1], at)
    return values[order][np.minimum(found, len(values) - 1)]
