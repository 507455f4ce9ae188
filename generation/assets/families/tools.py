"""Cutlery and hand tools, with handles thick enough for a small gripper, lying along x."""

from __future__ import annotations

import numpy as np

from generation.assets.parts import (
    Draft,
    Paint,
    box,
    chance,
    ellipsoid,
    graspable,
    span,
    tube,
)

Rng = np.random.Generator

STEEL = Paint((0.74, 0.75, 0.77), (0.66, 0.67, 0.70), "stripes", 0.004)
DARK = Paint((0.16, 0.16, 0.18))


def _handle(rng: Rng, size: str, paint: Paint, compact: bool) -> tuple[float, float, float, list]:
    """Width, length and height of a handle about the origin, and its parts."""
    width = span(rng, size, compact, (0.021, 0.027), (0.018, 0.027))
    length = width * (rng.uniform(1.9, 2.4) if compact else rng.uniform(2.2, 3.8))
    height = span(rng, size, compact, (0.024, 0.028), (0.017, 0.024))
    return (
        width,
        length,
        height,
        [box((length / 2, width / 2, height / 2), (0, 0, height / 2), paint)],
    )


def spoon(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A spoon, its bowl at +x: round or long, deep or flat."""
    width, length, height, parts = _handle(rng, size, paint, compact)
    bowl, wide = width * rng.uniform(0.6, 1.0), width * rng.uniform(0.55, 0.85)
    neck = width * rng.uniform(0.2, 0.6)
    at = length / 2 + neck + bowl * 0.9
    thick = height * rng.uniform(0.25, 0.4)
    parts += [
        box((neck, width * 0.14, height * 0.16), (length / 2 + neck * 0.95, 0, height * 0.4),
            STEEL),
        box((bowl * 0.7, wide * 0.7, thick * 0.5), (at, 0, height * 0.4), None),
        ellipsoid((bowl, wide, thick), (at, 0, height * 0.4), STEEL),
        ellipsoid((bowl * 0.75, wide * 0.75, 0.002), (at, 0, height * 0.4 + thick * 0.8),
                  STEEL.darker(0.35)),
    ]  # fmt: skip
    return graspable(rng, parts, 1100, (height / 2, width))


def fork(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A fork: a neck, a palm and two or three drawn tines at +x."""
    width, length, height, parts = _handle(rng, size, paint, compact)
    palm, wide = width * rng.uniform(0.25, 0.45), width * rng.uniform(0.42, 0.62)
    tine, z = width * rng.uniform(0.6, 1.1), height * rng.uniform(0.4, 0.6)
    start = length / 2 + palm * 2
    parts += [
        box((palm, wide, height * 0.12), (length / 2 + palm * 0.95, 0, z), STEEL),
    ]
    thin = height * 0.07
    if chance(rng):
        parts.append(box((tine / 2, thin, thin), (start + tine / 2 - 5e-4, 0, z), STEEL))
    for side in (-1, 1):
        parts.append(tube(thin, tine, (start + tine / 2 - 5e-4, side * (wide - thin), z), STEEL))
    return graspable(rng, parts, 1100, (height / 2, width))


def knife(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A butter knife: a blade with a round tip at +x, perhaps a guard."""
    width, length, height, parts = _handle(rng, size, paint, compact)
    blade, wide = width * rng.uniform(1.2, 2.2), width * rng.uniform(0.28, 0.48)
    thick, z = height * rng.uniform(0.08, 0.14), height * rng.uniform(0.4, 0.6)
    at = length / 2 + blade / 2 - 5e-4
    parts += [
        box((blade / 2, wide, thick), (at, width * 0.5 - wide, z), STEEL),
        ellipsoid((wide * rng.uniform(0.7, 1.5), wide, thick),
            (at + blade / 2, width * 0.5 - wide, z),
                  STEEL),
    ]  # fmt: skip
    if chance(rng):
        guard = (width * 0.07, width * rng.uniform(0.5, 0.6), height * 0.45)
        parts.append(box(guard, (length / 2, 0, height * 0.5), paint.darker(0.5)))
    return graspable(rng, parts, 1100, (height / 2, width))


def hammer(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A hammer or mallet, its head across the end of the handle."""
    width, length, height, parts = _handle(rng, size, paint, compact)
    thick = width * rng.uniform(0.3, 0.5)
    reach = width * rng.uniform(0.75, 1.2)
    face = rng.uniform(0.7, 1.0)
    head = STEEL if chance(rng, 0.6) else paint.darker(0.45)
    at = length / 2 + thick - 5e-4
    shift = reach * rng.uniform(-0.25, 0.25)
    parts += [
        box((thick, reach, height * face / 2), (at, shift, height * 0.5), head),
        box((thick * rng.uniform(0.75, 1.15), reach * 0.2, height * 0.49),
            (at, shift + reach * 0.95, height * 0.5), head.darker(0.25)),
    ]  # fmt: skip
    return graspable(rng, parts, 900, (height / 2, width))


def screwdriver(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A screwdriver: a fat handle with grooves, a round shaft, a flat tip."""
    width, length, height, parts = _handle(rng, size, paint, compact)
    shaft = width * rng.uniform(0.9, 2.0)
    radius = width * rng.uniform(0.09, 0.16)
    z = height / 2
    cap = length * rng.uniform(0.1, 0.3)
    parts += [
        box((shaft / 2, radius * 0.8, radius * 0.8), (length / 2 + shaft / 2 - 5e-4, 0, z), None),
        tube(radius, shaft, (length / 2 + shaft / 2, 0, z), STEEL),
        box((width * 0.14, radius * rng.uniform(1.0, 2.0), radius * 0.5),
            (length / 2 + shaft, 0, z), STEEL),
        ellipsoid((cap, width * 0.49, height * 0.49), (-length / 2, 0, z), paint.darker(0.5)),
    ]  # fmt: skip
    return graspable(rng, parts, 1050, (height / 2, width))


def brush(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A paintbrush: handle, metal band, and bristles wider or narrower than it."""
    width, length, height, parts = _handle(rng, size, paint, compact)
    band, hair = width * rng.uniform(0.15, 0.35), width * rng.uniform(0.35, 0.8)
    wide, flat = width * rng.uniform(0.35, 0.75), height * rng.uniform(0.25, 0.45)
    at = length / 2 + band - 5e-4
    tip = Paint((0.30, 0.22, 0.15)) if chance(rng) else Paint((0.86, 0.78, 0.60))
    parts += [
        box((band, wide * 0.95, flat * 0.95), (at, 0, height * 0.5), STEEL),
        box((hair * 0.6, wide * 0.9, flat * 0.8), (at + band + hair * 0.5, 0, height * 0.5), tip),
        ellipsoid((hair, wide * 0.9, flat * 0.85), (at + band + hair * 0.4, 0, height * 0.5), tip),
    ]
    return graspable(rng, parts, 700, (height / 2, width))


def torch(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A flashlight: barrel, wider head with a pale lens at +x, a switch on top."""
    width, length, height, parts = _handle(rng, size, paint, compact)
    head, wide = width * rng.uniform(0.35, 0.8), width * rng.uniform(0.55, 0.72)
    z = max(wide, height / 2) + 2e-4
    at = length / 2 + head / 2 - 5e-4
    parts = [
        box((length / 2, width / 2, z * 0.98), (0, 0, z), None),
        box((head / 2, wide * 0.9, wide * 0.9), (at, 0, z), None),
        tube(min(width / 2, z), length, (0, 0, z), paint),
        tube(wide, head, (at, 0, z), paint.darker(0.4)),
        ellipsoid((head * 0.12, wide * 0.8, wide * 0.8), (at + head / 2, 0, z),
            Paint((1, 0.97, 0.8))),
        ellipsoid((length * rng.uniform(0.05, 0.15), width * 0.15, width * 0.1),
                  (length * rng.uniform(-0.1, 0.3), 0, z + width * 0.46), DARK),
    ]  # fmt: skip
    return graspable(rng, parts, 900, (z, width))
