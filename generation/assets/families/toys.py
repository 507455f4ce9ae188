"""Toys: blocks, balls, dice, crosses, pawns, towers and arches."""

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
    finish,
    graspable,
    octagon,
    pick,
    primitive,
    span,
    tube,
)

Rng = np.random.Generator


def block(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A building block, a little longer than wide."""
    width = pick(rng, 0.022, 0.032 if compact else 0.044, size)
    length = width * rng.uniform(1.0, 1.4)
    height = pick(rng, 0.026, 0.042, size) if compact else width * rng.uniform(0.7, 1.3)
    part = box((length / 2, width / 2, height / 2), (0, 0, height / 2), paint)
    return graspable(rng, [part], 900, (height / 2, width), flat=width * 0.45)


def ball(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A ball with a small flat spot, so that it stays where it is put."""
    radius = pick(rng, 0.0125, 0.016, size) if compact else pick(rng, 0.014, 0.023, size)
    spot = radius * rng.uniform(0.4, 0.5)
    # The sphere ends 0.2 mm above the spot: only the flat touches while the ball rests.
    parts = [
        primitive("sphere", (radius,), (0, 0, radius + 2e-4), paint),
        box((spot, spot, 0.2 * radius), (0, 0, 0.2 * radius), None),
    ]
    dark, pale = paint.darker(0.5), paint.lighter(0.7)
    for k in range(int(rng.integers(0, 3))):  # bands round it
        half, z = radius * rng.uniform(0.04, 0.2), radius * (1 + 0.45 * k)
        wide = radius * 1.012 * math.sqrt(1 - (0.45 * k) ** 2)
        parts.append(disc(wide, z - half, z + half, (dark, pale)[k]))
    for k in range(int(rng.integers(0, 3))):  # spots that stand out a little
        dot, away = radius * rng.uniform(0.25, 0.45), rng.uniform(0.4, 0.7)
        at = (
            radius * away * (1 - 2 * k),
            radius * math.sqrt(0.9 - away**2) * (1 - 2 * k),
            radius * 1.3,
        )
        parts.append(ellipsoid((dot, dot, dot), at, (pale, dark)[k]))
    return finish(
        parts, density=700, friction=rng.uniform(0.8, 1.0),
        grasp=(radius, 2 * radius), round_radius=radius,
    )  # fmt: skip


def tower(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """Three glued slabs that get smaller, each shade lighter."""
    width = pick(rng, 0.026, 0.032 if compact else 0.046, size)
    height = pick(rng, 0.036, 0.055 if compact else 0.075, size)
    step = rng.uniform(0.7, 0.82)
    parts, bottom = [], 0.0
    for level, share in enumerate(rng.dirichlet([8, 8, 8])):
        half, tall = width * step**level / 2, height * (0.2 + 0.4 * share)
        shade = (paint, paint.lighter(0.45), paint.darker(0.25))[level]
        parts.append(box((half, half, tall / 2), (0, 0, bottom + tall / 2), shade))
        bottom += tall
    return finish(parts, density=800, friction=rng.uniform(0.8, 1.0), grasp=(bottom * 0.35, width))


def arch(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """Two legs and a bridge, gripped across its thickness."""
    thick = pick(rng, 0.022, 0.03 if compact else 0.04, size)
    span = pick(rng, 0.045, 0.06, size) if compact else pick(rng, 0.05, 0.08, size)
    height = pick(rng, 0.032, 0.045, size) if compact else pick(rng, 0.035, 0.06, size)
    leg, beam = span * rng.uniform(0.22, 0.3), height * rng.uniform(0.35, 0.5)
    tall = height - beam
    parts = [
        box((leg / 2, thick / 2, tall / 2), (sign * (span - leg) / 2, 0, tall / 2), paint)
        for sign in (-1, 1)
    ]
    parts.append(box((span / 2, thick / 2, beam / 2), (0, 0, tall + beam / 2), paint.darker(0.15)))
    return finish(
        parts, density=800, friction=rng.uniform(0.8, 1.0), grasp=(tall + beam / 2, thick)
    )


def die(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A die with a pale dot on top."""
    width = pick(rng, 0.024, 0.031 if compact else 0.042, size)
    height = width * rng.uniform(0.95, 1.1)
    dot = width * rng.uniform(0.2, 0.3)
    parts = [
        box((width / 2, width / 2, height / 2), (0, 0, height / 2), paint),
        disc(dot, height, height + 5e-4, paint.lighter(0.75)),
    ]
    pale, flat = paint.lighter(0.75), (dot * 0.8, dot * 0.8, 8e-4)
    if chance(rng):  # three pips across the top, else one
        parts.append(ellipsoid(flat, (width * 0.3, width * 0.3, height), pale))
        parts.append(ellipsoid(flat, (-width * 0.3, -width * 0.3, height), pale))
    if chance(rng):  # and one on the side
        parts.append(tube(dot * 0.8, 1e-3, (0, -width / 2, height / 2), pale, across=True))
    return graspable(rng, parts, 900, (height / 2, width), flat=width * 0.45)


def cross(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A plus sign lying flat, gripped at its middle bar."""
    width = pick(rng, 0.02, 0.026 if compact else 0.032, size)
    long = width * (rng.uniform(2.0, 2.4) if compact else rng.uniform(2.2, 3.0))
    short = width * rng.uniform(1.2, 1.45)
    height = pick(rng, 0.026, 0.034, size) if compact else width * rng.uniform(0.9, 1.2)
    parts = [
        box((long / 2, width / 2, height / 2), (0, 0, height / 2), paint),
        box((width * 0.35, short / 2, height * 0.46), (0, 0, height * 0.47), paint.darker(0.2)),
    ]
    return finish(parts, density=850, friction=rng.uniform(0.8, 1.0), grasp=(height / 2, short))


def pawn(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A board-game figure: a wide foot, a slim body and a round head."""
    radius = pick(rng, 0.013, 0.016, size) if compact else pick(rng, 0.014, 0.021, size)
    height = pick(rng, 0.042, 0.055, size) if compact else radius * rng.uniform(2.8, 4.2)
    foot, head = (
        height * span(rng, "", compact, (0.4, 0.5), (0.28, 0.56)),
        radius * span(rng, "", compact, (0.7, 0.85), (0.6, 1.0)),
    )
    slim = radius * span(rng, "", compact, (0.5, 0.65), (0.4, 0.75))
    parts = [
        *octagon(radius, 0.0, foot),
        box((slim * 0.8, slim * 0.8, (height - foot) / 2), (0, 0, (height + foot) / 2), None),
        primitive("cylinder", (radius, foot / 2), (0, 0, foot / 2), paint, collide=False),
        primitive("cylinder", (slim, (height - foot) / 2), (0, 0, (height + foot) / 2), paint,
                  collide=False),
        primitive("ellipsoid", (head, head, head), (0, 0, height - head * 0.6),
                  paint.lighter(0.2), collide=False),
    ]  # fmt: skip
    return finish(
        parts, density=850, friction=rng.uniform(0.8, 1.0),
        grasp=(foot * 0.55, 2 * radius), round_radius=radius * 1.03,
    )  # fmt: skip
