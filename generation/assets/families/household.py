"""Household things that a small gripper can pick: cans, bottles, mugs, candles, sponges."""

from __future__ import annotations

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
    span,
)

Rng = np.random.Generator

METAL = Paint((0.78, 0.79, 0.8))


def can(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A drink can with a metal lid."""
    radius = pick(rng, 0.0125, 0.016, size) if compact else pick(rng, 0.015, 0.023, size)
    height = pick(rng, 0.034, 0.052, size) if compact else radius * rng.uniform(2.4, 3.6)
    shoulder = height * rng.uniform(0.88, 0.97)
    parts = [
        *octagon(radius, 0.0, height),
        disc(radius, 0.0, shoulder, paint),
        disc(radius * rng.uniform(0.68, 0.95), shoulder, height, METAL),
    ]
    if chance(rng):  # the ring to pull
        ring = radius * rng.uniform(0.2, 0.4)
        parts.append(ellipsoid((ring, ring * 0.6, 8e-4), (ring, 0, height), METAL.darker(0.4)))
    return finish(
        parts, density=900, friction=rng.uniform(0.8, 1.0),
        grasp=(height * 0.5, 2 * radius), place=(height, radius * 0.65), round_radius=radius * 1.03,
    )  # fmt: skip


def bottle(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A bottle: wide body, narrow neck."""
    radius = pick(rng, 0.013, 0.016, size) if compact else pick(rng, 0.016, 0.023, size)
    height = pick(rng, 0.046, 0.06, size) if compact else radius * rng.uniform(3.4, 5.0)
    shoulder = height * span(rng, "", compact, (0.58, 0.7), (0.48, 0.76))
    neck = radius * span(rng, "", compact, (0.4, 0.55), (0.3, 0.65))
    parts = [
        *octagon(radius, 0.0, shoulder),
        box((neck * 0.89, neck * 0.89, (height - shoulder) / 2),
            (0, 0, (height + shoulder) / 2), None),
        disc(radius, 0.0, shoulder, paint),
        disc(neck, shoulder, height, paint.darker(0.35)),
    ]  # fmt: skip
    return finish(
        parts, density=900, friction=rng.uniform(0.8, 1.0),
        grasp=(shoulder * 0.55, 2 * radius), round_radius=radius * 1.03,
    )  # fmt: skip


def mug(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A mug, solid for the physics, with a handle along +x."""
    radius = pick(rng, 0.0135, 0.016, size) if compact else pick(rng, 0.017, 0.023, size)
    height = pick(rng, 0.028, 0.04, size) if compact else radius * rng.uniform(1.5, 2.7)
    reach, thick = radius * span(rng, "", compact, (0.35, 0.55), (0.3, 0.75)), radius * 0.22
    handle = box(
        (
            reach / 2 + 0.1 * radius,
            thick,
            height * span(rng, "", compact, (0.28, 0.281), (0.18, 0.34)),
        ),
        (radius * 0.9 + reach / 2, 0, height * rng.uniform(0.48, 0.6)),
        paint.darker(0.2),
    )
    parts = [
        *octagon(radius, 0.0, height),
        handle,
        disc(radius, 0.0, height, paint),
        disc(radius * 0.8, height, height + 5e-4, paint.darker(0.6)),
    ]
    return finish(
        parts, density=900, friction=rng.uniform(0.8, 1.0), grasp=(height * 0.5, 2 * radius),
    )  # fmt: skip


def candle(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A pillar candle with a wick and a flame."""
    radius = pick(rng, 0.0115, 0.015, size) if compact else pick(rng, 0.013, 0.022, size)
    height = pick(rng, 0.034, 0.048, size) if compact else radius * rng.uniform(1.7, 4.2)
    flame = Paint((1.0, 0.72, 0.2))
    parts = [
        *octagon(radius, 0.0, height),
        disc(radius, 0.0, height, paint),
        disc(0.0015, height, height + 0.004, Paint((0.1, 0.1, 0.1))),
        ellipsoid((0.003, 0.003, 0.006), (0, 0, height + 0.008), flame),
    ]
    if chance(rng):  # wax that ran over the rim
        drop = radius * rng.uniform(0.25, 0.5)
        parts.append(ellipsoid((drop, drop * 0.6, drop), (radius * 0.8, 0, height - drop), paint))
    return finish(
        parts, density=850, friction=rng.uniform(0.8, 1.0),
        grasp=(height * 0.5, 2 * radius), round_radius=radius * 1.03,
    )  # fmt: skip


def sponge(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A kitchen sponge with a scouring layer."""
    width = pick(rng, 0.024, 0.032, size) if compact else pick(rng, 0.03, 0.046, size)
    length = width * span(rng, "", compact, (1.4, 1.9), (1.15, 2.2))
    height = pick(rng, 0.026, 0.034, size) if compact else pick(rng, 0.024, 0.036, size)
    layer = height * span(rng, "", compact, (0.2, 0.32), (0.12, 0.5))
    parts = [
        box((length / 2, width / 2, (height - layer) / 2), (0, 0, (height - layer) / 2), paint),
        box((length / 2, width / 2, layer / 2), (0, 0, height - layer / 2), paint.darker(0.45)),
    ]
    return finish(
        parts, density=400, friction=rng.uniform(0.9, 1.1), grasp=(height * 0.5, width),
        place=(height, width * 0.45),
    )  # fmt: skip


def eraser(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A rubber in a coloured sleeve."""
    width = pick(rng, 0.021, 0.029, size) if compact else pick(rng, 0.022, 0.036, size)
    length = width * rng.uniform(1.6, 2.2)
    height = pick(rng, 0.025, 0.03, size) if compact else pick(rng, 0.018, 0.026, size)
    sleeve = length * rng.uniform(0.5, 0.68)
    bare = length - sleeve
    parts = [
        box((sleeve / 2, width / 2, height / 2), (-bare / 2, 0, height / 2), paint),
        box((bare / 2, width * 0.46, height * 0.46), (sleeve / 2, 0, height * 0.47),
            Paint((0.96, 0.94, 0.9))),
    ]  # fmt: skip
    return finish(
        parts, density=1100, friction=rng.uniform(0.9, 1.1), grasp=(height * 0.5, width)
    )  # fmt: skip
