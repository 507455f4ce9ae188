"""More receptacles with a flat top: boards, cloths, tiles and stands."""

from __future__ import annotations

import numpy as np

from generation.assets.parts import (
    Draft,
    Paint,
    box,
    chance,
    disc,
    finish,
    hexagon,
    primitive,
    span,
)
from generation.spec import Part

Rng = np.random.Generator

METAL = Paint((0.74, 0.75, 0.77))
DARK = Paint((0.15, 0.15, 0.16))


def _top(rng: Rng, parts: list[Part], density: float, height: float, usable: float) -> Draft:
    return finish(
        parts, density=density, friction=rng.uniform(0.9, 1.1), place=(height, usable)
    )  # fmt: skip


def _sheet(rng: Rng, size: str, compact: bool, ratio: tuple[float, float]) -> tuple[float, float]:
    """Half width and half length of a flat thing."""
    width = span(rng, size, compact, (0.052, 0.059), (0.05, 0.075))
    return width, width * rng.uniform(ratio[0], min(ratio[1], 1.35) if compact else ratio[1])


def platter(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A serving platter: a long plate with round or square ends."""
    width, length = _sheet(rng, size, compact, (1.05, 1.5))
    height = rng.uniform(0.007, 0.013)
    inner = rng.uniform(0.55, 0.85)
    end = width * rng.uniform(0.55, 0.8)
    parts = [
        box((length, width * 0.96, height / 2), (0, 0, height / 2), paint),
        *(
            box((end * 0.3, end * 0.85, height * 0.48),
                (sign * (length + end * 0.25), 0, height * 0.49), None)
            for sign in (-1, 1)
        ),
        *(
            primitive("cylinder", (end, height * 0.48),
                (sign * (length - end * 0.45), 0, height * 0.49),
                      paint.lighter(0.25), collide=False)
            for sign in (-1, 1)
        ),
        box((length * inner, width * inner, 5e-4), (0, 0, height), paint.lighter(0.45)),
    ]  # fmt: skip
    return _top(rng, parts, 1000, height + 5e-4, width * 0.96)


def napkin(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A folded napkin: two or three layers, each a little askew."""
    width, length = _sheet(rng, size, compact, (0.95, 1.3))
    layer = rng.uniform(0.0025, 0.004)
    cloth = Paint(paint.rgb, paint.darker(0.2).rgb, "fabric", rng.uniform(0.02, 0.05))
    parts, count = [], int(rng.integers(2, 4))
    for k in range(count):
        shrink = 1.0 - 0.05 * k
        askew = rng.uniform(-0.16, 0.16) if k < count - 1 else 0.0
        half = (length * shrink, width * shrink, layer / 2)
        parts.append(
            box(half, (0, 0, layer * (k + 0.5)), cloth if k % 2 == 0 else paint, yaw=askew)
        )
    if chance(rng):
        band = (length * rng.uniform(0.03, 0.08), width * (1.0 - 0.05 * (count - 1)), 3e-4)
        parts.append(box(band, (length * 0.75, 0, layer * count), paint.lighter(0.7)))
    return _top(rng, parts, 450, layer * count, width * 0.88)


def trivet(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A trivet of parallel slats on a base, more or fewer of them."""
    width, length = _sheet(rng, size, compact, (0.95, 1.25))
    height, count = rng.uniform(0.009, 0.014), int(rng.integers(4, 8))
    pitch = 2 * width / count
    slat = pitch * rng.uniform(0.3, 0.42)
    base = height * rng.uniform(0.35, 0.5)
    parts = [
        box((length, slat, (height - base) / 2),
            (0, (k + 0.5) * pitch - width, (height + base) / 2),
            paint)
        for k in range(count)
    ]  # fmt: skip
    # One broad bar, not two: an object stands on its largest part alone, see `stand_on_one`.
    broad = length * rng.uniform(0.35, 0.75)
    parts.append(box((broad, width * 0.98, base / 2), (0, 0, base / 2), paint.darker(0.35)))
    return _top(rng, parts, 700, height, width * 0.9)


def stand(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A cake stand: a round top on a foot, low or high."""
    radius = span(rng, size, compact, (0.06, 0.07), (0.058, 0.08))
    height = rng.uniform(0.014, 0.02) if compact else rng.uniform(0.018, 0.036)
    top = height * rng.uniform(0.25, 0.45)
    foot = radius * rng.uniform(0.55, 0.8)
    low = height - top
    parts = [
        *hexagon(radius * 0.93, low, height),
        box((foot * 0.72, foot * 0.72, low / 2), (0, 0, low / 2), None),
        disc(radius, low, height, paint),
        disc(foot, 0.0, low, paint.darker(0.35)),
    ]
    return finish(
        parts, density=900, friction=rng.uniform(0.9, 1.1),
        place=(height, radius * 0.93), round_radius=radius * 1.075,
    )  # fmt: skip


def chessboard(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A chessboard: a checkered field in a narrow or broad frame, perhaps on feet."""
    width, length = _sheet(rng, size, compact, (1.0, 1.0))
    height, frame = rng.uniform(0.007, 0.013), rng.uniform(0.06, 0.18)
    field = width * (1 - frame)
    squares = Paint(paint.lighter(0.75).rgb, paint.darker(0.25).rgb, "checker", field / 2)
    parts = [
        box((length, width, height / 2), (0, 0, height / 2), paint.darker(0.5)),
        box((field, field, 5e-4), (0, 0, height), squares),
    ]
    if chance(rng):
        foot = width * rng.uniform(0.1, 0.2)
        parts[0] = box((length, width, height * 0.35), (0, 0, height * 0.65), paint.darker(0.5))
        parts += [
            box((foot, foot, height * 0.16), (sx * width * 0.75, sy * width * 0.75, height * 0.16),
                DARK)
            for sx in (-1, 1) for sy in (-1, 1)
        ]  # fmt: skip
        parts.append(box((width * 0.4, width * 0.4, height * 0.17), (0, 0, height * 0.17), DARK))
    return _top(rng, parts, 800, height + 5e-4, width)


def tile(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A floor tile: square or long, its bevelled top smaller than its base."""
    width, length = _sheet(rng, size, compact, (1.0, 1.45))
    height, bevel = rng.uniform(0.007, 0.014), rng.uniform(0.9, 0.98)
    base = height * rng.uniform(0.35, 0.7)
    look = paint
    if paint.texture == "plain":
        look = Paint(paint.rgb, paint.darker(0.25).rgb, "marble", rng.uniform(0.06, 0.12))
    parts = [
        box((length, width, base / 2), (0, 0, base / 2), paint.darker(0.2)),
        box((length - width * (1 - bevel), width * bevel, (height - base) / 2),
            (0, 0, (height + base) / 2), look),
    ]  # fmt: skip
    return _top(rng, parts, 1100, height, width * bevel)


def cushion(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A thin cushion: layers that bulge in the middle, a button or two."""
    width, length = _sheet(rng, size, compact, (0.95, 1.35))
    height = rng.uniform(0.012, 0.017) if compact else rng.uniform(0.014, 0.024)
    edge = rng.uniform(0.9, 0.97)
    cloth = Paint(paint.rgb, paint.darker(0.25).rgb, "fabric", rng.uniform(0.03, 0.06))
    middle = height * rng.uniform(0.35, 0.65)
    parts = [
        box((length * edge, width * edge, height / 2), (0, 0, height / 2), cloth),
        box((length, width, middle / 2), (0, 0, height / 2), paint.darker(0.12)),
    ]
    for k in range(int(rng.integers(0, 3))):
        at = ((0.0, 0.5)[k] * length, 0.0, height)
        button = (width * rng.uniform(0.06, 0.12), 4e-4)
        parts.append(primitive("cylinder", button, at, paint.darker(0.4), collide=False))
    return _top(rng, parts, 350, height, width * edge)


def clipboard(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A clipboard with paper on it and a clip at +x."""
    width, length = _sheet(rng, size, compact, (1.15, 1.45))
    height, clip = rng.uniform(0.005, 0.009), rng.uniform(0.006, 0.012)
    paper = Paint((0.95, 0.95, 0.92), (0.70, 0.76, 0.86), "stripes", rng.uniform(0.012, 0.02))
    margin = rng.uniform(0.86, 0.96)
    parts = [
        box((length, width, height / 2), (0, 0, height / 2), paint),
        box((length * margin * 0.95, width * margin, 4e-4), (-length * 0.03, 0, height), paper),
        box(
            (clip, width * rng.uniform(0.25, 0.5), 0.003),
            (length - clip, 0, height + 0.0025),
            METAL,
        ),
    ]
    return _top(rng, parts, 700, height + 4e-4, width * margin)


def sheet(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A baking sheet: a low rim on two, three or four of its sides."""
    width, length = _sheet(rng, size, compact, (1.05, 1.5))
    floor, rim = rng.uniform(0.004, 0.006), rng.uniform(0.007, 0.012)
    thick = rng.uniform(0.003, 0.006)
    ends = int(rng.integers(0, 3))
    parts = [box((length, width, floor / 2), (0, 0, floor / 2), paint)]
    parts += [
        box(
            (length, thick / 2, rim / 2),
            (0, sign * (width + thick / 2), rim / 2),
            paint.darker(0.15),
        )
        for sign in (-1, 1)
    ]
    parts += [
        box((thick / 2, width + thick, rim / 2), (sign * (length + thick / 2), 0, rim / 2),
            paint.darker(0.15))
        for sign in (-1, 1)[:ends]
    ]  # fmt: skip
    return _top(rng, parts, 1100, floor, width)


def scale(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A kitchen scale: a round or square platform on a base with a display at +x."""
    width = span(rng, size, compact, (0.056, 0.064), (0.054, 0.074))
    height = rng.uniform(0.012, 0.017) if compact else rng.uniform(0.014, 0.026)
    base, front = height * rng.uniform(0.5, 0.7), width * rng.uniform(0.2, 0.4)
    parts = [
        box((width * 0.85 + front, width * 0.8, base / 2), (front * 0.5, 0, base / 2), paint),
        box((front * 0.4, width * rng.uniform(0.3, 0.5), 5e-4),
            (width * 0.85 + front * 0.9, 0, base), DARK),
    ]  # fmt: skip
    if chance(rng):
        parts += [*hexagon(width * 0.93, base, height), disc(width, base, height, METAL)]
    else:
        square = (width * 0.93, width * 0.93, (height - base) / 2)
        parts.append(box(square, (0, 0, (height + base) / 2), METAL))
    return _top(rng, parts, 1000, height, width * 0.93)
