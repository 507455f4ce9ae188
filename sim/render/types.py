"""What the ray caster draws and what it returns: frozen pytrees of arrays, leading axis N."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

# Geom shapes, with MuJoCo's half sizes and axes (capsule and cylinder: radius, half length, along
# z; a capsule's half length leaves out the caps). A convex part is the intersection of half spaces.
SHAPES = ("box", "sphere", "capsule", "cylinder", "ellipsoid", "convex")

# Values of every `texture` field are indices into this tuple; higher ones are images of the atlas.
TEXTURES = ("plain", "checker", "stripes", "speckle", "wood", "marble", "fabric", "label")

# Values of `Image.segmentation` that are no geom index.
SEGMENT_BACKGROUND = -1
SEGMENT_TABLE = -2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RenderGeoms:
    """G geoms in each of N scenes, in the world frame. Colours are sRGB in [0, 1]."""

    types: tuple[str, ...] = field(metadata={"static": True})  # G names of SHAPES
    size: jax.Array  # f32[N, G, 3] MuJoCo half sizes, m; of a convex part half extents about `pos`
    pos: jax.Array  # f32[N, G, 3] centres, m
    mat: jax.Array  # f32[N, G, 3, 3] rotation, geom frame to world
    rgb: jax.Array  # f32[N, G, 3]
    rgb2: jax.Array  # f32[N, G, 3] second colour of the texture
    texture: jax.Array  # i32[N, G] index into TEXTURES, then into the atlas's images
    texture_scale: jax.Array  # f32[N, G] length of one texture period, m
    visible: jax.Array  # bool[N, G] False: neither drawn nor casting a shadow
    # f32[N, K, F, 4] faces of the K convex parts in the order of `types`, in the geom frame: unit
    # normal n and offset d of the half space n.x <= d (m); a row of zeros is no face.
    planes: jax.Array | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Camera:
    """Pinhole cameras in MuJoCo's convention: look along -z, +y is up and +x right."""

    pos: jax.Array  # f32[N, 3] m
    mat: jax.Array  # f32[N, 3, 3] rotation, camera frame to world
    fovy: jax.Array  # f32[N] vertical field of view, rad


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Light:
    """Distant lights and an ambient term, as linear factors on a surface's colour."""

    direction: jax.Array  # f32[N, 3] unit vector from the key light to the scene; casts shadows
    ambient: jax.Array  # f32[N, 3]
    diffuse: jax.Array  # f32[N, 3] of the key light
    fill_direction: jax.Array | None = None  # f32[N, 3] of a second light without shadows
    fill: jax.Array | None = None  # f32[N, 3] of the second light


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Backdrop:
    """The table (its top is z = 0) and the room around it. Colours are sRGB in [0, 1]."""

    table_rgb: jax.Array  # f32[N, 3]
    table_rgb2: jax.Array  # f32[N, 3]
    table_texture: jax.Array  # i32[N] index into TEXTURES, then into the atlas's images
    table_texture_scale: jax.Array  # f32[N] m per period
    table_centre: jax.Array  # f32[N, 2] x and y, m
    table_half: jax.Array  # f32[N, 2] half extents along x and y, m
    top_rgb: jax.Array  # f32[N, 3] overhead
    horizon_rgb: jax.Array  # f32[N, 3] at eye level
    floor_rgb: jax.Array  # f32[N, 3] below the table
    panorama: jax.Array | None = None  # i32[N] panorama of the atlas instead of the room, or -1


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Atlas:
    """Textures and panoramas shared by all scenes; see `sim.render.atlas`.

    A texel holds three bytes (red + 256 green + 65536 blue): square roots of what they stand for,
    which gives dark tones their share of the steps.
    """

    texels: jax.Array  # i32[A, T] share of the second colour, all mip levels of each texture
    panoramas: jax.Array  # i32[B, H, W] linear light, top row straight up, see `panorama_texels`


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Image:
    """Pictures of N scenes."""

    rgb: jax.Array  # u8[N, H, W, 3] sRGB
    depth: jax.Array  # f32[N, H, W] distance along the camera's axis, m; inf where nothing is hit
    segmentation: jax.Array  # i32[N, H, W] geom index, SEGMENT_TABLE or SEGMENT_BACKGROUND


def default_backdrop(n: int) -> Backdrop:
    """A wooden table in a light grey room, for N = n scenes."""

    def rows(*values: float) -> jax.Array:
        return jnp.tile(jnp.asarray(values, jnp.float32), (n, 1))

    return Backdrop(
        table_rgb=rows(0.72, 0.53, 0.35),
        table_rgb2=rows(0.58, 0.40, 0.25),
        table_texture=jnp.full(n, TEXTURES.index("wood"), jnp.int32),
        table_texture_scale=jnp.full(n, 0.12, jnp.float32),
        table_centre=rows(0.3, 0.0),
        table_half=rows(0.6, 0.6),
        top_rgb=rows(0.88, 0.91, 0.95),
        horizon_rgb=rows(0.97, 0.95, 0.92),
        floor_rgb=rows(0.62, 0.60, 0.58),
    )
