"""Light and colour of what the rays found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from sim.render.scene import (
    KIND_NAMES,
    SURFACE_KIND,
    SURFACE_LIGHT,
    SURFACE_PERIODS,
    SURFACE_RGB,
    SURFACE_RGB2,
    SURFACE_STRETCH,
    SURFACE_TEXTURE,
    SURFACE_UP,
    linear,
)
from sim.render.shapes import KINDS, Vec, lower, upper
from sim.render.textures import second_colour_share
from sim.render.types import Backdrop, Camera, Light

Array = jax.Array

# The floor lies this far below the table top, m.
FLOOR_DEPTH = 0.8
# Depth at which the floor has half gone over into the colour of the horizon, m.
HAZE = 3.0


class Surface(NamedTuple):
    """What the pixels show, before the light is known; each f32[B, P]."""

    facing: Array  # cosine between the normal and the direction to the light
    rising: Array  # z of the normal
    albedo: Vec  # linear light


def dot(a: Vec, b: Vec) -> Array:
    """Scalar product of separate coordinates."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def surface_at(columns: list[Array], d: Vec, t: Array, kinds: tuple[str, ...]) -> Surface:
    """Normal and colour where the rays hit.

    Args:
        columns: 33 arrays f32[B, P], the surface row of each pixel.
        d: ray directions in the camera frame, unit depth; each f32[B, P].
        t: depth f32[B, P].
        kinds: the kinds of geoms that occur.
    """

    def vec(part: slice) -> Vec:
        x, y, z = columns[part]
        return x, y, z

    q = tuple(columns[i] + t * dot(vec(slice(3 + 3 * i, 6 + 3 * i)), d) for i in range(3))
    half, kind = columns[12], columns[SURFACE_KIND]
    normal = (jnp.zeros_like(t),) * 3
    for name in kinds:
        own = kind == KIND_NAMES.index(name)
        candidate = KINDS[name].normal(q, half)
        normal = tuple(jnp.where(own, c, n) for c, n in zip(candidate, normal, strict=True))
    normal = tuple(n * s for n, s in zip(normal, vec(SURFACE_STRETCH), strict=True))
    length = jax.lax.rsqrt(dot(normal, normal) + 1e-20)
    point = tuple(c * s for c, s in zip(q, vec(SURFACE_PERIODS), strict=True))
    share = second_colour_share(columns[SURFACE_TEXTURE], point)
    first, second = vec(SURFACE_RGB), vec(SURFACE_RGB2)
    return Surface(
        facing=dot(normal, vec(SURFACE_LIGHT)) * length,
        rising=dot(normal, vec(SURFACE_UP)) * length,
        albedo=tuple(a + share * (b - a) for a, b in zip(first, second, strict=True)),
    )


def lit(surface: Surface, sunny: Array, ambient: Array, diffuse: Array) -> Vec:
    """Lambert's law under the light where `sunny` is 1, and a sky brighter above than below."""
    direct = upper(surface.facing, jnp.zeros_like(sunny)) * sunny
    sky = 0.75 + 0.25 * surface.rising
    red, green, blue = (
        c * (ambient[:, i, None] * sky + diffuse[:, i, None] * direct)
        for i, c in enumerate(surface.albedo)
    )
    return red, green, blue


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Room:
    """Camera, light and surroundings of each scene; colours in linear light."""

    camera: Array  # f32[N, 3] m
    turn: Array  # f32[N, 3, 3] rotation, camera frame to world
    shadow: Array  # f32[N, 2] from a point of the floor to the table top, along the light, m
    overhead: Array  # f32[N] cosine between the light and the vertical
    ambient: Array  # f32[N, 3]
    diffuse: Array  # f32[N, 3]
    top: Array  # f32[N, 3]
    horizon: Array  # f32[N, 3]
    floor: Array  # f32[N, 3]
    centre: Array  # f32[N, 2] of the table, m
    half: Array  # f32[N, 2] of the table, m


def make_room(camera: Camera, light: Light, backdrop: Backdrop) -> Room:
    """Collect what `room_colour` needs."""
    towards = -light.direction
    # Light from below or the side leaves no shadow of the table on the floor.
    rise = jnp.where(towards[:, 2:] > 0.05, towards[:, 2:], jnp.inf)
    return Room(
        camera=camera.pos,
        turn=camera.mat,
        shadow=FLOOR_DEPTH * towards[:, :2] / rise,
        overhead=jnp.maximum(towards[:, 2], 0.0),
        ambient=light.ambient,
        diffuse=light.diffuse,
        top=linear(backdrop.top_rgb),
        horizon=linear(backdrop.horizon_rgb),
        floor=linear(backdrop.floor_rgb),
        centre=backdrop.table_centre,
        half=backdrop.table_half,
    )


def room_colour(room: Room, d: Vec) -> Vec:
    """Colour of the room along rays that meet nothing else.

    Upwards a gradient from the horizon's colour to the top's; downwards a floor that carries the
    table's shadow and fades into the horizon.

    Args:
        room: with leading axis B.
        d: ray directions in the camera frame, unit depth; each f32[B, P].
    """

    def row(i: int) -> Vec:
        return room.turn[:, i, :1], room.turn[:, i, 1:2], room.turn[:, i, 2:]

    dx, dy, dz = (dot(row(i), d) for i in range(3))
    height = upper(dz, jnp.zeros_like(dz)) * jax.lax.rsqrt(dx * dx + dy * dy + dz * dz)
    height = height * (2.0 - height)
    run = (room.camera[:, 2:] + FLOOR_DEPTH) / upper(-dz, jnp.full_like(dz, 1e-4))
    shift = room.camera[:, :2] + room.shadow - room.centre
    x, y = shift[:, :1] + run * dx, shift[:, 1:] + run * dy
    shaded = (jnp.abs(x) < room.half[:, :1]) & (jnp.abs(y) < room.half[:, 1:])
    direct = jnp.where(shaded, 0.0, room.overhead[:, None])
    # Seen level, the floor is all haze, so that it meets the gradient without a seam.
    haze = run / (run + HAZE)

    def channel(i: int) -> Array:
        one = slice(i, i + 1)
        horizon = room.horizon[:, one]
        ground = room.floor[:, one] * (room.ambient[:, one] + room.diffuse[:, one] * direct)
        up = horizon + height * (room.top[:, one] - horizon)
        return jnp.where(dz < 0, ground + haze * (horizon - ground), up)

    return channel(0), channel(1), channel(2)


def to_srgb8(colour: Vec) -> Array:
    """Linear light to sRGB, packed as red + 256 green + 65536 blue, i32.

    A square-root series stands for the power function, right to half a step of 255 (after
    C. Taylor, "sRGB approximations for HLSL", https://chilliant.blogspot.com/2012/08).
    """
    packed = jnp.zeros(colour[0].shape, jnp.int32)
    for i, c in enumerate(colour):
        c = lower(upper(c, jnp.zeros_like(c)), jnp.ones_like(c))
        a = jnp.sqrt(c)
        b = jnp.sqrt(a)
        s = 0.662002687 * a + 0.684122060 * b - 0.323583601 * jnp.sqrt(b) - 0.0225411470 * c
        s = jnp.where(c < 0.0031308, 12.92 * c, s)
        packed = packed | ((s * 255.0 + 0.5).astype(jnp.int32) << (8 * i))
    return packed


def unpack_srgb8(packed: Array) -> Array:
    """Colours u8[..., 3] from `to_srgb8`."""
    shifts = jnp.array([0, 8, 16], jnp.int32)
    return ((packed[..., None] >> shifts) & 255).astype(jnp.uint8)
