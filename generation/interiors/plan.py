"""What all plans of rooms share: varied colours, an empty hall, and filling it.

The eye is a person's at the table, about the middle of the room; +x of a plan is where one
mostly looks, so the most furniture stands along that wall and the side walls.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from generation.interiors.caster import Furniture, Hall, solids
from generation.interiors.patterns import Pattern, Rgb, flat

Rng = np.random.Generator
WHITE: Rgb = (0.93, 0.92, 0.90)


def tone(rng: Rng, rgb: Rgb, spread: float = 0.05) -> Rgb:
    """A colour near `rgb`: another brightness, a slightly different hue."""
    r, g, b = np.clip(
        np.array(rgb) * rng.uniform(0.92, 1.06) + rng.uniform(-1, 1, 3) * spread, 0, 1
    )
    return float(r), float(g), float(b)


def one_of(rng: Rng, *choices: Rgb) -> Rgb:
    """A variation of one of the colours."""
    return tone(rng, choices[int(rng.integers(len(choices)))])


def empty_hall(
    rng: Rng,
    floor: Pattern,
    wall: Pattern,
    *,
    size: tuple[float, float] = (6.0, 5.0),
    height: float = 2.7,
    ceiling: Rgb = WHITE,
    light: float = 1.0,
) -> Hall:
    """An empty room, its walls a little nearer or farther each time."""
    x, y = (np.array(size) * rng.uniform(0.9, 1.15, 2)).tolist()
    back, right = rng.uniform(0.42, 0.55, 2).tolist()
    return Hall(
        low=(-x * back, -y * right), high=(x * (1 - back), y * (1 - right)), height=height,
        eye=(0.0, 0.0, 1.15), floor=floor, wall=wall, ceiling=flat(ceiling), light=light,
    )  # fmt: skip


def furnished(hall: Hall, *groups: Furniture) -> Hall:
    """The hall with furniture in it."""
    return replace(hall, solids=solids(*groups))
