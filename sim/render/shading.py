"""Light: on surfaces, and what is seen where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.render.scene import linear, rotate, transpose
from sim.render.shapes import Vec, coordinates, dot, lower, upper
from sim.render.types import Atlas, Backdrop, Camera, Light

Array = jax.Array

# The floor lies this far below the table top, m.
FLOOR_DEPTH = 0.8
# Depth at which the floor has half gone over into the colour of the horizon, m.
HAZE = 3.0


class Surface(NamedTuple):
    """What the rays show, before the light is known; each f32[B, P]."""

    normal: Vec  # unit, in the camera frame
    albedo: Vec  # linear light


def unit(v: Vec) -> Vec:
    """v / |v|."""
    length = jax.lax.rsqrt(dot(v, v) + 1e-20)
    return v[0] * length, v[1] * length, v[2] * length


def turns(x: Array, y: Array) -> Array:
    """Angle of (x, y) in turns, -0.5 to 0.5, to 1e-5 (Abramowitz and Stegun 4.4.49)."""
    ax, ay = jnp.abs(x), jnp.abs(y)
    r = lower(ax, ay) / (upper(ax, ay) + 1e-12)
    s = r * r
    turn = -0.0135494 + s * 0.0033160
    turn = r * (0.1591336 + s * (-0.0525688 + s * (0.0286704 + s * turn)))
    turn = jnp.where(ay > ax, 0.25 - turn, turn)
    turn = jnp.where(x < 0, 0.5 - turn, turn)
    return jnp.where(y < 0, -turn, turn)


def unpacked(texel: Array) -> Vec:
    """Linear values in [0, 1] of texels i32[...]; see `Atlas`."""
    red, green, blue = (((texel >> (8 * i)) & 255).astype(jnp.float32) / 255.0 for i in range(3))
    return red * red, green * green, blue * blue


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Room:
    """Camera, lights and surroundings of each scene; colours in linear light."""

    camera: Array  # f32[N, 3] m
    turn: Array  # f32[N, 3, 3] rotation, camera frame to world
    towards: Array  # f32[N, 3] direction to the key light, camera frame
    up: Array  # f32[N, 3] world z, camera frame
    shadow: Array  # f32[N, 2] from a point of the floor to the table top, along the light, m
    overhead: Array  # f32[N] cosine between the light and the vertical
    ambient: Array  # f32[N, 3]
    diffuse: Array  # f32[N, 3]
    top: Array  # f32[N, 3]
    horizon: Array  # f32[N, 3]
    floor: Array  # f32[N, 3]
    centre: Array  # f32[N, 2] of the table, m
    half: Array  # f32[N, 2] of the table, m
    fill: Array | None  # f32[N, 3] of the second light, if there is one
    fill_towards: Array | None  # f32[N, 3] direction to it, camera frame
    panorama: Array | None  # f32[N] index, -1 for none


def make_room(camera: Camera, light: Light, backdrop: Backdrop) -> Room:
    """Collect what `lit` and `room_colour` need."""
    towards = -light.direction
    to_view = transpose(camera.mat)
    # Light from below or the side leaves no shadow of the table on the floor.
    rise = jnp.where(towards[:, 2:] > 0.05, towards[:, 2:], jnp.inf)
    second = light.fill_direction
    return Room(
        camera=camera.pos,
        turn=camera.mat,
        towards=rotate(to_view, towards),
        up=to_view[:, :, 2],
        shadow=FLOOR_DEPTH * towards[:, :2] / rise,
        overhead=jnp.maximum(towards[:, 2], 0.0),
        ambient=light.ambient,
        diffuse=light.diffuse,
        top=linear(backdrop.top_rgb),
        horizon=linear(backdrop.horizon_rgb),
        floor=linear(backdrop.floor_rgb),
        centre=backdrop.table_centre,
        half=backdrop.table_half,
        fill=light.fill,
        fill_towards=None if second is None else rotate(to_view, -second),
        panorama=None if backdrop.panorama is None else backdrop.panorama.astype(jnp.float32),
    )


def lit(surface: Surface, sunny: Array, room: Room) -> Vec:
    """Lambert's law under the key light where `sunny` is 1, the fill light, and a sky.

    The sky (the ambient light) is brighter above than below. `room` has leading axis B.
    """
    zero = jnp.zeros_like(sunny)
    direct = upper(dot(surface.normal, coordinates(room.towards)), zero) * sunny
    sky = 0.75 + 0.25 * dot(surface.normal, coordinates(room.up))
    shine = [sky * a + direct * b for a, b in _pairs(room.ambient, room.diffuse)]
    if room.fill is not None and room.fill_towards is not None:
        facing = upper(dot(surface.normal, coordinates(room.fill_towards)), zero)
        shine = [s + facing * c for s, c in zip(shine, coordinates(room.fill), strict=True)]
    return tuple(c * s for c, s in zip(surface.albedo, shine, strict=True))


def _pairs(a: Array, b: Array) -> zip:
    return zip(coordinates(a), coordinates(b), strict=True)


def room_colour(room: Room, d: Vec, atlas: Atlas) -> Vec:
    """Colour of the surroundings along rays that meet nothing else.

    Without a panorama: upwards a gradient from the horizon's colour to the top's; downwards a floor
    that carries the table's shadow and fades into the horizon.

    Args:
        room: with leading axis B.
        d: ray directions in the camera frame, unit depth; each f32[B, P].
        atlas: holds the panoramas.
    """

    def row(i: int) -> Vec:
        return room.turn[:, i, :1], room.turn[:, i, 1:2], room.turn[:, i, 2:]

    world = tuple(dot(row(i), d) for i in range(3))
    plain = _plain_room(room, world)
    if room.panorama is None or not len(atlas.panoramas):
        return plain
    picture = _panorama(room.panorama, unit(world), atlas.panoramas)
    has = room.panorama[:, None] >= 0
    return tuple(jnp.where(has, a, b) for a, b in zip(picture, plain, strict=True))


def _plain_room(room: Room, d: Vec) -> Vec:
    dx, dy, dz = d
    height = upper(dz, jnp.zeros_like(dz)) * jax.lax.rsqrt(dot(d, d))
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


def _panorama(which: Array, d: Vec, panoramas: Array) -> Vec:
    """Nearest texel of an equirectangular picture; d are unit directions in the world frame."""
    _, rows, columns = panoramas.shape
    across = jnp.sqrt(upper(1.0 - d[2] * d[2], jnp.zeros_like(d[2])))
    down = 0.5 - 2.0 * turns(across, d[2])
    # Seen from inside, +y (to the left of +x) lies left of the centre column.
    right = 0.5 - turns(d[0], d[1])
    i = jnp.clip((down * rows).astype(jnp.int32), 0, rows - 1)
    j = jnp.clip((right * columns).astype(jnp.int32), 0, columns - 1)
    index = (jnp.maximum(which, 0).astype(jnp.int32)[:, None] * rows + i) * columns + j
    return unpacked(panoramas.reshape(-1).at[index].get(mode="clip"))


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
    shifts = np.array([0, 8, 16], np.int32)
    return ((packed[..., None] >> shifts) & 255).astype(jnp.uint8)
