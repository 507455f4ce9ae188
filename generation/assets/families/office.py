"""Things from a desk, a bathroom shelf or a sewing box."""

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
    primitive,
    span,
    tube,
)
from generation.spec import Part

Rng = np.random.Generator

PAPER = Paint((0.95, 0.94, 0.89), (0.80, 0.79, 0.74), "stripes", 0.003)
DARK = Paint((0.13, 0.13, 0.15))
METAL = Paint((0.74, 0.75, 0.77))


def _slab(
    rng: Rng, size: str, compact: bool, ratio: tuple[float, float] = (1.3, 2.1)
) -> tuple[float, float, float]:
    """Width, length and height of something flat that is gripped across y."""
    width = span(rng, size, compact, (0.024, 0.031), (0.028, 0.044))
    height = span(rng, size, compact, (0.025, 0.029), (0.017, 0.025))
    return width, width * rng.uniform(*ratio), height


def _button(x: float, y: float, z: float, radius: float, paint: Paint) -> Part:
    return primitive("cylinder", (radius, 6e-4), (x, y, z + 4e-4), paint, collide=False)


def book(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A small thick book: two covers and pages that stand back from them."""
    width, length, height = _slab(rng, size, compact, (1.2, 1.8))
    cover = height * rng.uniform(0.08, 0.2)
    back = rng.uniform(0.88, 0.97)
    pages = height - 2 * cover
    parts = [
        box((length / 2, width / 2, cover / 2), (0, 0, cover / 2), paint),
        box(
            (length / 2 * back, width / 2 * back, pages / 2),
            (0, width * (back - 1) / 2, height / 2),
            PAPER,
        ),
        box((length / 2, width / 2, cover / 2), (0, 0, height - cover / 2), paint),
    ]
    if chance(rng):
        label = (length * rng.uniform(0.15, 0.32), width * rng.uniform(0.15, 0.3), 5e-4)
        parts.append(ellipsoid(label, (0, 0, height), paint.lighter(0.7)))
    return graspable(rng, parts, 800, (height / 2, width), flat=width * 0.45)


def phone(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A phone in a thick case, its screen up: a wide margin, one or two cameras."""
    width, length, height = _slab(rng, size, compact, (1.6, 2.2))
    margin = rng.uniform(0.82, 0.95)
    screen = Paint((0.10, 0.13, 0.20), (0.25, 0.40, 0.60), "label", width * 1.2)
    parts = [
        box((length / 2, width / 2, height * 0.47), (0, 0, height * 0.47), paint),
        box((length / 2 * margin * rng.uniform(0.85, 1), width / 2 * margin, height * 0.03),
            (0, 0, height * 0.965), screen),
    ]  # fmt: skip
    for k in range(int(rng.integers(1, 3))):
        spot = (length * (0.42 - 0.07 * k), 0, height)
        parts.append(_button(*spot, width * rng.uniform(0.04, 0.08), METAL))
    return graspable(rng, parts, 1300, (height / 2, width), flat=width * 0.4)


def remote(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A remote control: a slim body, buttons, perhaps a raised end."""
    width = span(rng, size, compact, (0.022, 0.028), (0.022, 0.034))
    length = width * (rng.uniform(2.0, 2.7) if compact else rng.uniform(2.4, 4.0))
    height = span(rng, size, compact, (0.025, 0.028), (0.017, 0.024))
    raised = height * rng.uniform(0.02, 0.15)
    end = length * rng.uniform(0.1, 0.25)
    parts = [
        box((length / 2, width / 2, (height - raised) / 2), (0, 0, (height - raised) / 2), paint),
        box(
            (end, width * 0.46, height * 0.45),
            (length / 2 - end, 0, height * 0.55),
            paint.darker(0.3),
        ),
    ]
    for k, colour in enumerate(((0.85, 0.2, 0.2), (0.85, 0.85, 0.85))[: int(rng.integers(1, 3))]):
        x = (rng.uniform(-0.12, 0.1) - 0.22 * k) * length
        parts.append(_button(x, 0, height - raised, width * rng.uniform(0.12, 0.3), Paint(colour)))
    return graspable(rng, parts, 900, (height / 2, width))


def calculator(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A calculator: keys as a checkered field, a raised display."""
    width, length, height = _slab(rng, size, compact, (1.3, 1.8))
    shown = length * rng.uniform(0.12, 0.22)
    keys = Paint((0.86, 0.86, 0.86), (0.25, 0.25, 0.28), "checker", width * rng.uniform(0.28, 0.45))
    field = rng.uniform(0.78, 0.92)
    parts = [
        box((length / 2, width / 2, height * 0.47), (0, 0, height * 0.47), paint),
        box((length * 0.3, width / 2 * field, height * 0.03), (-length * 0.16, 0, height * 0.965),
            keys),
        box((shown, width * 0.42, height * rng.uniform(0.03, 0.08)),
            (length / 2 - shown * 1.15, 0, height * 0.95), Paint((0.62, 0.72, 0.60))),
    ]  # fmt: skip
    return graspable(rng, parts, 900, (height * 0.45, width))


def tape(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A roll of tape lying flat: wide or narrow, nearly used up or new."""
    radius = span(rng, size, compact, (0.0145, 0.016), (0.017, 0.0225))
    height = span(rng, size, compact, (0.025, 0.034), (0.016, 0.034))
    core = radius * rng.uniform(0.45, 0.8)
    parts = [
        *octagon(radius, 0.0, height),
        disc(radius, 0.0, height, paint),
        disc(core, 0.0, height + 4e-4, Paint((0.62, 0.48, 0.33))),
        ellipsoid((core * 0.85, core * 0.85, 1e-3), (0, 0, height + 2e-4), DARK),
    ]
    if chance(rng, 0.6):  # the free end
        end = radius * rng.uniform(0.25, 0.6)
        parts.append(
            box((end / 2, radius * 0.06, height * 0.46),
                (radius + end * 0.4, radius * 0.2, height * 0.52),
                paint.lighter(0.3))
        )  # fmt: skip
    return graspable(rng, parts, 700, (height / 2, 2 * radius))


def stapler(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A stapler: a base, an arm that opens towards +x, a hinge."""
    width = span(rng, size, compact, (0.022, 0.028), (0.022, 0.034))
    length = width * (rng.uniform(1.9, 2.5) if compact else rng.uniform(2.2, 3.4))
    base = width * rng.uniform(0.15, 0.3)
    gap, arm = width * rng.uniform(0.05, 0.25), width * rng.uniform(0.45, 0.75)
    short = rng.uniform(0.8, 0.97)
    hinge = length * rng.uniform(0.12, 0.25)
    height = base + gap + arm
    parts = [
        box((length / 2, width / 2, base / 2), (0, 0, base / 2), paint.darker(0.35)),
        box(
            (length * short / 2, width * 0.46, arm / 2),
            (length * (short - 1) / 2, 0, height - arm / 2),
            paint,
        ),
        box(
            (hinge / 2, width * 0.5, height * 0.4),
            (-length / 2 + hinge / 2, 0, height * 0.42),
            METAL,
        ),
    ]
    return graspable(rng, parts, 1300, (height - arm * 0.6, width * 0.96))


def glue(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A glue stick: a barrel and a cap of another shade, as wide or narrower."""
    radius = span(rng, size, compact, (0.012, 0.0155), (0.011, 0.019))
    height = pick(rng, 0.038, 0.054, size) if compact else radius * rng.uniform(3.0, 5.0)
    barrel = height * rng.uniform(0.5, 0.75)
    slim = radius * rng.uniform(0.8, 1.0)
    parts = [
        *octagon(radius, 0.0, barrel),
        box((slim * 0.7, slim * 0.7, (height - barrel) / 2), (0, 0, (height + barrel) / 2), None),
        disc(radius, 0.0, barrel, paint),
        disc(slim, barrel, height, paint.lighter(0.7) if chance(rng) else paint.darker(0.5)),
    ]
    if chance(rng, 0.4):
        parts.append(ellipsoid((slim, slim, slim * rng.uniform(0.2, 0.5)), (0, 0, height), paint))
    return graspable(rng, parts, 1000, (barrel * 0.55, 2 * radius), round_radius=radius * 1.03)


def mouse(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A computer mouse: a domed body, a wheel, a seam between the buttons."""
    width = span(rng, size, compact, (0.026, 0.031), (0.03, 0.044))
    length = width * rng.uniform(1.35, 1.85)
    height = pick(rng, 0.025, 0.03, size) if compact else width * rng.uniform(0.55, 0.75)
    low = height * rng.uniform(0.45, 0.65)
    hump = length * rng.uniform(-0.15, 0.05)
    parts = [
        box((length * 0.45, width / 2, low / 2), (0, 0, low / 2), paint.darker(0.3)),
        box((length * 0.3, width * 0.4, height * 0.42), (hump, 0, height * 0.44), None),
        ellipsoid((length * 0.52, width * 0.52, height / 2), (hump, 0, height / 2), paint),
        tube(width * rng.uniform(0.08, 0.14), width * 0.12,
            (hump + length * 0.22, 0, height * 0.9), DARK,
             across=True),
    ]  # fmt: skip
    return graspable(rng, parts, 800, (height * 0.45, width))


def camera(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A camera standing upright, its lens towards +x, a viewfinder on top."""
    deep = span(rng, size, compact, (0.022, 0.028), (0.022, 0.034))
    wide = deep * rng.uniform(1.2, 1.6)
    height = deep * rng.uniform(1.1, 1.5)
    bump = height * rng.uniform(0.12, 0.3)
    lens, out = deep * rng.uniform(0.32, 0.46), deep * rng.uniform(0.2, 0.6)
    body = height - bump
    parts = [
        box((wide / 2, deep / 2, body / 2), (0, 0, body / 2), paint),
        box((wide * rng.uniform(0.14, 0.26), deep * 0.4, bump / 2),
            (wide * rng.uniform(-0.2, 0.2), 0, body + bump / 2), paint.darker(0.4)),
        tube(lens, out * 2, (wide / 2, 0, body / 2), DARK),
        tube(lens * 0.6, out * 2 + 1e-3, (wide / 2, 0, body / 2), Paint((0.35, 0.45, 0.60))),
    ]  # fmt: skip
    return graspable(rng, parts, 1100, (body * 0.5, deep))


def clock(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """An alarm clock on a foot, its face towards +x, with one or two bells."""
    deep = span(rng, size, compact, (0.022, 0.028), (0.022, 0.034))
    radius = deep * rng.uniform(0.62, 0.8)
    foot = deep * rng.uniform(0.12, 0.3)
    wide = radius * rng.uniform(0.6, 0.95)
    z = foot + radius * 0.95
    thick = deep * rng.uniform(0.7, 1.0)
    parts = [
        box((wide, deep / 2, foot / 2), (0, 0, foot / 2), paint.darker(0.45)),
        box((radius * 0.7, deep / 2, radius * 0.7), (0, 0, z), None),
        tube(radius, thick, (0, 0, z), paint, across=True),
        tube(radius * rng.uniform(0.72, 0.86), thick + 1e-3, (0, 0, z), Paint((0.95, 0.95, 0.92)),
             across=True),
    ]  # fmt: skip
    bell = radius * rng.uniform(0.22, 0.4)
    for side in (-1, 1)[: int(rng.integers(1, 3))]:
        at = (side * radius * 0.6, 0, z + radius * 0.85)
        parts.append(ellipsoid((bell, bell, bell), at, METAL))
    return graspable(rng, parts, 800, (z, deep))


def spool(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A spool of thread: two flanges, the thread bulging between them."""
    radius = span(rng, size, compact, (0.0135, 0.016), (0.014, 0.0225))
    height = radius * (rng.uniform(2.0, 2.8) if compact else rng.uniform(1.5, 3.2))
    flange = height * rng.uniform(0.06, 0.16)
    bulge = radius * rng.uniform(0.75, 1.08)
    wood = Paint((0.80, 0.64, 0.42))
    thread = Paint(paint.rgb, paint.darker(0.3).rgb, "stripes", 0.003)
    parts = [
        *octagon(radius, 0.0, height),
        disc(radius, 0.0, flange, wood),
        disc(radius, height - flange, height, wood),
        ellipsoid((bulge, bulge, height * 0.5), (0, 0, height / 2), thread),
    ]
    return graspable(rng, parts, 600, (height / 2, 2 * radius), round_radius=radius * 1.03)


def toothpaste(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A tube of toothpaste lying along x: full at the cap, flat or rolled up at the end."""
    width = span(rng, size, compact, (0.025, 0.031), (0.024, 0.036))
    length = width * (rng.uniform(1.7, 2.2) if compact else rng.uniform(2.0, 3.2))
    height = span(rng, size, compact, (0.025, 0.029), (0.02, 0.027))
    tail = length * rng.uniform(0.25, 0.45)
    flat = height * rng.uniform(0.15, 0.45)
    body, cap = length - tail, width * rng.uniform(0.22, 0.4)
    long = width * rng.uniform(0.3, 0.6)
    x = tail / 2
    parts = [
        box((body / 2, width * 0.46, height / 2), (x, 0, height / 2), None),
        box((tail / 2, width / 2, flat / 2), (-body / 2 + 1e-3, 0, height / 2), paint.lighter(0.5)),
        ellipsoid((body * 0.68, width / 2, height / 2), (x - body * 0.1, 0, height / 2), paint),
        tube(cap, long, (length / 2 + long / 2, 0, height / 2), Paint((0.94, 0.94, 0.94))),
    ]
    if chance(rng):
        parts.append(tube(flat * 0.9, width, (-length / 2, 0, height / 2), paint, across=True))
    return graspable(rng, parts, 1000, (height / 2, width * 0.92))


def soap(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A bar of soap: new and square, or worn round, with a stamp."""
    width = span(rng, size, compact, (0.025, 0.031), (0.028, 0.042))
    length = width * rng.uniform(1.25, 1.8)
    height = span(rng, size, compact, (0.025, 0.029), (0.018, 0.028))
    worn, stamp = chance(rng), rng.uniform(0.3, 0.6)
    parts = [
        box((length / 2 * 0.8, width / 2, height * 0.36), (0, 0, height / 2),
            None if worn else paint),
        box((length * (0.38 if worn else 0.5), width * (0.4 if worn else 0.47), height / 2),
            (0, 0, height / 2), None if worn else paint),
        ellipsoid((length / 2 * stamp, width / 2 * stamp, 8e-4), (0, 0, height),
            paint.darker(0.25)),
    ]  # fmt: skip
    if worn:
        parts.append(
            ellipsoid((length * 0.52, width * 0.54, height / 2), (0, 0, height / 2), paint)
        )
    return graspable(rng, parts, 1050, (height / 2, width))
