"""Food: carrots, bananas, pears, lemons, mushrooms, corn, tomatoes and cupcakes."""

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
    octagon,
    pick,
    primitive,
    span,
    tube,
)

Rng = np.random.Generator

LEAF = Paint((0.2, 0.55, 0.16))
STALK = Paint((0.36, 0.25, 0.12))


def carrot(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A carrot lying along x, thick end at -x with leaves."""
    width = pick(rng, 0.025, 0.031, size) if compact else pick(rng, 0.022, 0.034, size)
    length = width * (rng.uniform(2.0, 2.6) if compact else rng.uniform(2.6, 4.0))
    thin = width * span(rng, "", compact, (0.55, 0.7), (0.45, 0.8))
    fork = length * span(
        rng, "", compact, (-0.02, 0.08), (-0.12, 0.15)
    )  # where the thick part ends
    head, tail = fork + length / 2, length / 2 - fork
    along = (math.cos(math.pi / 4), 0.0, math.sin(math.pi / 4), 0.0)
    parts = [
        box((head / 2, width / 2, width / 2), (fork - head / 2, 0, width / 2), None),
        box((tail / 2, thin / 2, thin / 2), (fork + tail / 2, 0, thin / 2), None),
        ellipsoid((head * 0.72, width / 2, width / 2), (fork - head * 0.3, 0, width / 2), paint),
        ellipsoid((tail * 0.8, thin / 2, thin / 2), (fork + tail * 0.2, 0, thin / 2), paint),
        primitive("cylinder", (width * rng.uniform(0.1, 0.22), length * 0.1),
            (-length * rng.uniform(0.54, 0.6), 0, width / 2), LEAF,
                  quat=along, collide=False),
    ]  # fmt: skip
    return finish(
        parts, density=900, friction=rng.uniform(0.8, 1.0), grasp=(width * 0.5, width)
    )  # fmt: skip


def banana(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A banana lying on its side: two halves that meet at an angle."""
    width = pick(rng, 0.025, 0.03, size) if compact else pick(rng, 0.024, 0.034, size)
    half = width * (rng.uniform(1.2, 1.45) if compact else rng.uniform(1.3, 2.3))
    bend = span(rng, "", compact, (0.3, 0.5), (0.15, 0.7))
    parts, drawn = [], []
    for sign in (-1, 1):
        yaw = sign * bend
        # The halves meet at x = 0 and their far ends bend towards +y.
        centre = (sign * half / 2 * math.cos(bend), half / 2 * math.sin(bend), width / 2)
        parts.append(box((half / 2, width * 0.45, width / 2), centre, None, yaw=yaw))
        drawn.append(ellipsoid((half * 0.68, width / 2, width / 2), centre, paint, yaw=yaw))
    stalk = width * rng.uniform(0.2, 0.6)
    end = (half * math.cos(bend), half * math.sin(bend), width / 2)
    drawn.append(tube(width * 0.1, stalk, end, STALK))
    if chance(rng):
        drawn.append(tube(width * 0.16, width * 0.15, (-end[0], *end[1:]), STALK))
    return finish(
        [*parts, *drawn], density=900, friction=rng.uniform(0.8, 1.0),
        grasp=(width * 0.5, width * 0.95),
    )  # fmt: skip


def pear(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A pear: a belly, a slim top and a stalk."""
    stalk = 0.005 if compact else rng.uniform(0.002, 0.012)
    radius = pick(rng, 0.0135, 0.016, size) if compact else pick(rng, 0.016, 0.023, size)
    belly = radius * span(rng, "", compact, (1.6, 1.9), (1.4, 2.1))
    height = belly + radius * span(rng, "", compact, (0.7, 1.1), (0.5, 1.6))
    top = radius * span(rng, "", compact, (0.5, 0.6), (0.42, 0.7))
    parts = [
        *octagon(radius * 0.95, 0.0, belly * 0.85),
        box((top * 0.8, top * 0.8, (height - belly * 0.85) / 2),
            (0, 0, (height + belly * 0.85) / 2), None),
        ellipsoid((radius, radius, belly / 2), (0, 0, belly / 2), paint),
        ellipsoid((top, top, height * 0.3), (0, 0, height * 0.7), paint),
        disc(0.0016, height, height + stalk, STALK),
    ]  # fmt: skip
    return finish(
        parts, density=900, friction=rng.uniform(0.8, 1.0),
        grasp=(belly * 0.45, 1.9 * radius), round_radius=radius,
    )  # fmt: skip


def lemon(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A lemon lying along x, with its two tips."""
    width = pick(rng, 0.026, 0.032, size) if compact else pick(rng, 0.028, 0.042, size)
    length = width * span(rng, "", compact, (1.25, 1.5), (1.1, 1.75))
    parts = [
        box((length * 0.3, width / 2, width * 0.36), (0, 0, width / 2), None),
        box((length * 0.4, width * 0.32, width / 2), (0, 0, width / 2), None),
        ellipsoid((length * 0.47, width / 2, width / 2), (0, 0, width / 2), paint),
        ellipsoid(
            (length * rng.uniform(0.5, 0.6), width * 0.13, width * 0.13), (0, 0, width / 2),
            paint.darker(),
        ),
    ]  # fmt: skip
    if not compact and chance(rng):
        at = (-length * 0.5, 0, width / 2)
        parts.append(tube(width * rng.uniform(0.06, 0.12), width * rng.uniform(0.2, 0.5), at, LEAF))
    return finish(
        parts, density=900, friction=rng.uniform(0.8, 1.0), grasp=(width * 0.5, width)
    )  # fmt: skip


def mushroom(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A mushroom: a pale stem under a coloured cap, gripped at the cap."""
    cap = pick(rng, 0.0135, 0.016, size) if compact else pick(rng, 0.015, 0.023, size)
    stem = cap * span(rng, "", compact, (0.6, 0.7), (0.45, 0.8))
    neck = pick(rng, 0.014, 0.02, size) if compact else cap * rng.uniform(0.8, 1.7)
    tall = cap * span(rng, "", compact, (0.9, 1.1), (0.8, 1.4))
    parts = [
        box((stem * 0.92, stem * 0.92, neck / 2), (0, 0, neck / 2), None),
        *octagon(cap * 0.97, neck, neck + tall * 0.8),
        disc(stem, 0.0, neck, Paint((0.93, 0.88, 0.78))),
        ellipsoid((cap, cap, tall / 2), (0, 0, neck + tall / 2), paint),
    ]
    return finish(
        parts, density=700, friction=rng.uniform(0.8, 1.0),
        grasp=(neck + tall * 0.4, 2 * cap), round_radius=cap,
    )  # fmt: skip


def corn(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A cob lying along x, half wrapped in leaves."""
    width = pick(rng, 0.026, 0.032, size) if compact else pick(rng, 0.028, 0.042, size)
    length = width * (rng.uniform(1.7, 2.1) if compact else rng.uniform(1.8, 3.4))
    wrapped = length * span(rng, "", compact, (0.35, 0.5), (0.25, 0.62))
    kernels = Paint(paint.rgb, paint.darker(0.25).rgb, "checker", 0.007)
    parts = [
        box((length / 2, width * 0.42, width / 2), (0, 0, width / 2), None),
        ellipsoid((length * 0.55, width * 0.46, width / 2), (0, 0, width / 2), kernels),
        ellipsoid((wrapped * 0.7, width / 2, width * 0.52), (-length * 0.28, 0, width / 2), LEAF),
    ]
    return finish(
        parts, density=900, friction=rng.uniform(0.8, 1.0), grasp=(width * 0.5, width * 0.84)
    )  # fmt: skip


def tomato(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A tomato: a squashed ball with a green star."""
    radius = pick(rng, 0.0135, 0.016, size) if compact else pick(rng, 0.017, 0.023, size)
    height = radius * (rng.uniform(1.7, 1.95) if compact else rng.uniform(1.3, 1.9))
    green = radius * span(rng, "", compact, (0.35, 0.55), (0.25, 0.7))
    parts = [
        *octagon(radius * 0.94, 0.0, height * 0.9),
        ellipsoid((radius, radius, height / 2), (0, 0, height / 2), paint),
        disc(green, height * 0.95, height + 0.002, LEAF),
    ]
    return finish(
        parts, density=950, friction=rng.uniform(0.8, 1.0),
        grasp=(height * 0.45, 1.9 * radius), round_radius=radius,
    )  # fmt: skip


def cupcake(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A cupcake: a striped paper cup under a dome of icing."""
    radius = pick(rng, 0.0125, 0.0155, size) if compact else pick(rng, 0.016, 0.022, size)
    cup = radius * span(rng, "", compact, (1.2, 1.5), (1.0, 1.7))
    dome = radius * span(rng, "", compact, (0.7, 1.0), (0.5, 1.3))
    paper = Paint(paint.lighter(0.55).rgb, paint.rgb, "stripes", 0.005)
    parts = [
        *octagon(radius * 0.97, 0.0, cup),
        disc(radius * 0.9, 0.0, cup, paper),
        ellipsoid((radius, radius, dome), (0, 0, cup), paint),
    ]
    return finish(
        parts, density=700, friction=rng.uniform(0.8, 1.0),
        grasp=(cup * 0.55, 1.94 * radius), round_radius=radius,
    )  # fmt: skip
