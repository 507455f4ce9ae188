"""Things that pour, light or keep warm: shakers, teapots, jugs, vases, bulbs, flasks."""

from __future__ import annotations

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
    span,
)

Rng = np.random.Generator

METAL = Paint((0.76, 0.77, 0.79))
DARK = Paint((0.15, 0.15, 0.16))


def shaker(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A salt shaker: a body, a waist or a straight neck, a domed metal cap."""
    radius = span(rng, size, compact, (0.0125, 0.0155), (0.013, 0.0205))
    height = pick(rng, 0.036, 0.05, size) if compact else radius * rng.uniform(2.4, 3.8)
    cap = height * rng.uniform(0.14, 0.3)
    wide = rng.uniform(0.72, 1.0)
    body = height - cap
    parts = [
        *octagon(radius, 0.0, body),
        box((radius * wide * 0.7, radius * wide * 0.7, cap * 0.4), (0, 0, body + cap * 0.4), None),
        disc(radius, 0.0, body * rng.uniform(0.86, 1.0), paint),
        disc(radius * wide, body * 0.85, body + cap * 0.4, METAL),
        ellipsoid((radius * wide, radius * wide, cap * 0.62), (0, 0, body + cap * 0.38), METAL),
    ]
    return graspable(rng, parts, 1100, (body * 0.5, 2 * radius), round_radius=radius * 1.03)


def teapot(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A teapot: a belly, a handle at -x, a spout at +x, a lid with a knob."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.017, 0.0225))
    height = radius * rng.uniform(1.5, 2.1)
    spout, ear = radius * rng.uniform(0.4, 0.8), radius * rng.uniform(0.3, 0.6)
    knob = radius * rng.uniform(0.16, 0.28)
    z = height * rng.uniform(0.55, 0.75)
    other = paint.darker(0.3)
    parts = [
        box((radius * 0.92, radius * 0.95, height * 0.46), (0, 0, height * 0.46), None),
        box((spout / 2, radius * 0.15, height * rng.uniform(0.08, 0.14)),
            (radius * 0.95 + spout / 2, 0, z), other),
        box((ear / 2, radius * 0.13, height * rng.uniform(0.2, 0.32)),
            (-radius * 0.95 - ear / 2, 0, height * 0.52), other),
        ellipsoid((radius * 1.02, radius, height / 2), (0, 0, height / 2), paint),
        ellipsoid((knob, knob, knob), (0, 0, height + knob * 0.7), other),
        disc(radius * rng.uniform(0.4, 0.65), height * 0.9, height + 5e-4, other),
    ]  # fmt: skip
    return graspable(rng, parts, 900, (height * 0.45, 1.9 * radius))


def jug(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A jug: a belly below, a narrower neck, a handle at -x and a lip at +x."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.016, 0.022))
    height = pick(rng, 0.036, 0.05, size) if compact else radius * rng.uniform(2.3, 3.4)
    belly = height * rng.uniform(0.5, 0.72)
    neck = radius * rng.uniform(0.55, 0.88)
    reach = radius * rng.uniform(0.35, 0.65)
    lip = radius * rng.uniform(0.15, 0.4)
    parts = [
        box((radius * 0.9, radius * 0.93, belly / 2), (0, 0, belly / 2), None),
        box((reach / 2, radius * 0.15, height * rng.uniform(0.18, 0.3)),
            (-radius * 0.85 - reach / 2, 0, height * 0.55), paint.darker(0.2)),
        box((neck * 0.5 + lip, neck * 0.5, (height - belly) / 2), (lip, 0, (height + belly) / 2),
            None),
        ellipsoid((radius, radius, belly * 0.55), (0, 0, belly * 0.55), paint),
        disc(radius * 0.8, 0.0, belly * 0.3, paint),
        disc(neck, belly * 0.6, height, paint),
        ellipsoid((lip + neck * 0.5, neck * 0.5, height * 0.06),
            (neck * 0.5 + lip * 0.4, 0, height * 0.95),
                  paint.darker(0.25)),
    ]  # fmt: skip
    return graspable(rng, parts, 900, (belly * 0.5, 1.86 * radius))


def vase(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A vase: round or slender body, a neck, a rim that opens more or less."""
    radius = span(rng, size, compact, (0.013, 0.016), (0.015, 0.022))
    height = pick(rng, 0.04, 0.055, size) if compact else radius * rng.uniform(2.6, 4.2)
    body = height * rng.uniform(0.55, 0.8)
    neck = radius * rng.uniform(0.3, 0.6)
    rim = radius * rng.uniform(0.4, 0.95)
    foot = radius * rng.uniform(0.55, 0.85)
    parts = [
        *octagon(radius * 0.93, 0.0, body * 0.9),
        box(
            (neck * 0.8, neck * 0.8, (height - body * 0.9) / 2),
            (0, 0, (height + body * 0.9) / 2),
            None,
        ),
        ellipsoid((radius, radius, body / 2), (0, 0, body / 2), paint),
        disc(neck, body * 0.8, height * 0.98, paint),
        ellipsoid((rim, rim, height * 0.04), (0, 0, height * 0.97), paint.darker(0.3)),
        disc(foot, 0.0, body * 0.16, paint.darker(0.3)),
    ]
    return graspable(rng, parts, 1000, (body * 0.5, 1.86 * radius), round_radius=radius)


def bulb(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A lamp bulb standing on its screw base: pear-shaped or slim."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.015, 0.022))
    base = radius * rng.uniform(0.58, 0.72)
    foot = radius * rng.uniform(0.7, 1.2)
    glass = radius * rng.uniform(1.8, 2.6)
    screw = Paint((0.72, 0.72, 0.74), (0.5, 0.5, 0.52), "stripes", foot * rng.uniform(0.2, 0.4))
    parts = [
        box((base * 0.95, base * 0.95, foot / 2), (0, 0, foot / 2), None),
        *octagon(radius * 0.95, foot, foot + glass * 0.8),
        disc(base, 0.0, foot, screw),
        ellipsoid((radius, radius, glass / 2), (0, 0, foot + glass / 2), paint.lighter(0.2)),
    ]
    if chance(rng):
        parts.append(disc(base * 1.15, foot * 0.9, foot + glass * rng.uniform(0.15, 0.35), METAL))
    return graspable(rng, parts, 600, (foot + glass * 0.4, 1.92 * radius), round_radius=radius)


def thermos(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A vacuum flask: a tall body, a cap that serves as a cup, perhaps a handle."""
    radius = span(rng, size, compact, (0.0125, 0.0155), (0.014, 0.0205))
    height = pick(rng, 0.044, 0.058, size) if compact else radius * rng.uniform(3.0, 4.4)
    cap = height * rng.uniform(0.15, 0.35)
    slim = radius * rng.uniform(0.72, 1.0)
    parts = [
        *octagon(radius, 0.0, height - cap),
        disc(radius, 0.0, height - cap, paint),
        disc(slim, height - cap, height, METAL if chance(rng) else DARK),
    ]
    if chance(rng):
        reach = radius * rng.uniform(0.3, 0.55)
        grip = (reach / 2, radius * 0.15, height * rng.uniform(0.15, 0.28))
        parts.append(box(grip, (radius * 0.9 + reach / 2, 0, height * 0.45), DARK))
    if chance(rng, 0.4):
        parts.append(ellipsoid((slim * 0.9, slim * 0.9, radius * 0.25), (0, 0, height), DARK))
    return graspable(rng, parts, 1000, ((height - cap) * 0.5, 2 * radius))
