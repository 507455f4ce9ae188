"""EmbodiedGen tasks become scenes of ours: goal, arrangement, colours, background, and refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from generation.assets.formats.embodiedgen_scene import import_task
from generation.assets.importing.asset import AssetError
from generation.assets.store import AssetLibrary
from generation.placing.relations import edge_holds
from generation.quality import inspect_scenes
from tests.asset_samples import sample_asset

SPOTS = {"red block": (0.0, -0.1), "blue slab": (0.0, 0.05), "green cup": (0.05, 0.16)}


@pytest.fixture
def task(tmp_path):
    """Writes a task of box-shaped assets and imports it; `change` edits its layout first."""
    library = AssetLibrary(tmp_path / "lib")
    shapes = {
        "red block": sample_asset("block", colour="red", side=0.02),
        "blue slab": sample_asset("slab", colour="blue", side=0.035, receptacle=("on",)),
        "green cup": sample_asset("cup", colour="green", side=0.02, tags=("flat",)),
    }

    def run(change: Any = None, *, distance: float = 0.27, turn: float = 0.0, **replaced: Any):
        assets = {
            node: library.add(replaced.get(node.replace(" ", "_"), shape))
            for node, shape in shapes.items()
        }
        position = {"franka": [2, 1, 0, 0, 0, math.sin(turn / 2), math.cos(turn / 2)]}
        for node, (x, y) in SPOTS.items():
            c, s = math.cos(turn), math.sin(turn)
            place = (2 + c * (distance + x) - s * y, 1 + s * (distance + x) + c * y, 0.7)
            position[node] = [round(v, 4) for v in place] + position["franka"][3:]
        layout = {
            "tree": {"table": [[node, "ON"] for node in SPOTS]},
            "relation": {
                "task_desc": "Put the red block on the blue slab, robot franka.",
                "robot": "franka",
                "background": "kitchen",
                "context": "table",
                "manipulated_objs": ["red block", "blue slab"],
                "distractor_objs": ["green cup"],
            },
            "position": position,
        }
        missing: dict[str, str] = {}
        if change:
            change(layout, assets, missing)
        folder = tmp_path / "task"
        folder.mkdir(exist_ok=True)
        (folder / "layout.json").write_text(json.dumps(layout))
        return import_task(folder, library=str(library.root), assets=assets, missing=missing)

    run.folder = tmp_path / "task"  # type: ignore[attr-defined]
    return run


def test_a_reachable_arrangement_is_kept_as_the_robot_sees_it(task):
    scene, notes = task(turn=2.0)
    assert notes == ("arrangement as in the layout",)
    for thing, (x, y) in zip(scene.objects, SPOTS.values(), strict=True):
        assert thing.pos[:2] == pytest.approx((0.27 + x, y), abs=2e-3)
    assert scene.task.instruction == "put the red block on the blue slab"
    assert "move the block onto the slab" in scene.task.paraphrases
    assert [thing.colour for thing in scene.objects] == ["red", "blue", "green"]
    assert scene.graph.goal.relation == "on" and not scene.background.picture
    report = inspect_scenes([scene])
    assert report["stable_fraction"] == report["collision_free_fraction"] == 1.0
    again, _ = task(turn=2.0)
    assert again.to_json() == scene.to_json()


def test_an_arrangement_out_of_reach_is_moved_as_a_whole(task):
    scene, notes = task(distance=0.7)
    assert len(notes) == 1 and "moved by 46 cm" in notes[0]
    gaps = [b.pos[k] - a.pos[k] for a, b in zip(scene.objects, scene.objects[1:], strict=False)
            for k in (0, 1)]  # fmt: skip
    assert gaps == pytest.approx([0.0, 0.15, 0.05, 0.11], abs=2e-3)


@pytest.mark.parametrize("reason", ["wide", "no robot", "zero quaternion"])
def test_other_arrangements_are_laid_out_anew_with_a_note(task, reason):
    def change(layout, assets, missing):
        if reason == "wide":
            layout["position"]["green cup"][0] += 0.8
        elif reason == "no robot":
            del layout["position"]["franka"]
        else:
            layout["position"]["red block"][3:] = [0, 0, 0, 0]

    scene, notes = task(change)
    assert notes[0].startswith("laid out anew: ")
    assert inspect_scenes([scene])["reachable_fraction"] == 1.0


def test_what_stands_on_another_object_still_does(task):
    def change(layout, assets, missing):
        layout["tree"] = {"table": [["blue slab", "ON"]], "blue slab": [["green cup", "on"]]}
        layout["relation"]["task_desc"] = "put the red block next to the slab"

    scene, notes = task(change)
    (edge,) = scene.graph.relations
    assert edge.relation == "on" and scene.graph.goal.relation == "next to"
    assert edge_holds(edge, {thing.name: thing for thing in scene.objects})
    assert "things stand on other things" in notes[0]


def test_a_goal_that_holds_already_starts_undone(task):
    def change(layout, assets, missing):
        layout["tree"] = {"blue slab": [["red block", "ON"]]}

    scene, notes = task(change)
    assert not scene.graph.relations and "it starts on the table" in notes[0]


def test_colours_that_the_asset_belies_are_not_spoken_of(task):
    scene, notes = task(red_block=sample_asset("block", colour="yellow", side=0.02))
    assert notes[0] == "'red block' is yellow rather than red"
    assert scene.objects[0].colour == "yellow"
    assert not any("red" in words.split() for words in scene.task.paraphrases)


def test_a_missing_distractor_is_left_out_with_a_note(task):
    def change(layout, assets, missing):
        del assets["green cup"]
        missing["green cup"] = "no triangles in the file"

    scene, notes = task(change)
    assert len(scene.objects) == 2
    assert notes[0] == "'green cup' left out: no triangles in the file"


@pytest.mark.parametrize("content", [b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_a_broken_background_picture_is_noted(task, content):
    (task.folder / "background").mkdir(parents=True)
    (task.folder / "background" / "pano_image.png").write_bytes(content)
    scene, notes = task()
    assert not scene.background.picture and notes[0].startswith("background picture ignored")


def _without_target(layout, assets, missing):
    missing["red block"] = "no triangles"
    del assets["red block"]


def _inside(layout, assets, missing):
    layout["relation"]["task_desc"] = "Put the red block in the slab"


def _twins(layout, assets, missing):
    layout["relation"]["distractor_objs"] = ["red block2"]
    assets["red block2"] = assets["red block"]


@pytest.mark.parametrize(
    ("change", "replaced", "reason"),
    [
        (_without_target, {}, "about 'red block', which is missing: no triangles"),
        (_inside, {}, "in 'blue slab', but things can only be put on it"),
        (None, {"blue_slab": sample_asset("slab", colour="blue")}, "but it holds nothing"),
        (
            None,
            {"red_block": sample_asset("block", colour="red", graspable=False)},
            "the gripper cannot lift the target",
        ),
        (_twins, {}, "ambiguous"),
    ],
)
def test_tasks_that_cannot_be_done_are_refused_with_the_reason(task, change, replaced, reason):
    with pytest.raises(AssetError, match=reason) as caught:
        task(change, **replaced)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_layout(tmp_path):
    with pytest.raises(AssetError, match=r"layout\.json does not exist"):
        import_task(Path(tmp_path), library=str(tmp_path), assets={})
