"""Quality of scenes and assets: every measure finds the fault that was planted for it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generation_scenes import PROMPTS, box, moved

from generation import ObjectSpec, SceneGraph, SceneSpec, TaskSpec, design, inspect_scenes
from generation.assets.importing.asset import ImportedAsset
from generation.assets.parts import Draft
from generation.measures.asset_quality import fit_error, inspect_asset, summarise_assets
from generation.measures.descriptors import colour_descriptor, diameter, oklab, shape_descriptor
from generation.measures.diversity import (
    diversity,
    effective_number,
    farthest_points,
    pairwise,
    spread,
)
from generation.measures.wordings import mean_word_distance, self_bleu
from generation.quality import inspect_scene, summarise
from generation.spec import Background, Edge, Look, Node, Part, Provenance, Role
from generation.store import save_scenes
from vla_jax import cli
from vla_jax.commands import inspect as command
from vla_jax.sheet import BAD, Figure, Tile, contact_sheet


def thing(
    name: str,
    half: tuple[float, float, float],
    at: tuple[float, float],
    role: Role,
    place: float = 0.0,
    **more: Any,
) -> ObjectSpec:
    """An upright box whose grip is at half its height and closes along y."""
    x, y, z = half
    return ObjectSpec(
        name=name,
        family=name.split("_")[0],
        noun=name.split("_")[0],
        role=role,
        parts=more.pop("parts", (box(half, (0.0, 0.0, z)),)),
        density=400.0,
        friction=0.8,
        pos=more.pop("pos", (*at, 0.0)),
        grasp=(0.0, 0.0, z, math.pi / 2, 2 * y),
        place=(0.0, 0.0, 2 * z, place),
        height=2 * z,
        radius=math.hypot(x, y),
        **more,
    )


def made(*objects: ObjectSpec, goal: str = "on", relations: tuple[Edge, ...] = ()) -> SceneSpec:
    """A scene of these objects; what no relation carries stands on the table."""
    target, other = objects[:2]
    words = f"put the {target.noun} {goal} the {other.noun}"
    task: dict[str, Any] = {"relation": goal, "target": target.name, "receptacle": other.name}
    carried = {edge.subject for edge in relations if edge.relation in ("on", "in", "stacked on")}
    graph: dict[str, Any] = {
        "nodes": tuple(
            Node(name=o.name, noun=o.noun, role=o.role, family=o.family) for o in objects
        ),
        "relations": (
            *relations,
            *(
                Edge(subject=o.name, relation="on", object="table")
                for o in objects
                if o.name not in carried
            ),
        ),
        "goal": {"subject": target.name, "relation": goal, "object": other.name},
    }
    return SceneSpec(
        graph=SceneGraph(**graph),
        objects=objects,
        task=TaskSpec(**task, instruction=words, paraphrases=(words,)),
        table=Look(),
        background=Background(),
        seed=0,
    )


BLOCK = thing("block_0", (0.015, 0.015, 0.015), (0.25, 0.08), "target")
PLATE = thing("plate_1", (0.06, 0.06, 0.005), (0.28, -0.1), "receptacle", place=0.05)
CAN = thing("can_2", (0.02, 0.02, 0.04), (0.17, -0.02), "distractor")
SCENE = made(BLOCK, PLATE, CAN)


# Inspecting


def test_a_good_scene_passes_every_measure() -> None:
    verdict = inspect_scene(SCENE)
    assert verdict.problems == ()
    report = inspect_scenes([SCENE])
    measures = ("stable", "collision_free", "reachable", "graspable", "relations_satisfied",
                "in_bounds", "sound")  # fmt: skip
    assert [report[f"{name}_fraction"] for name in measures] == [1.0] * len(measures)
    assert report["solved_fraction"] is None
    assert report["objects_per_scene"] == report["unique_objects_per_scene"] == 3.0
    json.dumps(report)
    with pytest.raises(ValueError, match="no scenes to inspect"):
        inspect_scenes([])
    with pytest.raises(ValueError, match="1 scenes with 1 verdicts and 2 outcomes"):
        inspect_scenes([SCENE], [True, False])


def _slender() -> SceneSpec:
    """A bar that fits between the fingers only across, and a neighbour 6 mm beside it."""
    bar = thing("bar_0", (0.035, 0.012, 0.012), (0.25, 0.08), "target")
    return made(bar, PLATE, thing("can_2", (0.02, 0.02, 0.03), (0.25, 0.118), "distractor"))


def _covered() -> SceneSpec:
    wide = thing("lid_2", (0.03, 0.03, 0.004), (0, 0), "distractor", pos=(0.25, 0.08, 0.03))
    return made(BLOCK, PLATE, wide)


def _turned(angle: float) -> tuple[float, float, float, float]:
    return (math.cos(angle / 2), math.sin(angle / 2), 0.0, 0.0)


FAULTS = {
    "overlap": (moved(SCENE, 2, pos=(0.27, -0.1, 0.005)), "collision_free",
                "plate_1 and can_2 overlap by 5.0 mm"),
    "in the table": (moved(SCENE, 2, pos=(0.17, -0.02, -0.002)), "collision_free",
                     "table and can_2 overlap by 2.0 mm"),
    "falls": (moved(SCENE, 2, pos=(0.17, -0.02, 0.015), quat=_turned(0.7)), "stable",
              "can_2 is unstable: moves"),
    "far": (moved(SCENE, 0, pos=(0.55, 0.0, 0.0)), "reachable",
            "block_0 is out of reach: 55 cm from the robot's base"),
    "far goal": (moved(SCENE, 1, pos=(0.28, -0.5, 0.0)), "reachable", "plate_1 is out of reach"),
    "wide": (made(thing("block_0", (0.035, 0.035, 0.015), (0.25, 0.08), "target"), PLATE),
             "graspable", "block_0 is 70 mm wide; the gripper opens to 56 mm"),
    "a lie about the width": (
        moved(made(thing("block_0", (0.035, 0.035, 0.015), (0.25, 0.08), "target"), PLATE), 0,
              grasp=(0.0, 0.0, 0.015, math.pi / 2, 0.03)),
        "graspable", "block_0 does not fit between the fingers"),
    "neighbour": (_slender(), "graspable", "can_2 leaves the gripper no room at bar_0"),
    "covered": (_covered(), "graspable", "lid_2 covers block_0 from above"),
    "relation": (
        made(BLOCK, PLATE, CAN,
             relations=(Edge(subject="can_2", relation="left of", object="block_0"),)),
        "relations", "can_2 is not left of block_0"),
    "nothing to do": (moved(SCENE, 0, pos=(0.28, -0.1, 0.01)), "relations",
                      "block_0 is on plate_1 already"),
    "off the table": (moved(SCENE, 2, pos=(0.89, 0.0, 0.0)), "in_bounds",
                      "can_2 stands out over the table's edge by 1.0 cm"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str) -> None:
    bad, measure, message = FAULTS[fault]
    verdict = inspect_scene(bad)
    assert not getattr(verdict, measure), verdict
    named = [line for line in verdict.problems if line.startswith(message)]
    assert len(named) == 1, verdict.problems


def test_problems_name_their_scene() -> None:
    bad = FAULTS["far"][0]
    report = inspect_scenes([SCENE, bad], [True, True])
    assert report["reachable_fraction"] == report["sound_fraction"] == 0.5
    assert report["problems"][0].startswith(f"scene 1 ({bad.id}): block_0 is out of reach")


def test_what_is_never_solved_shows_by_family_and_asset() -> None:
    source = Provenance(asset="0" * 16, source="x.glb", licence="no-ml", training="forbidden")
    mug = thing("mug_0", (0.015, 0.015, 0.02), (0.25, 0.08), "target", provenance=source)
    scenes = [SCENE, SCENE, made(mug, PLATE), made(mug, PLATE)]
    verdicts = [inspect_scene(SCENE)] * 4
    report = summarise(scenes, verdicts, [True, True, False, False])
    assert report["solved_fraction"] == 0.5
    families = report["per_family"]
    assert families["mug"]["target"] == {"scenes": 2, "solved_fraction": 0.0}
    assert families["block"]["target"] == {"scenes": 2, "solved_fraction": 1.0}
    assert families["plate"]["receptacle"] == {"scenes": 4, "solved_fraction": 0.5}
    assert families["can"]["target"] == {"scenes": 0, "solved_fraction": None}
    assert report["per_asset"]["0" * 16]["objects"] == 2
    licences = report["licences"]
    assert licences["objects"] == {"no-ml": 2, "procedural": 8}
    assert [row["scenes"] for row in licences["training_forbidden"]] == [2]
    assert "does not get mug_0 on plate_1" in report["problems"][-1]


@pytest.fixture(scope="module")
def designed() -> list[SceneSpec]:
    return design(PROMPTS, n=3, seed=0) + design(PROMPTS, n=3, seed=1, difficulty="full")


def test_designed_scenes_pass_inspection(designed: list[SceneSpec]) -> None:
    report = inspect_scenes(designed)
    assert report["problems"] == []
    assert report["unique_objects"] > 2 * len(designed)
    assert report["diversity"]["scenes"]["alike_pairs"] == 0
    assert inspect_scenes([designed[0]] * 2)["unique_objects"] == len(designed[0].objects)


# Diversity


def test_spread_by_hand() -> None:
    found = spread(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]), width=1e-3)
    assert (found.mean, found.mean_nearest, found.min_nearest) == (4.0, 10.0 / 3.0, 3.0)
    assert found.effective_number == pytest.approx(3.0)
    alone = spread(np.zeros((1, 4)), 1.0)
    assert (alone.effective_number, alone.mean) == (1.0, 0.0)


@pytest.mark.parametrize(("left", "right"), [(5, 5), (1, 1), (8, 8)])
def test_two_clusters_count_as_two(left: int, right: int) -> None:
    points = np.repeat([[0.0, 0.0], [100.0, 7.0]], [left, right], axis=0)
    found = spread(points, width=1.0)
    assert found.effective_number == pytest.approx(2.0)
    assert found.min_nearest == (0.0 if left > 1 else pytest.approx(math.hypot(100, 7)))


def test_effective_number_of_unequal_clusters() -> None:
    similarity = np.ones((4, 4))
    similarity[3, :3] = similarity[:3, 3] = 0.0
    assert effective_number(similarity) == pytest.approx(
        math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    )


def test_distances_survive_a_far_origin() -> None:
    points = np.array([[1e3, 1e3], [1e3, 1e3], [1e3 + 1e-3, 1e3]])
    assert pairwise(points)[0].tolist() == pytest.approx([0.0, 0.0, 1e-3], rel=1e-6)


def test_shape_is_metric_and_blind_to_pose() -> None:
    small = shape_descriptor(BLOCK)
    assert shape_descriptor(BLOCK.model_copy(update={"pos": (0.1, 0.2, 0.3)})) == pytest.approx(
        small
    )
    large = thing("block_0", (0.03, 0.03, 0.03), (0.0, 0.0), "target")
    assert shape_descriptor(large) == pytest.approx(2.0 * small)
    # All heights and distances double, so the distance is the size of the smaller one.
    assert np.linalg.norm(shape_descriptor(large) - small) == pytest.approx(np.linalg.norm(small))
    assert diameter(large) == pytest.approx(0.06 * math.sqrt(3.0), rel=0.05)
    found = diversity([SCENE, made(large, PLATE, CAN)])["objects"]
    # Two cubes are one shape in two sizes.
    assert found["distinct"] == 4
    assert found["same_family_nearest_mm"] == pytest.approx(0.0, abs=1e-6)


def test_colour_is_that_of_oklab() -> None:
    def painted(*rgb: float) -> ObjectSpec:
        part = BLOCK.parts[0].model_copy(update={"rgba": (*rgb, 1.0)})
        return BLOCK.model_copy(update={"parts": (part,)})

    red, blue = painted(1.0, 0.0, 0.0), painted(0.0, 0.0, 1.0)
    apart = np.linalg.norm(colour_descriptor(red) - colour_descriptor(blue))
    assert apart == pytest.approx(np.linalg.norm(oklab((1, 0, 0, 1)) - oklab((0, 0, 1, 1))))
    # Values of Ottosson's article.
    assert oklab((1.0, 1.0, 1.0, 1.0)) == pytest.approx([1.0, 0.0, 0.0], abs=1e-4)
    assert oklab((1.0, 0.0, 0.0, 1.0)) == pytest.approx([0.628, 0.2249, 0.1258], abs=1e-3)


def test_equal_scenes_are_alike_and_moved_ones_are_not() -> None:
    nudged, elsewhere = moved(SCENE, 0, pos=(0.252, 0.08, 0.0)), moved(SCENE, 0, pos=(0.2, 0.1, 0))
    found = diversity([SCENE, nudged, elsewhere])["scenes"]
    assert found["alike_pairs"] == 1 and found["alike"][0][:2] == [0, 1]
    assert diversity([SCENE, SCENE])["scenes"]["min_nearest"] == 0.0
    objects = diversity([SCENE, nudged])["objects"]
    assert (objects["count"], objects["distinct"]) == (6, 3)
    assert diversity([SCENE])["scenes"]["min_nearest"] is None


def test_farthest_points_leaves_out_twins() -> None:
    far = moved(SCENE, 0, pos=(0.2, 0.2, 0.0))
    assert farthest_points([SCENE, SCENE, far, SCENE], 2) == [0, 2]
    assert farthest_points([SCENE, far], 5) == [0, 1]


def test_words_by_hand() -> None:
    assert mean_word_distance(["a b", "b c"]) == pytest.approx(2 / 3)
    assert mean_word_distance(["a b", "a b", "c d"]) == pytest.approx(2 / 3)
    assert self_bleu(["put a on b", "put a on b"]) == pytest.approx(1.0)
    assert self_bleu(["a b c d", "e f g h"]) == 0.0
    # Each shares 2 of 3 words and 1 of 2 pairs with the other, but no three.
    assert self_bleu(["a b c", "a b d"]) == 0.0
    assert self_bleu(["a b", "a c"]) == 0.0
    assert self_bleu(["a"]) == 0.0


# Solving


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.slow
def test_the_expert_solves_what_can_be_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    import sim.solve as solve

    traced = []
    expert = solve.expert_action

    def counted(*args: Any) -> Any:
        traced.append(1)
        return expert(*args)

    monkeypatch.setattr(solve, "expert_action", counted)
    solve._player.cache_clear()  # other tests of this process may have compiled it
    wide = made(thing("block_0", (0.04, 0.04, 0.015), (0.25, 0.08), "target"), PLATE, CAN)
    far = moved(SCENE, 0, pos=(0.7, 0.0, 0.0))
    assert solve.solve_scenes([SCENE, wide, far]).tolist() == [True, False, False]
    once = len(traced)
    # Other shapes, the same program.
    ball = Part(shape="sphere", size=(0.02, 0.0, 0.0), pos=(0.0, 0.0, 0.02))
    block = (box((0.015, 0.01, 0.01), (0, 0, 0.01)), box((0.01, 0.01, 0.005), (0, 0, 0.025)))
    other = made(
        thing("tower_0", (0.015, 0.01, 0.015), (0.22, 0.1), "target", parts=block),
        PLATE,
        thing("ball_2", (0.02, 0.02, 0.02), (0.35, 0.1), "distractor", parts=(ball,)),
    )
    assert solve.solve_scenes([other], episodes=2).tolist() == [True]
    assert once > 0 and len(traced) == once
    assert solve.solve_scenes([]).shape == (0,)
    with pytest.raises(ValueError, match="episodes is 0"):
        solve.solve_scenes([SCENE], episodes=0)


# The contact sheet and the command


def test_sheet_marks_what_is_wrong() -> None:
    picture = np.full((60, 80, 3), 128, np.uint8)
    tiles = [Tile(picture, "good", 0, solved=True), Tile(picture, "bad", 1, ("moves",), False)]
    plain = contact_sheet(tiles[:1] * 2, columns=2)
    sheet = contact_sheet(tiles, columns=2)
    assert sheet.size == plain.size
    colours = {pixel for _, pixel in sheet.getcolors(1 << 20) or []}
    assert BAD in colours and BAD not in {p for _, p in plain.getcolors(1 << 20) or []}
    headed = contact_sheet(tiles, title="t" * 300, note="n", figures=[Figure("f", "1 %", True)] * 9)
    assert headed.height > sheet.height and headed.width >= sheet.width
    with pytest.raises(ValueError, match="one shape"):
        contact_sheet([tiles[0], replace(tiles[1], picture=picture[:50])])
    with pytest.raises(ValueError, match="one shape"):
        contact_sheet([])


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves compiling the ray caster."""

    def pictures(scenes: list[SceneSpec]) -> np.ndarray:
        return np.zeros((len(scenes), 60, 80, 3), np.uint8)

    monkeypatch.setattr(command, "scene_pictures", pictures)
    monkeypatch.setattr("vla_jax.cache.enable_compile_cache", lambda: None)


@pytest.mark.usefixtures("blank")
def test_inspect_writes_its_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_scenes([SCENE, FAULTS["far"][0]], tmp_path / "scenes")
    assert cli.main(["inspect", str(folder), "--no-solve", "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data == json.loads((folder / "inspect.json").read_text())
    assert (data["reachable_fraction"], data["solved_fraction"]) == (0.5, None)
    assert Path(data["contact_sheet"]).stat().st_size > 0


@pytest.mark.parametrize(("bad", "count", "shown"), [
    ([], 3, [0, 1, 2]),
    ([2], 100, [2, *range(1)]),
    (range(50), 100, range(6)),
    (range(30), 30, range(24)),
])  # fmt: skip
def test_pictures_are_kept_for_what_has_problems(bad: Any, count: int, shown: Any) -> None:
    chosen = command._choose(list(bad), count, lambda ids, n: range(n))
    assert len(chosen) == min(24, count) == len(set(chosen))
    assert set(shown) <= set(chosen)
    assert len(set(chosen) & set(bad)) == min(len(bad), max(6, 24 - (count - len(bad))))


# Assets


def asset(half: tuple[float, float, float], density: float = 500.0, **more: Any) -> ImportedAsset:
    x, y, z = half
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (0, 2)], float)
    parts = more.pop("parts", (box(half, (0.0, 0.0, z)),))
    grasp = (0.0, 0.0, z, math.pi / 2, 2 * y)
    draft = Draft(parts, density, 0.8, grasp, (0.0, 0.0, 2 * z, 0.0), 2 * z, math.hypot(x, y))
    return ImportedAsset(
        id="0123456789abcdef",
        noun="soap",
        draft=draft,
        graspable=True,
        receptacle=(),
        rests=(),
        hulls=more.pop("hulls", (signs * np.array(half),)),
        visual=b"",
        report={},
        provenance=Provenance(asset="0123456789abcdef", source="soap.glb", licence="MIT"),
    )


def test_a_good_asset_passes() -> None:
    good = asset((0.03, 0.02, 0.015))
    verdict = inspect_asset(good)
    assert (verdict.stable, verdict.graspable, verdict.plausible) == (True, True, True)
    assert verdict.problems == () and verdict.fit_error == 0.0
    assert verdict.mass == pytest.approx(0.06 * 0.04 * 0.03 * 500.0)
    report = summarise_assets([good], [verdict], ["asset x is damaged"])
    assert (report["stable_fraction"], report["damaged"]) == (1.0, 1)
    assert report["problems"] == ["asset x is damaged"]
    assert report["licences"]["training_unknown"][0]["licence"] == "MIT"


def test_planted_faults_of_assets_are_found() -> None:
    half = (0.03, 0.02, 0.015)
    leaning = (box((0.004, 0.02, 0.004), (0, 0, 0.004)), box((0.03, 0.02, 0.01), (0.025, 0, 0.02)))
    # 0.3 kg that an exporter turned into 76 kg.
    heavy = asset((0.06, 0.06, 0.06), 19000.0)
    faults = {
        "falls over": asset((0.03, 0.02, 0.015), parts=leaning),
        "no grip": asset((0.05, 0.045, 0.03)),
        "mass": heavy,
        "rough fit": asset(half, hulls=(asset((0.03, 0.02, 0.03)).hulls[0],)),
    }
    for word, bad in faults.items():
        verdict = inspect_asset(bad)
        assert word in verdict.faults, (word, verdict)
    assert fit_error(faults["rough fit"]) == pytest.approx(0.5, abs=0.05)
    assert any("weighs 32.8 kg" in p for p in inspect_asset(heavy).problems)
