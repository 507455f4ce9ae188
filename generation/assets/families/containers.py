"""More receptacles with walls: for the kitchen, the desk, the workshop and the garden."""

from __future__ import annotations

import math

import numpy as np

from generation.assets.parts import (
    Draft,
    Paint,
    box,
    chance,
    disc,
    finish,
    hexagon,
    pick,
    primitive,
    span,
    walls,
)
from generation.spec import Part

Rng = np.random.Generator

_FLOOR = 0.004  # m, as in `tableware`
_WALL = 0.005
DARK = Paint((0.14, 0.14, 0.15))
METAL = Paint((0.74, 0.75, 0.77))


def _box_body(
    rng: Rng, size: str, compact: bool, ratio: tuple[float, float], tall: tuple[float, float],
    paint: Paint, floor: Paint, flare: float = 0.0, wall: float = _WALL,
) -> tuple[float, float, float, list[Part]]:  # fmt: skip
    """Inner half length and half width and the height of a rectangular container, its parts."""
    width = span(rng, size, compact, (0.051, 0.057), (0.05, 0.066))
    length = width * rng.uniform(*((ratio[0], min(ratio[1], 1.3)) if compact else ratio))
    height = rng.uniform(0.018, 0.025) if compact else rng.uniform(*tall)
    low = wall * math.sin(flare)  # leaning walls touch the table with their outer edge
    parts = [
        box((length + wall, width + wall, _FLOOR / 2), (0, 0, _FLOOR / 2), floor),
        *walls([length, width], 4, low, height - low, wall, flare, paint),
    ]
    return length, width, height, parts


def _holder(rng: Rng, parts: list[Part], density: float, usable: float) -> Draft:
    return finish(
        parts, density=density, friction=rng.uniform(0.9, 1.1), place=(_FLOOR, usable)
    )  # fmt: skip


def colander(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A six-sided colander: dotted walls, steep or wide, perhaps with a grip."""
    apothem = span(rng, size, compact, (0.051, 0.057), (0.05, 0.066))
    height = rng.uniform(0.018, 0.024) if compact else rng.uniform(0.026, 0.045)
    holes = Paint(paint.rgb, paint.darker(0.7).rgb, "speckle", rng.uniform(0.03, 0.06))
    flare = rng.uniform(0.1, 0.5)
    low = _WALL * math.sin(flare)
    parts = [
        *hexagon(apothem, 0.0, _FLOOR),
        *walls([apothem - 0.002], 6, low, height - low, _WALL, flare, holes),
        disc(apothem * 1.04, 0.0, _FLOOR + 5e-4, holes),
    ]
    if chance(rng, 0.7):
        out = apothem + height * math.sin(flare) + _WALL
        ear = (rng.uniform(0.009, 0.016), 0.003)
        parts.append(primitive("cylinder", ear, (out, 0, height * 0.85), DARK, collide=False))
    return _holder(rng, parts, 1100, apothem)


def casserole(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A casserole with a grip at either end, square or long, its inside pale."""
    flare = rng.uniform(0.0, 0.2)
    length, width, height, parts = _box_body(
        rng, size, compact, (1.0, 1.4), (0.028, 0.048), paint, paint.lighter(0.6), flare
    )
    grip, wide = rng.uniform(0.008, 0.016), width * rng.uniform(0.25, 0.55)
    out = length + _WALL + height * math.sin(flare) * 0.8 + grip / 2
    for sign in (-1, 1):
        at = (sign * out, 0, height * rng.uniform(0.7, 0.9))
        parts.append(box((grip / 2, wide, 0.003), at, paint.darker(0.35)))
    return _holder(rng, parts, 1300, width)


def ashtray(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A heavy low square bowl with thick walls and raised corners."""
    thick = rng.uniform(0.006, 0.012)
    length, width, height, parts = _box_body(
        rng, size, compact, (1.0, 1.35), (0.016, 0.026), paint, paint.darker(0.25), wall=thick
    )
    post, rise = thick * rng.uniform(0.8, 1.5), rng.uniform(0.001, 0.004)
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = (sx * (length + thick / 2), sy * (width + thick / 2), (height + rise) / 2)
            parts.append(box((post, post, (height + rise) / 2), at, paint.lighter(0.15)))
    return _holder(rng, parts, 1500, width - 0.003)


def organiser(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A desk organiser: one large compartment, and one or two small ones at an end."""
    width = span(rng, size, compact, (0.051, 0.055), (0.05, 0.06))
    side = width * rng.uniform(0.3, 0.6)  # depth of the small compartments
    height = rng.uniform(0.016, 0.024) if compact else rng.uniform(0.02, 0.04)
    long = width + side / 2 + _WALL / 2
    inner = long - side - _WALL / 2  # x of the divider
    shift = -(inner - width)  # the large compartment is centred on the origin
    parts = [
        box((long + _WALL, width + _WALL, _FLOOR / 2), (shift, 0, _FLOOR / 2), paint.lighter(0.3)),
        *(
            wall.model_copy(update={"pos": (round(wall.pos[0] + shift, 6), *wall.pos[1:])})
            for wall in walls([long, width], 4, 0.0, height, _WALL, 0.0, paint)
        ),
        box((_WALL / 2, width, height / 2), (inner + shift, 0, height / 2), paint.darker(0.15)),
    ]
    if chance(rng):
        at = (inner + side / 2 + shift, width * rng.uniform(-0.3, 0.3), height / 2)
        parts.append(box((side / 2, _WALL / 2, height / 2), at, paint.darker(0.15)))
    return _holder(rng, parts, 900, min(width, inner + shift))


def shoebox(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """An open shoe box with a label on one end; its lid's edge runs round the rim or not."""
    length, width, height, parts = _box_body(
        rng, size, compact, (1.2, 1.6), (0.035, 0.055), paint, paint.lighter(0.5)
    )
    tall = height * rng.uniform(0.3, 0.6)
    tag = box((5e-4, width * rng.uniform(0.25, 0.5), tall / 2),
              (length + _WALL + 4e-4, 0, height * 0.5), Paint((0.95, 0.94, 0.90)))  # fmt: skip
    parts.append(tag)
    if chance(rng):
        for sign in (-1, 1):
            rim = (length + _WALL, 0.001, height * 0.12)
            at = (0, sign * (width + _WALL + 8e-4), height * 0.85)
            parts.append(box(rim, at, paint.darker(0.25)))
    return _holder(rng, parts, 600, width)


def sink(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A small wash basin: a thick rim, a drain, a tap behind one end."""
    thick = rng.uniform(0.008, 0.014)
    length, width, height, parts = _box_body(
        rng, size, compact, (1.0, 1.35), (0.026, 0.042), paint, paint.darker(0.08), wall=thick
    )
    parts.append(disc(width * rng.uniform(0.1, 0.2), _FLOOR, _FLOOR + 6e-4, DARK))
    tap = rng.uniform(0.004, 0.007)
    rise = rng.uniform(0.004, 0.008)
    for k in range(int(rng.integers(1, 4))):
        at = (length + thick / 2, (0, 0.022, -0.022)[k], height + rise / 2)
        parts.append(box((tap, tap, rise / 2), at, METAL))
    return _holder(rng, parts, 1300, width)


def toolbox(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """An open tool box: a latch at the front, brackets for a handle at its ends."""
    length, width, height, parts = _box_body(
        rng, size, compact, (1.15, 1.5), (0.03, 0.05), paint, DARK
    )
    rise, wide = rng.uniform(0.003, 0.008), width * rng.uniform(0.15, 0.4)
    for sign in (-1, 1):
        at = (sign * (length + _WALL / 2), 0, height + rise / 2)
        parts.append(box((_WALL * 0.45, wide, rise / 2), at, METAL))
    for k in range(int(rng.integers(1, 3))):
        at = (length * (0.0, 0.5)[k], width + _WALL + 0.001, height * 0.7)
        parts.append(box((length * rng.uniform(0.08, 0.16), 0.001, height * 0.2), at, METAL))
    return _holder(rng, parts, 1000, width)


def drawer(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A drawer that was pulled out: a larger front with one or two knobs at +x."""
    length, width, height, parts = _box_body(
        rng, size, compact, (0.95, 1.35), (0.025, 0.045), paint.lighter(0.25), paint.lighter(0.4)
    )
    over, rise = rng.uniform(0.003, 0.012), rng.uniform(0.0, 0.006)
    front = (0.003, width + _WALL + over, (height + rise) / 2)
    parts.append(box(front, (length + _WALL + 0.002, 0, (height + rise) / 2), paint))
    knob = rng.uniform(0.005, 0.009)
    spots = (0.0,) if chance(rng) else (-width * 0.5, width * 0.5)
    for y in spots:
        at = (length + _WALL + 0.005 + knob, y, height * 0.5)
        parts.append(primitive("cylinder", (knob, knob * 0.7), at, METAL, collide=False))
    return _holder(rng, parts, 800, min(length, width))


def planter(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A flower pot with soil in it: six leaning walls, steep or wide."""
    apothem = span(rng, size, compact, (0.051, 0.057), (0.05, 0.064))
    height = rng.uniform(0.018, 0.025) if compact else rng.uniform(0.022, 0.058)
    thick = rng.uniform(0.005, 0.013)
    soil = Paint((0.28, 0.20, 0.14), (0.18, 0.12, 0.08), "speckle", 0.03)
    rim = span(rng, "", compact, (0.05, 0.35), (0.0, 0.5))
    low = thick * math.sin(rim)
    parts = [
        *hexagon(apothem, 0.0, _FLOOR),
        *walls([apothem - 0.002], 6, low, height - low, thick, rim, paint),
        disc(apothem * 1.03, 0.0, _FLOOR + 5e-4, soil),
    ]
    return _holder(rng, parts, 1400, apothem)


def tub(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A wash tub with leaning walls, a band round it, two grips on the long sides."""
    flare = rng.uniform(0.1, 0.4)
    bands = Paint(paint.rgb, paint.darker(0.3).rgb, "stripes", rng.uniform(0.012, 0.03))
    length, width, height, parts = _box_body(
        rng, size, compact, (1.0, 1.3), (0.03, 0.055), bands, paint.lighter(0.2), flare
    )
    grip, long = rng.uniform(0.006, 0.012), length * rng.uniform(0.2, 0.45)
    out = width + _WALL + height * math.sin(flare) + grip / 2
    for sign in (-1, 1):
        parts.append(box((long, grip / 2, 0.003), (0, sign * out, height * 0.9), paint.darker(0.4)))
    inner = width * pick(rng, 0.3, 0.7)
    parts.append(disc(inner, _FLOOR, _FLOOR + 5e-4, paint.lighter(0.45)))
    return _holder(rng, parts, 900, width)
