"""Small ray caster that paints a furnished room, or a garden, as an equirectangular picture.

A room is an axis-aligned hall with an eye inside and solids (boxes and balls) about it. Every
pixel's ray ends on one of them; patterns are painted by where it ends. NumPy only.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from generation.interiors.patterns import Array, Pattern, Rgb

_SUN = np.array([0.45, 0.35, 0.82], np.float32)
_SUN /= np.linalg.norm(_SUN)
_FAR = 1e6
_SHIFT = np.array([7.31, 9.17, 0.0], np.float32)  # no joint of a pattern runs through the eye


@dataclass(frozen=True)
class Solid:
    """A box, or a ball that fills it.

    Attributes:
        centre, half: m.
        paint: one colour or a pattern over the face, u horizontal, v upwards, from the low corner.
        round: a ball (ellipsoid).
        glow: shines by itself: no shading.
    """

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    paint: Pattern
    round: bool = False
    glow: bool = False


@dataclass(frozen=True)
class Hall:
    """A room, or open ground under a sky.

    Attributes:
        low, high: corners of the space in m; the floor lies at z = 0.
        eye: where the picture is taken.
        floor, wall, ceiling: patterns.
        solids: what stands or hangs in it.
        sky: colours overhead and at the horizon where there are no walls, None indoors.
        light: brightness of everything that does not glow.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    height: float
    eye: tuple[float, float, float]
    floor: Pattern
    wall: Pattern
    ceiling: Pattern
    solids: tuple[Solid, ...] = field(default=())
    sky: tuple[Rgb, Rgb] | None = None
    light: float = 1.0


@functools.lru_cache(maxsize=4)
def directions(rows: int, columns: int) -> Array:
    """Unit rays [rows * columns, 3]: top row straight up, centre column towards +x, left is +y."""
    polar = (np.arange(rows, dtype=np.float32) + 0.5) / rows * np.pi
    azimuth = np.pi - (np.arange(columns, dtype=np.float32) + 0.5) / columns * 2 * np.pi
    s, c = np.sin(polar)[:, None], np.cos(polar)[:, None]
    rays = np.stack(
        [s * np.cos(azimuth), s * np.sin(azimuth), np.broadcast_to(c, (rows, columns))], axis=-1
    )
    rays = rays.reshape(-1, 3).astype(np.float32)
    return np.where(np.abs(rays) < 1e-6, np.float32(1e-6), rays)  # safe to divide by


def paint(hall: Hall, rows: int, columns: int) -> NDArray[np.uint8]:
    """The view u8[rows, columns, 3] of all directions from the hall's eye."""
    rays = directions(rows, columns)
    eye = np.array(hall.eye, np.float32)
    depth, colour = _shell(hall, eye, rays)
    for solid in hall.solids:
        _draw(solid, hall, eye, rays, depth, colour, (rows, columns))
    image = np.clip(colour, 0.0, 1.0).reshape(rows, columns, 3)
    return np.round(255 * image).astype(np.uint8)


def _shell(hall: Hall, eye: Array, rays: Array) -> tuple[Array, Array]:
    """Distance [P] and colour [P, 3] of floor, walls and ceiling, or of the sky."""
    low = np.array([*hall.low, 0.0], np.float32)
    high = np.array([*hall.high, hall.height], np.float32)
    if hall.sky is not None:  # open: the floor reaches as far as one sees
        low[:2], high[:] = -400.0, 400.0
    exits = np.where(rays > 0, high - eye, low - eye) / rays
    x, y, z = exits.T
    depth = np.minimum(np.minimum(x, y), z)
    axis = np.where(z == depth, 2, np.where(x == depth, 0, 1))
    where = eye + rays * depth[:, None]
    colour = np.zeros_like(rays)
    below = (axis == 2) & (rays[:, 2] < 0)
    above = (axis == 2) & ~below
    for chosen, pattern, (a, b), shade in (
        (below, hall.floor, (0, 1), 0.92),
        (above, hall.ceiling, (0, 1), 1.0),
        (axis == 0, hall.wall, (1, 2), 0.94),
        (axis == 1, hall.wall, (0, 2), 0.86),
    )[: 1 if hall.sky else 4]:
        p = where[chosen] + _SHIFT
        colour[chosen] = pattern(p[:, a], p[:, b]) * (shade * hall.light)
    if hall.sky is not None:
        top, horizon = (np.array(c, np.float32) for c in hall.sky)
        open_air = ~below
        rise = np.clip(rays[open_air, 2:], 0.0, 1.0) ** 0.6
        colour[open_air] = horizon * (1 - rise) + top * rise
        # Far ground fades into the haze, as it does outdoors.
        haze = np.clip((depth[below] - 8.0) / 60.0, 0.0, 0.85)[:, None]
        colour[below] = colour[below] * (1 - haze) + horizon * haze
        depth[open_air] = _FAR
        return depth, colour
    # Corners and edges get less light: distance to the second nearest face.
    x, y, z = np.minimum(where - low, high - where).T
    near = np.maximum(np.minimum(x, y), np.minimum(np.maximum(x, y), z))
    colour *= (0.78 + 0.22 * np.clip(near / 0.7, 0.0, 1.0))[:, None]
    return depth, colour


def _largest(columns: Array) -> Array:
    """The largest of three columns; far quicker than a reduction over a short axis."""
    x, y, z = columns.T
    return np.maximum(np.maximum(x, y), z)


def _window(offset: Array, radius: float, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Indices of the pixels [rows, columns] in which a ball of that radius at `offset` may show."""
    rows, columns = shape
    far = float(np.linalg.norm(offset))
    if far <= radius:
        return np.arange(rows * columns)
    spread, polar = math.asin(radius / far), math.acos(float(offset[2]) / far)
    first, last = (int((polar + s * spread) / math.pi * rows) for s in (-1, 1))
    down = np.arange(max(first - 1, 0), min(last + 2, rows))
    across = np.arange(columns)
    if spread < polar < math.pi - spread:
        middle = (math.pi - math.atan2(offset[1], offset[0])) / (2 * math.pi) * columns
        reach = math.asin(math.sin(spread) / math.sin(polar)) / (2 * math.pi) * columns
        if 2 * reach + 4 < columns:
            across = np.arange(int(middle - reach) - 1, int(middle + reach) + 2) % columns
    return (down[:, None] * columns + across).ravel()


def _draw(
    solid: Solid, hall: Hall, eye: Array, rays: Array, depth: Array, colour: Array,
    shape: tuple[int, int],
) -> None:  # fmt: skip
    """Overwrites what lies behind the solid; `shape` is (rows, columns) of the flat pixels."""
    half = np.array(solid.half, np.float32)
    offset = np.array(solid.centre, np.float32) - eye
    to = offset / half
    near = _window(offset, float(np.linalg.norm(half)), shape)
    d = rays[near] / half
    if solid.round:
        x, y, z = d.T
        a, b, c = x * x + y * y + z * z, d @ to, float(to @ to) - 1.0
        root = b * b - a * c
        hit = root > 0
        t = (b - np.sqrt(np.maximum(root, 0))) / a
    else:
        # The box is the unit cube here; |1 / d| is half the time that the ray spends in a slab.
        inverse = 1.0 / d
        middle, spent = to * inverse, np.abs(inverse)
        t = _largest(middle - spent)
        hit = t < -_largest(-middle - spent)
    hit &= (t > 1e-3) & (t < depth[near])
    chosen, t = near[hit], t[hit]
    if not len(chosen):
        return
    local = (rays[chosen] * t[:, None] + eye) - np.array(solid.centre, np.float32)
    unit = local / half
    if solid.round:
        normal = unit / half
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        u, v = local[:, 0] + local[:, 1] + half[0], local[:, 2] + half[2]
    else:
        axis = np.argmax(np.abs(unit), axis=1)
        normal = np.zeros_like(local)
        normal[np.arange(len(axis)), axis] = np.sign(unit[np.arange(len(axis)), axis])
        side = np.where(axis == 0, 1, 0)
        u = local[np.arange(len(axis)), side] + half[side]
        v = np.where(axis == 2, local[:, 1] + half[1], local[:, 2] + half[2])
    shade = np.float32(1.0)
    if not solid.glow:
        shade = (hall.light * (0.66 + 0.34 * np.clip(normal @ _SUN, -0.4, 1.0)))[:, None]
        foot = np.clip((local[:, 2] + solid.centre[2]) / 0.25, 0.0, 1.0)
        shade = shade * (0.85 + 0.15 * foot)[:, None]
    colour[chosen] = solid.paint(u.astype(np.float32), v.astype(np.float32)) * shade
    depth[chosen] = t


def picture(hall: Hall, rows: int, columns: int, grain: int = 2) -> NDArray[np.uint8]:
    """`paint`, smoothed by averaging `grain` x `grain` rays a pixel."""
    fine = paint(hall, rows * grain, columns * grain).astype(np.uint16)
    small = fine.reshape(rows, grain, columns, grain, 3).sum((1, 3))
    return ((small + grain * grain // 2) // (grain * grain)).astype(np.uint8)


Furniture = Solid | Iterable["Furniture"]


def solids(*groups: Furniture) -> tuple[Solid, ...]:
    """All solids of nested groups, in order."""
    found: list[Solid] = []
    for group in groups:
        found += [group] if isinstance(group, Solid) else solids(*group)
    return tuple(found)
