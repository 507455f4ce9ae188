"""Scenes: records and their JSON, object families, mass and inertia."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence

import mujoco
import numpy as np
import pytest
from generation_scenes import (
    PROMPTS,
    box,
    changed,
    family_object,
    moved,
    with_parts,
)

from generation import (
    Part,
    SceneSpec,
    compile_scene,
    design,
)
from generation.assets.library import FAMILIES, NOUNS, Family
from generation.assets.mass import extents, mass_properties, quat_to_matrix
from generation.assets.materials import MATERIAL_WORDS, MATERIALS
from generation.assets.parts import Draft, corners

HOLDING = [family for family in FAMILIES.values() if family.receptacle]
GRASPED = [family for family in FAMILIES.values() if family.graspable]


@pytest.fixture(scope="module")
def easy() -> list[SceneSpec]:
    return design(PROMPTS, n=6, seed=0)


@pytest.fixture(scope="module")
def full() -> list[SceneSpec]:
    return design("put something in something", n=8, seed=0, difficulty="full")


@pytest.fixture(scope="module")
def scene(easy: list[SceneSpec]) -> SceneSpec:
    return easy[0]


# Records and their JSON


def test_json_round_trip_keeps_every_bit(easy: list[SceneSpec], full: list[SceneSpec]) -> None:
    for scene in easy + full:
        back = SceneSpec.from_json(scene.to_json())
        assert back == scene
        assert back.id == scene.id
        assert back.to_json() == scene.to_json()


def test_the_id_follows_content_alone(scene: SceneSpec) -> None:
    data = json.loads(scene.to_json())
    reversed_keys = json.dumps(dict(reversed(data.items())), indent=3)
    assert SceneSpec.from_json(reversed_keys).id == scene.id
    x = scene.objects[0].pos[0] + 1e-6
    variants = [
        SceneSpec.from_json(changed(scene, "objects", 0, "pos", 0, value=x)).id,
        SceneSpec.from_json(changed(scene, "seed", value=99)).id,
        SceneSpec.from_json(changed(scene, "table", "rgba", 0, value=0.123)).id,
    ]
    assert len({scene.id, *variants}) == 4


def test_records_are_frozen(scene: SceneSpec) -> None:
    with pytest.raises(ValueError, match="frozen"):
        scene.objects[0].density = 1.0  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("weather",), "rain", "weather: Extra inputs"),
        (("objects", 0, "wings"), 2, r"objects\.0\.wings: Extra inputs"),
        (("objects", 1, "density"), float("nan"), r"objects\.1\.density: .*finite"),
        (("objects", 0, "pos", 2), float("inf"), r"objects\.0\.pos\.2: "),
        (("objects", 0, "pos", 2), 17.0, r"objects\.0\.pos\.2: .*less than or equal to 2"),
        (("objects", 0, "quat"), [1.0, 1.0, 0.0, 0.0], r"objects\.0\.quat: .*length 1\.4142"),
        (("objects", 0, "quat"), [0.0] * 4, r"objects\.0\.quat: .*length 0\.0000"),
        (("objects", 1, "name"), "block_0", "objects: .*'block_0', 'block_0'.*not unique"),
        (("objects", 0, "role"), "distractor", "objects: .*roles"),
        (("objects", 0, "parts"), [], r"objects\.0\.parts: .*at least 1"),
        (("objects", 0, "parts", 0, "shape"), "cylinder", r"objects\.0\.parts\.0: .*cylinder"),
        (("objects", 0, "parts", 0, "size", 0), 0.0, r"parts\.0: .*must be positive"),
        (("objects", 1, "place", 3), 0.0, "receptacle 'plate_1' has place radius 0"),
        (("graph", "nodes", 1, "name"), "block_0", "graph: .*'block_0'.*occur twice"),
        (("graph", "goal", "object"), "moon", "graph: .*'moon'"),
        (("task", "receptacle"), "block_0", "task: .*both target and receptacle"),
        (("task", "instruction"), "fly away", "task: .*'fly away' is not among"),
        (("task", "paraphrases", 1), "put it there", "does not mention the target 'block'"),
        (("version",), 1, "version: "),
        (("seed",), -1, "seed: "),
    ],
)
def test_what_is_wrong_is_named(
    scene: SceneSpec, path: tuple[str | int, ...], value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SceneSpec.from_json(changed(scene, *path, value=value))
    assert str(caught.value).startswith("not a valid scene: ")
    assert "\n" not in str(caught.value)


def test_an_ambiguous_instruction_is_refused(scene: SceneSpec) -> None:
    data = json.loads(scene.to_json())
    for entry in (data["graph"]["nodes"][2], data["objects"][2]):
        entry.update(noun="cube", family="block", colour="red")  # a cube is a block
    with pytest.raises(ValueError, match="ambiguous: 'block' fits both 'block_0' and"):
        SceneSpec.from_json(json.dumps(data))


# Seeds


def test_the_same_seed_gives_the_same_bytes(easy: list[SceneSpec]) -> None:
    again = design(PROMPTS, n=2, seed=0)
    assert [s.to_json() for s in again] == [s.to_json() for s in easy[:2]]
    other = design(PROMPTS, n=2, seed=1)
    assert not {s.id for s in other} & {s.id for s in easy}
    assert len({s.id for s in easy}) == len(easy)


# Families


def test_there_are_enough_families_of_each_kind() -> None:
    assert len(FAMILIES) >= 50
    assert len(HOLDING) >= 22
    assert len(NOUNS) >= 160
    assert sum(len(f.nouns) for f in FAMILIES.values()) == len(NOUNS)  # no noun twice
    for kind in (GRASPED, HOLDING):
        heldout = sum(f.split == "heldout" for f in kind) / len(kind)
        assert 0.2 < heldout < 0.35


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("compact", [True, False], ids=["easy", "full"])
def test_family(family: Family, compact: bool) -> None:
    drafts = [family.build(np.random.default_rng(k), compact=compact) for k in range(6)]
    kinds = Counter()
    for draft in drafts:
        solid = [part for part in draft.parts if part.collide]
        kinds |= Counter((part.shape, part.collide) for part in draft.parts)
        assert {part.shape for part in solid} <= {"box", "sphere", "capsule"}
        assert any(part.visible for part in draft.parts)
        # 0.1 kg/m^3, to which a density is rounded, may add a gram.
        assert 0.02 <= mass_properties(draft.parts, draft.density).mass <= 0.401
        assert all(corners(part)[:, 2].min() > -2.5e-3 for part in draft.parts)  # on the table
        assert draft.material in family.materials
        if family.graspable:
            assert 0.015 <= draft.grasp[4] <= 0.048  # m, between the fingers
            assert 0.0 < draft.grasp[2] < draft.height
            assert ("flat" in family.tags) == (draft.place[3] > 0)
        else:
            assert 0.04 < draft.place[3] <= draft.radius
    # Scenes of a batch share one list of geoms: no family may make all the others slower.
    allowed = {("box", True): 9, ("cylinder", False): 2}
    if family.graspable:
        allowed |= {("box", True): 3, ("sphere", True): 1, ("ellipsoid", False): 2}
    assert all(count <= allowed[kind] for kind, count in kinds.items())


def _proportions(drafts: Sequence[Draft]) -> np.ndarray:
    """Sizes and places of all parts as shares of the object's length [instances, numbers]."""
    slots = Counter()
    for draft in drafts:
        slots |= Counter(part.shape for part in draft.parts)
    rows = []
    for draft in drafts:
        length = np.ptp(np.concatenate([corners(part) for part in draft.parts]), axis=0).max()
        row = []
        for shape, count in sorted(slots.items()):
            found = [
                np.concatenate([2 * extents(p), p.pos]) for p in draft.parts if p.shape == shape
            ]
            row += [*found, *[np.zeros(6)] * (count - len(found))]
        rows.append(np.concatenate(row) / length)
    return np.array(rows)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda f: f.name)
def test_instances_differ_in_shape_not_only_in_scale(family: Family) -> None:
    shapes = _proportions([family.build(np.random.default_rng(k)) for k in range(9)])
    gaps = np.abs(shapes[:, None] - shapes[None]).max(axis=-1)[np.triu_indices(len(shapes), 1)]
    # Of two instances, usually some part differs by 7 % of the object's length.
    assert np.median(gaps) > 0.07
    assert gaps.min() > 1e-3


def _alone_on_a_table(draft: Draft) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.01
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    types = {"box": mujoco.mjtGeom.mjGEOM_BOX, "sphere": mujoco.mjtGeom.mjGEOM_SPHERE}
    spec.worldbody.add_geom(type=types["box"], size=(0.5, 0.5, 0.02), pos=(0, 0, -0.02), condim=4)
    body = spec.worldbody.add_body()
    body.add_freejoint()
    body.explicitinertial = True
    props = mass_properties(draft.parts, draft.density)
    body.mass, body.ipos = props.mass, props.com
    body.inertia, body.iquat = props.principal()
    for part in draft.parts:
        if part.collide:
            body.add_geom(
                type=types[part.shape], size=part.size, pos=part.pos, quat=part.quat, mass=0
            )
    return spec.compile()


@pytest.mark.parametrize("compact", [True, False], ids=["easy", "full"])
def test_every_family_stands_still(compact: bool) -> None:
    for family in FAMILIES.values():
        draft = family.build(np.random.default_rng(3), compact=compact)
        model = _alone_on_a_table(draft)
        data = mujoco.MjData(model)
        mujoco.mj_step(model, data, 80)
        assert np.linalg.norm(data.qpos[:3]) < 2e-3, family.name
        assert 2 * math.acos(min(1.0, abs(data.qpos[3]))) < math.radians(2), family.name


def test_size_words_order_the_instances() -> None:
    for family in FAMILIES.values():
        small, large = (
            [family.build(np.random.default_rng(k), size, compact=True).radius for k in range(5)]
            for size in ("small", "large")
        )
        assert np.mean(small) < np.mean(large), family.name


# Materials


def test_the_material_decides_weight_grip_and_looks() -> None:
    bowls = {
        name: FAMILIES["bowl"].build(np.random.default_rng(0), "small", "white", name)
        for name in ("wood", "metal", "plastic", "cloth")
    }
    volume = mass_properties(bowls["wood"].parts, 1.0).volume
    mass = {name: bowl.density * volume for name, bowl in bowls.items()}
    assert mass["metal"] > mass["plastic"] > mass["wood"] > mass["cloth"] >= 0.02
    assert len({bowl.friction for bowl in bowls.values()}) >= 3
    textures = {
        name: next(p.texture for p in bowl.parts if p.visible) for name, bowl in bowls.items()
    }
    assert (textures["wood"], textures["cloth"]) == ("wood", "fabric")
    assert len({bowl.material for bowl in bowls.values()}) == len(bowls)


def test_material_words_and_families_name_known_materials() -> None:
    assert set(MATERIAL_WORDS.values()) <= set(MATERIALS)
    assert {"wooden", "metal", "glass"} <= set(MATERIAL_WORDS)
    for family in FAMILIES.values():
        assert family.materials
        assert set(family.materials) <= set(MATERIALS)
    with pytest.raises(ValueError, match="unknown material 'unobtainium': use one of wood"):
        FAMILIES["mug"].build(np.random.default_rng(0), material="unobtainium")


def test_without_a_colour_a_material_shows_its_own() -> None:
    block = FAMILIES["block"].build(np.random.default_rng(1), material="wood")
    red, green, blue, _ = block.parts[0].rgba
    assert red > green > blue  # brown, not the family's first colour
    assert red - blue < 0.6
    painted = FAMILIES["block"].build(np.random.default_rng(1), colour="blue", material="wood")
    assert painted.parts[0].rgba[2] > painted.parts[0].rgba[0]


def _drop(scene: SceneSpec, offset: tuple[float, float]) -> dict[str, bool]:
    """Contact truth two seconds after the target was let go above the receptacle."""
    target, holder = scene.objects[:2]
    x, y, z, usable = holder.place
    above = quat_to_matrix(holder.quat) @ (x + offset[0] * usable, y + offset[1] * usable, z)
    pos = tuple(float(v) for v in above + holder.pos + np.array([0, 0, 0.03]))
    model = compile_scene(moved(scene, 0, pos=pos, quat=(1.0, 0.0, 0.0, 0.0)))
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 200)
    mujoco.mj_forward(model, data)
    assert np.linalg.norm(data.body("object1").xpos - holder.pos) < 0.02, target.name
    return {side: data.sensor(f"target_{side}").data[0] > 0 for side in ("receptacle", "table")}


@pytest.mark.parametrize("holder", HOLDING, ids=lambda f: f.name)
@pytest.mark.parametrize("compact", [True, False], ids=["easy", "full"])
def test_receptacles_hold_things(scene: SceneSpec, holder: Family, compact: bool) -> None:
    for seed, name in enumerate(("block", "banana", "mug")):
        target = family_object(FAMILIES[name], "target", "target", seed, compact)
        held = family_object(holder, "receptacle", "holder", seed, compact)
        held = held.model_copy(update={"pos": (0.3, 0.05, 0.0), "quat": (0.8, 0.0, 0.0, 0.6)})
        dropped = scene.model_copy(update={"objects": (target, held)})
        for offset in ((0.0, 0.0), (0.35, -0.25)):
            assert _drop(dropped, offset) == {"receptacle": True, "table": False}, (name, offset)


# Mass and inertia


def test_mass_of_a_hand_worked_object_reaches_the_model(scene: SceneSpec) -> None:
    # An L: a 6 x 2 x 2 cm foot and a 2 x 2 x 4 cm post on its left end, 1000 kg/m^3. A drawn
    # cylinder weighs nothing.
    foot, post = box((0.03, 0.01, 0.01), (0, 0, 0.01)), box((0.01, 0.01, 0.02), (-0.02, 0, 0.04))
    drawn = Part(shape="cylinder", size=(0.05, 0.05, 0.0), collide=False)
    model = compile_scene(with_parts(scene, 0, foot, post, drawn, density=1000.0))
    m1, m2 = 0.024, 0.016
    com = np.array([(0 * m1 - 0.02 * m2), 0.0, (0.01 * m1 + 0.04 * m2)]) / 0.04
    inertia = np.zeros((3, 3))
    for m, half, centre in ((m1, foot.size, foot.pos), (m2, post.size, post.pos)):
        a, b, c = half
        d = np.array(centre) - com
        inertia += m / 3 * np.diag([b * b + c * c, a * a + c * c, a * a + b * b])
        inertia += m * (d @ d * np.eye(3) - np.outer(d, d))
    body = model.body("object0")
    assert body.mass[0] == pytest.approx(0.04, rel=1e-9)
    assert body.ipos == pytest.approx(com, abs=1e-9)
    axes = quat_to_matrix(body.iquat)
    assert axes @ np.diag(body.inertia) @ axes.T == pytest.approx(inertia, abs=1e-11)


def test_overlapping_parts_weigh_once(scene: SceneSpec) -> None:
    # Half of each box lies in the other: the union is 6 cm long, not 8.
    left, right = (
        box((0.02, 0.01, 0.01), (-0.01, 0, 0.01)),
        box((0.02, 0.01, 0.01), (0.01, 0, 0.01)),
    )
    union = mass_properties([box((0.03, 0.01, 0.01), (0, 0, 0.01))], 500.0)
    model = compile_scene(with_parts(scene, 0, left, right, density=500.0))
    body = model.body("object0")
    assert body.mass[0] == pytest.approx(500 * 0.06 * 0.02 * 0.02, rel=1e-9)
    assert body.ipos == pytest.approx([0, 0, 0.01], abs=1e-9)
    assert sorted(body.inertia) == pytest.approx(sorted(np.diag(union.inertia)), rel=1e-6)
    ball = mass_properties([Part(shape="sphere", size=(0.02, 0, 0))], 1000.0)
    assert ball.mass == pytest.approx(1000 * 4 / 3 * math.pi * 0.02**3)
    assert np.diag(ball.inertia) == pytest.approx(0.4 * ball.mass * 0.02**2, rel=0.03)
