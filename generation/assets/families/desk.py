"""Things of a desk or a shelf that a small gripper can pick: batteries, cartons, jars, markers."""

from __future__ import annotations

import numpy as np

from generation.assets.parts import (
    Draft,
    Paint,
    box,
    disc,
    ellipsoid,
    finish,
    octagon,
    pick,
    span,
)

Rng = np.random.Generator

METAL = Paint((0.74, 0.74, 0.76))


def battery(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A standing battery with a dark lower end."""
    radius = pick(rng, 0.0125, 0.0155, size) if compact else pick(rng, 0.013, 0.02, size)
    height = pick(rng, 0.036, 0.05, size) if compact else radius * rng.uniform(2.2, 4.2)
    dark = height * rng.uniform(0.25, 0.4)
    parts = [
        *octagon(radius, 0.0, height),
        disc(radius, 0.0, dark, paint.darker(0.7)),
        disc(radius, dark, height, paint),
    ]
    return finish(
        parts, density=1100, friction=rng.uniform(0.8, 1.0),
        grasp=(height * 0.5, 2 * radius), place=(height, radius * 0.65), round_radius=radius * 1.03,
    )  # fmt: skip


def carton(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A drink carton: a tall box with a pale slanted top."""
    width = pick(rng, 0.022, 0.03, size) if compact else pick(rng, 0.026, 0.04, size)
    depth = width * span(rng, "", compact, (0.85, 1.15), (0.65, 1.3))
    height = pick(rng, 0.04, 0.052, size) if compact else width * rng.uniform(1.5, 2.6)
    top = height * span(rng, "", compact, (0.18, 0.28), (0.12, 0.36))
    body = height - top
    parts = [
        box((depth / 2, width / 2, body / 2), (0, 0, body / 2), paint),
        box((depth * 0.32, width / 2, top / 2), (0, 0, body + top / 2), paint.lighter(0.6)),
    ]
    return finish(parts, density=800, friction=rng.uniform(0.8, 1.0), grasp=(body * 0.6, width))


def jar(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A low jar with a wide metal lid."""
    radius = pick(rng, 0.0135, 0.0155, size) if compact else pick(rng, 0.017, 0.022, size)
    height = pick(rng, 0.028, 0.038, size) if compact else radius * rng.uniform(1.3, 2.6)
    lid = height * rng.uniform(0.2, 0.32)
    parts = [
        *octagon(radius, 0.0, height),
        disc(radius * 0.96, 0.0, height - lid, paint),
        disc(radius, height - lid, height, METAL),
    ]
    return finish(
        parts, density=1000, friction=rng.uniform(0.8, 1.0),
        grasp=(height * 0.45, 2 * radius), round_radius=radius * 1.03,
    )  # fmt: skip


def marker(rng: Rng, size: str, paint: Paint, compact: bool) -> Draft:
    """A thick marker lying along x, its cap darker than its barrel."""
    width = pick(rng, 0.021, 0.027, size) if compact else pick(rng, 0.018, 0.028, size)
    length = width * (rng.uniform(2.4, 3.0) if compact else rng.uniform(2.8, 5.2))
    cap = length * span(rng, "", compact, (0.25, 0.4), (0.18, 0.5))
    barrel = length - cap
    parts = [
        box((barrel / 2, width * 0.44, width * 0.47), (-cap / 2, 0, width * 0.5), None),
        box((cap / 2, width / 2, width / 2), (barrel / 2, 0, width / 2), paint.darker(0.5)),
        ellipsoid((barrel * 0.6, width * 0.47, width * 0.47), (-cap / 2, 0, width * 0.5), paint),
    ]
    return finish(
        parts, density=900, friction=rng.uniform(0.8, 1.0), grasp=(width * 0.5, width * 0.9)
    )  # fmt: skip
