"""Furniture for painted rooms and gardens, on the floor or hanging from the ceiling."""

from __future__ import annotations

import math

import numpy as np

from generation.interiors.caster import Solid
from generation.interiors.patterns import Pattern, Rgb, flat, speckled, split, stripes, tiles
from generation.interiors.walls import BOOKS, STEEL, Walls, block, darker

_GLOW: Rgb = (1.0, 0.98, 0.93)


class Furnisher(Walls):
    """Puts furniture into a hall; see `Walls` for how places are named."""

    def desk(self, wall: str, offset: float) -> list[Solid]:
        """A desk with a screen, `offset` m from the middle of the wall."""
        at = 0.5 + offset / self.length(wall)
        wood = (0.72, 0.60, 0.45)
        return [
            self.box(wall, at, 1.5, (0.05, 0.8), (0.7, 0.74), flat(wood)),
            *(self.box(wall, at + s * 0.7 / self.length(wall), 0.05, (0.1, 0.75), (0.0, 0.7),
                       flat(STEEL)) for s in (-1, 1)),
            self.box(wall, at, 0.62, (0.28, 0.31), (0.86, 1.22), flat((0.08, 0.08, 0.09))),
            self.box(wall, at, 0.56, (0.31, 0.32), (0.89, 1.19), flat((0.35, 0.52, 0.70)),
                glow=True),
            self.box(wall, at, 0.06, (0.25, 0.3), (0.74, 0.9), flat(STEEL)),
            self.box(wall, at, 0.4, (0.5, 0.62), (0.74, 0.76), flat((0.20, 0.20, 0.21))),
        ]  # fmt: skip

    def chair(self, x: float, y: float, rgb: Rgb | None = None) -> list[Solid]:
        """A chair on the floor at x, y, its back away from the wall ahead."""
        paint = flat(rgb or BOOKS[int(self.rng.integers(len(BOOKS)))])
        legs = [
            block((x + sx * 0.18, y + sy * 0.18, 0.22), (0.02, 0.02, 0.22), flat(STEEL))
            for sx in (-1, 1) for sy in (-1, 1)
        ]  # fmt: skip
        return [
            *legs,
            block((x, y, 0.46), (0.22, 0.22, 0.03), paint),
            block((x - 0.2, y, 0.75), (0.025, 0.21, 0.2), paint),
        ]

    def table_set(self, x: float, y: float, *, round: bool = False) -> list[Solid]:
        """A small table and a chair at either side."""
        top = (0.36, 0.36, 0.02) if round else (0.3, 0.5, 0.02)
        wood = flat((0.66, 0.52, 0.36))
        return [
            block((x, y, 0.73), top, wood, round=round),
            block((x, y, 0.36), (0.04, 0.04, 0.36), flat(STEEL)),
            block((x, y, 0.02), (0.22, 0.22, 0.02), flat(STEEL)),
            *self.chair(x + 0.75, y),
            *self.chair(x - 0.55, y),
        ]

    def sofa(self, wall: str, at: float, rgb: Rgb, wide: float = 1.9) -> list[Solid]:
        cloth, length = flat(rgb), self.length(wall)
        arms = [
            self.box(wall, at + s * (wide / 2 + 0.08) / length, 0.18, (0.1, 0.95), (0.0, 0.62),
                     flat(darker(rgb, 0.9))) for s in (-1, 1)
        ]  # fmt: skip
        pillow = BOOKS[int(self.rng.integers(len(BOOKS)))]
        return [
            self.box(wall, at, wide, (0.1, 0.95), (0.08, 0.44),
                tiles(rgb, darker(rgb), 0.65, 0.5, 0.03)),
            self.box(wall, at, wide, (0.05, 0.3), (0.1, 0.85), cloth), *arms,
            self.box(wall, at - 0.3 * wide / length, 0.4, (0.28, 0.48), (0.44, 0.78), flat(pillow),
                round=True),
        ]  # fmt: skip

    def plant(self, wall: str, at: float) -> list[Solid]:
        """A potted plant."""
        x, y = self.spot(wall, at, 0.35)
        leaf = speckled((0.22, 0.42, 0.18), 0.7, 0.06)
        tall = float(self.rng.uniform(0.9, 1.5))
        crown = [
            block((x + dx, y + dy, tall + dz), (0.22, 0.22, 0.28), leaf, round=True)
            for dx, dy, dz in self.rng.uniform(-0.18, 0.18, (4, 3)).tolist()
        ]
        return [
            block((x, y, 0.18), (0.17, 0.17, 0.18), flat((0.70, 0.42, 0.30))),
            block((x, y, tall / 2), (0.025, 0.025, tall / 2), flat((0.35, 0.26, 0.16))),
            *crown,
        ]

    def lamp(self, at: float = 0.5) -> list[Solid]:
        """A lamp hanging from the ceiling."""
        x = self.hall.low[0] + at * (self.hall.high[0] - self.hall.low[0])
        z = self.hall.height
        return [
            block((x, 0.0, z - 0.3), (0.01, 0.01, 0.3), flat(STEEL)),
            block((x, 0.0, z - 0.65), (0.17, 0.17, 0.13), flat(_GLOW), round=True, glow=True),
        ]

    def table_lamp(self, x: float, y: float, z: float) -> list[Solid]:
        return [
            block((x, y, z + 0.12), (0.03, 0.03, 0.12), flat(STEEL)),
            block((x, y, z + 0.32), (0.13, 0.13, 0.11), flat((1.0, 0.93, 0.78)), glow=True),
        ]

    def floor_lamp(self, wall: str, at: float) -> list[Solid]:
        x, y = self.spot(wall, at, 0.4)
        pole = block((x, y, 0.7), (0.02, 0.02, 0.7), flat(STEEL))
        return [pole, block((x, y, 0.02), (0.15, 0.15, 0.02), flat(STEEL)),
                *self.table_lamp(x, y, 1.3)]  # fmt: skip

    def ceiling_panels(self, rows: int, columns: int) -> list[Solid]:
        """Bright panels in the ceiling."""
        (x0, y0), (x1, y1) = self.hall.low, self.hall.high
        z = self.hall.height
        return [
            block((x0 + (x1 - x0) * (i + 0.5) / rows, y0 + (y1 - y0) * (j + 0.5) / columns, z),
                  (0.6, 0.16, 0.03), flat(_GLOW), glow=True)
            for i in range(rows) for j in range(columns)
        ]  # fmt: skip

    def stack(self, wall: str, at: float) -> list[Solid]:
        """Cardboard boxes piled up at a wall."""
        card, length = (0.72, 0.56, 0.38), self.length(wall)
        boxes, z = [], 0.0
        for _ in range(int(self.rng.integers(2, 5))):
            tall, wide = float(self.rng.uniform(0.25, 0.5)), float(self.rng.uniform(0.4, 0.8))
            shift = float(self.rng.uniform(-0.15, 0.15)) / length
            tape = split(flat(card), flat(card), tall / 2, (0.82, 0.72, 0.52))
            boxes.append(self.box(wall, at + shift, wide, (0.05, 0.6), (z, z + tall), tape))
            z += tall
        return boxes

    def rack(self, wall: str, at: float, frame: Rgb) -> list[Solid]:
        """A pallet rack with boxes, most of the wall long."""
        length = self.length(wall)
        wide = 0.8 * length
        posts = [
            self.box(wall, at + s * wide / length, 0.1, (0.3, 1.3), (0.0, 4.2), flat(frame))
            for s in np.linspace(-0.5, 0.5, 5)
        ]
        loads = []
        for level in (0.1, 1.5, 2.9):
            loads.append(
                self.box(wall, at, wide, (0.3, 1.3), (level - 0.1, level), flat((0.80, 0.42, 0.15)))
            )
            for s in np.linspace(-0.44, 0.44, 8):
                if self.rng.uniform() < 0.8:
                    tall, tone = (
                        float(self.rng.uniform(0.5, 1.1)),
                        float(self.rng.uniform(0.8, 1.1)),
                    )
                    paint = flat((0.72 * tone, 0.56 * tone, 0.38 * tone))
                    loads.append(self.box(wall, at + s * wide / length, 0.09 * wide, (0.4, 1.2),
                                          (level, level + tall), paint))  # fmt: skip
        return posts + loads

    # Outdoors

    def tree(self, distance: float, angle: float, scale: float = 1.0) -> list[Solid]:
        """A tree `distance` m away in the direction `angle` (rad from +x, left positive)."""
        x, y = distance * math.cos(angle), distance * math.sin(angle)
        tall = scale * float(self.rng.uniform(2.2, 4.2))
        tone = float(self.rng.uniform(0.75, 1.2))
        leaf = speckled((0.24 * tone, 0.42 * tone, 0.17 * tone), 0.6, 0.3)
        offsets = self.rng.uniform(-0.5, 0.5, (4, 3)) * tall * 0.45
        crown = [
            block(
                (x + dx, y + dy, tall + dz), (0.3 * tall, 0.3 * tall, 0.28 * tall), leaf, round=True
            )
            for dx, dy, dz in offsets.tolist()
        ]
        return [block((x, y, tall / 2), (0.12, 0.12, tall / 2), flat((0.34, 0.25, 0.17))), *crown]

    def shrub(self, x: float, y: float) -> list[Solid]:
        """A bush with flowers."""
        bloom = ((0.85, 0.30, 0.35), (0.95, 0.80, 0.30), (0.75, 0.50, 0.80))[
            int(self.rng.integers(3))
        ]
        green = block(
            (x, y, 0.25), (0.4, 0.4, 0.35), speckled((0.25, 0.42, 0.18), 0.7, 0.06), round=True
        )
        dots = [
            block((x + dx, y + dy, 0.5), (0.06, 0.06, 0.06), flat(bloom), round=True)
            for dx, dy in self.rng.uniform(-0.3, 0.3, (6, 2)).tolist()
        ]
        return [green, *dots]

    def shed(self) -> list[Solid]:
        """A garden shed at the fence ahead."""
        rgb = ((0.45, 0.30, 0.22), (0.50, 0.58, 0.56), (0.66, 0.28, 0.22))[
            int(self.rng.integers(3))
        ]
        y = float(self.rng.uniform(-3, 3))
        return [
            block((4.8, y, 1.0), (0.9, 1.3, 1.0), stripes(rgb, darker(rgb, 0.85), 0.2)),
            block((4.8, y, 2.08), (1.1, 1.5, 0.08), flat((0.28, 0.27, 0.27))),
            block((3.88, y, 0.85), (0.02, 0.4, 0.85), flat(darker(rgb, 0.6))),
        ]  # fmt: skip

    def fence(self, wall: str, high: float, paint: Pattern) -> Solid:
        """A fence or rail along a side."""
        return self.box(wall, 0.5, self.length(wall), (0.0, 0.06), (0.0, high), paint)
