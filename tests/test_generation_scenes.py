"""Scenes as a whole: compiled, laid out, stored and inspected."""

from __future__ import annotations

import math
from pathlib import Path

import mujoco
import numpy as np
import pytest
from generation_scenes import PROMPTS, box, moved, with_parts

from generation import (
    Part,
    SceneSpec,
    compile_scene,
    design,
    load_scenes,
    same_structure,
    save_scenes,
    slot_template,
)
from generation.compile import SPECK
from generation.layout import WORKSPACES
from generation.placing.access import CLEARANCE
from generation.placing.footprint import Footprint, Pose, gap
from generation.placing.relations import carrier
from generation.placing.settling import simulate
from generation.spec import TABLE


@pytest.fixture(scope="module")
def easy() -> list[SceneSpec]:
    return design(PROMPTS, n=6, seed=0)


@pytest.fixture(scope="module")
def full() -> list[SceneSpec]:
    return design("put something in something", n=8, seed=0, difficulty="full")


@pytest.fixture(scope="module")
def scene(easy: list[SceneSpec]) -> SceneSpec:
    return easy[0]


# Compiling: one structure for many scenes


def test_slot_template_is_the_elementwise_maximum(scene: SceneSpec) -> None:
    one, other = box((0.01, 0.01, 0.01), (0, 0, 0.01)), Part(shape="sphere", size=(0.01, 0, 0))
    drawn = other.model_copy(update={"collide": False})
    first = with_parts(scene, 0, one, one, drawn, density=900.0)
    second = with_parts(scene, 0, one, other, density=900.0)
    short = second.model_copy(update={"objects": second.objects[:2]})
    template = slot_template([first, short])
    assert len(template) == 3
    assert template.slots[0] == (("box", True), ("box", True), ("sphere", False), ("sphere", True))
    assert template == slot_template([short, first])
    for index in (1, 2):
        expected = sorted((part.shape, part.collide) for part in scene.objects[index].parts)
        assert list(template.slots[index]) == expected
    with pytest.raises(ValueError, match="zero scenes"):
        slot_template([])


def test_mixed_scenes_share_one_structure(easy: list[SceneSpec], full: list[SceneSpec]) -> None:
    scenes = easy + full
    assert len({len(scene.objects) for scene in scenes}) > 1
    template = slot_template(scenes)
    models = [compile_scene(scene, template) for scene in scenes]
    same_structure(models)
    assert len({model.geom_size.tobytes() for model in models}) == len(models)
    with pytest.raises(
        ValueError, match="models 0 and 1 differ in .*: compile them with one template"
    ):
        same_structure([compile_scene(easy[0]), compile_scene(full[0])])


def test_a_scene_that_does_not_fit_its_template_is_named(
    easy: list[SceneSpec], full: list[SceneSpec]
) -> None:
    larger = max(full, key=lambda scene: len(scene.objects))
    with pytest.raises(ValueError, match=f"scene {larger.id} has .* objects, the template 3"):
        compile_scene(larger, slot_template(easy))
    thinner = slot_template(
        [with_parts(easy[0], 0, box((0.01, 0.01, 0.01), (0, 0, 0)), density=900.0)]
    )
    changed = with_parts(easy[0], 0, Part(shape="sphere", size=(0.01, 0, 0)), density=900.0)
    with pytest.raises(ValueError, match=rf"scene {changed.id}, object 0: .*'sphere'"):
        compile_scene(changed, thinner)


def test_what_fills_the_template_touches_nothing(
    easy: list[SceneSpec], full: list[SceneSpec]
) -> None:
    template = slot_template(easy + full)
    for scene in (easy[0], easy[1], full[0]):
        model = compile_scene(scene, template)
        data = mujoco.MjData(model)
        specks = np.flatnonzero((model.geom_size[:, 0] == SPECK) & (model.geom_bodyid > 0))
        assert len(specks) > 10
        unused = slice(7 * len(scene.objects), None)
        start = data.qpos[unused].copy()
        for _ in range(100):
            mujoco.mj_step(model, data)
            touching = set(data.contact.geom[: data.ncon].ravel().tolist())
            assert not touching & set(specks.tolist())
        assert data.qpos[unused] == pytest.approx(start, abs=1e-9)


def test_the_template_does_not_change_the_motion(
    easy: list[SceneSpec], full: list[SceneSpec]
) -> None:
    lifted = moved(easy[1], 0, pos=(0.3, 0.0, 0.15))
    ends = []
    for template in (slot_template([lifted]), slot_template([lifted, *full])):
        model = compile_scene(lifted, template)
        data = mujoco.MjData(model)
        mujoco.mj_step(model, data, 10)  # in free fall: contacts come in another order
        ends.append(data.qpos[:7].copy())
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)
    assert ends[0][2] < 0.15


# Layout


@pytest.mark.parametrize("difficulty", ["easy", "full"])
def test_objects_stand_apart_in_the_workspace_at_rest(
    difficulty: str, request: pytest.FixtureRequest
) -> None:
    space = WORKSPACES[difficulty]
    for scene in request.getfixturevalue(difficulty):
        standing = []
        for thing in scene.objects:
            if carrier(scene.graph, thing.name) != TABLE:
                continue
            x, y, z = thing.pos
            assert space.x[0] - 0.01 <= x <= space.x[1] + 0.01
            assert space.y[0] - 0.01 <= y <= space.y[1] + 0.01
            assert abs(z) < 2e-3
            yaw = 2 * math.atan2(thing.quat[3], thing.quat[0])
            standing.append((Footprint.of(thing), Pose(np.array([x, y]), yaw)))
        for k, (a, at) in enumerate(standing):
            for b, bt in standing[:k]:
                assert gap(a, at, b, bt) > CLEARANCE - 0.01
        motion = simulate(scene, 2.0)
        assert motion.moved.max() < 0.01
        assert np.degrees(motion.turned).max() < 5.0


def test_gap_of_two_boxes_by_hand() -> None:
    square = Footprint(0.02 * math.sqrt(2), np.full(2, -0.02), np.full(2, 0.02))
    at = Pose(np.zeros(2), 0.0)
    assert gap(square, at, square, Pose(np.array([0.1, 0.0]), 0.0)) == pytest.approx(0.06)
    turned = Pose(np.array([0.1, 0.0]), math.pi / 4)
    assert gap(square, at, square, turned) == pytest.approx(0.08 - 0.02 * math.sqrt(2))
    assert gap(square, at, square, Pose(np.array([0.03, 0.0]), 0.0)) < 0


# Storing


def test_scenes_come_back_from_their_folder(easy: list[SceneSpec], tmp_path: Path) -> None:
    folder = save_scenes(easy, tmp_path / "new" / "scenes")
    assert load_scenes(folder) == easy
    assert folder.stat().st_mode & 0o777 == 0o755
    (tmp_path / "empty").mkdir()
    assert load_scenes(save_scenes(easy[:1], tmp_path / "empty")) == easy[:1]


def test_an_existing_folder_is_left_alone(easy: list[SceneSpec], tmp_path: Path) -> None:
    kept = tmp_path / "scenes" / "note.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(FileExistsError, match=f"{kept.parent} is not empty: .* remove it"):
        save_scenes(easy, kept.parent)
    with pytest.raises(FileExistsError, match="note.txt is a file"):
        save_scenes(easy, kept)
    with pytest.raises(ValueError, match="no scenes to save"):
        save_scenes([], tmp_path / "other")
    assert [p.name for p in tmp_path.rglob("*")] == ["scenes", "note.txt"]
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing(
    easy: list[SceneSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write, calls = Path.write_text, []

    def failing(path: Path, text: str) -> int:
        calls.append(path)
        if len(calls) == 3:
            raise error
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises(type(error)):
        save_scenes(easy, tmp_path / "scenes")
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_folder_is_named(easy: list[SceneSpec], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no scene folder .*nowhere: make one with"):
        load_scenes(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=f"{tmp_path} is no scene folder, index.json is missing"):
        load_scenes(tmp_path)
    folder = save_scenes(easy[:2], tmp_path / "scenes")
    path = folder / f"0001_{easy[1].id}.json"
    index, good = folder / "index.json", path.read_text()
    damages = {
        "is damaged: ": good[: len(good) // 2],
        "is damaged: not a valid scene: seed": good.replace('"seed":0', '"seed":"x"'),
        "was altered: its content has id": good.replace('"seed":0', '"seed":1'),
    }
    for message, text in damages.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=f"{path.name} {message}"):
            load_scenes(folder)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{path.name} is damaged"):
        load_scenes(folder)
    path.unlink()
    with pytest.raises(ValueError, match=f"{path.name} is missing though the index lists it"):
        load_scenes(folder)
    for text, message in (
        ("{", "index.json is damaged"),
        ('{"version": 2, "scenes": [{}]}', "index.json is damaged"),
        ("[" * 200_000, "index.json is damaged"),
        ('{"version": 9, "scenes": []}', "has version 9, this program reads 2"),
        ('{"version": 2, "scenes": []}', "lists no scenes"),
        ('{"version": 2, "scenes": [{"file": "../a", "id": "b"}]}', "outside the folder: '../a'"),
    ):
        index.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_scenes(folder)
