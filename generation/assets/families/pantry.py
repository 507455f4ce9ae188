"""Things to eat that somebody made: bread, cheese, sweets."""

from __future__ import annotations

import numpy as np

from generation.assets.families.food import LEAF
from generation.assets.parts import (
    Draft,
    Paint,
    box,
    chance,
    disc,
    ellipsoid,
    graspable,
    octagon,
    pick,
    span,
    tube,
)

Rng = np.random.Generator

CRUMB = Paint((0.95, 0.88, 0.70))
FILLINGS = (LEAF, Paint((0.85, 0.35, 0.30)), Paint((0.96, 0.80, 0.30)), Paint((0.45, 0.24, 0.16)))


def _filling(rng: Rng) -> Paint:
    return FILLINGS[int(rng.integers(len(FILLINGS)))]


def loaf(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A loaf of bread along x: a tin loaf, or a round one with cuts across."""
    width = span(rng, size, compact, (0.026, 0.032), (0.028, 0.044))
    length = width * (rng.uniform(1.5, 2.2) if compact else rng.uniform(1.4, 3.4))
    height = pick(rng, 0.026, 0.034, size) if compact else width * rng.uniform(0.65, 1.05)
    straight = rng.uniform(0.52, 0.78)  # share of the height below the dome
    parts = [
        box((length / 2, width / 2, height * straight / 2), (0, 0, height * straight / 2), paint),
        box((length * 0.42, width * 0.4, height * 0.3), (0, 0, height * 0.66), None),
        ellipsoid(
            (length * 0.53, width * 0.54, height * (1 - straight)), (0, 0, height * straight), paint
        ),
    ]
    for _ in range(int(rng.integers(0, 3))):
        at = rng.uniform(-0.28, 0.28) * length
        parts.append(tube(width * 0.05, width * 0.5, (at, 0, height * 0.97), CRUMB, across=True))
    return graspable(rng, parts, 500, (height * 0.5, width))


def croissant(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A croissant: a thick middle and two arms that bend towards +y."""
    width = span(rng, size, compact, (0.026, 0.031), (0.026, 0.038))
    arm = width * rng.uniform(0.6, 1.4)
    bend, slim = rng.uniform(0.2, 0.9), width * rng.uniform(0.42, 0.85)
    layers = Paint(paint.rgb, paint.darker(0.3).rgb, "stripes", width * 0.22)
    parts = [
        box((width * 0.45, width * 0.45, width * 0.45), (0, 0, width * 0.45), None),
        tube(width / 2, width * rng.uniform(0.6, 1.3), (0, 0, width / 2), layers),
    ]
    for sign in (-1, 1):
        x = sign * (width * 0.35 + arm / 2 * np.cos(bend))
        y, yaw = arm / 2 * np.sin(bend), sign * bend
        parts.append(box((arm / 2, slim * 0.42, slim * 0.45), (x, y, slim * 0.5), None, yaw=yaw))
        parts.append(
            ellipsoid((arm * 0.8, slim * 0.52, slim * 0.52), (x, y, slim * 0.52), layers, yaw=yaw)
        )
    return graspable(rng, parts, 450, (width * 0.45, width * 0.9))


def sandwich(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A sandwich: two slices, a filling that sticks out a little."""
    width = span(rng, size, compact, (0.026, 0.032), (0.03, 0.045))
    length = width * rng.uniform(1.0, 1.7)
    height = span(rng, size, compact, (0.026, 0.034), (0.022, 0.036))
    inside = height * rng.uniform(0.2, 0.45)
    slice_ = (height - inside) / 2
    out = rng.uniform(0.9, 1.0)
    parts = [
        box((length / 2 * 0.97, width / 2 * 0.97, slice_ / 2), (0, 0, slice_ / 2), paint),
        box((length / 2 * out, width / 2, inside / 2), (0, 0, height / 2), _filling(rng)),
        box((length / 2 * 0.97, width / 2 * 0.97, slice_ / 2), (0, 0, height - slice_ / 2), paint),
    ]
    return graspable(rng, parts, 500, (height / 2, width), flat=width * 0.45)


def chocolate(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A thick bar of chocolate, partly in its wrapper."""
    width = span(rng, size, compact, (0.024, 0.031), (0.026, 0.042))
    length = width * (rng.uniform(1.6, 2.2) if compact else rng.uniform(1.6, 2.8))
    height = span(rng, size, compact, (0.025, 0.029), (0.017, 0.026))
    wrapped = length * rng.uniform(0.35, 0.75)
    bare, brown = length - wrapped, Paint((0.30, 0.17, 0.10), (0.22, 0.12, 0.07), "checker", 0.016)
    parts = [
        box((wrapped / 2, width / 2, height / 2), (-bare / 2, 0, height / 2), paint),
        box((bare / 2, width * 0.46, height * 0.44), (wrapped / 2, 0, height * 0.45), brown),
    ]
    if chance(rng):
        band = wrapped * rng.uniform(0.15, 0.35)
        at = -bare / 2 + rng.uniform(-0.2, 0.2) * wrapped
        parts.append(
            box(
                (band / 2, width * 0.505, height * 0.49),
                (at, 0, height * 0.515),
                paint.lighter(0.7),
            )
        )
    flat = width * 0.4
    return graspable(rng, parts, 1200, (height / 2, width), flat=flat)


def cheese(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A piece of cheese: a wedge in steps, with holes on top."""
    width = span(rng, size, compact, (0.026, 0.031), (0.028, 0.044))
    length = width * rng.uniform(1.3, 1.9)
    height = span(rng, size, compact, (0.025, 0.032), (0.02, 0.032))
    thin = rng.uniform(0.35, 0.65)  # width at the tip
    parts = [
        box((length * 0.25, width / 2, height / 2), (-length * 0.25, 0, height / 2), paint),
        box((length * 0.4, width * (1 + thin) / 4, height / 2),
            (-length * 0.02, 0, height / 2 - 2e-4),
            paint),
        box((length * 0.1, width * thin / 2, height / 2), (length * 0.43, 0, height / 2 - 3e-4),
            paint),
    ]  # fmt: skip
    for _ in range(int(rng.integers(0, 3))):
        hole = width * rng.uniform(0.06, 0.15)
        spot = (rng.uniform(-0.35, 0.2) * length, rng.uniform(-0.2, 0.2) * width, height)
        parts.append(ellipsoid((hole, hole, 6e-4), spot, paint.darker(0.35)))
    return graspable(rng, parts, 1050, (height / 2, width))


def donut(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A doughnut: dough below, icing above, a dark hole."""
    radius = span(rng, size, compact, (0.0145, 0.016), (0.017, 0.0225))
    height = radius * (rng.uniform(1.5, 1.8) if compact else rng.uniform(0.85, 1.3))
    hole = radius * rng.uniform(0.25, 0.45)
    dough, iced = Paint((0.80, 0.58, 0.33)), rng.uniform(0.55, 0.75) * height
    if chance(rng, 0.4):
        paint = Paint(paint.rgb, paint.lighter(0.8).rgb, "speckle", 0.014)
    parts = [
        *octagon(radius * 0.95, 0.0, height * 0.92),
        ellipsoid((radius, radius, iced * 0.62), (0, 0, iced * 0.62), dough),
        ellipsoid((radius * 0.96, radius * 0.96, height - iced), (0, 0, iced), paint),
        disc(hole, height * 0.9, height + 4e-4, Paint((0.25, 0.15, 0.10))),
    ]
    return graspable(rng, parts, 600, (height * 0.48, 1.9 * radius), round_radius=radius)


def burger(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A burger: bun, one or two fillings, a domed bun on top."""
    radius = span(rng, size, compact, (0.014, 0.016), (0.017, 0.0225))
    base = radius * rng.uniform(0.4, 0.65)
    inside = radius * rng.uniform(0.3, 0.65)
    dome = radius * rng.uniform(0.55, 1.0)
    bun = paint.lighter(0.1)
    seeds = Paint(bun.rgb, (0.98, 0.93, 0.75), "speckle", 0.016) if chance(rng) else bun
    rim = radius * rng.uniform(0.9, 1.0)
    parts = [
        *octagon(radius * 0.95, 0.0, base + inside + dome * 0.6),
        disc(radius * 0.96, 0.0, base, bun),
        disc(rim, base, base + inside, _filling(rng)),
        ellipsoid((radius, radius, dome * 0.65), (0, 0, base + inside + dome * 0.35), seeds),
    ]
    grip = ((base + inside) * 0.6, 1.94 * radius)
    return graspable(rng, parts, 700, grip, round_radius=radius)
