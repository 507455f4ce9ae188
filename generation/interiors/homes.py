"""Rooms of a home."""

from __future__ import annotations

from generation.interiors.caster import Hall
from generation.interiors.furniture import Furnisher
from generation.interiors.patterns import checks, flat, planks, speckled, split, stripes, tiles
from generation.interiors.plan import WHITE, Rng, empty_hall, furnished, one_of, tone
from generation.interiors.walls import block


def kitchen(rng: Rng) -> Hall:
    wood, tile = one_of(rng, (0.62, 0.45, 0.28), WHITE, (0.42, 0.52, 0.50)), tone(rng, WHITE, 0.02)
    hall = empty_hall(
        rng, checks((0.75, 0.73, 0.70), one_of(rng, (0.45, 0.44, 0.43), (0.62, 0.52, 0.42)), 0.33),
        split(tiles(tile, (0.72, 0.72, 0.70), 0.15, 0.15), flat(one_of(rng, (0.92, 0.89, 0.78),
              (0.80, 0.87, 0.84), (0.90, 0.84, 0.80))), 1.5),
    )  # fmt: skip
    b = Furnisher(hall, rng)
    front = b.cabinets("+x", wood, low=0.0, high=0.88, depth=0.6)
    top = b.along("+x", 0.88, 0.92, 0.63, flat((0.32, 0.31, 0.31)))
    upper = b.cabinets("+x", wood, low=1.5, high=2.2, depth=0.35, share=0.75)
    side = b.cabinets("-y", wood, low=0.0, high=0.9, depth=0.6, share=0.6)
    fridge = b.stand("-y", 0.92, 0.7, 0.68, 1.8, flat(one_of(rng, (0.80, 0.81, 0.82), WHITE)))
    oven = b.panel("+x", 0.3, 0.55, 0.15, 0.75, flat((0.10, 0.10, 0.11)), out=0.63)
    return furnished(
        hall, front, top, upper, side, fridge, oven, b.window("+y"), b.door("-x"),
        b.lamp(), b.lamp(0.8),
    )  # fmt: skip


def living(rng: Rng) -> Hall:
    hall = empty_hall(
        rng, planks(one_of(rng, (0.55, 0.38, 0.24), (0.72, 0.58, 0.42), (0.42, 0.30, 0.22))),
        flat(one_of(rng, (0.88, 0.85, 0.78), (0.70, 0.76, 0.74), (0.80, 0.72, 0.66))),
    )  # fmt: skip
    b = Furnisher(hall, rng)
    cloth = one_of(
        rng, (0.42, 0.46, 0.52), (0.62, 0.40, 0.32), (0.46, 0.52, 0.42), (0.76, 0.70, 0.60)
    )
    rug = block((1.3, 0.0, 0.01), (0.8, 1.2, 0.01), stripes(one_of(rng, (0.66, 0.35, 0.30),
                (0.35, 0.42, 0.55)), (0.82, 0.78, 0.70), 0.3))  # fmt: skip
    return furnished(
        hall, rug, b.sofa("+x", 0.5, cloth), b.sofa("-y", 0.4, cloth, wide=0.9),
        b.panel("+x", 0.5, 1.1, 1.35, 2.0, speckled(one_of(rng, (0.55, 0.50, 0.35),
              (0.30, 0.45, 0.55)), 0.7, 0.12)),
        b.window("+y", wide=1.8), b.curtain("+y", 1.8), b.shelf("-y", 0.82),
        b.books("-y", 0.82), b.plant("+x", 0.08), b.floor_lamp("+x", 0.9), b.door("-x"),
    )  # fmt: skip


def bedroom(rng: Rng) -> Hall:
    hall = empty_hall(
        rng, speckled(one_of(rng, (0.66, 0.60, 0.52), (0.52, 0.55, 0.60)), 0.14),
        flat(one_of(rng, (0.78, 0.82, 0.87), (0.88, 0.80, 0.78), (0.84, 0.84, 0.76))),
            size=(5.2, 4.6),
    )  # fmt: skip
    b = Furnisher(hall, rng)
    spread = one_of(rng, (0.35, 0.45, 0.62), (0.70, 0.45, 0.45), (0.55, 0.62, 0.52))
    x, wood = hall.high[0], one_of(rng, (0.50, 0.35, 0.23), (0.80, 0.70, 0.54))
    bed = [
        block((x - 1.0, 0.1, 0.25), (0.98, 0.8, 0.25), flat((0.92, 0.91, 0.88))),
        block(
            (x - 1.25, 0.1, 0.42),
            (0.75, 0.82, 0.13),
            stripes(spread, tone(rng, spread, 0.1), 0.25),
        ),
        block((x - 0.05, 0.1, 0.6), (0.05, 0.85, 0.6), flat(wood)),
        block((x - 0.35, 0.5, 0.58), (0.2, 0.3, 0.08), flat(WHITE)),
        block((x - 0.35, -0.3, 0.58), (0.2, 0.3, 0.08), flat(WHITE)),
        block((x - 0.25, 1.2, 0.25), (0.22, 0.22, 0.25), flat(wood)),
    ]
    return furnished(
        hall, bed, b.table_lamp(x - 0.25, 1.2, 0.5), b.stand("-y", 0.65, 1.6, 0.6, 2.1,
        stripes(wood, tone(rng, wood, 0.06), 0.8)), b.window("+y"), b.curtain("+y", 1.4),
        b.panel("+x", 0.5, 0.8, 1.4, 1.9, speckled((0.72, 0.66, 0.52), 0.6, 0.1)),
        b.door("-x"), b.lamp(),
    )  # fmt: skip


def nursery(rng: Rng) -> Hall:
    pale = one_of(
        rng, (0.92, 0.86, 0.70), (0.76, 0.88, 0.90), (0.92, 0.80, 0.84), (0.82, 0.90, 0.78)
    )
    hall = empty_hall(
        rng, tiles((0.80, 0.72, 0.60), (0.70, 0.62, 0.52), 0.3, 0.3, 0.03),
        split(stripes(pale, WHITE, 0.4), flat(pale), 1.0, WHITE),
    )  # fmt: skip
    b = Furnisher(hall, rng)
    bright = ((0.85, 0.35, 0.30), (0.95, 0.75, 0.25), (0.35, 0.60, 0.80), (0.45, 0.70, 0.40))
    mats = [
        block((1.2 + 0.6 * i, -0.6 + 0.6 * j, 0.01), (0.3, 0.3, 0.01), flat(bright[(i + j) % 4]))
        for i in range(3) for j in range(3)
    ]  # fmt: skip
    x = hall.high[0]
    crib = [
        *(block((x - 0.35 + s * 0.33, 0.9, 0.55), (0.02, 0.6, 0.35), stripes((0.90, 0.86, 0.78),
                pale, 0.1)) for s in (-1, 1)),
        block((x - 0.35, 0.9, 0.4), (0.33, 0.6, 0.08), flat((0.90, 0.92, 0.95))),
    ]  # fmt: skip
    toys = b.row("+x", 0.0, 5, (0.1, 0.2), (0.15, 0.4), bright, inset=1.0, low=0.05, high=0.45)
    return furnished(
        hall, mats, crib, toys, b.shelf("-y", 0.5), b.row("-y", 0.0, 6, (0.1, 0.18), (0.15, 0.35),
        bright, inset=0.7), b.books("-y", 0.5, bright), b.window("+y"),
        b.curtain("+y", 1.4, bright[int(rng.integers(4))]),
        b.panel("+x", 0.3, 0.9, 1.3, 1.9, checks(bright[0], bright[1], 0.2)), b.door("-x"),
            b.lamp(),
    )  # fmt: skip


def dining(rng: Rng) -> Hall:
    paper = one_of(rng, (0.60, 0.66, 0.56), (0.78, 0.68, 0.58), (0.45, 0.52, 0.60))
    hall = empty_hall(
        rng, planks(one_of(rng, (0.50, 0.35, 0.22), (0.66, 0.50, 0.34)), 0.1),
        split(flat((0.90, 0.88, 0.84)), stripes(paper, tone(rng, paper, 0.04), 0.3), 0.9, WHITE),
    )  # fmt: skip
    b = Furnisher(hall, rng)
    wood = one_of(rng, (0.38, 0.25, 0.16), (0.55, 0.40, 0.26))
    china = ((0.94, 0.93, 0.90), (0.35, 0.45, 0.65), (0.75, 0.70, 0.60))
    return furnished(
        hall, b.cabinets("+x", wood, low=0.0, high=0.85, depth=0.45, share=0.65),
        b.row("+x", 0.85, 5, (0.08, 0.16), (0.12, 0.35), china, inset=0.25, low=0.25, high=0.75),
        b.panel("+x", 0.5, 1.3, 1.35, 2.1, speckled((0.42, 0.46, 0.40), 0.8, 0.1)),
        b.chair(1.0, 0.5), b.chair(1.0, -0.5), b.chair(0.2, 1.1), b.chair(0.2, -1.1),
        b.window("+y"), b.curtain("+y", 1.4), b.shelf("-y", 0.5), b.books("-y", 0.5, china),
        b.door("-x"), b.lamp(), b.plant("+x", 0.95),
    )  # fmt: skip


def bathroom(rng: Rng) -> Hall:
    tile = one_of(rng, (0.72, 0.84, 0.86), (0.86, 0.86, 0.84), (0.76, 0.82, 0.74))
    hall = empty_hall(
        rng, tiles((0.55, 0.58, 0.60), (0.80, 0.80, 0.80), 0.3, 0.3, 0.04),
        split(tiles(tile, WHITE, 0.25, 0.25, 0.04), flat((0.93, 0.93, 0.92)), 1.9,
              one_of(rng, (0.25, 0.40, 0.55), (0.40, 0.40, 0.42))), size=(4.0, 3.6), height=2.5,
    )  # fmt: skip
    b, white = Furnisher(hall, rng), (0.95, 0.95, 0.95)
    y = hall.high[1]
    tub = [
        block((0.6, y - 0.38, 0.28), (0.85, 0.36, 0.28), flat(white)),
        block((0.6, y - 0.38, 0.57), (0.75, 0.27, 0.004), flat((0.70, 0.80, 0.84))),
    ]
    x = hall.high[0]
    basin = [
        block(
            (x - 0.25, -0.1, 0.42), (0.24, 0.4, 0.42), flat(one_of(rng, (0.60, 0.46, 0.32), white))
        ),
        block((x - 0.27, -0.1, 0.88), (0.27, 0.42, 0.04), flat(white)),
        block((x - 0.02, -0.1, 1.5), (0.02, 0.38, 0.45), speckled((0.80, 0.87, 0.90), 0.06, 0.4)),
        block((x - 0.05, -0.1, 2.05), (0.05, 0.3, 0.04), flat((1.0, 0.98, 0.92)), glow=True),
    ]
    towel = one_of(rng, (0.75, 0.45, 0.40), (0.35, 0.50, 0.60), (0.80, 0.76, 0.66))
    return furnished(
        hall, tub, basin, b.panel("-y", 0.4, 0.5, 0.9, 1.7,
            stripes(towel, tone(rng, towel, 0.08), 0.2),
        out=0.05), b.stand("-y", 0.85, 0.4, 0.3, 1.6, flat(white)), b.window("-x", 0.25, wide=0.8),
        b.door("-x", 0.75), b.ceiling_panels(1, 1),
    )  # fmt: skip
