"""What stands along or hangs on the walls of a painted room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generation.interiors.caster import Hall, Solid
from generation.interiors.patterns import Pattern, Rgb, flat, speckled, split, stripes, tiles

Rng = np.random.Generator

BOOKS: tuple[Rgb, ...] = (
    (0.55, 0.18, 0.16), (0.20, 0.30, 0.48), (0.24, 0.40, 0.28), (0.78, 0.68, 0.48),
    (0.35, 0.25, 0.20), (0.82, 0.80, 0.76), (0.75, 0.50, 0.22),
)  # fmt: skip
STEEL: Rgb = (0.30, 0.30, 0.32)


def block(
    centre: tuple[float, float, float],
    half: tuple[float, float, float],
    paint: Pattern,
    *,
    round: bool = False,
    glow: bool = False,
) -> Solid:
    """One solid anywhere in the hall."""
    return Solid(centre, half, paint, round, glow)


def darker(rgb: Rgb, share: float = 0.75) -> Rgb:
    return (rgb[0] * share, rgb[1] * share, rgb[2] * share)


@dataclass(frozen=True)
class Walls:
    """Places along the walls of `hall`; walls are called "+x", "-x", "+y", "-y".

    `at` is the place along a wall from 0 to 1, towards growing coordinates; heights and depths are
    in m, depths measured from the wall.
    """

    hall: Hall
    rng: Rng

    def length(self, wall: str) -> float:
        """Of a wall, in m."""
        axis = 1 if wall[1] == "x" else 0
        return self.hall.high[axis] - self.hall.low[axis]

    def spot(self, wall: str, at: float, depth: float) -> tuple[float, float]:
        """x, y of a point `depth` from the wall."""
        low, high = self.hall.low, self.hall.high
        axis = 0 if wall[1] == "x" else 1
        other = 1 - axis
        xy = [0.0, 0.0]
        xy[axis] = high[axis] - depth if wall[0] == "+" else low[axis] + depth
        xy[other] = low[other] + at * (high[other] - low[other])
        return xy[0], xy[1]

    def box(
        self, wall: str, at: float, wide: float, depth: tuple[float, float],
        rise: tuple[float, float], paint: Pattern, *, round: bool = False, glow: bool = False,
    ) -> Solid:  # fmt: skip
        """A solid `wide` along the wall, between two depths and two heights."""
        x, y = self.spot(wall, at, (depth[0] + depth[1]) / 2)
        thick, tall = (depth[1] - depth[0]) / 2, (rise[1] - rise[0]) / 2
        half = (thick, wide / 2, tall) if wall[1] == "x" else (wide / 2, thick, tall)
        return Solid((x, y, (rise[0] + rise[1]) / 2), half, paint, round, glow)

    def panel(
        self, wall: str, at: float, wide: float, low: float, high: float, paint: Pattern,
        out: float = 0.03,
    ) -> Solid:  # fmt: skip
        """Something flat on the wall."""
        return self.box(wall, at, wide, (0.0, out), (low, high), paint)

    def window(self, wall: str, at: float = 0.5, wide: float = 1.4) -> list[Solid]:
        """A bright window with a frame, greenery below a sky outside."""
        sky = split(speckled((0.55, 0.68, 0.48), 0.5, 0.15), flat((0.90, 0.95, 1.0)), 0.45)
        frame = flat((0.95, 0.95, 0.94))
        low, high = 0.95, min(2.15, self.hall.height - 0.3)
        share = wide / self.length(wall)
        return [
            self.box(wall, at, wide + 0.14, (0.0, 0.03), (low - 0.07, high + 0.07), frame),
            self.box(wall, at, wide, (0.0, 0.04), (low, high), sky, glow=True),
            self.box(wall, at, 0.05, (0.0, 0.05), (low, high), frame),
            self.box(wall, at, wide, (0.0, 0.05),
                ((low + high) / 2 + 0.1, (low + high) / 2 + 0.14), frame),
            self.box(wall, at, share * self.length(wall) + 0.2, (0.0, 0.15),
                (low - 0.11, low - 0.07), frame),
        ]  # fmt: skip

    def curtain(self, wall: str, wide: float, colour: Rgb | None = None) -> list[Solid]:
        rgb = colour or BOOKS[int(self.rng.integers(len(BOOKS)))]
        cloth = stripes(rgb, darker(rgb, 0.85), 0.12)
        side = (wide / 2 + 0.2) / self.length(wall)
        return [
            self.box(wall, 0.5 + s * side, 0.42, (0.06, 0.14), (0.4, 2.3), cloth) for s in (-1, 1)
        ]

    def door(self, wall: str, at: float = 0.5) -> list[Solid]:
        rgb = [(0.60, 0.44, 0.28), (0.90, 0.89, 0.86), (0.40, 0.28, 0.20)][
            int(self.rng.integers(3))
        ]
        knob = at + 0.36 / self.length(wall)
        return [
            self.box(wall, at, 1.05, (0.0, 0.03), (0.0, 2.12), flat(darker(rgb, 0.85))),
            self.box(wall, at, 0.9, (0.0, 0.05), (0.0, 2.04),
                tiles(rgb, darker(rgb), 0.45, 1.0, 0.04)),
            self.box(wall, knob, 0.07, (0.05, 0.12), (1.0, 1.07), flat((0.72, 0.66, 0.45)),
                round=True),
        ]  # fmt: skip

    def cabinets(
        self, wall: str, rgb: Rgb, *, low: float, high: float, depth: float, share: float = 0.96
    ) -> list[Solid]:
        """A row of cupboards, each door half a metre wide."""
        wide = share * self.length(wall)
        at = share / 2 + 0.02
        front = tiles(rgb, darker(rgb, 0.6), 0.5, (high - low) / 1.0, 0.03)
        grips = [
            self.box(wall, (0.02 * self.length(wall) + 0.42 + 0.5 * k) / self.length(wall), 0.03,
                     (depth, depth + 0.03), ((low + high) / 2 - 0.08, (low + high) / 2 + 0.08),
                     flat((0.75, 0.75, 0.75)))
            for k in range(int(wide / 0.5))
        ]  # fmt: skip
        return [self.box(wall, at, wide, (0.0, depth), (low, high), front), *grips]

    def along(self, wall: str, low: float, high: float, depth: float, paint: Pattern) -> Solid:
        """A top or board along nearly the whole wall."""
        return self.box(wall, 0.5, 0.97 * self.length(wall), (0.0, depth), (low, high), paint)

    def legs(self, wall: str, high: float, depth: float) -> list[Solid]:
        return [
            self.box(wall, at, 0.1, (depth - 0.12, depth), (0.0, high), flat((0.42, 0.31, 0.22)))
            for at in (0.05, 0.35, 0.65, 0.95)
        ]

    def stand(
        self, wall: str, at: float, wide: float, depth: float, high: float, paint: Pattern
    ) -> Solid:
        """A free-standing cupboard or machine."""
        return self.box(wall, at, wide, (0.02, depth), (0.0, high), paint)

    def row(
        self, wall: str, base: float, count: int, width: tuple[float, float],
        height: tuple[float, float], colours: Sequence[Rgb], *, inset: float,
        low: float = 0.06, high: float = 0.94,
    ) -> list[Solid]:  # fmt: skip
        """Small things standing side by side at height `base`."""
        things = []
        for at in np.linspace(low, high, count) + self.rng.uniform(-0.03, 0.03, count):
            rgb = colours[int(self.rng.integers(len(colours)))]
            wide, tall = float(self.rng.uniform(*width)), float(self.rng.uniform(*height))
            things.append(
                self.box(wall, float(at), wide, (inset - wide / 2, inset + wide / 2),
                         (base, base + tall), flat(rgb), round=bool(self.rng.uniform() < 0.3))
            )  # fmt: skip
        return things

    def tools(
        self, wall: str, low: float, high: float, count: int, colours: Sequence[Rgb]
    ) -> list[Solid]:
        """Tools hanging on a wall: a shaft and a head each."""
        hung = []
        for at in np.linspace(0.25, 0.75, count):
            top = float(self.rng.uniform(high - 0.2, high))
            tall = float(self.rng.uniform(0.2, high - low - 0.2))
            rgb = colours[int(self.rng.integers(len(colours)))]
            hung += [
                self.box(wall, float(at), 0.035, (0.03, 0.06), (top - tall, top), flat(rgb)),
                self.box(wall, float(at), float(self.rng.uniform(0.05, 0.16)), (0.03, 0.07),
                         (top - 0.07, top), flat(STEEL)),
            ]  # fmt: skip
        return hung

    def shelf(
        self, wall: str, at: float, rgb: Rgb = (0.58, 0.43, 0.29), high: float = 1.9
    ) -> list[Solid]:
        """A bookcase 1.3 m wide."""
        boards = [
            self.box(wall, at, 1.3, (0.02, 0.32), (z, z + 0.03), flat(rgb))
            for z in np.arange(0.05, high, 0.37)
        ]
        sides = [
            self.box(wall, at + s * 0.66 / self.length(wall), 0.04, (0.02, 0.33), (0.0, high),
                flat(rgb))
            for s in (-1, 1)
        ]  # fmt: skip
        back = self.box(wall, at, 1.3, (0.0, 0.02), (0.0, high), flat(darker(rgb, 0.6)))
        return [back, *boards, *sides]

    def books(
        self, wall: str, at: float, colours: Sequence[Rgb] = BOOKS, high: float = 1.9
    ) -> list[Solid]:
        """What stands in a `shelf` at the same place: groups of books and a few boxes."""
        things, length = [], self.length(wall)
        for z in np.arange(0.08, high - 0.35, 0.37):
            left = -0.6
            while left < 0.5:
                wide = float(self.rng.uniform(0.08, 0.3))
                tall = float(self.rng.uniform(0.16, 0.3))
                a, b = (colours[int(k)] for k in self.rng.integers(len(colours), size=2))
                things.append(
                    self.box(wall, at + (left + wide / 2) / length, wide, (0.05, 0.27),
                             (float(z), float(z) + tall), stripes(a, b, 0.07))
                )  # fmt: skip
                left += wide + float(self.rng.choice([0.0, 0.02, 0.15]))
        return things
