"""Looks of the table and of the room around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generation.assets.parts import rounded
from generation.spec import Background, Look, Texture

# Base colour, second colour, texture, period range in m. None as vivid as the objects.
_TABLES: dict[str, tuple[tuple[float, ...], tuple[float, ...], Texture, tuple[float, float]]] = {
    "oak": ((0.70, 0.55, 0.38), (0.60, 0.45, 0.29), "wood", (0.08, 0.16)),
    "walnut": ((0.42, 0.31, 0.23), (0.33, 0.24, 0.18), "wood", (0.08, 0.16)),
    "pine": ((0.83, 0.72, 0.54), (0.75, 0.62, 0.44), "wood", (0.06, 0.12)),
    "marble": ((0.84, 0.84, 0.83), (0.68, 0.69, 0.71), "marble", (0.15, 0.35)),
    "slate": ((0.32, 0.34, 0.37), (0.25, 0.27, 0.30), "marble", (0.2, 0.4)),
    "terrazzo": ((0.74, 0.72, 0.69), (0.55, 0.53, 0.52), "speckle", (0.01, 0.03)),
    "cloth": ((0.66, 0.70, 0.74), (0.57, 0.62, 0.67), "checker", (0.06, 0.14)),
    "linen": ((0.78, 0.74, 0.66), (0.66, 0.61, 0.53), "fabric", (0.02, 0.05)),
    "felt": ((0.46, 0.50, 0.47), (0.38, 0.42, 0.39), "fabric", (0.01, 0.02)),
    "stripes": ((0.76, 0.73, 0.66), (0.66, 0.63, 0.57), "stripes", (0.05, 0.12)),
}
_CONTRAST = 0.22  # least sRGB distance between an object's colour and the table's


def table_look(rng: np.random.Generator, colours: Sequence[Sequence[float]]) -> Look:
    """A table top on which objects of the given rgb `colours` stand out."""
    names = list(_TABLES)
    order = rng.permutation(len(names))

    def contrast(name: str) -> float:
        base = np.array(_TABLES[name][0])
        return min(float(np.linalg.norm(base - np.array(c[:3]))) for c in colours)

    fitting = [names[k] for k in order if contrast(names[k]) >= _CONTRAST]
    name = fitting[0] if fitting else max(names, key=contrast)
    base, second, texture, period = _TABLES[name]
    tint = rng.uniform(0.93, 1.07) + rng.uniform(-0.02, 0.02, 3)
    return Look(
        texture=texture,
        rgba=_rgba(np.array(base) * tint),
        rgba2=_rgba(np.array(second) * tint),
        texture_scale=round(float(rng.uniform(*period)), 4),
    )


def background(rng: np.random.Generator) -> Background:
    """A room: pale walls with a gradient, a darker floor."""
    hue = rng.uniform(-0.08, 0.08, 3)
    top = rng.uniform(0.75, 0.97) + hue
    horizon = top * rng.uniform(0.7, 0.92)
    floor = rng.uniform(0.25, 0.55) + rng.uniform(-0.06, 0.06, 3)
    return Background(top=_rgb(top), horizon=_rgb(horizon), floor=_rgb(floor))


def _rgb(values: np.ndarray) -> tuple[float, float, float]:
    r, g, b = rounded(np.clip(values, 0.0, 1.0))
    return r, g, b


def _rgba(values: np.ndarray) -> tuple[float, float, float, float]:
    return (*_rgb(values), 1.0)
