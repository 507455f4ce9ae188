"""What a batch's scenes look like, as arrays: colours, faces of convex parts, surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import ConvexHull, QhullError

from generation.compile import TABLE_CENTRE, TABLE_HALF, SlotTemplate, geom_parts
from generation.spec import Part, SceneSpec
from sim.render.types import TEXTURES, Backdrop

MAX_FACES = 32
"""Most faces that a convex part is drawn with."""
_ROUNDING = 8  # of the faces: batches of similar parts get equal shapes, so programs are shared
_SAME = 0.005  # rad, angle between normals of one face


def geom_looks(
    scenes: Sequence[SceneSpec], template: SlotTemplate, names: Sequence[str], rgba: np.ndarray
) -> dict[str, jax.Array]:
    """Appearance of the drawn geoms; the robot's are plain.

    Args:
        scenes: S scenes.
        template: geoms of every slot.
        names: of the G drawn geoms.
        rgba: f[G, 4] colours of the geoms, of which the robot's are used.

    Returns:
        `SceneBatch`'s arrays of that name, [S, G, ...].
    """
    shape = (len(scenes), len(names))
    looks = {
        "geom_rgb": np.tile(rgba[:, :3].astype(np.float32), (shape[0], 1, 1)),
        "geom_rgb2": np.tile(rgba[:, :3].astype(np.float32), (shape[0], 1, 1)),
        "geom_texture": np.full(shape, TEXTURES.index("plain"), np.int32),
        "geom_texture_scale": np.ones(shape, np.float32),
        "geom_visible": np.tile(rgba[:, 3] > 0, (shape[0], 1)),
    }
    column = {name: i for i, name in enumerate(names)}
    for s, scene in enumerate(scenes):
        for name, part in _parts(scene, template).items():
            _set_look(looks, (s, column[name]), part)
    return {name: jnp.asarray(values) for name, values in looks.items()}


def _parts(scene: SceneSpec, template: SlotTemplate) -> dict[str, Part | None]:
    """What the scene has for every object geom of the template, in its order."""
    parts: dict[str, Part | None] = {}
    for k, keys in enumerate(template.slots):
        own = scene.objects[k].parts if k < len(scene.objects) else ()
        for j, index in enumerate(geom_parts(own, keys)):
            parts[f"object{k}_geom{j}"] = None if index is None else own[index]
    return parts


def _set_look(looks: dict[str, np.ndarray], at: tuple[int, int], part: Part | None) -> None:
    looks["geom_visible"][at] = part is not None and part.visible and part.rgba[3] > 0
    looks["geom_rgb"][at] = 0.0 if part is None else part.rgba[:3]
    looks["geom_rgb2"][at] = 0.0 if part is None else part.rgba2[:3]
    if part is not None:
        looks["geom_texture"][at] = TEXTURES.index(part.texture)
        looks["geom_texture_scale"][at] = part.texture_scale


# Convex parts -------------------------------------------------------------------------------------


def convex_planes(scenes: Sequence[SceneSpec], template: SlotTemplate) -> jax.Array | None:
    """Faces of the convex parts f32[S, C, F, 4], see `RenderGeoms.planes`; None without any.

    Raises:
        ValueError: the vertices of a part lie in one plane; names it.
    """
    names = [
        f"object{k}_geom{j}"
        for k, keys in enumerate(template.slots)
        for j, (shape, _) in enumerate(keys)
        if shape == "convex"
    ]
    if not names:
        return None
    parts = [_parts(scene, template) for scene in scenes]
    faces = [
        [_faces_of(scene, own[name]) for name in names]
        for scene, own in zip(scenes, parts, strict=True)
    ]
    most = max(len(planes) for row in faces for planes in row)
    full = np.zeros((len(scenes), len(names), -(-most // _ROUNDING) * _ROUNDING, 4), np.float32)
    for s, row in enumerate(faces):
        for c, planes in enumerate(row):
            full[s, c, : len(planes)] = planes
    return jnp.asarray(full)


def _faces_of(scene: SceneSpec, part: Part | None) -> np.ndarray:
    if part is None or not part.visible:
        return np.zeros((0, 4), np.float32)
    try:
        return hull_planes(np.array(part.vertices))
    except QhullError:
        raise ValueError(
            f"scene {scene.id}: the {len(part.vertices)} vertices of a convex part lie in one "
            "plane: give it some thickness"
        ) from None


def hull_planes(vertices: np.ndarray, most: int = MAX_FACES) -> np.ndarray:
    """Half spaces f64[F, 4] (unit normal n, offset d: n.x <= d) around the hull of vertices [V, 3].

    Faces in one plane become one. If there are more than `most`, the smallest of those nearly in
    the plane of a larger one are left out, so that the result contains the hull.

    Raises:
        QhullError: the vertices lie in one plane.
    """
    hull = ConvexHull(vertices)
    a, b, c = (hull.points[hull.simplices[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    # Triangles of one plane have the same equation but for rounding: their areas count together.
    _, first, same = np.unique(
        np.round(hull.equations, 6), axis=0, return_index=True, return_inverse=True
    )
    area = np.bincount(same.ravel(), weights=area)
    order = first[np.argsort(-area, kind="stable")]
    normals = hull.equations[order, :3]
    faces = _unlike(normals, _SAME)
    angle, kept = _SAME, faces
    while len(kept) > most:
        angle *= 1.3
        kept = _unlike(normals, angle)
    if kept is not faces:  # there may be room for some more
        kept = kept + [i for i in faces if i not in kept][: most - len(kept)]
    offset = (vertices @ normals[kept].T).max(axis=0)
    return np.concatenate([normals[kept], offset[:, None]], axis=1)


def _unlike(normals: np.ndarray, angle: float) -> list[int]:
    """The first of the unit vectors [F, 3] and those further than `angle` rad from all before."""
    kept: list[int] = []
    for i, normal in enumerate(normals):
        if not kept or (normals[kept] @ normal).max() < np.cos(angle):
            kept.append(i)
    return kept


# Surroundings -------------------------------------------------------------------------------------


def choose_panoramas(
    scenes: Sequence[SceneSpec], given: Sequence[np.ndarray]
) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """Which panorama surrounds each scene.

    Args:
        scenes: S scenes.
        given: u8[h, w, 3] pictures to give to the scenes in turn; if there are none, scenes get
            what their backgrounds say.

    Returns:
        i32[S] index of each scene's panorama, -1 for a plain room, or None if all are plain; and
        the different pictures.
    """
    if given:
        return np.arange(len(scenes), dtype=np.int32) % len(given), list(given)
    found: dict[bytes, int] = {}
    pictures: list[np.ndarray] = []
    index = np.full(len(scenes), -1, np.int32)
    for s, scene in enumerate(scenes):
        if scene.background.room is None and not scene.background.picture:
            continue
        from generation.rooms import panorama  # it draws pictures, which most batches need not

        picture = panorama(scene.background)
        if picture is None:
            continue
        key = picture.tobytes()
        if key not in found:
            found[key] = len(pictures)
            pictures.append(picture)
        index[s] = found[key]
    return (index if pictures else None), pictures


def scene_backdrop(scenes: Sequence[SceneSpec], panorama: np.ndarray | None) -> Backdrop:
    """Table and surroundings of every scene; see `choose_panoramas`."""
    tables = [scene.table for scene in scenes]
    num = len(scenes)
    return Backdrop(
        table_rgb=_f32([look.rgba[:3] for look in tables]),
        table_rgb2=_f32([look.rgba2[:3] for look in tables]),
        table_texture=jnp.asarray([TEXTURES.index(look.texture) for look in tables], jnp.int32),
        table_texture_scale=_f32([look.texture_scale for look in tables]),
        table_half=_f32(np.tile(TABLE_HALF[:2], (num, 1))),
        table_centre=_f32(np.tile(TABLE_CENTRE[:2], (num, 1))),
        top_rgb=_f32([scene.background.top for scene in scenes]),
        horizon_rgb=_f32([scene.background.horizon for scene in scenes]),
        floor_rgb=_f32([scene.background.floor for scene in scenes]),
        panorama=None if panorama is None else jnp.asarray(panorama),
    )


def _f32(values: object) -> jax.Array:
    return jnp.asarray(np.asarray(values, np.float32))
