"""More fruit and vegetables, and an egg."""

from __future__ import annotations

import numpy as np

from generation.assets.families.food import LEAF, STALK
from generation.assets.parts import (
    Draft,
    Paint,
    box,
    chance,
    disc,
    ellipsoid,
    graspable,
    octagon,
    span,
    tube,
)

Rng = np.random.Generator


def apple(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """An apple, squat or tall, with a stalk and perhaps a leaf."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.017, 0.0225))
    height = radius * rng.uniform(1.55, 2.0)
    parts = [
        *octagon(radius * 0.94, 0.0, height * 0.88),
        ellipsoid((radius, radius, height / 2), (0, 0, height / 2), paint),
        disc(0.0014, height * 0.95, height + radius * rng.uniform(0.2, 0.5), STALK),
    ]
    if chance(rng, 0.6):
        reach = radius * rng.uniform(0.25, 0.45)
        leaf = (reach, reach * 0.5, 0.001)
        parts.append(ellipsoid(leaf, (reach, 0, height + 0.002), LEAF, yaw=rng.uniform(0, 6)))
    grip = (height * 0.45, 1.9 * radius)
    return graspable(rng, parts, 850, grip, round_radius=radius)


def tangerine(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A tangerine: flat at the poles, pitted skin, a green button or a pair of leaves."""
    radius = span(rng, size, compact, (0.014, 0.016), (0.017, 0.0225))
    height = radius * (rng.uniform(1.6, 1.9) if compact else rng.uniform(1.3, 1.9))
    skin = Paint(paint.rgb, paint.darker(0.2).rgb, "speckle", 0.012)
    parts = [
        *octagon(radius * 0.94, 0.0, height * 0.86),
        ellipsoid((radius, radius, height / 2), (0, 0, height / 2), skin),
        disc(radius * rng.uniform(0.1, 0.25), height * 0.95, height + 0.001, LEAF),
    ]
    if chance(rng):
        reach = radius * rng.uniform(0.4, 0.75)
        parts.append(ellipsoid((reach, reach * 0.35, 0.0015), (0, 0, height + 0.001), LEAF))
    grip = (height * 0.45, 1.9 * radius)
    return graspable(rng, parts, 900, grip, round_radius=radius)


def strawberry(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A strawberry lying along x, pointed at +x, its leaves at the other end."""
    width = span(rng, size, compact, (0.026, 0.031), (0.024, 0.04))
    length = width * rng.uniform(1.15, 1.7)
    tip = rng.uniform(0.5, 0.7)  # of the length is the taper
    seeds = Paint(paint.rgb, (0.95, 0.85, 0.45), "speckle", 0.012)
    parts = [
        box((length * 0.36, width * 0.4, width / 2), (-length * 0.08, 0, width / 2), None),
        box((length * 0.22, width / 2, width * 0.34), (-length * 0.15, 0, width / 2), None),
        ellipsoid((length * 0.36, width / 2, width / 2), (-length * 0.14, 0, width / 2), seeds),
        ellipsoid((length * tip, width * 0.36, width * 0.36), (0, 0, width / 2), seeds),
        tube(width * rng.uniform(0.3, 0.45), 0.003, (-length * 0.48, 0, width / 2), LEAF),
    ]
    return graspable(rng, parts, 850, (width * 0.5, width))


def egg(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """An egg standing on its blunt end, slender or round."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.016, 0.0225))
    height = radius * rng.uniform(2.2, 3.0)
    belly = height * rng.uniform(0.36, 0.46)
    parts = [
        *octagon(radius * 0.92, 0.0, belly * 1.4),
        box((radius * 0.45, radius * 0.45, height * 0.2), (0, 0, height * 0.72), None),
        ellipsoid((radius, radius, height / 2), (0, 0, height / 2), paint),
        ellipsoid((radius * 0.96, radius * 0.96, belly), (0, 0, belly), paint),  # the blunt end
    ]
    return graspable(rng, parts, 1000, (belly * 0.9, 1.85 * radius), round_radius=radius)


def cucumber(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A cucumber lying along x, straight or bulging, with pale ends."""
    width = span(rng, size, compact, (0.025, 0.031), (0.022, 0.036))
    length = width * (rng.uniform(2.0, 2.6) if compact else rng.uniform(2.4, 4.2))
    skin = Paint(paint.rgb, paint.darker(0.3).rgb, "stripes", width * 0.35)
    bulge = rng.uniform(-0.2, 0.2) * length
    parts = [
        box((length / 2, width * 0.42, width / 2), (0, 0, width / 2), None),
        ellipsoid((length * 0.55, width * 0.45, width * 0.47), (0, 0, width * 0.48), skin),
        ellipsoid((length * 0.34, width / 2, width / 2), (bulge, 0, width / 2), skin),
        tube(width * rng.uniform(0.12, 0.22), length * 0.1, (-length * 0.55, 0, width / 2), STALK),
    ]
    return graspable(rng, parts, 950, (width * 0.5, width * 0.84))


def pepper(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A bell pepper: two lobes side by side, narrower below, with a thick stalk."""
    width = span(rng, size, compact, (0.027, 0.032), (0.03, 0.044))
    height = width * (rng.uniform(1.0, 1.4) if compact else rng.uniform(0.95, 1.6))
    lobe = rng.uniform(0.3, 0.4) * width
    stalk = height * rng.uniform(0.1, 0.22)
    parts = [
        box((width * 0.4, width * 0.46, height / 2), (0, 0, height / 2), None),
        *(
            ellipsoid(
                (lobe, width / 2, height * (0.5 if side > 0 else rng.uniform(0.44, 0.5))),
                (side * (width * 0.52 - lobe), 0, height * 0.5), paint,
            )
            for side in (-1, 1)
        ),
        disc(width * rng.uniform(0.07, 0.11), height * 0.92, height + stalk, LEAF),
    ]  # fmt: skip
    return graspable(rng, parts, 600, (height * 0.5, width * 0.92))


def aubergine(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """An aubergine lying along x: thick at +x, slim at -x, with a green cap."""
    width = span(rng, size, compact, (0.026, 0.031), (0.026, 0.04))
    length = width * (rng.uniform(1.9, 2.4) if compact else rng.uniform(1.7, 3.4))
    slim = width * rng.uniform(0.42, 0.82)
    thick = length * rng.uniform(0.25, 0.44)
    parts = [
        box((thick * 0.85, width * 0.46, width / 2), (length * 0.06, 0, width / 2), None),
        box((length * 0.3, slim * 0.45, slim * 0.45), (-length * 0.22, 0, width * 0.5), None),
        ellipsoid((thick, width / 2, width / 2), (length * 0.08, 0, width / 2), paint),
        ellipsoid((length * 0.42, slim / 2, slim / 2), (-length * 0.14, 0, width * 0.5), paint),
        tube(slim * rng.uniform(0.35, 0.5), length * 0.1, (-length * 0.5, 0, width * 0.5), LEAF),
    ]
    return graspable(rng, parts, 700, (width * 0.5, width * 0.92))


def pumpkin(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A small pumpkin: two crossed flat bodies make its ribs; a woody stalk."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.017, 0.0225))
    height = radius * (rng.uniform(1.6, 1.9) if compact else rng.uniform(1.2, 1.8))
    rib = rng.uniform(0.72, 0.92)
    stalk = radius * rng.uniform(0.25, 0.7)
    parts = [
        *octagon(radius * 0.93, 0.0, height * 0.9),
        ellipsoid((radius, radius * rib, height / 2), (0, 0, height / 2), paint),
        ellipsoid((radius * rib, radius, height * 0.48), (0, 0, height / 2), paint.darker(0.1)),
        disc(radius * rng.uniform(0.12, 0.22), height * 0.95, height + stalk, STALK),
    ]
    return graspable(rng, parts, 800, (height * 0.45, 1.88 * radius), round_radius=radius)


def potato(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A lumpy potato: two bodies that lie askew."""
    width = span(rng, size, compact, (0.026, 0.031), (0.026, 0.042))
    length = width * rng.uniform(1.3, 1.9)
    yaw, shift = rng.uniform(-0.25, 0.25), length * rng.uniform(0.08, 0.2)
    skin = Paint(paint.rgb, paint.darker(0.25).rgb, "speckle", 0.016)
    low = rng.uniform(0.42, 0.49)
    parts = [
        box((length * 0.38, width * 0.46, width * 0.36), (0, 0, width * 0.36), None),
        box((length * 0.26, width * 0.36, width * 0.44), (0, 0, width * 0.44), None),
        ellipsoid((length * 0.42, width * 0.48, width * 0.46), (-shift / 2, 0, width * 0.45), skin),
        ellipsoid(
            (length * 0.4, width * 0.45, width * low), (shift, 0, width * low), skin, yaw=yaw
        ),
    ]
    return graspable(rng, parts, 1050, (width * 0.42, width * 0.92))


def onion(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """An onion: a striped bulb that ends in a neck, its roots below."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.016, 0.0225))
    bulb = radius * rng.uniform(1.55, 1.95)
    neck = radius * rng.uniform(0.5, 1.1)
    skin = Paint(paint.rgb, paint.darker(0.15).rgb, "stripes", radius * 0.3)
    slim = radius * rng.uniform(0.22, 0.4)
    parts = [
        *octagon(radius * 0.93, 0.0, bulb * 0.86),
        ellipsoid((radius, radius, bulb / 2), (0, 0, bulb / 2), skin),
        ellipsoid((slim, slim, neck), (0, 0, bulb), paint.lighter(0.25)),
    ]
    if chance(rng):  # sprouting
        parts.append(disc(slim * 0.5, bulb, bulb + neck * rng.uniform(1.1, 1.5), LEAF))
    return graspable(rng, parts, 900, (bulb * 0.45, 1.88 * radius), round_radius=radius)
