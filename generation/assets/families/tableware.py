"""Receptacles: things that hold others, on a flat top or between walls."""

from __future__ import annotations

import math

import numpy as np

from generation.assets.parts import (
    Draft,
    Paint,
    box,
    disc,
    finish,
    hexagon,
    pick,
    primitive,
    span,
    walls,
)

Rng = np.random.Generator

_FLOOR = 0.004  # m, thickness of a container's floor
_WALL = 0.005  # m, thinner walls let a pushed object through in one 10 ms step


def plate(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A round plate with a lighter well."""
    radius = pick(rng, 0.064, 0.074, size) if compact else pick(rng, 0.058, 0.09, size)
    height = span(rng, "", compact, (0.007, 0.012), (0.006, 0.018))
    well = radius * span(rng, "", compact, (0.6, 0.78), (0.35, 0.88))
    parts = [
        *hexagon(radius * 0.93, 0.0, height),
        disc(radius, 0.0, height * 0.94, paint),
        disc(well, height * 0.94, height, paint.lighter(rng.uniform(0.3, 0.55))),
    ]
    return finish(
        parts, density=900, friction=rng.uniform(0.9, 1.1),
        place=(height, radius * 0.93), round_radius=radius * 1.075,
    )  # fmt: skip


def bowl(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A six-sided bowl with walls that lean outwards."""
    apothem = pick(rng, 0.052, 0.06, size) if compact else pick(rng, 0.05, 0.068, size)
    height = rng.uniform(0.017, 0.024) if compact else rng.uniform(0.018, 0.055)
    flare = span(rng, "", compact, (0.25, 0.45), (0.08, 0.55))
    low = 0.0 if compact else _WALL * math.sin(flare)  # their outer edge is on the table
    parts = [
        *hexagon(apothem, 0.0, _FLOOR),
        *walls([apothem - 0.002], 6, low, height - low, _WALL, flare, paint),
        disc(apothem * 1.05, 0.0, _FLOOR + 5e-4, paint.lighter(0.35)),
    ]
    return finish(parts, density=1300, friction=rng.uniform(0.9, 1.1), place=(_FLOOR, apothem))


def tray(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A flat rectangular tray with upright walls."""
    width = pick(rng, 0.052, 0.058, size) if compact else pick(rng, 0.052, 0.075, size)
    length = width * span(rng, "", compact, (1.05, 1.3), (1.0, 1.5))
    height = rng.uniform(0.012, 0.02) if compact else rng.uniform(0.009, 0.032)
    parts = [
        box((length + _WALL, width + _WALL, _FLOOR / 2), (0, 0, _FLOOR / 2), paint.lighter(0.3)),
        *walls([length, width], 4, 0.0, height, _WALL, 0.0, paint),
    ]
    return finish(parts, density=1100, friction=rng.uniform(0.9, 1.1), place=(_FLOOR, width))


def dish(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A square oven dish with leaning walls and a round pattern on its floor."""
    half = pick(rng, 0.051, 0.057, size) if compact else pick(rng, 0.05, 0.066, size)
    height = rng.uniform(0.018, 0.024) if compact else rng.uniform(0.022, 0.036)
    flare = span(rng, "", compact, (0.15, 0.35), (0.05, 0.45))
    low = 0.0 if compact else _WALL * math.sin(flare)
    parts = [
        box((half, half, _FLOOR / 2), (0, 0, _FLOOR / 2), paint.darker(0.25)),
        *walls([half - 0.002], 4, low, height - low, _WALL, flare, paint),
        disc(half * rng.uniform(0.6, 0.85), _FLOOR, _FLOOR + 5e-4, paint.lighter(0.5)),
    ]
    return finish(parts, density=1300, friction=rng.uniform(0.9, 1.1), place=(_FLOOR, half))


def basket(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A woven basket with two grips at its ends."""
    width = pick(rng, 0.051, 0.057, size) if compact else pick(rng, 0.05, 0.066, size)
    length = width * span(rng, "", compact, (1.0, 1.2), (1.0, 1.4))
    height = rng.uniform(0.02, 0.025) if compact else rng.uniform(0.026, 0.062)
    weave = Paint(paint.rgb, paint.darker(0.35).rgb, "stripes", 0.008)
    grip = span(rng, "", compact, (0.012, 0.018), (0.008, 0.024))
    parts = [
        box((length + _WALL, width + _WALL, _FLOOR / 2), (0, 0, _FLOOR / 2), paint.darker(0.3)),
        *walls([length, width], 4, 0.0, height, _WALL, 0.0, weave),
    ]
    for sign in (-1, 1):
        centre = (sign * (length + _WALL + grip / 2), 0, height * 0.75)
        parts.append(box((grip / 2, width * 0.3, 0.004), centre, paint.darker(0.45)))
    return finish(parts, density=900, friction=rng.uniform(0.9, 1.1), place=(_FLOOR, width))


def pan(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A flat griddle pan with a handle along +x."""
    radius = pick(rng, 0.062, 0.07, size) if compact else pick(rng, 0.058, 0.08, size)
    height = span(rng, "", compact, (0.009, 0.014), (0.008, 0.02))
    reach = radius * span(rng, "", compact, (0.6, 0.9), (0.4, 1.2))
    handle = box(
        (reach / 2, 0.007, height * 0.4),
        (radius * 0.9 + reach / 2, 0, height * 0.5),
        Paint((0.15, 0.14, 0.14)),
    )
    parts = [
        *hexagon(radius * 0.93, 0.0, height),
        handle,
        disc(radius, 0.0, height * 0.94, paint),
        disc(radius * rng.uniform(0.62, 0.93), height * 0.94, height, paint.darker(0.4)),
    ]
    return finish(
        parts, density=1300, friction=rng.uniform(0.9, 1.1), place=(height, radius * 0.93)
    )


def lid(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """The lid of a shoe box, lying open side up."""
    width = pick(rng, 0.051, 0.056, size) if compact else pick(rng, 0.05, 0.065, size)
    length = width * span(rng, "", compact, (1.2, 1.4), (1.0, 1.55))
    height = span(rng, "", compact, (0.008, 0.013), (0.007, 0.022))
    parts = [
        box((length + _WALL, width + _WALL, _FLOOR / 2), (0, 0, _FLOOR / 2), paint.darker(0.12)),
        *walls([length, width], 4, 0.0, height, _WALL, 0.0, paint.lighter(0.25)),
    ]
    return finish(parts, density=700, friction=rng.uniform(0.9, 1.1), place=(_FLOOR, width))


def board(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A cutting board with a grip at one end."""
    width = pick(rng, 0.052, 0.058, size) if compact else pick(rng, 0.05, 0.075, size)
    length = width * span(rng, "", compact, (1.15, 1.4), (1.0, 1.5))
    height = rng.uniform(0.008, 0.012)
    grain = Paint(paint.rgb, paint.darker(0.25).rgb, "wood", 0.03)
    tab = span(rng, "", compact, (0.018, 0.026), (0.012, 0.045))
    parts = [
        box((length, width, height / 2), (0, 0, height / 2), grain),
        box((tab / 2, width * rng.uniform(0.18, 0.55), height / 2),
            (length + tab / 2 - 1e-3, 0, height / 2), paint.darker(0.3)),
    ]  # fmt: skip
    return finish(parts, density=800, friction=rng.uniform(0.9, 1.1), place=(height, width))


def mat(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A thick place mat with a round pattern."""
    width = pick(rng, 0.053, 0.06, size) if compact else pick(rng, 0.055, 0.08, size)
    length = width * rng.uniform(1.0, 1.35)
    height = rng.uniform(0.005, 0.008)
    inner = width * rng.uniform(0.45, 0.95)
    cloth = Paint(paint.rgb, paint.lighter(0.35).rgb, "fabric", 0.03)
    parts = [
        box((length, width, height / 2), (0, 0, height / 2), paint.darker(0.3)),
        disc(inner, height, height + 5e-4, cloth),
    ]
    return finish(parts, density=500, friction=rng.uniform(0.9, 1.1), place=(height, width))


def crate(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A square crate with upright banded walls."""
    half = pick(rng, 0.05, 0.056, size) if compact else pick(rng, 0.05, 0.066, size)
    length = half * span(rng, "", compact, (1.0, 1.0), (1.0, 1.4))
    height = rng.uniform(0.019, 0.025) if compact else rng.uniform(0.025, 0.055)
    bands = Paint(paint.rgb, paint.lighter(0.4).rgb, "stripes", rng.uniform(0.01, 0.02))
    parts = [
        box((length + _WALL, half + _WALL, _FLOOR / 2), (0, 0, _FLOOR / 2), paint.lighter(0.15)),
        *walls([length, half], 4, 0.0, height, _WALL, 0.0, bands),
    ]
    return finish(parts, density=800, friction=rng.uniform(0.9, 1.1), place=(_FLOOR, half))


def pot(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A low six-sided pot with a flat round grip on one side."""
    apothem = pick(rng, 0.05, 0.056, size) if compact else pick(rng, 0.05, 0.064, size)
    height = rng.uniform(0.018, 0.024) if compact else rng.uniform(0.02, 0.055)
    ear = span(rng, "", compact, (0.01, 0.016), (0.008, 0.024))
    parts = [
        *hexagon(apothem, 0.0, _FLOOR),
        *walls([apothem - 0.002], 6, 0.0, height, _WALL, 0.05, paint),
        disc(apothem * 1.02, 0.0, _FLOOR + 5e-4, paint.darker(0.5)),
    ]
    centre = (apothem + _WALL, 0, height * 0.7)
    parts.append(primitive("cylinder", (ear, 0.003), centre, paint.darker(0.6), collide=False))
    return finish(parts, density=1200, friction=rng.uniform(0.9, 1.1), place=(_FLOOR, apothem))


def coaster(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A large round coaster with a dark ring."""
    radius = pick(rng, 0.058, 0.068, size) if compact else pick(rng, 0.055, 0.07, size)
    height = span(rng, "", compact, (0.006, 0.01), (0.005, 0.015))
    ring = radius * span(rng, "", compact, (0.8, 0.9), (0.45, 0.92))
    parts = [
        *hexagon(radius * 0.93, 0.0, height),
        disc(radius, 0.0, height * 0.94, paint.darker(0.55)),
        disc(ring, height * 0.94, height, paint),
    ]
    return finish(
        parts, density=700, friction=rng.uniform(0.9, 1.1),
        place=(height, radius * 0.93), round_radius=radius * 1.075,
    )  # fmt: skip
