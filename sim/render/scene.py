"""Per-scene tables for the ray caster: all that can be worked out before a pixel is looked at.

The table top is drawn as one more box, number G; number G + 1 stands for the background.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from sim.render.shapes import KINDS
from sim.render.types import Backdrop, Camera, Light, RenderGeoms

Array = jax.Array

# Thickness of the table top, m.
TABLE_THICKNESS = 0.04
# Centre of the geom that fills unused list entries: no ray comes near it, m.
_ELSEWHERE = 1e6
# Half sizes and texture periods are at least this, m.
_SMALLEST = 1e-6

KIND_NAMES = tuple(KINDS)

# Columns of a surface row: ray origin (0:3), ray rotation (3:12) and half (12), then
SURFACE_PERIODS = slice(13, 16)  # texture periods per unit-shape coordinate
SURFACE_STRETCH = slice(16, 19)  # turns the unit shape's normal into the true shape's
SURFACE_LIGHT = slice(19, 22)  # direction to the light, in the geom's frame
SURFACE_UP = slice(22, 25)  # world z, in the geom's frame
SURFACE_KIND = 25  # index into KIND_NAMES
SURFACE_TEXTURE = 26  # index into TEXTURES
SURFACE_RGB = slice(27, 30)  # linear light
SURFACE_RGB2 = slice(30, 33)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Group:
    """Geoms of one kind, with one row more at the end that no ray meets."""

    kind: str = field(metadata={"static": True})
    ids: tuple[int, ...] = field(metadata={"static": True})  # Gk geom numbers
    rays: Array  # f32[N, Gk+1, 13] camera rays in the unit shape's frame; see `_ray_rows`
    covers: Array  # f32[N, Gk+1, C] centre in the light frame, then the kind's constants


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SceneTables:
    """What a tile of pixel blocks reads about its scenes."""

    groups: tuple[Group, ...]
    table: Array  # f32[N, 13] ray row of the table
    surfaces: Array  # f32[N, G+2, 33] surface rows
    camera_to_light: Array  # f32[N, 3, 3] rotation, camera frame to light frame
    camera_in_light: Array  # f32[N, 3] camera position in the light frame, m
    centre_view: Array  # f32[N, G, 3] geom centres in the camera frame, m
    axes_view: Array  # f32[N, G, 3, 3] rotation, camera frame to geom frame
    box: Array  # f32[N, G, 3] with `ball`: the geom lies in this box ...
    ball: Array  # f32[N, G] ... widened on all sides by this radius, m
    centre_light: Array  # f32[N, G, 3] geom centres in the light frame, m
    reach_light: Array  # f32[N, G, 3] half extents along the light frame's axes, m
    visible: Array  # bool[N, G]


def rotate(mat: Array, vec: Array) -> Array:
    """Matrix times vector over leading axes, in full float32 on every backend."""
    return jnp.sum(mat * vec[..., None, :], -1)


def compose(a: Array, b: Array) -> Array:
    """Product of 3x3 matrices over leading axes, in full float32 on every backend."""
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], -2)


def transpose(mat: Array) -> Array:
    """Inverse of rotations."""
    return jnp.swapaxes(mat, -1, -2)


def linear(srgb: Array) -> Array:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1)."""
    srgb = jnp.clip(srgb, 0.0, 1.0)
    return jnp.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def light_basis(direction: Array) -> Array:
    """Rotation f32[N, 3, 3] from the world to the light frame; its last row points to the light."""
    w = -direction
    upright = jnp.abs(w[:, 2:]) < 0.9
    helper = jnp.where(upright, jnp.array([0.0, 0.0, 1.0]), jnp.array([1.0, 0.0, 0.0]))
    u = jnp.cross(helper, w)
    u = u / jnp.linalg.norm(u, axis=-1, keepdims=True)
    return jnp.stack([u, jnp.cross(w, u), w], 1)


@dataclass(frozen=True)
class _Solids:
    """The geoms and, last, the table, with the scales that make every shape a unit shape."""

    kinds: tuple[str, ...]
    size: Array  # f32[N, G+1, 3]
    pos: Array
    inverse: Array  # f32[N, G+1, 3, 3] world frame to geom frame
    scale: Array  # f32[N, G+1, 3] metres per unit-shape coordinate
    half: Array  # f32[N, G+1] half length over radius (capsule, cylinder)
    box: Array  # f32[N, G+1, 3] see SceneTables
    ball: Array  # f32[N, G+1]

    def cover_size(self, pick: np.ndarray) -> Array:
        """Half sizes as the `cover_params` functions want them: a sphere in all three axes."""
        is_ellipsoid = np.array([self.kinds[i] == "ellipsoid" for i in pick])[:, None]
        return jnp.where(is_ellipsoid, self.scale[:, pick], self.size[:, pick])


def _solids(geoms: RenderGeoms, backdrop: Backdrop) -> _Solids:
    n = geoms.pos.shape[0]
    thickness = jnp.full((n, 1), TABLE_THICKNESS / 2, jnp.float32)
    table = jnp.concatenate([backdrop.table_half, thickness], -1)
    size = jnp.maximum(jnp.concatenate([geoms.size, table[:, None]], 1), _SMALLEST)
    centre = jnp.concatenate([backdrop.table_centre, -thickness], -1)
    level = jnp.broadcast_to(jnp.eye(3), (n, 1, 3, 3))
    names = (*geoms.types, "box")
    # Spheres, capsules and cylinders scale by their radius in all directions.
    is_round = np.array([name in ("sphere", "capsule", "cylinder") for name in names])
    is_long = np.array([name in ("capsule", "cylinder") for name in names])
    scale = jnp.where(is_round[:, None], size[..., :1], size)
    core = jnp.where(is_long[:, None], size[..., 1:2] * jnp.array([0.0, 0.0, 1.0]), 0.0)
    return _Solids(
        kinds=tuple("ellipsoid" if name == "sphere" else name for name in names),
        size=size,
        pos=jnp.concatenate([geoms.pos, centre[:, None]], 1),
        inverse=transpose(jnp.concatenate([geoms.mat, level], 1)),
        scale=scale,
        half=jnp.where(is_long, size[..., 1] / size[..., 0], 1.0),
        box=jnp.where(is_round[:, None], core, size),
        ball=jnp.where(is_round, size[..., 0], 0.0),
    )


def _ray_rows(solids: _Solids, camera: Camera) -> Array:
    """Camera position (3), camera-to-geom rotation (9), both in unit-shape scale, and half."""
    origin = rotate(solids.inverse, camera.pos[:, None] - solids.pos) / solids.scale
    turn = compose(solids.inverse, camera.mat[:, None]) / solids.scale[..., None]
    flat = turn.reshape(*turn.shape[:2], 9)
    return jnp.concatenate([origin, flat, solids.half[..., None]], -1)


def _surface_rows(
    solids: _Solids, rays: Array, geoms: RenderGeoms, light: Light, backdrop: Backdrop
) -> Array:
    """All that shading needs about each surface; the last row is the background."""
    n, g = rays.shape[:2]

    def join(of_geoms: Array, of_table: Array) -> Array:
        return jnp.concatenate([of_geoms, of_table[:, None]], 1)

    period = jnp.maximum(join(geoms.texture_scale, backdrop.table_texture_scale), _SMALLEST)
    periods = solids.scale / period[..., None]
    # The table's texture is flat: no coordinate across it.
    across_table = (np.arange(g)[:, None] == g - 1) & (np.arange(3) == 2)
    stretched = np.array([kind == "ellipsoid" for kind in solids.kinds])[:, None]
    flattest = jnp.min(solids.scale, -1, keepdims=True)
    kind = np.array([KIND_NAMES.index(kind) for kind in solids.kinds], np.float32)
    columns = [
        rays,
        jnp.where(across_table, 0.0, periods),
        jnp.where(stretched, flattest / solids.scale, 1.0),
        rotate(solids.inverse, -light.direction[:, None]),
        solids.inverse[..., 2],
        jnp.broadcast_to(kind, (n, g))[..., None],
        join(geoms.texture, backdrop.table_texture).astype(jnp.float32)[..., None],
        linear(join(geoms.rgb, backdrop.table_rgb)),
        linear(join(geoms.rgb2, backdrop.table_rgb2)),
    ]
    rows = jnp.concatenate(columns, -1)
    return jnp.concatenate([rows, jnp.zeros_like(rows[:, :1])], 1)


def _groups(solids: _Solids, rays: Array, centre: Array, from_light: Array) -> tuple[Group, ...]:
    """Split the geoms (without the table) by kind; centre and from_light are of the light frame."""
    groups = []
    for kind, shape in KINDS.items():
        ids = tuple(i for i, k in enumerate(solids.kinds[:-1]) if k == kind)
        if not ids:
            continue
        pick = np.array(ids)
        params = shape.cover_params(solids.cover_size(pick), from_light[:, pick])
        covers = jnp.concatenate([centre[:, pick], jnp.stack(params, -1)], -1)
        # The last row: camera rays start beyond the shape and lead away, the shadow is elsewhere.
        nowhere = jnp.zeros_like(rays[:, :1]).at[..., :3].set(_ELSEWHERE)
        away = covers[:, :1].at[..., :3].set(-_ELSEWHERE)
        groups.append(
            Group(
                kind,
                ids,
                jnp.concatenate([rays[:, pick], nowhere], 1),
                jnp.concatenate([covers, away], 1),
            )
        )
    return tuple(groups)


def scene_tables(
    geoms: RenderGeoms, camera: Camera, light: Light, backdrop: Backdrop
) -> SceneTables:
    """Work out the tables of N scenes."""
    solids = _solids(geoms, backdrop)
    rays = _ray_rows(solids, camera)
    to_light = light_basis(light.direction)
    centre_light = rotate(to_light[:, None], solids.pos)
    from_light = compose(solids.inverse, transpose(to_light)[:, None])
    to_view = transpose(camera.mat)
    own = slice(None, -1)
    return SceneTables(
        groups=_groups(solids, rays, centre_light, from_light),
        table=rays[:, -1],
        surfaces=_surface_rows(solids, rays, geoms, light, backdrop),
        camera_to_light=compose(to_light, camera.mat),
        camera_in_light=rotate(to_light, camera.pos),
        centre_view=rotate(to_view[:, None], solids.pos - camera.pos[:, None])[:, own],
        axes_view=compose(solids.inverse, camera.mat[:, None])[:, own],
        box=solids.box[:, own],
        ball=solids.ball[:, own],
        centre_light=centre_light[:, own],
        reach_light=(rotate(transpose(jnp.abs(from_light)), solids.box) + solids.ball[..., None])[
            :, own
        ],
        visible=geoms.visible,
    )
