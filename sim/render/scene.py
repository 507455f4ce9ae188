"""Per-scene tables for the ray caster: all that can be worked out before a pixel is looked at.

Every surface has a number and a row: geoms 0 to G - 1, the table G (drawn as one more box), the
background G + 1, then the faces of the convex parts, F for each. A face lies in the plane z = 0 of
its own frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from sim.render.atlas import SIDE, repeats
from sim.render.shapes import KINDS
from sim.render.types import (
    SEGMENT_BACKGROUND,
    SEGMENT_TABLE,
    TEXTURES,
    Backdrop,
    Camera,
    Light,
    RenderGeoms,
)

Array = jax.Array

# Thickness of the table top, m.
TABLE_THICKNESS = 0.04
# Centre of the geom that fills unused list entries: no ray comes near it, m.
_ELSEWHERE = 1e6
# Half sizes and texture periods are at least this, m.
_SMALLEST = 1e-6
# Geoms in a group: their marks fit one 32-bit word.
_WORD = 32

KIND_NAMES = (*KINDS, "face")

# Columns of a surface row: ray origin (0:3), ray rotation (3:12) and half (12), then
SURFACE_TILES = slice(13, 16)  # texture squares per unit-shape coordinate; around, for round shapes
SURFACE_TEXELS = 16  # texels per metre
SURFACE_STYLE = 17  # kind + 16 * texture
SURFACE_RGB = 18  # first colour, packed
SURFACE_RGB2 = 19
SURFACE_COLUMNS = 20
STYLE_KINDS = 16


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Group:
    """Up to 32 geoms of one kind, with one row more at the end that no ray meets."""

    kind: str = field(metadata={"static": True})
    ids: tuple[int, ...] = field(metadata={"static": True})  # Gk geom numbers
    rays: Array  # f32[N, Gk+1, 13] camera rays in the unit shape's frame; see `_ray_rows`
    covers: Array  # f32[N, Gk+1, C] centre in the light frame, then the kind's constants
    # Convex parts: f32[N, Gk+1, F, 4] faces in the geom frame and, for shadows, as c + a u + b v
    # + s w <= 0 in the light frame about the centre; number of each part's first face.
    planes: Array | None = None
    planes_light: Array | None = None
    faces: tuple[int, ...] = field(default=(), metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SceneTables:
    """What the blocks of pixels read about their scenes."""

    groups: tuple[Group, ...]
    table: Array  # f32[N, 13] ray row of the table
    surfaces: Array  # f32[N, G+2+K*F, 20] surface rows
    camera_to_light: Array  # f32[N, 3, 3] rotation, camera frame to light frame
    camera_in_light: Array  # f32[N, 3] camera position in the light frame, m
    centre_view: Array  # f32[N, G, 3] geom centres in the camera frame, m
    axes_view: Array  # f32[N, G, 3, 3] rotation, camera frame to geom frame
    box: Array  # f32[N, G, 3] with `ball`: the geom lies in this box ...
    ball: Array  # f32[N, G] ... widened on all sides by this radius, m
    centre_light: Array  # f32[N, G, 3] geom centres in the light frame, m
    reach_light: Array  # f32[N, G, 3] half extents along the light frame's axes, m
    visible: Array  # bool[N, G]

    @property
    def num_geoms(self) -> int:
        """G, without the table."""
        return self.visible.shape[1]

    @property
    def number_mask(self) -> int:
        """Low bits of a packed depth that hold the surface's number."""
        return (1 << (self.surfaces.shape[1] - 1).bit_length()) - 1

    def segments(self) -> np.ndarray:
        """i32[surfaces] what the segmentation says of each number."""
        g = self.num_geoms
        result = np.full(self.surfaces.shape[1], SEGMENT_BACKGROUND, np.int32)
        result[:g], result[g] = np.arange(g), SEGMENT_TABLE
        for group in self.groups:
            if group.planes is not None:
                for geom, first in zip(group.ids, group.faces, strict=True):
                    result[first : first + group.planes.shape[2]] = geom
        return result


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


def _packed(srgb: Array) -> Array:
    """Colours as texels (see `Atlas`) in a float, which holds 24 bits exactly."""
    root = jnp.round(255.0 * jnp.sqrt(linear(srgb)))
    return root[..., 0] + 256.0 * root[..., 1] + 65536.0 * root[..., 2]


def basis(w: Array) -> Array:
    """Rotations f32[..., 3, 3] whose last row is the unit vector w."""
    upright = jnp.abs(w[..., 2:]) < 0.9
    helper = jnp.where(upright, jnp.array([0.0, 0.0, 1.0]), jnp.array([1.0, 0.0, 0.0]))
    u = jnp.cross(helper, w)
    u = u / jnp.linalg.norm(u, axis=-1, keepdims=True)
    return jnp.stack([u, jnp.cross(w, u), w], -2)


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
    is_convex = np.array([name == "convex" for name in names])
    scale = jnp.where(is_round[:, None], size[..., :1], size)
    core = jnp.where(is_long[:, None], size[..., 1:2] * jnp.array([0.0, 0.0, 1.0]), 0.0)
    return _Solids(
        kinds=tuple("ellipsoid" if name == "sphere" else name for name in names),
        size=size,
        pos=jnp.concatenate([geoms.pos, centre[:, None]], 1),
        inverse=transpose(jnp.concatenate([geoms.mat, level], 1)),
        scale=jnp.where(is_convex[:, None], 1.0, scale),
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


def _texel_columns(texture: Array, period: Array, kind: np.ndarray) -> tuple[Array, Array]:
    """Width of a texture's square, m, and style column, for textures of any index."""
    squares = np.array([repeats(i) for i in range(len(TEXTURES))], np.float32)
    times = jnp.asarray(squares)[jnp.clip(texture, 0, len(TEXTURES) - 1)]
    times = jnp.where(texture < len(TEXTURES), times, 1.0)
    style = jnp.asarray(kind) + float(STYLE_KINDS) * texture
    return times * jnp.maximum(period, _SMALLEST), style


def _surface_rows(
    solids: _Solids, rays: Array, geoms: RenderGeoms, backdrop: Backdrop
) -> tuple[Array, Array]:
    """All that shading needs about each geom and the table, then a row for the background.

    Returns:
        rows f32[N, G+2, 20], and the last seven columns for faces, of the geoms.
    """

    def join(of_geoms: Array, of_table: Array) -> Array:
        return jnp.concatenate([of_geoms, of_table[:, None]], 1)

    kind = np.array([KIND_NAMES.index(k) if k in KINDS else 0 for k in solids.kinds], np.float32)
    period = join(geoms.texture_scale, backdrop.table_texture_scale)
    texture = join(geoms.texture, backdrop.table_texture)
    square, style = _texel_columns(texture, period, kind)
    tiles = solids.scale / square[..., None]
    # A whole number of squares around a round shape, so that it has no seam.
    is_round = np.array([k in ("ellipsoid", "capsule", "cylinder") for k in solids.kinds])
    around = jnp.maximum(jnp.round(2.0 * np.pi * tiles[..., 0]), 1.0)
    tiles = tiles.at[..., 1].set(jnp.where(is_round, around, tiles[..., 1]))
    shared = [
        (SIDE / square)[..., None],
        style[..., None],
        _packed(join(geoms.rgb, backdrop.table_rgb))[..., None],
        _packed(join(geoms.rgb2, backdrop.table_rgb2))[..., None],
    ]
    rows = jnp.concatenate([rays, tiles, *shared], -1)
    of_faces = jnp.concatenate(
        [jnp.broadcast_to(1.0 / square[..., None], tiles.shape), *shared], -1
    )
    return jnp.concatenate([rows, jnp.zeros_like(rows[:, :1])], 1), of_faces[:, :-1]


def _face_rows(solids: _Solids, rays: Array, planes: Array, pick: np.ndarray, rest: Array) -> Array:
    """Surface rows f32[N, K * F, 20] of the faces of the convex parts."""
    n, k, f = planes.shape[:3]
    normal = planes[..., :3]
    missing = jnp.sum(normal * normal, -1, keepdims=True) < 0.5
    turn = basis(jnp.where(missing, jnp.array([0.0, 0.0, 1.0]), normal))
    origin = rotate(turn, rays[:, pick, None, :3])
    origin = origin.at[..., 2].add(-planes[..., 3])
    view = compose(turn, rays[:, pick, 3:12].reshape(n, k, 1, 3, 3))
    half = jnp.ones((n, k, f, 1))
    style = rest[:, pick, None].at[..., 4].add(float(KIND_NAMES.index("face")))
    style = jnp.broadcast_to(style, (n, k, f, style.shape[-1]))
    rows = jnp.concatenate([origin, view.reshape(n, k, f, 9), half, style], -1)
    return rows.reshape(n, k * f, SURFACE_COLUMNS)


def _primitive_groups(
    solids: _Solids, rays: Array, centre: Array, from_light: Array
) -> list[Group]:
    """Split the geoms (without the table) by kind; centre and from_light are of the light frame."""
    groups = []
    for kind, shape in KINDS.items():
        own = [i for i, k in enumerate(solids.kinds[:-1]) if k == kind]
        for ids in (tuple(own[i : i + _WORD]) for i in range(0, len(own), _WORD)):
            pick = np.array(ids)
            params = shape.cover_params(solids.cover_size(pick), from_light[:, pick])
            covers = jnp.concatenate([centre[:, pick], jnp.stack(params, -1)], -1)
            groups.append(Group(kind, ids, *_with_nowhere(rays[:, pick], covers)))
    return groups


def _with_nowhere(rays: Array, covers: Array) -> tuple[Array, Array]:
    """A last row: camera rays start beyond the shape and lead away, the shadow is elsewhere."""
    nowhere = jnp.zeros_like(rays[:, :1]).at[..., :3].set(_ELSEWHERE)
    away = covers[:, :1].at[..., :3].set(-_ELSEWHERE)
    return jnp.concatenate([rays, nowhere], 1), jnp.concatenate([covers, away], 1)


def _convex_groups(
    solids: _Solids, rays: Array, centre: Array, from_light: Array, planes: Array
) -> list[Group]:
    own = [i for i, k in enumerate(solids.kinds[:-1]) if k == "convex"]
    g, f = len(solids.kinds) - 1, planes.shape[2]
    groups = []
    for start in range(0, len(own), _WORD):
        ids = tuple(own[start : start + _WORD])
        pick = np.array(ids)
        part = planes[:, start : start + len(ids)]
        # A row that is no face holds everywhere; one part more holds nowhere.
        missing = jnp.sum(part[..., :3] ** 2, -1) < 0.5
        part = part.at[..., 3].set(jnp.where(missing, 1.0, part[..., 3]))
        nowhere = jnp.zeros_like(part[:, :1]).at[..., 3].set(-1.0)
        full = jnp.concatenate([part, nowhere], 1)
        in_light = rotate(transpose(from_light[:, pick, None]), part[..., :3])
        light = jnp.concatenate([-part[..., 3:], in_light], -1)
        none = jnp.zeros_like(light[:, :1]).at[..., 0].set(1.0)
        groups.append(
            Group(
                "convex",
                ids,
                *_with_nowhere(rays[:, pick], centre[:, pick]),
                planes=full,
                planes_light=jnp.concatenate([light, none], 1),
                faces=tuple(g + 2 + f * (start + i) for i in range(len(ids))),
            )
        )
    return groups


def scene_tables(
    geoms: RenderGeoms, camera: Camera, light: Light, backdrop: Backdrop
) -> SceneTables:
    """Work out the tables of N scenes."""
    solids = _solids(geoms, backdrop)
    rays = _ray_rows(solids, camera)
    to_light = basis(-light.direction)
    centre_light = rotate(to_light[:, None], solids.pos)
    from_light = compose(solids.inverse, transpose(to_light)[:, None])
    to_view = transpose(camera.mat)
    surfaces, of_faces = _surface_rows(solids, rays, geoms, backdrop)
    groups = _primitive_groups(solids, rays, centre_light, from_light)
    if geoms.planes is not None and "convex" in solids.kinds:
        groups += _convex_groups(solids, rays, centre_light, from_light, geoms.planes)
        pick = np.array([i for i, k in enumerate(solids.kinds) if k == "convex"])
        faces = _face_rows(solids, rays, geoms.planes, pick, of_faces)
        surfaces = jnp.concatenate([surfaces, faces], 1)
    own = slice(None, -1)
    reach = rotate(transpose(jnp.abs(from_light)), solids.box) + solids.ball[..., None]
    return SceneTables(
        groups=tuple(groups),
        table=rays[:, -1],
        surfaces=surfaces,
        camera_to_light=compose(to_light, camera.mat),
        camera_in_light=rotate(to_light, camera.pos),
        centre_view=rotate(to_view[:, None], solids.pos - camera.pos[:, None])[:, own],
        axes_view=compose(solids.inverse, camera.mat[:, None])[:, own],
        box=solids.box[:, own],
        ball=solids.ball[:, own],
        centre_light=centre_light[:, own],
        reach_light=reach[:, own],
        visible=geoms.visible,
    )
