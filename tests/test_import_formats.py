"""URDFs and EmbodiedGen folders: read as they really are, refused with a reason, never trusted."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.assets.formats import embodiedgen
from generation.assets.formats.bounded_xml import parse_xml
from generation.assets.formats.urdf import read_urdf
from generation.assets.formats.urdf_import import as_noun, import_urdf, shapes_to_pieces, split
from generation.assets.importing.asset import AssetError
from generation.assets.intake.sources import find_sources
from tests.asset_samples import glb, urdf_text, write_embodiedgen_asset, write_embodiedgen_task

BOX = '<geometry><box size="0.1 0.2 0.3"/></geometry>'


def urdf(folder: Path, text: str) -> Path:
    path = folder / "thing.urdf"
    path.write_text(text)
    return path


def robot(inner: str) -> str:
    return f'<robot name="thing">{inner}</robot>'


def link(name: str, inner: str = f"<visual>{BOX}</visual>") -> str:
    return f'<link name="{name}">{inner}</link>'


def joint(kind: str, parent: str, child: str, xyz: str = "0 0 0", rpy: str = "0 0 0") -> str:
    return (
        f'<joint name="{parent}_{child}" type="{kind}"><parent link="{parent}"/>'
        f'<child link="{child}"/><origin xyz="{xyz}" rpy="{rpy}"/></joint>'
    )


# --------------------------------------------------------------------- XML


LAUGHS = '<!DOCTYPE robot [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]><robot>&b;</robot>'
OUTSIDE = '<!DOCTYPE robot [<!ENTITY x SYSTEM "file:///etc/passwd">]><robot>&x;</robot>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "entities, which are refused"),
        (OUTSIDE, "entities, which are refused"),
        ("<!DOCTYPE robot><robot/>", "entities, which are refused"),
        ("<a>" * 1_000_000, "nested deeper than 64"),
        ("<a>" + "<b/>" * 60_000 + "</a>", "more than 50,000 elements"),
        ("<a " + " ".join(f'x{k}=""' for k in range(100)) + "/>", "too many attributes"),
        ("<a>" + " " * (5 << 20) + "</a>", "the limit is 4,194,304"),
        ("<a><b></a>", "not well-formed"),
        ("", "not well-formed"),
        ("<a>&nothing;</a>", "not well-formed"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "not well-formed|unreadable"),
    ],
)
def test_hostile_xml_is_refused_quickly(text, reason):
    begin = time.process_time()
    with pytest.raises(AssetError, match=reason):
        parse_xml(text.encode())
    assert time.process_time() - begin < 5.0


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_urdfs_are_urdfs_or_an_asset_error(data, tmp_path_factory):
    whole = urdf_text().encode()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] = data.draw(st.integers(0, 255))
        else:
            content[at:at] = data.draw(
                st.sampled_from([b"<", b'"', b"-", b"nan", b"1e999", b"/.."])
            )
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    (folder / "mesh").mkdir(parents=True, exist_ok=True)
    for name in ("mug.obj", "mug_collision.obj"):
        (folder / "mesh" / name).write_text("")
    path = folder / "thing.urdf"
    path.write_bytes(bytes(content))
    try:
        model = read_urdf(path)
    except AssetError:
        return
    assert all(np.isfinite(shape.pose).all() for shape in (*model.visuals, *model.collisions))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="<>/=\"' abrobotlink&;!-[]?", max_size=200))
def test_random_bytes_are_no_xml(content):
    with contextlib.suppress(AssetError):
        parse_xml(content.encode() if isinstance(content, str) else content)


# --------------------------------------------------------------------- URDF


def test_origins_scales_and_primitives_are_placed(tmp_path):
    (tmp_path / "box.glb").write_bytes(glb(trimesh.creation.box((0.1, 0.2, 0.4))))
    path = urdf(
        tmp_path,
        robot(
            '<material name="blue"><color rgba="0 0 1 1"/></material>'
            + link(
                "base",
                '<visual><origin xyz="1 0 0" rpy="1.5707963 0 0"/><geometry>'
                '<mesh filename="box.glb" scale="1 1 0.5"/></geometry></visual>'
                '<visual><geometry><cylinder radius="0.02" length="0.1"/></geometry>'
                '<material name="blue"/></visual>'
                '<visual><geometry><sphere radius="0.03"/></geometry>'
                '<material name="own"><color rgba="1 0 0 1"/></material></visual>'
                '<collision><origin rpy="0 0 1.5707963"/>' + BOX + "</collision>",
            )
        ),
    )
    model = read_urdf(path)
    mesh, cylinder, sphere = (shapes_to_pieces([v]).pieces[0] for v in model.visuals)
    # y turns into z: 0.2 high, and the scaled 0.2 deep.
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), (0.1, 0.2, 0.2), atol=1e-6)
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), (1, 0, 0), atol=1e-6)
    np.testing.assert_allclose(np.ptp(cylinder.vertices, axis=0), (0.04, 0.04, 0.1), atol=1e-3)
    assert cylinder.rgb == (0, 0, 1) and sphere.rgb == (1, 0, 0)
    np.testing.assert_allclose(np.ptp(sphere.vertices, axis=0), 0.06, atol=1e-3)
    (box,) = shapes_to_pieces(model.collisions).pieces
    np.testing.assert_allclose(np.ptp(box.vertices, axis=0), (0.2, 0.1, 0.3), atol=1e-6)
    volume = trimesh.Trimesh(box.vertices, box.faces).volume
    assert volume == pytest.approx(0.006)


def test_a_mirrored_mesh_keeps_its_outside(tmp_path):
    (tmp_path / "box.glb").write_bytes(glb())
    mesh = '<visual><geometry><mesh filename="box.glb" scale="-1 1 1"/></geometry></visual>'
    (piece,) = shapes_to_pieces(read_urdf(urdf(tmp_path, robot(link("a", mesh)))).visuals).pieces
    assert trimesh.Trimesh(piece.vertices, piece.faces).volume > 0


def test_fixed_joints_merge_and_movable_ones_are_frozen_with_a_note(tmp_path):
    text = robot(
        link("a") + link("b") + link("c")
        + joint("fixed", "a", "b", xyz="0 0 1", rpy="0 0 1.5707963")
        + joint("revolute", "b", "c", xyz="1 0 0")
    )  # fmt: skip
    model = read_urdf(urdf(tmp_path, text))
    assert len(model.visuals) == 3
    np.testing.assert_allclose(model.visuals[2].pose[:3, 3], (0, 1, 1), atol=1e-6)
    assert model.notes == ("revolute joint 'b_c' frozen at zero",)


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (link("a") + link("a"), "two links are called 'a'"),
        ("", "without links"),
        (link("a") + joint("fixed", "a", "b"), "child link 'b' is missing"),
        (link("a") + link("b"), "'a' and 'b' are not connected"),
        (link("a") + joint("fixed", "a", "a"), "form a circle"),
        (link("a") + link("b") + joint("fixed", "a", "b") + joint("fixed", "b", "a"), "a circle"),
        (
            "".join(map(link, "abc")) + joint("fixed", "b", "c") + joint("fixed", "c", "b"),
            "circle at link 'b'",
        ),
        (
            "".join(map(link, "abc")) + joint("fixed", "a", "c") + joint("fixed", "b", "c"),
            "'c' has two parents",
        ),
        (link("a") + link("b") + joint("magic", "a", "b"), "unknown type 'magic'"),
        (link("a", ""), "without any visual or collision"),
        ("".join(link(f"l{k}") for k in range(501)), "the limit is 500"),
        (link("a", '<visual><geometry><box size="1 1"/></geometry></visual>'), "expected 3 finite"),
        (link("a", '<visual><geometry><box size="1 nan 1"/></geometry></visual>'), "finite"),
        (link("a", '<visual><geometry><box size="1 1e9 1"/></geometry></visual>'), "below 10,000"),
        (link("a", '<visual><geometry><box size="1 -1 1"/></geometry></visual>'), "positive"),
        (link("a", f'<visual><origin rpy="0 0 inf"/>{BOX}</visual>'), "origin rpy"),
        (link("a", "<visual><geometry><blob/></geometry></visual>"), "<blob> is not known"),
        ("<xacro:macro/>" + link("a"), "run xacro"),
    ],
)
def test_impossible_robots_are_refused_with_the_reason(tmp_path, inner, reason):
    text = robot(inner).replace("<robot", '<robot xmlns:xacro="x"')
    with pytest.raises(AssetError, match=reason):
        read_urdf(urdf(tmp_path, text))


def test_a_thousand_links_in_a_chain_need_no_recursion(tmp_path):
    names = [f"l{k}" for k in range(500)]
    pairs = itertools.pairwise(names)
    text = robot("".join(map(link, names)) + "".join(joint("fixed", *pair) for pair in pairs))
    assert len(read_urdf(urdf(tmp_path, text)).visuals) == 500


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.obj", "not followed"),
        ("/etc/passwd", "not followed"),
        ("file:///etc/passwd", "not followed"),
        ("package://../../secret.obj", "not followed|is missing"),
        ("%2e%2e/secret.obj", "not followed"),
        ("link.obj", "not followed"),
        ("http://example.com/x.obj", "no addresses"),
        ("nothing.obj", "is missing"),
        ("", "is not one"),
        ("x" * 5000, "is missing"),
        ("loop/x.obj", "is missing"),
    ],
)
def test_meshes_come_from_the_folder_only(tmp_path, name, reason):
    (tmp_path / "secret.obj").write_text("v 0 0 0\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.obj").symlink_to(tmp_path / "secret.obj")
    (inside / "loop").symlink_to(inside / "loop")
    mesh = f'<visual><geometry><mesh filename="{name}"/></geometry></visual>'
    with pytest.raises(AssetError, match=reason):
        read_urdf(urdf(inside, robot(link("a", mesh))))


@pytest.mark.parametrize(
    "name", ["package://pkg/meshes/x.obj", "../meshes/x.obj", "package://meshes/x.obj"]
)
def test_packages_are_found_inside_the_folder_that_was_named(tmp_path, name):
    for folder in ("urdf", "meshes"):
        (tmp_path / "pkg" / folder).mkdir(parents=True)
    (tmp_path / "pkg" / "meshes" / "x.obj").write_text("v 0 0 0\n")
    mesh = f'<visual><geometry><mesh filename="{name}"/></geometry></visual>'
    path = urdf(tmp_path / "pkg" / "urdf", robot(link("a", mesh)))
    (shape,) = read_urdf(path, root=tmp_path).visuals
    assert shape.file == tmp_path / "pkg" / "meshes" / "x.obj"
    with pytest.raises(AssetError):
        read_urdf(path)


def test_a_room_is_no_asset_unless_its_unit_says_otherwise(tmp_path):
    room = '<visual><geometry><box size="5 4 2.5"/></geometry></visual>'
    path = urdf(tmp_path, robot(link("room", room)))
    with pytest.raises(AssetError, match=r"5\.0 m long: furniture or a room"):
        import_urdf(path)
    assert import_urdf(path, unit="cm", noun="box").draft.height == pytest.approx(0.025, abs=1e-3)


# --------------------------------------------------------------------- EmbodiedGen assets


def test_an_embodiedgen_urdf_is_read_with_all_its_oddities(tmp_path):
    model = read_urdf(write_embodiedgen_asset(tmp_path, "red_mug"))
    assert model.mass == 0.3 and model.friction == pytest.approx(0.7)
    assert model.extra["category"] == "red mug" and model.extra["real_height"] == "0.1"
    assert "placeholder" in model.notes[0]
    (seen,) = shapes_to_pieces(model.visuals).pieces
    # It stands: the y-up mesh is turned by the rpy of its origin.
    np.testing.assert_allclose(np.ptp(seen.vertices, axis=0), (0.06, 0.06, 0.1), atol=1e-4)
    assert seen.image is not None and seen.image.reshape(-1, 3).mean(axis=0)[2] > 150
    (joined,) = shapes_to_pieces(model.collisions).pieces
    hulls = list(split(joined))
    assert len(hulls) == 2
    assert all(trimesh.Trimesh(hull.vertices, hull.faces).is_convex for hull in hulls)
    foot = min(hulls, key=lambda hull: hull.vertices[:, 2].mean())
    np.testing.assert_allclose(np.ptp(foot.vertices, axis=0), (0.06, 0.06, 0.025), atol=1e-4)


def test_absent_mass_inertia_and_friction_are_no_fault(tmp_path):
    bare = write_embodiedgen_asset(tmp_path / "a", "cup", mass=None, mu=None)
    model = read_urdf(bare)
    assert model.mass is None and model.friction is None
    model = read_urdf(write_embodiedgen_asset(tmp_path / "b", "cup", inertia=""))
    assert model.mass == 0.3 and model.notes == (
        "no inertia in the file: computed from the geometry",
    )
    model = read_urdf(write_embodiedgen_asset(tmp_path / "c", "cup", mass=-1.0))
    assert model.mass is None and "ignored" in model.notes[-1]


def test_hulls_without_shared_vertices_are_joined_by_position():
    soup = trimesh.creation.icosphere(3)
    vertices = soup.vertices[soup.faces].reshape(-1, 3)
    from generation.assets.importing.asset import Piece

    faces = np.arange(len(vertices)).reshape(-1, 3)
    (one,) = split(Piece(vertices, faces))
    assert len(one.vertices) == len(soup.vertices)


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("Coffee_Mug-02", "coffee mug"), ("coffeeMug", "coffee mug"), ("007", ""),
        ("a very long name of a thing", "a very long name"), ("Ünï<b>", "uni b"),
        ("Café Crème 2", "cafe creme"),
    ],
)  # fmt: skip
def test_nouns_of_names(text, noun):
    assert as_noun(text) == noun


# --------------------------------------------------------------------- EmbodiedGen layouts


def test_a_layout_is_read_and_seen_from_the_robot(tmp_path):
    folder = write_embodiedgen_task(tmp_path, turn=math.pi / 2)
    layout = embodiedgen.read_layout(folder)
    assert layout.nodes == ("red apple", "blue tray", "green cup")
    x, y, yaw = embodiedgen.seen_from_robot(layout, "blue tray") or (0, 0, 0)
    assert (x, y) == pytest.approx((0.30, 0.06), abs=2e-4) and yaw == pytest.approx(0, abs=1e-3)
    urdf_path = embodiedgen.asset_urdf(folder, layout, "red apple")
    assert urdf_path == folder / "asset3d/red_apple/result/red_apple.urdf"
    assert embodiedgen.background_picture(folder, layout) is None
    assert embodiedgen.sentence(layout) == "put the red apple on the blue tray"
    assert embodiedgen.describe("grey bowl2") == ("bowl", "grey")


@pytest.mark.parametrize(
    ("task", "things", "goal"),
    [
        ("Put the pens in the red bowl.", ("pen1", "pen2", "red bowl"), ("pen1", "in", "red bowl")),
        ("Put the cup on top of the book", ("cup", "book"), ("cup", "on", "book")),
        ("Move the cup to the left of the book", ("cup", "book"), ("cup", "left of", "book")),
        ("Pick up the rope and put it into the box", ("rope", "box"), ("rope", "in", "box")),
        ("Set the cup in front of the old book", ("cup", "book"), ("cup", "in front of", "book")),
        ("Tidy up the cup and the tray", ("cup", "tray"), ("cup", "on", "tray")),
    ],
)  # fmt: skip
def test_goals_of_sentences(task, things, goal):
    relation = {"task_desc": task, "manipulated_objs": things}
    layout = embodiedgen.parse_layout(json.dumps({"relation": relation}).encode())
    found = embodiedgen.goal(layout, {"tray": ("on",)})
    assert (found.target, found.relation, found.receptacle) == goal


def test_tasks_without_a_goal_say_so():
    for task, things in (
        ("Pick up the mug", ["mug"]),
        ("Shake the mug and the can", ["mug", "can"]),
    ):
        relation = {"task_desc": task, "manipulated_objs": things}
        layout = embodiedgen.parse_layout(json.dumps({"relation": relation}).encode())
        with pytest.raises(AssetError, match="relates no two objects|says nowhere to put"):
            embodiedgen.goal(layout, {})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (b"[]", "valid dictionary"),
        (b"{}", "relation: Field required"),
        (b"not json", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"relation": {}, "position": {"a": [0, 0, 0, 0, 0, NaN, 1]}}', "position.a.5: .*finite"),
        (b'{"relation": {}, "position": {"a": [0, 0, 0]}}', "position.a.3"),
        (b'{"relation": {"manipulated_objs": "mug"}}', "manipulated_objs"),
        (b'{"relation": {}, "tree": {"a": [["b"]]}}', "tree.a.0"),
        (b'{"relation": {}, "assets": {"a": 3}}', "assets.a"),
        (b" " * (5 << 20), "larger than 4 MiB"),
    ],
)
def test_broken_layouts_are_refused_with_the_field(change, reason):
    with pytest.raises(AssetError, match=reason) as caught:
        embodiedgen.parse_layout(change)
    assert "\n" not in str(caught.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "relation": st.fixed_dictionaries(
                {},
                optional={
                    "task_desc": st.text(max_size=40) | _JSON,
                    "robot": st.text(max_size=6) | _JSON,
                    "manipulated_objs": st.lists(st.text(max_size=6), max_size=3) | _JSON,
                },
            ),
            "position": st.dictionaries(
                st.text(max_size=4), st.lists(st.floats(), min_size=7, max_size=7)
            ),
            "tree": _JSON,
            "assets": st.dictionaries(st.text(max_size=4), st.text(max_size=20)),
        },
    )
)
def test_any_layout_is_a_layout_or_an_asset_error(value):
    try:
        layout = embodiedgen.parse_layout(json.dumps(value).encode())
        embodiedgen.sentence(layout)
        embodiedgen.carried(layout)
        for node in layout.nodes:
            embodiedgen.describe(node)
            seen = embodiedgen.seen_from_robot(layout, node)
            assert seen is None or len(seen) == 3
            with pytest.raises(AssetError):
                embodiedgen.asset_urdf(Path("/nowhere"), layout, node)
        embodiedgen.background_picture(Path("/nowhere"), layout)
        embodiedgen.goal(layout, {})
    except AssetError:
        pass


@pytest.mark.parametrize("place", ["../outside", "/etc", "asset3d/../../outside", "\0", "x" * 3000])
def test_assets_of_a_layout_lie_in_its_folder(tmp_path, place):
    folder = write_embodiedgen_task(tmp_path / "task")
    write_embodiedgen_asset(tmp_path / "outside", "red_apple")
    data = json.loads((folder / "layout.json").read_text())
    data["assets"]["red apple"] = place[:1999]
    layout = embodiedgen.parse_layout(json.dumps(data).encode())
    with pytest.raises(AssetError, match="outside|cannot be found|missing"):
        embodiedgen.asset_urdf(folder, layout, "red apple")


# --------------------------------------------------------------------- sources


def test_sources_are_found_once_and_in_order(tmp_path):
    write_embodiedgen_task(tmp_path / "task_0000")
    write_embodiedgen_asset(tmp_path / "cup" / "result", "cup")
    (tmp_path / "more" / ".hidden").mkdir(parents=True)
    for name in ("b.glb", "a.STL", "notes.txt", "x_collision.obj", ".c.glb", ".hidden/d.glb"):
        (tmp_path / "more" / name).write_bytes(b"x")
    (tmp_path / "more" / "up").symlink_to(tmp_path)  # a circle
    found = find_sources([tmp_path, tmp_path / "more" / "b.glb"])
    assert [(s.kind, str(s.path.relative_to(tmp_path))) for s in found] == [
        ("urdf", "cup/result/cup.urdf"),
        ("mesh", "more/a.STL"),
        ("mesh", "more/b.glb"),
        ("task", "task_0000"),
    ]
    (odd,) = find_sources([tmp_path / "more" / "notes.txt"])
    assert odd.kind == "mesh"  # named by the user: the import will say what is wrong with it
    with pytest.raises(FileNotFoundError):
        find_sources([tmp_path / "nothing"])
