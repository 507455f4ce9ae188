"""Assets and folders of files for the tests of libraries and importers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from generation.assets.importing.asset import ImportedAsset, Rest
from generation.assets.parts import Draft, Paint, box, finish
from generation.spec import Provenance

# Where EmbodiedGen's z-up URDFs turn their y-up meshes.
UPRIGHT = (1.5708, 0.0, 0.0)
COLOURS = {"red": (215, 30, 30), "blue": (30, 60, 210), "green": (40, 160, 50)}


def sample_asset(
    noun: str = "gramophone",
    *,
    colour: str = "red",
    side: float = 0.02,
    licence: str = "MIT",
    training: str = "unknown",
    receptacle: tuple[str, ...] = (),
    graspable: bool = True,
    tags: tuple[str, ...] = (),
    source: str = "gramophone.glb",
) -> ImportedAsset:
    """An asset made of a box, as an import would return it."""
    half = (side, side, side)
    place = (2 * side, 0.8 * side) if receptacle or "flat" in tags else None
    draft: Draft = finish(
        [box(half, (0, 0, side), Paint((0.8, 0.1, 0.1)))],
        density=600.0,
        friction=0.6,
        grasp=(side, 2 * side),
        place=place,
    )
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)], float) * side
    provenance = Provenance(asset="0" * 16, source=source, licence=licence, training=training)  # type: ignore[arg-type]
    mesh = trimesh.creation.box((2 * side,) * 3)
    return ImportedAsset(
        id="0" * 16,
        noun=noun,
        draft=draft,
        graspable=graspable,
        receptacle=receptacle,  # type: ignore[arg-type]
        rests=(Rest((1.0, 0.0, 0.0, 0.0), side, math.pi / 4, 1.0),),
        hulls=(corners,),
        visual=trimesh.Scene(mesh).export(file_type="glb"),  # type: ignore[arg-type]
        report={"notes": ["a test"]},
        provenance=provenance,
        colour=colour,
        tags=tags,
    )


def glb(mesh: trimesh.Trimesh | None = None) -> bytes:
    """A real GLB file, of a box 10 x 6 x 4 cm unless a mesh is given."""
    return trimesh.Scene(mesh or trimesh.creation.box((0.1, 0.06, 0.04))).export(file_type="glb")  # type: ignore[return-value]


def urdf_text(
    name: str = "mug",
    *,
    rpy: tuple[float, ...] = UPRIGHT,
    mass: float | None = 0.3,
    mu: tuple[float, float] | None = (0.8, 0.6),
    category: str = "mug",
    inertia: str = '<inertia ixx="1.0" ixy="0" ixz="0" iyy="1.0" iyz="0" izz="1.0"/>',
) -> str:
    """A URDF as EmbodiedGen writes it, with its placeholder inertia."""
    origin = f'<origin xyz="0 0 0" rpy="{rpy[0]} {rpy[1]} {rpy[2]}"/>'
    inertial = f'<inertial><mass value="{mass}"/>{inertia}</inertial>' if mass is not None else ""
    friction = f"<gazebo><mu1>{mu[0]}</mu1><mu2>{mu[1]}</mu2></gazebo>" if mu else ""
    return f"""<?xml version='1.0' encoding='utf-8'?>
<robot name="{name}"><link name="{name}">
  <visual>{origin}<geometry><mesh filename="mesh/{name}.obj" scale="1.0 1.0 1.0"/></geometry>
  </visual>
  <collision>{origin}<geometry><mesh filename="mesh/{name}_collision.obj" scale="1.0 1.0 1.0"/>
    </geometry>{friction}</collision>{inertial}
  <extra_info><scale>1.0</scale><version>v2.1.0</version><category>{category}</category>
    <description>a {category} for tests</description><min_height>0.08</min_height>
    <max_height>0.12</max_height><real_height>0.1</real_height><min_mass>0.2</min_mass>
    <max_mass>0.4</max_mass><generate_time>2026-01-01</generate_time></extra_info>
</link></robot>"""


def write_embodiedgen_asset(
    folder: Path,
    name: str,
    *,
    size: tuple[float, float, float] = (0.06, 0.06, 0.1),
    rgb: tuple[int, int, int] = (30, 60, 200),
    **urdf: Any,
) -> Path:
    """`result/` of one asset: y-up OBJ with MTL and texture, hulls in one OBJ; returns the URDF.

    `size` is x, y, z of the standing object in m. A quarter of its height is a wider foot, so that
    it has two hulls.
    """
    mesh_folder = folder / "mesh"
    mesh_folder.mkdir(parents=True)
    x, y, z = size
    foot = trimesh.creation.box((x, y, z / 4))
    foot.apply_translation((0, 0, -3 * z / 8))
    body = trimesh.creation.box((0.8 * x, 0.8 * y, 3 * z / 4))
    body.apply_translation((0, 0, z / 8))
    y_up = trimesh.transformations.rotation_matrix(-math.pi / 2, (1, 0, 0))
    hulls: list[trimesh.Trimesh] = [foot, body]
    for hull in hulls:
        hull.apply_transform(y_up)
    lines, first = [], 1
    for number, hull in enumerate(hulls):
        lines.append(f"o hull_{number}")
        lines += [f"v {a:.6f} {b:.6f} {c:.6f}" for a, b, c in hull.vertices]
        lines += [f"f {a + first} {b + first} {c + first}" for a, b, c in hull.faces]
        first += len(hull.vertices)
    (mesh_folder / f"{name}_collision.obj").write_text("\n".join(lines) + "\n")
    seen: Any = trimesh.util.concatenate(hulls)
    lines = ["mtllib material.mtl", "usemtl material_0"]
    lines += [f"v {a:.6f} {b:.6f} {c:.6f}" for a, b, c in seen.vertices]
    lines += ["vt 0.25 0.25", "vt 0.75 0.25", "vt 0.25 0.75"]
    lines += [f"f {a + 1}/1 {b + 1}/2 {c + 1}/3" for a, b, c in seen.faces]
    (mesh_folder / f"{name}.obj").write_text("\n".join(lines) + "\n")
    (mesh_folder / "material.mtl").write_text(
        "newmtl material_0\nKa 0.4 0.4 0.4\nKd 1.0 1.0 1.0\nmap_Kd material_0.png\n"
    )
    Image.new("RGB", (64, 64), rgb).save(mesh_folder / "material_0.png")
    path = folder / f"{name}.urdf"
    path.write_text(urdf_text(name, **{"category": name.replace("_", " "), **urdf}))
    return path


def write_embodiedgen_task(
    folder: Path,
    *,
    task: str = "Put the red apple on the blue tray, robot franka.",
    target: str = "red apple",
    receptacle: str = "blue tray",
    distractors: tuple[str, ...] = ("green cup",),
    distance: float = 0.30,
    turn: float = 0.0,
    picture: bool = False,
) -> Path:
    """`task_0000/` with layout.json and its assets; returns the folder.

    The objects stand around a point `distance` m in front of the robot, which stands at (2, 1) in
    the room and is turned by `turn` rad.
    """
    sizes = {target: (0.04, 0.04, 0.05), receptacle: (0.14, 0.12, 0.016)}
    spots = [(0.0, -0.11), (0.0, 0.06), (0.06, 0.17), (-0.06, 0.18)]
    nodes = (target, receptacle, *distractors)
    position: dict[str, list[float]] = {
        "kitchen": [0, 0, 0, 0, 0, 0, 1],
        "table": [2.3, 1, 0, 0, 0, 0, 1],
        "franka": [2, 1, 0.7, 0, 0, round(math.sin(turn / 2), 4), round(math.cos(turn / 2), 4)],
    }
    assets = {"kitchen": "background", "table": "asset3d/table/result"}
    for node, (x, y) in zip(nodes, spots, strict=False):
        slug = node.replace(" ", "_")
        result = folder / "asset3d" / slug / "result"
        size = sizes.get(node, (0.05, 0.05, 0.07))
        rgb = next((c for word, c in COLOURS.items() if word in node), (130, 130, 130))
        write_embodiedgen_asset(result, slug, size=size, rgb=rgb, mass=0.1)
        assets[node] = f"asset3d/{slug}/result"
        c, s = math.cos(turn), math.sin(turn)
        ahead, left = distance + x, y
        place = [2 + c * ahead - s * left, 1 + s * ahead + c * left, 0.75]
        position[node] = [round(v, 4) for v in place] + position["franka"][3:]
    (folder / "background").mkdir(parents=True, exist_ok=True)
    (folder / "background" / "gs_model.ply").write_bytes(b"ply\n")
    if picture:
        Image.new("RGB", (128, 64), (90, 140, 90)).save(folder / "background" / "pano_image.png")
    layout = {
        "tree": {
            "kitchen": [["table", "FLOOR"], ["franka", "IN"]],
            "table": [[node, "ON"] for node in nodes],
        },
        "relation": {
            "task_desc": task,
            "task": "pick and place",
            "robot": "franka",
            "background": "kitchen",
            "context": "table",
            "manipulated_objs": [target, receptacle],
            "distractor_objs": list(distractors),
        },
        "objs_desc": {node: f"a {node}" for node in nodes},
        "objs_mapping": {
            "kitchen": "background",
            "table": "context",
            target: "manipulated_objs",
            receptacle: "manipulated_objs",
            **dict.fromkeys(distractors, "distractor_objs"),
        },
        "assets": assets,
        "quality": {"red apple": "looks fine"},
        "position": position,
    }
    (folder / "layout.json").write_text(json.dumps(layout))
    return folder
