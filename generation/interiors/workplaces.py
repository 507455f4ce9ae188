"""Rooms to work, learn, eat out and store in."""

from __future__ import annotations

from generation.interiors.caster import Hall
from generation.interiors.furniture import Furnisher
from generation.interiors.patterns import checks, flat, planks, speckled, split, stripes, tiles
from generation.interiors.plan import WHITE, Rng, empty_hall, furnished, one_of, tone
from generation.interiors.walls import block


def office(rng: Rng) -> Hall:
    hall = empty_hall(
        rng, speckled(one_of(rng, (0.36, 0.38, 0.42), (0.42, 0.40, 0.37)), 0.16),
        flat(tone(rng, (0.86, 0.87, 0.87), 0.03)), size=(7.0, 6.0),
    )  # fmt: skip
    b = Furnisher(hall, rng)
    return furnished(
        hall, b.desk("+x", -0.9), b.desk("+x", 0.9), b.chair(0.7, 0.75), b.chair(0.7, -0.8),
        b.shelf("-y", 0.45), b.books("-y", 0.45), b.window("+y", wide=2.6),
        b.panel("+x", 0.5, 1.5, 1.45, 2.2, flat(WHITE)), b.door("-x"), b.plant("+x", 0.96),
        b.ceiling_panels(2, 3),
    )  # fmt: skip


def classroom(rng: Rng) -> Hall:
    hall = empty_hall(
        rng, planks(one_of(rng, (0.66, 0.52, 0.36), (0.60, 0.56, 0.50)), 0.2),
        split(flat(one_of(rng, (0.62, 0.72, 0.66), (0.80, 0.74, 0.60))), flat((0.90, 0.89, 0.84)),
              1.1, (0.55, 0.45, 0.35)), size=(8.0, 7.0), height=3.1,
    )  # fmt: skip
    b = Furnisher(hall, rng)
    board = b.panel(
        "+x", 0.5, 3.2, 0.95, 2.2, flat(one_of(rng, (0.13, 0.30, 0.22), (0.16, 0.17, 0.18)))
    )
    frame = b.panel("+x", 0.5, 3.36, 0.88, 2.27, flat((0.60, 0.46, 0.30)), out=0.02)
    rows = [
        b.table_set(x, y)
        for x in (1.9, 3.1) for y in (-1.7, 0.0, 1.7)
    ]  # fmt: skip
    return furnished(
        hall, frame, board, *rows, b.window("+y", 0.3, wide=1.7), b.window("+y", 0.75, wide=1.7),
        b.books("-y", 0.6), b.shelf("-y", 0.6), b.door("-x"), b.ceiling_panels(2, 3),
    )  # fmt: skip


def laboratory(rng: Rng) -> Hall:
    white = tone(rng, (0.90, 0.92, 0.93), 0.02)
    hall = empty_hall(
        rng, tiles((0.74, 0.77, 0.79), (0.62, 0.65, 0.67), 0.5, 0.5, 0.02), flat(white),
        size=(7.0, 6.0), light=1.03,
    )  # fmt: skip
    b = Furnisher(hall, rng)
    blue = one_of(rng, (0.30, 0.45, 0.60), (0.40, 0.55, 0.55), (0.78, 0.80, 0.82))
    glassware = b.row(
        "+x",
        0.93,
        9,
        (0.05, 0.05),
        (0.1, 0.35),
        ((0.55, 0.75, 0.85), (0.85, 0.85, 0.85), (0.80, 0.60, 0.30)),
        inset=0.35,
    )
    return furnished(
        hall, b.cabinets("+x", blue, low=0.0, high=0.88, depth=0.65),
        b.along("+x", 0.88, 0.93, 0.68, flat((0.20, 0.21, 0.22))), glassware,
        b.cabinets("+x", white, low=1.6, high=2.3, depth=0.3, share=0.6),
        b.cabinets("-y", blue, low=0.0, high=0.9, depth=0.65),
        b.stand("-y", 0.2, 0.9, 0.7, 2.1, flat((0.82, 0.84, 0.86))),
        b.stand("-y", 0.6, 0.5, 0.45, 1.3, flat((0.62, 0.64, 0.66))),
        b.window("+y", wide=2.4), b.door("-x"), b.ceiling_panels(2, 3),
    )  # fmt: skip


def workshop(rng: Rng) -> Hall:
    hall = empty_hall(
        rng, speckled((0.50, 0.49, 0.47), 0.2), split(flat((0.55, 0.56, 0.55)),
        tiles(one_of(rng, (0.72, 0.70, 0.66), (0.66, 0.50, 0.42)), (0.60, 0.58, 0.55), 0.4, 0.2),
            1.0),
        size=(6.5, 6.0), height=3.0, ceiling=(0.70, 0.70, 0.69), light=0.93,
    )  # fmt: skip
    b = Furnisher(hall, rng)
    wood = one_of(rng, (0.62, 0.46, 0.30), (0.54, 0.40, 0.28))
    dark = ((0.20, 0.20, 0.22), (0.70, 0.20, 0.15), (0.75, 0.60, 0.15), (0.25, 0.35, 0.50))
    return furnished(
        hall, b.along("+x", 0.84, 0.94, 0.75, planks(wood, 0.25)), b.legs("+x", 0.84, 0.7),
        b.panel("+x", 0.5, 3.4, 1.2, 2.1, tiles((0.78, 0.70, 0.56), (0.64, 0.57, 0.46), 0.2, 0.2,
            0.05)),
        b.tools("+x", 1.3, 2.0, 12, dark),
            b.row("+x", 0.94, 6, (0.1, 0.2), (0.1, 0.3), dark, inset=0.4),
        b.shelf("-y", 0.5), b.stack("-y", 0.15), b.stand("-y", 0.85, 0.7, 0.5, 1.0, stripes(
        (0.70, 0.15, 0.12), (0.55, 0.10, 0.10), 0.35)), b.window("+y", wide=1.6), b.door("-x"),
        b.ceiling_panels(1, 2),
    )  # fmt: skip


def garage(rng: Rng) -> Hall:
    hall = empty_hall(
        rng, speckled((0.56, 0.55, 0.53), 0.16),
            tiles((0.80, 0.79, 0.76), (0.70, 0.69, 0.66), 0.4, 0.2),
        size=(8.0, 6.0), height=2.8, ceiling=(0.78, 0.78, 0.77), light=0.92,
    )  # fmt: skip
    b = Furnisher(hall, rng)
    body, x = (
        one_of(rng, (0.60, 0.15, 0.14), (0.20, 0.30, 0.48), (0.75, 0.76, 0.77)),
        hall.high[0] - 1.3,
    )
    car = [
        block((x, 0.3, 0.55), (0.9, 1.9, 0.28), flat(body)),
        block((x, 0.5, 1.05), (0.75, 1.0, 0.27), flat((0.16, 0.19, 0.22))),
        block((x, 0.5, 1.33), (0.72, 0.9, 0.03), flat(body)),
        *(block((x + sx * 0.85, 0.3 + sy * 1.2, 0.32), (0.12, 0.32, 0.32), flat((0.08, 0.08, 0.08)),
                round=True) for sx in (-1, 1) for sy in (-1, 1)),
    ]  # fmt: skip
    gate = b.panel(
        "+y", 0.5, 3.6, 0.0, 2.3, tiles((0.86, 0.86, 0.84), (0.70, 0.70, 0.69), 0.9, 0.45, 0.05)
    )
    return furnished(
        hall, car, gate, b.shelf("-y", 0.3), b.stack("-y", 0.7), b.row("-y", 0.0, 4, (0.2, 0.3),
        (0.3, 0.6), ((0.30, 0.45, 0.30), (0.75, 0.62, 0.42)), inset=0.9), b.door("-x"),
        b.ceiling_panels(1, 2),
    )  # fmt: skip


def warehouse(rng: Rng) -> Hall:
    hall = empty_hall(
        rng, speckled((0.60, 0.60, 0.58), 0.1),
            stripes((0.72, 0.75, 0.77), (0.66, 0.69, 0.71), 0.6),
        size=(16.0, 12.0), height=5.5, ceiling=(0.62, 0.64, 0.66), light=0.95,
    )  # fmt: skip
    b = Furnisher(hall, rng)
    frame = one_of(rng, (0.15, 0.30, 0.60), (0.85, 0.45, 0.12))
    lanes = [
        block((2.5, s * 1.6, 0.003), (5.0, 0.06, 0.003), flat((0.85, 0.72, 0.15))) for s in (-1, 1)
    ]
    return furnished(
        hall, lanes, b.rack("+x", 0.5, frame), b.rack("-y", 0.5, frame), b.rack("+y", 0.6, frame),
        b.stack("-x", 0.3), b.stack("-x", 0.7), b.ceiling_panels(2, 3),
    )  # fmt: skip


def cafe(rng: Rng) -> Hall:
    brick = one_of(rng, (0.62, 0.36, 0.28), (0.45, 0.48, 0.44), (0.80, 0.76, 0.70))
    hall = empty_hall(
        rng, planks(one_of(rng, (0.45, 0.32, 0.22), (0.60, 0.46, 0.32))),
        tiles(brick, (0.74, 0.70, 0.66), 0.42, 0.15, 0.07), size=(8.0, 6.5), height=3.1,
        ceiling=(0.30, 0.28, 0.27), light=0.93,
    )  # fmt: skip
    b = Furnisher(hall, rng)
    wood = one_of(rng, (0.42, 0.28, 0.18), (0.55, 0.42, 0.28))
    menu = b.panel("+x", 0.5, 2.4, 1.6, 2.5, speckled((0.13, 0.14, 0.14), 0.5, 0.05))
    cups = ((0.92, 0.90, 0.86), (0.60, 0.30, 0.20), (0.35, 0.40, 0.35))
    pendants = [b.lamp(at) for at in (0.2, 0.5, 0.8)]
    return furnished(
        hall, b.cabinets("+x", wood, low=0.0, high=1.05, depth=0.7),
        b.along("+x", 1.05, 1.1, 0.78, flat((0.75, 0.68, 0.58))),
        b.row("+x", 1.1, 8, (0.06, 0.12), (0.08, 0.35), cups, inset=0.5), menu,
        *(b.table_set(x, y, round=True) for x,
            y in ((1.2, -1.7), (1.4, 1.6), (-1.5, -1.5), (-1.4, 1.6))),
        b.window("+y", wide=2.8), b.plant("-y", 0.9), b.door("-x"), pendants,
    )  # fmt: skip


def library(rng: Rng) -> Hall:
    wood = one_of(rng, (0.36, 0.23, 0.15), (0.50, 0.36, 0.24))
    hall = empty_hall(
        rng, planks(one_of(rng, (0.48, 0.34, 0.22), (0.40, 0.28, 0.20)), 0.09),
        flat(one_of(rng, (0.80, 0.74, 0.62), (0.55, 0.60, 0.52))), size=(7.0, 6.0), height=3.2,
            light=0.95,
    )  # fmt: skip
    b = Furnisher(hall, rng)
    rug = block((1.0, 0.0, 0.01), (1.0, 1.4, 0.01), checks(one_of(rng, (0.50, 0.18, 0.16),
                (0.20, 0.30, 0.36)), (0.70, 0.58, 0.40), 0.25))  # fmt: skip
    return furnished(
        hall, rug, *(part for wall in ("+x", "-y") for at in (0.22, 0.5, 0.78)
                     for part in (b.shelf(wall, at, wood, 2.5), b.books(wall, at, high=2.5))),
        b.sofa("-x", 0.3, one_of(rng, (0.42, 0.22, 0.15), (0.25, 0.35, 0.28)), wide=0.9),
        b.floor_lamp("-x", 0.55), b.window("+y", wide=1.5), b.curtain("+y", 1.5), b.door("-x", 0.8),
        b.lamp(),
    )  # fmt: skip
