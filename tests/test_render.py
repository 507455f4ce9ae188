"""The ray caster: rays worked out by hand, MuJoCo's own rays, shadows, textures, bad input."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.spatial import ConvexHull

from sim.render import (
    SEGMENT_BACKGROUND,
    SEGMENT_TABLE,
    TEXTURES,
    Backdrop,
    Camera,
    Image,
    Light,
    Plan,
    RenderGeoms,
    default_backdrop,
    make_atlas,
    plan_render,
    render,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

PRIMITIVES = ("box", "sphere", "capsule", "cylinder", "ellipsoid")
SIDE = 51  # odd, so that a pixel lies on the camera's axis
MIDDLE = SIDE // 2
PIXEL = 2.0 / SIDE  # at unit depth, for a right-angled view
AMBIENT, DIFFUSE = 0.3, 0.6
TURNED = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # a quarter about x

draw = jax.jit(partial(render, height=SIDE, width=SIDE))


def f32(values) -> jax.Array:
    return jnp.asarray(np.asarray(values, np.float32))


def one_each(**changes) -> RenderGeoms:
    """One scene with one geom of each shape, all of them plain white, invisible and at the origin.

    Changes are {field: {shape: value}}; a shape that is given a size becomes visible.
    """
    n = len(PRIMITIVES)
    fields = {
        "size": np.full((n, 3), 0.1),
        "pos": np.zeros((n, 3)),
        "mat": np.tile(np.eye(3), (n, 1, 1)),
        "rgb": np.ones((n, 3)),
        "rgb2": np.zeros((n, 3)),
        "texture_scale": np.ones(n),
    }
    texture, visible = np.zeros(n, np.int32), np.zeros(n, bool)
    for name, values in changes.items():
        for shape, value in values.items():
            (texture if name == "texture" else fields[name])[PRIMITIVES.index(shape)] = value
    for shape in changes["size"]:
        visible[PRIMITIVES.index(shape)] = True
    return RenderGeoms(
        types=PRIMITIVES,
        texture=jnp.asarray(texture)[None],
        visible=jnp.asarray(visible)[None],
        **{name: f32(value)[None] for name, value in fields.items()},
    )


def above(height: float = 1.0, n: int = 1) -> Camera:
    """Cameras over the origin that look straight down with a right-angled view."""
    return Camera(
        pos=f32([[0.0, 0.0, height]] * n),
        mat=f32([np.eye(3)] * n),
        fovy=jnp.full(n, math.pi / 2),
    )


def sun(direction=(0.0, 0.0, -1.0), n: int = 1) -> Light:
    direction = np.asarray(direction) / np.linalg.norm(direction)
    return Light(f32([direction] * n), jnp.full((n, 3), AMBIENT), jnp.full((n, 3), DIFFUSE))


def no_table() -> Backdrop:
    """A backdrop whose table is out of sight."""
    return replace(default_backdrop(1), table_centre=f32([[500.0, 500.0]]))


def plain_table(grey: float) -> Backdrop:
    """A table of one colour that fills the view."""
    backdrop = default_backdrop(1)
    return replace(
        backdrop,
        table_rgb=f32([[grey] * 3]),
        table_texture=jnp.zeros(1, jnp.int32),
        table_half=f32([[3.0, 3.0]]),
    )


# Shape, half sizes, rotation, and depth of the middle pixel from a camera 1 m above the centre.
MIDDLE_RAYS = [
    ("sphere", (0.1, 0.0, 0.0), np.eye(3), 0.9),
    ("box", (0.05, 0.1, 0.2), np.eye(3), 0.8),
    ("box", (0.05, 0.1, 0.2), TURNED, 0.9),
    ("capsule", (0.05, 0.1, 0.0), np.eye(3), 0.85),  # the cap
    ("capsule", (0.05, 0.1, 0.0), TURNED, 0.95),  # the side
    ("cylinder", (0.05, 0.1, 0.0), np.eye(3), 0.9),  # the flat end
    ("cylinder", (0.05, 0.1, 0.0), TURNED, 0.95),
    ("ellipsoid", (0.1, 0.2, 0.3), np.eye(3), 0.7),
    ("ellipsoid", (0.1, 0.2, 0.3), TURNED, 0.8),
]


@pytest.mark.parametrize(("shape", "size", "mat", "depth"), MIDDLE_RAYS)
def test_ray_along_the_axis(shape, size, mat, depth):
    image = draw(one_each(size={shape: size}, mat={shape: mat}), above(), sun(), no_table())
    assert float(image.depth[0, MIDDLE, MIDDLE]) == pytest.approx(depth, rel=1e-5)
    assert int(image.segmentation[0, MIDDLE, MIDDLE]) == PRIMITIVES.index(shape)
    # Nothing reaches the corner of the picture.
    assert np.isinf(image.depth[0, 0, 0])
    assert int(image.segmentation[0, 0, 0]) == SEGMENT_BACKGROUND


def test_oblique_ray_hits_a_sphere():
    """A pixel 17 right and 17 up of the middle looks along (2/3, 2/3, -1); depth is along z."""
    at = np.array([2 / 3, 2 / 3, 0.0])
    geoms = one_each(size={"sphere": (0.1, 0.0, 0.0)}, pos={"sphere": at})
    image = draw(geoms, above(), sun(), no_table())
    length = math.sqrt(1.0 + 2 * (2 / 3) ** 2)
    pixel = (0, MIDDLE - 17, MIDDLE + 17)
    assert float(image.depth[pixel]) == pytest.approx((length - 0.1) / length, rel=1e-5)
    assert int(image.segmentation[pixel]) == PRIMITIVES.index("sphere")


def test_nearest_of_several_and_the_table():
    """A box stands before a sphere behind it; beside them is the table, whose top is z = 0."""
    geoms = one_each(
        size={"box": (0.05, 0.05, 0.05), "sphere": (0.2, 0.0, 0.0)}, pos={"box": (0.0, 0.0, 0.5)}
    )
    image = draw(geoms, above(), sun(), plain_table(0.5))
    row = np.asarray(image.segmentation[0, MIDDLE])
    assert row[MIDDLE] == PRIMITIVES.index("box")
    assert row[MIDDLE + 4] == PRIMITIVES.index("sphere")
    assert row[MIDDLE + 12] == SEGMENT_TABLE
    assert float(image.depth[0, MIDDLE, MIDDLE]) == pytest.approx(0.45, rel=1e-5)
    assert float(image.depth[0, MIDDLE, MIDDLE + 12]) == pytest.approx(1.0, rel=1e-5)


def test_nothing_behind_the_camera():
    """What is behind the camera is not seen."""
    geoms = one_each(size={"sphere": (0.1, 0.0, 0.0)}, pos={"sphere": (0.0, 0.0, 1.5)})
    image = draw(geoms, above(), sun(), no_table())
    assert np.all(np.asarray(image.segmentation) == SEGMENT_BACKGROUND)


def srgb8(linear: float) -> float:
    """IEC 61966-2-1, in steps of 255."""
    low = linear <= 0.0031308
    return 255.0 * (12.92 * linear if low else 1.055 * linear ** (1 / 2.4) - 0.055)


def test_shadow_falls_where_it_should():
    """Light from 45 degrees throws the shadow of a ball 20 cm up exactly 20 cm to the side."""
    geoms = one_each(size={"sphere": (0.05, 0.0, 0.0)}, pos={"sphere": (0.0, 0.0, 0.2)})
    rgb = np.asarray(draw(geoms, above(), sun((1.0, 0.0, -1.0)), plain_table(1.0)).rgb[0])
    shadow, mirrored = MIDDLE + round(0.2 / PIXEL), MIDDLE - round(0.2 / PIXEL)
    assert rgb[MIDDLE, shadow] == pytest.approx(np.full(3, srgb8(AMBIENT)), abs=1.5)
    bright = srgb8(AMBIENT + DIFFUSE * math.sqrt(0.5))
    assert rgb[MIDDLE, mirrored] == pytest.approx(np.full(3, bright), abs=1.5)


def test_invisible_geoms_are_not_there():
    """They neither appear nor throw a shadow: the picture is that of the empty table."""
    light, table = sun((1.0, 0.0, -1.0)), plain_table(1.0)
    geoms = one_each(size=dict.fromkeys(PRIMITIVES, (0.05, 0.08, 0.06)))
    hidden = replace(geoms, visible=jnp.zeros_like(geoms.visible))
    shown, empty = draw(geoms, above(), light, table), draw(hidden, above(), light, table)
    assert np.ptp(np.asarray(shown.rgb)) > 20
    assert np.ptp(np.asarray(empty.rgb)) == 0
    assert np.all(np.asarray(empty.segmentation) == SEGMENT_TABLE)
    np.testing.assert_allclose(empty.depth, 1.0, rtol=1e-5)


def test_checker_has_its_period():
    """Squares of half a period, aligned with the box's own axes and centre."""
    period = 0.4
    geoms = one_each(
        size={"box": (0.9, 0.9, 0.5)},
        pos={"box": (0.0, 0.0, -0.5)},
        rgb={"box": (1.0, 0.0, 0.0)},
        rgb2={"box": (0.0, 0.0, 1.0)},
        texture={"box": TEXTURES.index("checker")},
        texture_scale={"box": period},
    )
    rgb = np.asarray(draw(geoms, above(), sun(), no_table()).rgb[0]).astype(int)
    blue = rgb[..., 2] > rgb[..., 0]
    x = PIXEL * (np.arange(SIDE) - MIDDLE)
    inside = np.abs(x) < 0.85
    cell = np.floor(2.0 * x / period)
    # Away from the borders of the squares.
    clear = inside & (np.abs(2.0 * x / period - np.round(2.0 * x / period)) > 0.02)
    expected = (cell[:, None] + cell[None]) % 2
    seen = blue[np.ix_(clear, clear)]
    flipped = expected[::-1][np.ix_(clear[::-1], clear)]  # rows go down, y goes up
    assert np.array_equal(seen, flipped > 0) or np.array_equal(seen, flipped == 0)


def test_same_picture_twice():
    geoms = one_each(size=dict.fromkeys(PRIMITIVES, (0.05, 0.08, 0.06)))
    backdrop = default_backdrop(1)
    first, second = (draw(geoms, above(), sun((1, 2, -3)), backdrop) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, second)


# ------------------------------------------------------------------ against MuJoCo

NAMES = ("box", "sphere", "capsule", "cylinder", "ellipsoid") * 3


def random_scene(seed: int) -> tuple[RenderGeoms, Camera]:
    rng = np.random.default_rng(seed)
    g = len(NAMES)
    mats = np.zeros((g, 9))
    for mat in mats:
        quat = rng.normal(size=4)
        mujoco.mju_quat2Mat(mat, quat / np.linalg.norm(quat))
    low, high = [-0.3, -0.3, 0.0], [0.3, 0.3, 0.3]
    back = rng.normal(size=3) * 0.3 + [0.0, 0.0, 1.0]
    right = np.cross([0.0, 1.0, 0.0], back)
    axes = np.stack([right, np.cross(back, right), back], 1)
    axes /= np.linalg.norm(axes, axis=0)
    geoms = RenderGeoms(
        types=NAMES,
        size=f32(rng.uniform(0.03, 0.1, (1, g, 3))),
        pos=f32(rng.uniform(low, high, (1, g, 3))),
        mat=f32(mats.reshape(1, g, 3, 3)),
        rgb=jnp.ones((1, g, 3)),
        rgb2=jnp.zeros((1, g, 3)),
        texture=jnp.zeros((1, g), jnp.int32),
        texture_scale=jnp.ones((1, g)),
        visible=jnp.ones((1, g), bool),
    )
    eye = 0.9 * axes[:, 2] + [0.0, 0.0, 0.1]
    return geoms, Camera(f32(eye[None]), f32(axes[None]), jnp.full(1, 0.9))


def mujoco_image(
    geoms: RenderGeoms, camera: Camera, height: int = SIDE, width: int = SIDE
) -> tuple[np.ndarray, np.ndarray]:
    """Depth along the axis (inf for nothing) and geom numbers (-1 for nothing) by mj_ray."""
    spec = mujoco.MjSpec()
    for i, name in enumerate(geoms.types):
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, np.asarray(geoms.mat[0, i], np.float64).ravel())
        spec.worldbody.add_geom(
            type=getattr(mujoco.mjtGeom, f"mjGEOM_{name.upper()}"),
            size=np.asarray(geoms.size[0, i], np.float64),
            pos=np.asarray(geoms.pos[0, i], np.float64),
            quat=quat,
        )
    return mujoco_rays(spec.compile(), camera, height, width)


def mujoco_rays(
    model: mujoco.MjModel, camera: Camera, height: int = SIDE, width: int = SIDE
) -> tuple[np.ndarray, np.ndarray]:
    """As `mujoco_image`, for a compiled model."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    eye = np.asarray(camera.pos[0], np.float64)
    axes = np.asarray(camera.mat[0], np.float64)
    pixel = 2.0 * math.tan(0.5 * float(camera.fovy[0])) / height
    x, y = (pixel * (np.arange(n) - 0.5 * (n - 1)) for n in (width, height))
    depth, segment = np.full((height, width), np.inf), np.full((height, width), -1)
    hit = np.zeros(1, np.int32)
    for row, column in np.ndindex(height, width):
        ray = axes @ [x[column], -y[row], -1.0]
        distance = mujoco.mj_ray(model, data, eye, ray, None, 1, -1, hit)
        if distance >= 0:
            depth[row, column], segment[row, column] = distance, hit[0]
    return depth, segment


def away_from_edges(segment: np.ndarray) -> np.ndarray:
    """True where a pixel and its eight neighbours show the same geom."""
    padded = np.pad(segment, 1, mode="edge")
    shifts = [(i, j) for i in range(3) for j in range(3)]
    return np.all([padded[i : i + SIDE, j : j + SIDE] == segment for i, j in shifts], axis=0)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_agrees_with_mujocos_rays(seed):
    geoms, camera = random_scene(seed)
    image: Image = draw(geoms, camera, sun(), no_table())
    depth, segment = mujoco_image(geoms, camera)
    inner = away_from_edges(segment)
    assert (segment[inner] >= 0).mean() > 0.1, "the scene must fill part of the picture"
    agree = np.asarray(image.segmentation[0]) == segment
    assert agree[inner].mean() >= 0.99
    both = inner & agree & (segment >= 0)
    error = np.abs(np.asarray(image.depth[0])[both] - depth[both])
    assert np.median(error) < 1e-4
    assert error.max() < 1e-3


# ------------------------------------------------------------------ tiles and bad input


def small_scene() -> tuple:
    """Two scenes of a box over the table."""
    geoms = RenderGeoms(
        types=("box",),
        size=jnp.full((2, 1, 3), 0.1),
        pos=f32([[[0.0, 0.0, 0.3]], [[0.2, 0.1, 0.2]]]),
        mat=f32(np.tile(np.eye(3), (2, 1, 1, 1))),
        rgb=jnp.full((2, 1, 3), 0.8),
        rgb2=jnp.full((2, 1, 3), 0.2),
        texture=jnp.full((2, 1), TEXTURES.index("wood"), jnp.int32),
        texture_scale=jnp.full((2, 1), 0.1),
        visible=jnp.ones((2, 1), bool),
    )
    return geoms, above(n=2), sun((1.0, 0.5, -2.0), 2), default_backdrop(2)


def test_tiles_do_not_show():
    """One block at once, or all: the same pictures; 40 pixels are no multiple of a block."""
    scene = small_scene()
    pictures = [
        jax.jit(partial(render, height=40, width=40, plan=plan))(*scene)
        for plan in (Plan(1, 64, 0), Plan(2, 1 << 20, 0))
    ]
    one, all_at_once = (jax.tree.map(np.asarray, picture) for picture in pictures)
    assert one.rgb.shape == (2, 40, 40, 3)
    np.testing.assert_array_equal(one.segmentation, all_at_once.segmentation)
    np.testing.assert_allclose(one.depth, all_at_once.depth, rtol=1e-5)
    assert np.abs(one.rgb.astype(int) - all_at_once.rgb.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"height": 0, "width": 8}, "height is 0"),
        ({"height": 8, "width": -1}, "width is -1"),
        ({"height": 8, "width": 8, "samples": 3}, "samples is 3"),
    ],
)
def test_empty_pictures_are_refused(size, message):
    with pytest.raises(ValueError, match=message):
        render(*small_scene(), **size)


def test_bad_scenes_are_refused():
    geoms, camera, light, backdrop = small_scene()
    size = {"height": 8, "width": 8}
    with pytest.raises(ValueError, match=r"unknown geom type 'teapot': choose one of box"):
        render(replace(geoms, types=("teapot",)), camera, light, backdrop, **size)
    with pytest.raises(ValueError, match="2 cameras and 2 geom types"):
        render(replace(geoms, types=("box", "box")), camera, light, backdrop, **size)
    with pytest.raises(ValueError, match="light has 1 rows: 2 cameras need 2"):
        render(geoms, camera, sun(), backdrop, **size)
    nothing = jax.tree.map(lambda x: x[:0], (geoms, camera, light, backdrop))
    with pytest.raises(ValueError, match="no cameras"):
        render(*nothing, **size)


# ------------------------------------------------------------------ convex parts


def half_spaces(points: np.ndarray, faces: int) -> np.ndarray:
    """f32[faces, 4] planes of the convex hull of points; rows of zeros fill it up."""
    hull = ConvexHull(points).equations * [1.0, 1.0, 1.0, -1.0]
    planes = np.unique(np.round(hull, 6), axis=0)
    return np.concatenate([planes, np.zeros((faces - len(planes), 4))]).astype(np.float32)


@pytest.mark.slow
def test_many_parts_of_one_kind_and_two_hulls():
    """40 boxes fill more than one word of marks; two convex parts have faces of their own."""
    rng = np.random.default_rng(8)
    n, half = 42, np.array([0.05, 0.04, 0.03])
    corners = half * np.array(list(np.ndindex(2, 2, 2))) * 2.0 - half
    mats = np.stack([turn(q) for q in rng.normal(size=(n, 4))])
    geoms = RenderGeoms(
        types=("box",) * n,
        size=f32(np.tile(half, (1, n, 1))),
        pos=f32(rng.uniform([-0.4, -0.4, 0.1], [0.4, 0.4, 0.4], (1, n, 3))),
        mat=f32(mats[None]),
        rgb=f32(rng.uniform(size=(1, n, 3))),
        rgb2=jnp.zeros((1, n, 3)),
        texture=jnp.zeros((1, n), jnp.int32),
        texture_scale=jnp.ones((1, n)),
        visible=jnp.ones((1, n), bool),
    )
    planes = f32(np.tile(half_spaces(corners, 6), (1, 2, 1, 1)))
    mixed = replace(geoms, types=("convex", *geoms.types[2:], "convex"), planes=planes)
    camera, light = above(0.9), sun((0.5, -0.4, -1.0))
    draw_wide = jax.jit(partial(render, height=21, width=50))
    boxes, hulls = (draw_wide(g, camera, light, plain_table(0.6)) for g in (geoms, mixed))
    assert boxes.rgb.shape == (1, 21, 50, 3)
    depth, segment = mujoco_image(geoms, camera, 21, 50)
    agree = np.asarray(boxes.segmentation[0]) == np.where(segment < 0, SEGMENT_TABLE, segment)
    assert agree.mean() > 0.98 and len(np.unique(segment)) > 25
    both = agree & (segment >= 0)
    assert np.abs(np.asarray(boxes.depth[0])[both] - depth[both]).max() < 2e-3
    assert (np.asarray(boxes.segmentation) == np.asarray(hulls.segmentation)).mean() > 0.99
    assert (np.abs(np.asarray(boxes.rgb).astype(int) - hulls.rgb).max(-1) > 2).mean() < 0.02


@pytest.mark.slow
def test_without_shadows_nothing_is_darker():
    scene = (one_each(size={"box": (0.1, 0.1, 0.2)}), above(), sun((1, 0, -1)), plain_table(0.8))
    shaded, bright = (
        jax.jit(partial(render, height=13, width=21, samples=2, shadows=shadows))(*scene)
        for shadows in (True, False)
    )
    assert shaded.rgb.shape == (1, 13, 21, 3)
    np.testing.assert_array_equal(shaded.depth, bright.depth)
    darker = np.asarray(bright.rgb).astype(int) - np.asarray(shaded.rgb)
    assert darker.min() >= 0 and darker.max() > 20


def solid(kind: str, planes: np.ndarray | None, mat: np.ndarray, size: np.ndarray) -> RenderGeoms:
    """One geom over the table."""
    return RenderGeoms(
        types=(kind,),
        size=f32(size[None, None]),
        pos=f32([[[0.05, 0.1, 0.3]]]),
        mat=f32(mat[None, None]),
        rgb=jnp.full((1, 1, 3), 0.7),
        rgb2=jnp.full((1, 1, 3), 0.2),
        texture=jnp.zeros((1, 1), jnp.int32),
        texture_scale=jnp.ones((1, 1)),
        visible=jnp.ones((1, 1), bool),
        planes=None if planes is None else f32(planes[None, None]),
    )


def turn(quat) -> np.ndarray:
    mat = np.zeros(9)
    mujoco.mju_quat2Mat(mat, np.asarray(quat) / np.linalg.norm(quat))
    return mat.reshape(3, 3)


def test_a_convex_box_is_a_box():
    """Six half spaces, two rows of zeros: depth, shadow and colour of the box, edges apart."""
    half, mat = np.array([0.2, 0.1, 0.15]), turn([0.9, 0.3, -0.2, 0.5])
    corners = half * np.array(list(np.ndindex(2, 2, 2))) * 2.0 - half
    scene = (above(), sun((0.5, -0.4, -1.0)), default_backdrop(1))
    box = draw(solid("box", None, mat, half), *scene)
    hull = draw(solid("convex", half_spaces(corners, 8), mat, half), *scene)
    assert (np.asarray(box.segmentation) == np.asarray(hull.segmentation)).mean() > 0.998
    same = np.asarray(box.segmentation) == np.asarray(hull.segmentation)
    np.testing.assert_allclose(box.depth[same], hull.depth[same], rtol=1e-4)
    differs = np.abs(np.asarray(box.rgb).astype(int) - np.asarray(hull.rgb)).max(-1) > 2
    assert differs.mean() < 0.005


def test_a_hull_agrees_with_mujocos_mesh():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(20, 3)) * [0.2, 0.15, 0.1]
    mat = turn(rng.normal(size=4))
    geoms = solid("convex", half_spaces(points, 40), mat, np.abs(points).max(0))
    image = draw(geoms, above(), sun(), no_table())
    spec = mujoco.MjSpec()
    spec.add_mesh(name="hull", uservert=points.ravel())
    spec.mesh("hull").inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, mat.ravel())
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_MESH, meshname="hull", pos=[0.05, 0.1, 0.3], quat=quat
    )
    depth, segment = mujoco_rays(spec.compile(), above())
    inner = away_from_edges(segment)
    assert (segment[inner] >= 0).mean() > 0.02
    agree = np.asarray(image.segmentation[0]) == segment
    assert agree[inner].mean() >= 0.99
    both = inner & agree & (segment >= 0)
    assert np.abs(np.asarray(image.depth[0])[both] - depth[both]).max() < 1e-3


# ------------------------------------------------------------------ light, pictures, samples


def linear(srgb: float) -> float:
    return ((srgb + 0.055) / 1.055) ** 2.4


def test_two_lights_add_up():
    """A level white top: ambient + key * cos + fill * cos, in linear light."""
    geoms = one_each(size={"box": (0.3, 0.3, 0.1)})
    key, fill = np.array([0.6, 0.0, -0.8]), np.array([0.0, -0.6, -0.8])
    light = replace(sun(key), fill_direction=f32(fill[None]), fill=f32([[0.1, 0.05, 0.0]]))
    middle = np.asarray(draw(geoms, above(), light, no_table()).rgb[0, MIDDLE, MIDDLE]) / 255.0
    expected = AMBIENT + DIFFUSE * 0.8 + 0.8 * np.array([0.1, 0.05, 0.0])
    assert [linear(c) for c in middle] == pytest.approx(list(expected), abs=0.01)


def test_a_picture_lies_on_a_surface_the_right_way_up():
    """Red, green above blue, white: seen from above with +y up, on the top of a box."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :32], picture[:32, 32:] = (0, 0, 255), (255, 255, 255)
    picture[32:, :32], picture[32:, 32:] = (255, 0, 0), (0, 255, 0)
    geoms = one_each(
        size={"box": (0.4, 0.4, 0.1)},
        rgb={"box": (0.0, 0.0, 0.0)},
        rgb2={"box": (1.0, 1.0, 1.0)},
        texture={"box": len(TEXTURES)},
        texture_scale={"box": 0.8},
    )
    light = replace(sun(), ambient=jnp.ones((1, 3)), diffuse=jnp.zeros((1, 3)))
    image = draw(geoms, above(), light, no_table(), make_atlas([picture]))
    step = 5
    for (up, right), colour in {
        (1, -1): (255, 0, 0),
        (1, 1): (0, 255, 0),
        (-1, -1): (0, 0, 255),
        (-1, 1): (255, 255, 255),
    }.items():
        seen = np.asarray(image.rgb[0, MIDDLE - up * step, MIDDLE + right * step]).astype(int)
        assert np.abs(seen - colour).max() <= 3


def test_a_panorama_surrounds_the_scene():
    """The camera sees the column of the panorama that it points at, and the sky above."""
    panorama = np.zeros((128, 256, 3), np.uint8)
    panorama[:, :64], panorama[:, 64:128] = (255, 0, 0), (0, 255, 0)
    panorama[:, 128:192], panorama[:, 192:] = (0, 0, 255), (255, 255, 255)
    atlas = make_atlas(panoramas=[panorama])
    nothing = replace(one_each(size={"box": (0.1, 0.1, 0.1)}), visible=jnp.zeros((1, 5), bool))
    backdrop = replace(no_table(), panorama=jnp.zeros(1, jnp.int32))
    # Left of +x (towards +y) is left of the centre column.
    for angle, colour in ((45, (0, 255, 0)), (-45, (0, 0, 255)), (135, (255, 0, 0))):
        ahead = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle)), 0.0])
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        axes = np.stack([right, [0.0, 0.0, 1.0], -ahead], 1)
        camera = Camera(f32([[0.0, 0.0, 5.0]]), f32(axes[None]), jnp.full(1, 0.5))
        seen = np.asarray(draw(nothing, camera, sun(), backdrop, atlas).rgb[0, MIDDLE, MIDDLE])
        assert np.abs(seen.astype(int) - colour).max() <= 3
    without = draw(
        nothing, camera, sun(), replace(backdrop, panorama=-jnp.ones(1, jnp.int32)), atlas
    )
    plain = draw(nothing, camera, sun(), no_table(), atlas)
    np.testing.assert_array_equal(without.rgb, plain.rgb)


@pytest.mark.slow
def test_samples_average_in_linear_light():
    """A pixel half black, half white has half the light, not half the number."""
    geoms = one_each(
        size={"box": (0.45, 0.45, 0.1)},
        rgb2={"box": (0.0, 0.0, 0.0)},
        texture={"box": TEXTURES.index("checker")},
        texture_scale={"box": 4 * PIXEL * 0.9},
    )
    light = replace(sun(), ambient=jnp.ones((1, 3)), diffuse=jnp.zeros((1, 3)))
    small = jax.jit(partial(render, height=9, width=9, samples=8))
    image = small(geoms, above(), light, no_table())
    assert image.rgb.shape == (1, 9, 9, 3)
    assert linear(float(image.rgb[0, 4, 4, 0]) / 255.0) == pytest.approx(0.5, abs=0.08)
    one = jax.jit(partial(render, height=9, width=9))(geoms, above(), light, no_table())
    np.testing.assert_array_equal(image.segmentation[0, 3:6, 3:6], one.segmentation[0, 3:6, 3:6])


# ------------------------------------------------------------------ memory


def test_the_plan_bounds_the_memory():
    """XLA's own account of temporary memory stays within the plan, which follows the budget."""
    geoms, camera = random_scene(0)
    n = 48
    wide = jax.tree.map(lambda x: jnp.tile(x, (n,) + (1,) * (x.ndim - 1)), (geoms, camera))
    scene = (*wide, sun((0.0, 0.0, -1.0), n), default_backdrop(n))
    for budget in (16 << 20, 64 << 20):
        plan = plan_render(n, 96, 96, len(geoms.types), budget=budget, platform="cpu")
        assert plan.bytes <= budget
        program = jax.jit(partial(render, height=96, width=96, plan=plan)).lower(*scene).compile()
        used = program.memory_analysis().temp_size_in_bytes
        assert 0.2 * plan.bytes < used < plan.bytes
    with_hulls = plan_render(n, 96, 96, 15, faces=512, budget=64 << 20, platform="cpu")
    assert with_hulls.bytes > plan.bytes + n * 512 * 4 * 20  # their surface rows alone
    with pytest.raises(ValueError, match="one picture of 4096 x 4096 pixels"):
        plan_render(1, 4096, 4096, 10, budget=1 << 20)
