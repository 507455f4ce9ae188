"""More toys: vehicles, animals, a star, a house, a gift."""

from __future__ import annotations

import math

import numpy as np

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
    primitive,
    span,
    tube,
)

Rng = np.random.Generator

DARK = Paint((0.12, 0.12, 0.13))
GLASS = Paint((0.20, 0.27, 0.33))
WOOD = Paint((0.66, 0.48, 0.30))


def car(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A toy car along x: long or short bonnet, low or high cabin, two axles with wheels."""
    width = span(rng, size, compact, (0.025, 0.031), (0.026, 0.042))
    length = width * (rng.uniform(1.8, 2.3) if compact else rng.uniform(1.7, 2.7))
    height = width * rng.uniform(0.85, 1.15)
    body = height * rng.uniform(0.5, 0.68)
    cabin = length * rng.uniform(0.18, 0.36)
    at = length * rng.uniform(-0.16, 0.06)
    wheel = height * rng.uniform(0.2, 0.27)
    axle = length * rng.uniform(0.26, 0.34)
    parts = [
        box((length / 2, width / 2, body / 2), (0, 0, body / 2), paint),
        box((cabin, width * 0.45, (height - body) / 2), (at, 0, (height + body) / 2), GLASS),
        box((cabin * 0.85, width * 0.44, (height - body) * 0.12), (at, 0, height), paint),
        *(
            tube(wheel, width * 1.04, (sign * axle, 0, wheel), DARK, across=True)
            for sign in (-1, 1)
        ),
    ]
    return graspable(rng, parts, 800, (body * 0.75, width))


def duck(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A rubber duck along x: a body, a head on a block, a beak."""
    width = span(rng, size, compact, (0.026, 0.031), (0.028, 0.042))
    length = width * rng.uniform(1.2, 1.6)
    body = width * rng.uniform(0.75, 1.0)
    head = width * rng.uniform(0.26, 0.36)
    neck = body + head * rng.uniform(0.4, 0.8)
    front = length * rng.uniform(0.12, 0.25)
    beak = Paint((0.95, 0.50, 0.10))
    parts = [
        box((length * 0.38, width * 0.46, body * 0.46), (0, 0, body * 0.46), None),
        box((head * 0.75, head * 0.75, (neck + head - body * 0.8) / 2 * 0.95),
            (front, 0, (neck + head + body * 0.8) / 2 * 0.99), None),
        box((head * 0.35, head * rng.uniform(0.35, 0.6), head * 0.18),
            (front + head * 1.15, 0, neck),
            beak),
        ellipsoid((length / 2, width / 2, body / 2), (0, 0, body / 2), paint),
        ellipsoid((head, head, head), (front, 0, neck), paint),
    ]  # fmt: skip
    if chance(rng):  # an upturned tail
        tail = tube(
            width * 0.1, width * rng.uniform(0.25, 0.5), (-length * 0.48, 0, body * 0.7), paint
        )
        parts.append(tail)
    return graspable(rng, parts, 500, (body * 0.5, width * 0.92))


def star(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A star lying flat: two or three bars cross in its middle, each shade its own."""
    reach = span(rng, size, compact, (0.0135, 0.016), (0.015, 0.0225))
    height = span(rng, size, compact, (0.025, 0.032), (0.017, 0.03))
    arm = reach * rng.uniform(0.28, 0.45)
    count = 3 if chance(rng) else 2
    parts = [
        box((arm, reach, height / 2), (0, 0, height / 2), paint),
        *(
            box((arm, reach * rng.uniform(0.85, 1.15), height * 0.485), (0, 0, height * 0.5),
                paint.lighter(0.15 * k) if k else paint, yaw=math.pi * k / count)
            for k in range(1, count)
        ),
    ]  # fmt: skip
    if chance(rng):
        parts.append(
            disc(reach * rng.uniform(0.25, 0.5), height, height + 8e-4, paint.lighter(0.6))
        )
    return graspable(rng, parts, 850, (height / 2, 2 * reach))


def boat(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A toy boat along x: hull, cabin, funnel, a bow that is drawn round."""
    width = span(rng, size, compact, (0.025, 0.031), (0.026, 0.042))
    length = width * (rng.uniform(1.7, 2.2) if compact else rng.uniform(1.7, 2.9))
    hull = width * rng.uniform(0.5, 0.85)
    cabin = length * rng.uniform(0.14, 0.26)
    tall = width * rng.uniform(0.25, 0.5)
    at = -length * rng.uniform(0.02, 0.18)
    bow = length * rng.uniform(0.15, 0.32)
    deck = WOOD if chance(rng) else paint.lighter(0.7)
    parts = [
        box((length * 0.42, width / 2, hull / 2), (-length * 0.08, 0, hull / 2), paint),
        box((cabin, width * 0.36, tall / 2), (at, 0, hull + tall / 2), deck),
        ellipsoid((bow, width / 2, hull * 0.5), (length * 0.34, 0, hull * 0.5), paint),
    ]
    for k in range(int(rng.integers(1, 3))):
        x = at + (0.5 - k) * cabin
        top = hull + tall + width * rng.uniform(0.15, 0.4)
        funnel = primitive(
            "cylinder", (width * rng.uniform(0.08, 0.14), (top - hull) / 2),
                (x, 0, (top + hull) / 2),
            paint.darker(0.4), collide=False,
        )  # fmt: skip
        parts.append(funnel)
    return graspable(rng, parts, 700, (hull * 0.6, width))


def rocket(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A toy rocket: hull, pointed or blunt nose, fins on two sides."""
    radius = span(rng, size, compact, (0.0125, 0.0155), (0.013, 0.02))
    hull = pick(rng, 0.032, 0.042, size) if compact else radius * rng.uniform(2.2, 3.4)
    nose = radius * rng.uniform(0.9, 2.2)
    fin = radius * rng.uniform(0.25, 0.6)
    tall = hull * rng.uniform(0.2, 0.4)
    stripe = hull * rng.uniform(0.55, 0.8)
    other = paint.darker(0.45) if chance(rng) else paint.lighter(0.7)
    parts = [
        *octagon(radius, 0.0, hull),
        box((radius + fin, radius * 0.12, tall / 2), (0, 0, tall / 2 + 1e-3), other),
        disc(radius, 0.0, hull, paint),
        disc(radius * 1.01, stripe, stripe + hull * rng.uniform(0.06, 0.15), other),
        ellipsoid((radius * 0.97, radius * 0.97, nose), (0, 0, hull), other),
    ]
    return graspable(rng, parts, 800, (hull * 0.5, 2 * radius))


def house(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A toy house: walls, a stepped roof with its ridge along y, perhaps a chimney and a door."""
    width = span(rng, size, compact, (0.026, 0.031), (0.028, 0.044))
    length = width * rng.uniform(0.95, 1.6)
    walls = width * rng.uniform(0.6, 1.0)
    roof = width * rng.uniform(0.35, 0.7)
    eave = rng.uniform(0.9, 1.08)
    tiles = Paint((0.62, 0.25, 0.20)) if chance(rng) else paint.darker(0.5)
    parts = [
        box((length / 2, width / 2, walls / 2), (0, 0, walls / 2), paint),
        box((length / 2 * eave, width * 0.5, roof / 4), (0, 0, walls + roof / 4), tiles),
        box(
            (length * 0.26, width * 0.5, roof / 4), (0, 0, walls + roof * 0.74), tiles.lighter(0.1)
        ),
    ]
    if chance(rng):
        spot = (length * rng.uniform(-0.2, 0.2), width * 0.25)
        top = walls + roof * rng.uniform(1.05, 1.35)
        parts.append(
            primitive("cylinder", (width * 0.07, (top - walls) / 2), (*spot, (top + walls) / 2),
                      Paint((0.5, 0.45, 0.42)), collide=False)
        )  # fmt: skip
    door = (1e-3, width * rng.uniform(0.1, 0.2), walls * rng.uniform(0.25, 0.4))
    parts.append(ellipsoid(door, (length / 2, 0, door[2]), WOOD))
    return graspable(rng, parts, 700, (walls * 0.5, width))


def gift(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A wrapped present: a box, a ribbon each way, perhaps a bow."""
    width = span(rng, size, compact, (0.025, 0.031), (0.028, 0.043))
    length = width * rng.uniform(1.0, 1.6)
    height = width * (rng.uniform(0.95, 1.4) if compact else rng.uniform(0.55, 1.35))
    band = width * rng.uniform(0.08, 0.16)
    ribbon = paint.lighter(0.75) if chance(rng) else paint.darker(0.55)
    if chance(rng, 0.4):
        paint = Paint(paint.rgb, paint.lighter(0.5).rgb, "checker", width * rng.uniform(0.3, 0.6))
    thin = 5e-4
    parts = [
        box((length / 2, width / 2, height / 2), (0, 0, height / 2), paint),
        box((band, width / 2 + thin, height / 2), (0, 0, height / 2 + thin), ribbon),
        box((length / 2 + thin, band, height / 2), (0, 0, height / 2 + thin), ribbon),
    ]
    flat = width * 0.45
    if chance(rng, 0.6):
        loop = width * rng.uniform(0.14, 0.24)
        for side in (-1, 1):
            bow = (loop, loop * 0.5, loop * 0.5)
            parts.append(
                ellipsoid(bow, (0, side * loop * 0.9, height + loop * 0.4), ribbon, yaw=side)
            )
    return graspable(rng, parts, 400, (height / 2, width), flat=flat)


def snowman(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A figure of two balls with a hat: slim or fat, a tall hat or a flat one."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.016, 0.0225))
    body = radius * rng.uniform(1.6, 2.0)
    head = radius * rng.uniform(0.5, 0.72)
    z = body + head * rng.uniform(0.5, 0.8)
    hat, brim = head * rng.uniform(0.4, 1.3), head * rng.uniform(0.8, 1.3)
    parts = [
        *octagon(radius * 0.92, 0.0, body * 0.85),
        box((head * 0.65, head * 0.65, (z + head - body * 0.85) / 2),
            (0, 0, (z + head + body * 0.85) / 2), None),
        ellipsoid((radius, radius, body / 2), (0, 0, body / 2), paint),
        ellipsoid((head, head, head), (0, 0, z), paint.lighter(0.3)),
        disc(brim, z + head * 0.7, z + head * 0.82, DARK),
        disc(brim * 0.62, z + head * 0.7, z + head * 0.82 + hat, DARK),
    ]  # fmt: skip
    return graspable(rng, parts, 600, (body * 0.45, 1.88 * radius), round_radius=radius)
