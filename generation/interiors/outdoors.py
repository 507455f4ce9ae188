"""A garden and a terrace."""

from __future__ import annotations

import numpy as np

from generation.interiors.caster import Hall
from generation.interiors.furniture import Furnisher
from generation.interiors.patterns import Pattern, flat, planks, speckled, stripes, tiles
from generation.interiors.plan import WHITE, Rng, furnished, one_of, tone
from generation.interiors.walls import block


def _outdoors(rng: Rng, floor: Pattern) -> Hall:
    top = one_of(rng, (0.38, 0.58, 0.86), (0.55, 0.68, 0.85), (0.66, 0.70, 0.76))
    return Hall(
        low=(-6.0, -6.0), high=(6.0, 6.0), height=2.5, eye=(0.0, 0.0, 1.25), floor=floor,
        wall=flat(WHITE), ceiling=flat(WHITE), sky=(top, tone(rng, (0.84, 0.90, 0.95), 0.02)),
    )  # fmt: skip


def garden(rng: Rng) -> Hall:
    hall = _outdoors(rng, speckled(one_of(rng, (0.36, 0.52, 0.22), (0.45, 0.55, 0.28)), 0.25, 0.12))
    b = Furnisher(hall, rng)
    wood = one_of(rng, (0.62, 0.48, 0.34), (0.88, 0.87, 0.84), (0.45, 0.34, 0.26))
    trees = [
        b.tree(float(rng.uniform(7, 16)), float(angle))
        for angle in np.linspace(-2.9, 2.9, 11) + rng.uniform(-0.2, 0.2, 11)
    ]
    beds = [
        b.shrub(float(x), float(y))
        for x, y in zip(rng.uniform(2.5, 5.5, 8), rng.uniform(-5, 5, 8), strict=True)
    ]
    fence = [b.fence(wall, 1.1, stripes(wood, tone(rng, (0.30, 0.38, 0.22)), 0.16, 0.85))
             for wall in ("+x", "-x", "+y", "-y")]  # fmt: skip
    path = block(
        (0.0, -2.2, 0.004),
        (5.9, 0.5, 0.004),
        tiles((0.66, 0.62, 0.56), (0.45, 0.46, 0.36), 0.5, 0.5),
    )
    return furnished(hall, fence, path, beds, trees, b.shed())


def terrace(rng: Rng) -> Hall:
    wood = one_of(rng, (0.56, 0.42, 0.30), (0.66, 0.62, 0.56))
    hall = _outdoors(rng, planks(wood, 0.2, 2.4))
    b = Furnisher(hall, rng)
    wall = tiles(one_of(rng, (0.86, 0.82, 0.74), (0.70, 0.46, 0.36)), (0.76, 0.72, 0.66), 0.5, 0.2)
    house = [
        block((-6.5, 0.0, 1.6), (0.5, 6.5, 1.6), wall),
        block((-5.98, 0.0, 1.1), (0.02, 1.3, 1.1), flat((0.45, 0.55, 0.62))),
        block(
            (-5.5, 0.0, 3.1), (1.5, 6.5, 0.08), stripes((0.85, 0.84, 0.80), (0.60, 0.30, 0.26), 0.5)
        ),
    ]
    rail = [b.fence(side, 1.0, stripes((0.30, 0.30, 0.31), (0.62, 0.70, 0.66), 0.14, 0.25))
            for side in ("+x", "+y", "-y")]  # fmt: skip
    far = [b.tree(float(rng.uniform(10, 22)), float(a), 1.6) for a in np.linspace(-1.9, 1.9, 9)]
    pots = [b.plant("+x", at) for at in (0.15, 0.5, 0.85)]
    return furnished(
        hall, far, rail, pots, b.table_set(2.4, 2.2, round=True), house, b.plant("-y", 0.6)
    )
