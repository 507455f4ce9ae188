"""Mesh files become assets: shape, scale, pose, mass, parts, grip, and refusal of bad input."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generation.assets.importing import AssetError, Piece, build_asset, import_mesh
from generation.assets.importing.clean import clean
from generation.assets.importing.hold import height_map, hollow
from generation.assets.importing.load import load_pieces
from generation.assets.importing.nouns import noun_of_name, prior_of
from generation.assets.importing.rest import resting_poses
from generation.assets.importing.scale import metric
from generation.assets.importing.solid import fill
from generation.assets.mass import mass_properties
from generation.spec import ObjectSpec

UP = np.array([0.0, 0.0, 1.0])
Y_UP = trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0])
BOWL = np.array([[0, 0], [0.03, 0], [0.06, 0.05], [0.056, 0.05], [0.028, 0.004], [0, 0.004]])


def piece(mesh, **colours) -> Piece:
    return Piece(np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int64), **colours)


def box(*size: float) -> trimesh.Trimesh:
    return trimesh.creation.box(size)


def saved(mesh, path: Path) -> Path:
    mesh.export(path)
    return path


def as_object(asset) -> ObjectSpec:
    draft = asset.draft
    return ObjectSpec(
        name="thing", family="thing", noun=asset.noun, role="target", colour=asset.colour,
        material=draft.material, parts=draft.parts, density=draft.density,
        friction=draft.friction, grasp=draft.grasp, place=draft.place, height=draft.height,
        radius=draft.radius, provenance=draft.provenance,
    )  # fmt: skip


@pytest.fixture(scope="module")
def small_box():
    return build_asset(
        [piece(box(0.06, 0.04, 0.03), rgb=(0.9, 0.1, 0.1))], noun="block", unit="m", up="z",
        mass=0.1, licence="CC0", source="own",
    )  # fmt: skip


def test_a_box_is_reproduced_exactly(small_box):
    numbers = small_box.report["numbers"]
    assert numbers["fit_volume_error"] == 0.0
    assert numbers["hulls"] == numbers["colliding_parts"] == numbers["visible_parts"] == 1
    found = mass_properties(small_box.draft.parts, small_box.draft.density)
    expected = 0.1 / 12 * np.array([0.04**2 + 0.03**2, 0.06**2 + 0.03**2, 0.06**2 + 0.04**2])
    assert found.mass == pytest.approx(0.1, rel=1e-4)
    assert np.diag(found.inertia) == pytest.approx(expected, rel=1e-3)
    assert found.com == pytest.approx([0, 0, 0.015], abs=1e-5)
    assert small_box.draft.height == pytest.approx(0.03, abs=1e-6)
    assert small_box.draft.radius == pytest.approx(np.hypot(0.03, 0.02), abs=1e-6)
    assert small_box.rests[0].quat == (1.0, 0.0, 0.0, 0.0)


def test_an_asset_is_a_valid_object_with_provenance_and_colour(small_box):
    thing = as_object(small_box)
    assert thing.provenance is not None and thing.provenance.asset == small_box.id
    assert small_box.provenance.training == "allowed"
    assert small_box.colour == "red" and small_box.draft.material == "wood"
    loaded = trimesh.load_scene(io.BytesIO(small_box.visual), file_type="glb")
    assert loaded.extents == pytest.approx([0.06, 0.03, 0.04], abs=1e-6)  # glTF is y up


def test_the_grip_of_a_box_is_across_its_narrow_side(small_box):
    x, y, z, yaw, width = small_box.draft.grasp
    assert small_box.graspable and width == pytest.approx(0.04, abs=1e-6)
    assert (x, y) == pytest.approx((0, 0), abs=1e-6) and 0.009 <= z < 0.03
    assert abs(np.sin(yaw)) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("size", "mass", "reason"),
    [((0.1, 0.09, 0.05), 0.1, "wide"), ((0.04, 0.04, 0.04), 0.9, "heavy"),
     ((0.05, 0.03, 0.005), 0.02, "flat")],
)  # fmt: skip
def test_what_cannot_be_gripped_says_why(size, mass, reason):
    asset = build_asset([piece(box(*size))], noun="block", unit="m", up="z", mass=mass)
    assert not asset.graspable and reason in asset.report["graspable"]
    assert asset.draft.grasp[4] == 0.0


def test_the_same_input_gives_the_same_bytes(small_box):
    again = build_asset(
        [piece(box(0.06, 0.04, 0.03), rgb=(0.9, 0.1, 0.1))], noun="block", unit="m", up="z",
        mass=0.1, licence="CC0", source="own",
    )  # fmt: skip
    assert again.id == small_box.id and again.visual == small_box.visual
    assert again.draft == small_box.draft


@pytest.mark.parametrize("wrong", ["inverted", "holes", "soup", "double"])
def test_broken_surfaces_keep_their_volume(wrong):
    mesh = trimesh.creation.icosphere(3, radius=0.05)
    volume, vertices, faces = mesh.volume, np.array(mesh.vertices), np.array(mesh.faces)
    if wrong == "inverted":
        faces[::3] = faces[::3, ::-1]
    elif wrong == "holes":
        faces = faces[30:]
    elif wrong == "soup":
        vertices, faces = vertices[faces].reshape(-1, 3), np.arange(faces.size).reshape(-1, 3)
    else:
        faces = np.concatenate([faces, faces[:50]])
    surface = clean([Piece(vertices, faces.astype(np.int64))])
    solid = fill(surface, UP)
    assert solid.properties.volume == pytest.approx(volume, rel=0.02)
    assert surface.watertight == (wrong != "holes")
    assert surface.notes or wrong == "soup"


def test_a_ring_is_not_solid_and_holds_nothing():
    ring = trimesh.creation.annulus(0.03, 0.04, 0.02)
    solid = fill(clean([piece(ring)]), UP)
    assert solid.properties.volume == pytest.approx(ring.volume, rel=1e-6)
    cells = solid.cells.sum() * solid.pitch**3
    assert cells == pytest.approx(ring.volume, rel=0.05)
    top = height_map(solid.cells, 0.0, solid.pitch)
    assert hollow(top, (0.0, 0.0), solid.pitch) is None


def test_overlapping_pieces_do_not_weigh_double():
    other = box(0.04, 0.04, 0.04)
    other.apply_translation([0.02, 0, 0])
    solid = fill(clean([piece(box(0.04, 0.04, 0.04)), piece(other)]), UP)
    assert solid.properties.volume == pytest.approx(0.06 * 0.04 * 0.04, rel=0.05)


def test_a_cup_without_thickness_is_a_sheet_and_a_scan_without_bottom_is_solid():
    can = trimesh.creation.cylinder(0.03, 0.08)
    normals = can.face_normals[:, 2]
    open_top = piece(trimesh.Trimesh(can.vertices, can.faces[normals < 0.9]))
    open_bottom = piece(trimesh.Trimesh(can.vertices, can.faces[normals > -0.9]))
    cup, scan = fill(clean([open_top]), UP), fill(clean([open_bottom]), UP)
    assert cup.sheet > 0 and cup.properties.volume < 0.4 * can.volume
    assert scan.sheet == 0 and scan.properties.volume == pytest.approx(can.volume, rel=0.05)


def test_a_bowl_holds_things_and_its_hollow_stays_open():
    mesh = trimesh.creation.revolve(BOWL, sections=32)
    asset = build_asset([piece(mesh)], noun="bowl", unit="m", up="z")
    x, y, z, radius = asset.draft.place
    assert asset.receptacle == ("in",) and "container" in asset.tags
    assert (x, y) == pytest.approx((0, 0), abs=0.003) and z < 0.008 and 0.025 < radius < 0.045
    assert sum(p.collide for p in asset.draft.parts) <= 8 and len(asset.draft.parts) <= 32
    assert asset.report["numbers"]["fit_distance_mm"] < 3
    as_object(asset)


def test_resting_poses_of_a_box_are_its_six_faces():
    rests = resting_poses(np.array(box(0.06, 0.04, 0.03).vertices), np.zeros(3))
    assert len(rests) == 6
    assert sum(r.probability for r in rests) == pytest.approx(1.0, abs=1e-6)
    assert rests[0].height == pytest.approx(0.015) and rests[0].probability > 0.2
    assert rests[0].tip == pytest.approx(np.arctan2(0.02, 0.015), abs=1e-6)


def test_two_colours_become_two_parts():
    left, right = box(0.03, 0.03, 0.03), box(0.03, 0.03, 0.03)
    right.apply_translation([0.03, 0, 0])
    both = trimesh.util.concatenate([left, right])
    rgb = np.repeat([[0.9, 0.1, 0.1], [0.1, 0.2, 0.9]], 12, axis=0)
    asset = build_asset([piece(both, face_rgb=rgb)], noun="block", unit="m", up="z")
    seen = sorted(part.rgba[0] for part in asset.draft.parts if part.visible)
    assert len(seen) == 2 and seen[0] < 0.2 and seen[1] > 0.8


def test_collision_parts_of_the_source_are_used():
    foot, back = box(0.1, 0.06, 0.02), box(0.02, 0.06, 0.08)
    back.apply_translation([0.04, 0, 0.05])
    seen = trimesh.util.concatenate([foot, back])
    asset = build_asset(
        [piece(seen)], noun="part", unit="m", up="z", collision=[piece(foot), piece(back)]
    )
    assert asset.report["numbers"]["colliding_parts"] == 2
    assert asset.report["numbers"]["fit_volume_error"] < 0.02


# -- units and axes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "factor", "turned"),
    [("stl", 1000.0, False), ("obj", 100.0, True), ("ply", 1.0, False), ("glb", 1.0, True)],
)
def test_units_and_axes_are_found(tmp_path, suffix, factor, turned):
    mesh = trimesh.creation.cylinder(0.02, 0.12, sections=16)
    mesh.apply_scale(factor)
    if turned:
        mesh.apply_transform(Y_UP)
    asset = import_mesh(saved(mesh, tmp_path / f"my_can_01.{suffix}"))
    assert asset.noun == "can"
    assert asset.draft.height == pytest.approx(0.12, rel=0.02)
    assert asset.report["decisions"]["up"]["sure"] > 0.4
    assert asset.graspable and asset.report["format"] == suffix


@pytest.mark.parametrize(
    ("longest", "noun", "metres"),
    [(1.0, "mug", None), (0.1, "mug", 0.1), (100.0, "mug", 0.1), (10.0, "mug", 0.1),
     (2.0, "plate", None), (25.0, "plate", 0.25), (7.0, "apple", 0.07), (75.0, "apple", 0.075)],
)  # fmt: skip
def test_scale_follows_the_kind_of_thing(longest, noun, metres):
    prior = prior_of(noun)[0]
    found = metric(longest, prior, size=None, unit="", metres_by_standard=False)
    if metres is None:  # a unit cube: as large as such a thing usually is, and said to be a guess
        assert prior.low <= longest * found.factor <= prior.high and found.sure < 0.5
    else:
        assert longest * found.factor == pytest.approx(metres)
    given_size = metric(longest, prior, size=0.2, unit="mm", metres_by_standard=False)
    assert longest * given_size.factor == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("name", "noun"),
    [("011_banana.obj", "banana"), ("MilkCarton-2.glb", "milk carton"), ("textured.obj", ""),
     ("red_coffee_mug_vis.stl", "mug"), ("037_scissors/google_16k.ply", ""),
     ("Crème_Brûlée.glb", "creme brulee")],
)  # fmt: skip
def test_nouns_are_read_off_file_names(name, noun):
    assert noun_of_name(name) == noun


# -- files ---------------------------------------------------------------------------------------


def test_an_obj_with_texture_is_read_and_its_missing_texture_is_noted(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd blue.png\n")
    lines = ["mtllib a.mtl", "usemtl m"]
    mesh = box(0.05, 0.05, 0.05)
    lines += [f"v {x} {y} {z}" for x, y, z in mesh.vertices] + ["vt 0.5 0.5"]
    lines += ["f " + " ".join(f"{i + 1}/1" for i in face) for face in mesh.faces]
    (tmp_path / "a.obj").write_text("\n".join(lines) + "\n")
    without = load_pieces(tmp_path / "a.obj")
    assert any("blue.png" in note for note in without.notes)
    Image.new("RGB", (2000, 2000), (10, 30, 220)).save(tmp_path / "blue.png")
    (found,) = load_pieces(tmp_path / "a.obj").pieces
    assert found.image is not None and max(found.image.shape) == 512
    assert build_asset([found], noun="block", unit="m").colour == "blue"


@pytest.mark.parametrize(
    "reference",
    ["../secret.png", "/etc/hostname", "http://127.0.0.1:9/secret.png", "..\\secret.png",
     "sub/../../secret.png", "file:///etc/hostname", "link.png"],
)  # fmt: skip
def test_references_out_of_the_folder_are_not_followed(tmp_path, reference):
    Image.new("RGB", (4, 4), (0, 255, 0)).save(tmp_path / "secret.png")
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "a.mtl").write_text(f"newmtl m\nKd 1 0 0\nmap_Kd {reference}\n")
    text = "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nusemtl m\n"
    text += "".join(f"f {a}/1 {b}/1 {c}/1\n" for a, b, c in ((1, 3, 2), (1, 2, 4), (1, 4, 3)))
    (folder / "a.obj").write_text(text)
    loaded = load_pieces(folder / "a.obj")
    assert loaded.pieces[0].image is None
    assert any("not followed" in note or "does not exist" in note for note in loaded.notes)


def _glb(document: dict, binary: bytes = b"") -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        body += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


SPLAT = "ply\nformat ascii 1.0\nelement vertex 1\n" + "".join(
    f"property float {name}\n" for name in ("x", "y", "z", "f_dc_0", "opacity", "scale_0", "rot_0")
)
MESH = {"primitives": [{"attributes": {"POSITION": 0}}]}
BAD = {
    "empty.stl": (b"", "empty"),
    "word.txt": (b"hello", "suffix"),
    "a.glb": (b"hello world, this is no mesh", "glTF"),
    "cut.stl": (b"\0" * 80 + struct.pack("<I", 10_000_000) + b"\0" * 50, "STL"),
    "nan.obj": (b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "NaN"),
    "none.obj": (b"v 0 0 0\nv 1 0 0\n", "triangles"),
    "beyond.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99\n", ""),
    "point.obj": (b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "extent"),
    "line.obj": (b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "line"),
    "huge.obj": (b"v 0 0 0\nv 1e300 0 0\nv 0 1e300 1\nf 1 2 3\n", ""),
    "splat.ply": (SPLAT.encode() + b"end_header\n0 0 0 0 0 0 0\n", "splat"),
    "cloud.ply": (b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n", "point cloud"),
    "bomb.ply": (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\n"
        b"element face 9\nproperty list uchar int vertex_indices\nend_header\n",
        "announces",
    ),
    "bomb.glb": (
        _glb({"asset": {"version": "2.0"}, "buffers": [{"byteLength": 0}], "meshes": [MESH],
              "accessors": [{"count": 10**12, "componentType": 5126, "type": "VEC3"}]}),
        "accessor",
    ),
    "circle.glb": (
        _glb({"asset": {"version": "2.0"}, "nodes": [{"children": [1]}, {"children": [0]}]}),
        "circle",
    ),
    "draco.glb": (
        _glb({"asset": {"version": "2.0"}, "extensionsRequired": ["KHR_draco_mesh_compression"]}),
        "Draco",
    ),
    "bomb.off": (b"OFF\n3 999999999 0\n", "announces"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_files_are_refused_with_a_reason(tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AssetError) as refusal:
        import_mesh(tmp_path / name)
    assert reason in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "arguments",
    [{"size": -1.0}, {"size": float("nan")}, {"mass": 0.0}, {"up": "w"}, {"unit": "parsec"},
     {"material": "kryptonite"}, {"unit": "m"}],
)  # fmt: skip
def test_bad_arguments_are_refused(tmp_path, arguments):
    path = saved(box(30, 20, 10), tmp_path / "block.stl")  # 30 m if told that these are metres
    with pytest.raises(AssetError):
        import_mesh(path, **arguments)


SEEDS = {
    "glb": trimesh.creation.box((0.1, 0.06, 0.04)).export(file_type="glb"),
    "stl": trimesh.creation.box((0.1, 0.06, 0.04)).export(file_type="stl"),
    "ply": trimesh.creation.box((0.1, 0.06, 0.04)).export(file_type="ply"),
    "obj": trimesh.creation.box((0.1, 0.06, 0.04)).export(file_type="obj"),
    "off": trimesh.creation.box((0.1, 0.06, 0.04)).export(file_type="off"),
}


@given(
    kind=st.sampled_from(sorted(SEEDS)),
    edits=st.lists(
        st.tuples(st.integers(0, 10_000), st.binary(min_size=0, max_size=6), st.integers(0, 8)),
        min_size=1, max_size=6,
    ),
    cut=st.one_of(st.none(), st.integers(0, 2000)),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_mutated_files_are_read_or_refused(tmp_path_factory, kind, edits, cut):
    seed = SEEDS[kind]
    data = bytearray(seed.encode() if isinstance(seed, str) else bytes(seed))
    for place, new, removed in edits:
        place %= len(data)
        data[place : place + removed] = new
    path = tmp_path_factory.getbasetemp() / f"mutated.{kind}"
    path.write_bytes(bytes(data[:cut]) if cut is not None else bytes(data))
    refusal, solid = "", None
    try:
        solid = fill(clean(load_pieces(path).pieces), None)
    except AssetError as error:
        refusal = str(error)
    assert (solid is None) == bool(refusal) and "\n" not in refusal
    if solid is not None:
        assert np.isfinite(solid.properties.inertia).all() and solid.cells.any()
