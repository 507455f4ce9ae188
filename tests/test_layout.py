"""Layout: what relations mean, what is refused, and that scenes stay as they were laid out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from generation_scenes import box

from generation import ObjectSpec, Part, SceneGraph, SceneSpec, TaskSpec
from generation.layout import LayoutError, place, settle
from generation.placing.access import goal_spot, obstacles
from generation.placing.footprint import lowest, standing
from generation.placing.relations import NEXT_TO, edge_holds, on_table, relation_holds
from generation.placing.settling import simulate
from generation.spec import Background, Edge, Look, Node

FLOOR, RIM = 0.004, 0.04


def thing(name: str, *parts: Part, place: tuple[float, float] = (0.0, 0.0)) -> ObjectSpec:
    """An object of boxes whose first is its base; `place` is (height, radius)."""
    points = [(abs(p.pos[k]) + p.size[k]) for p in parts for k in (0, 1)]
    height = max(part.pos[2] + (part.size[2] or part.size[0]) for part in parts)
    return ObjectSpec(
        name=name, family=name, noun=name, role="distractor", parts=parts, density=600.0,
        friction=0.9, grasp=(0.0, 0.0, height / 2, math.pi / 2, 0.03),
        place=(0.0, 0.0, *place), height=height, radius=max(points) * math.sqrt(2),
    )  # fmt: skip


def block(name: str = "block", half: float = 0.015) -> ObjectSpec:
    return thing(name, box((half, half, half), (0, 0, half)), place=(2 * half, 0.8 * half))


def bowl(name: str = "bowl", half: float = 0.05) -> ObjectSpec:
    """A square container with inner half width `half`."""
    wall, middle = 0.003, RIM / 2
    parts = [box((half, half, FLOOR / 2), (0, 0, FLOOR / 2))]
    for sign in (-1, 1):
        parts.append(box((wall, half + 2 * wall, middle), (sign * (half + wall), 0, middle)))
        parts.append(box((half, wall, middle), (0, sign * (half + wall), middle)))
    return thing(name, *parts, place=(FLOOR, half))


def plate(name: str = "plate", half: float = 0.06) -> ObjectSpec:
    return thing(name, box((half, half, 0.005), (0, 0, 0.005)), place=(0.01, half))


def at(item: ObjectSpec, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> ObjectSpec:
    quat = (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
    return item.model_copy(update={"pos": (x, y, z), "quat": quat})


def cast(*things: ObjectSpec) -> list[ObjectSpec]:
    """The things with the roles that a scene's order asks for."""
    roles = ["target", "receptacle", *["distractor"] * len(things)]
    return [o.model_copy(update={"role": role}) for o, role in zip(things, roles, strict=False)]


def graph_of(
    things: Sequence[ObjectSpec], goal: str, *relations: tuple[str, str, str]
) -> SceneGraph:
    """The graph of a cast; what no relation carries stands on the table."""
    nodes = [Node(name=o.name, noun=o.noun, role=o.role, family=o.family) for o in things]
    edges = [Edge(subject=a, relation=r, object=b) for a, r, b in relations]  # type: ignore[arg-type]
    target, other = things[:2]
    aim = Edge(subject=target.name, relation=goal, object=other.name)  # type: ignore[arg-type]
    return SceneGraph(nodes=tuple(nodes), relations=tuple(edges), goal=aim)


def laid_out(things: Sequence[ObjectSpec], graph: SceneGraph, seed: int = 0) -> SceneSpec:
    placed = place(things, graph, np.random.default_rng(seed), "full")
    goal = graph.goal
    sentence = f"put the {things[0].noun} there by the {things[1].noun}"
    task = TaskSpec(
        relation=goal.relation, target=goal.subject, receptacle=goal.object,
        instruction=sentence, paraphrases=(sentence,),
    )  # fmt: skip
    scene = SceneSpec(
        graph=graph, objects=placed, task=task, table=Look(), background=Background(), seed=seed
    )
    return settle(scene)


# What relations mean


@pytest.mark.parametrize(
    ("relation", "holder", "z", "holds"),
    [
        ("in", bowl(), FLOOR, True),
        ("in", bowl(), RIM, False),  # on the walls, not between them
        ("in", plate(), 0.01, True),  # nothing shallower has an inside
        ("on", plate(), 0.01, True),
        ("on", plate(), 0.03, False),  # in the air
        ("on", plate(), 0.0, False),  # through it
        ("stacked on", block("other"), 0.03, True),
        ("stacked on", block("other"), 0.0, False),
    ],
)
def test_what_carries_what(relation: str, holder: ObjectSpec, z: float, holds: bool) -> None:
    holder = at(holder, 0.3, 0.1, yaw=0.7)
    assert relation_holds(relation, at(block(), 0.305, 0.1, z), holder) is holds
    assert not relation_holds(relation, at(block(), 0.3, 0.2, z), holder)  # beside it
    assert not relation_holds(relation, at(block(), 0.3, 0.2, 0.0), holder)


def test_nothing_is_on_what_holds_nothing() -> None:
    ball = thing("ball", Part(shape="sphere", size=(0.02, 0, 0), pos=(0, 0, 0.02)))
    assert not relation_holds("on", at(block(), 0.3, 0.0, 0.04), at(ball, 0.3, 0.0))


@pytest.mark.parametrize(
    ("dx", "dy", "names"),
    [
        (0.0, 0.08, {"left of", "next to"}),
        (0.02, -0.15, {"right of"}),
        (0.15, 0.05, {"behind"}),
        (-0.07, 0.02, {"in front of", "next to"}),
    ],
)
def test_directions_are_seen_from_the_robot(dx: float, dy: float, names: set[str]) -> None:
    all_names = ("left of", "right of", "behind", "in front of", "next to")
    pair = at(block(), 0.3 + dx, dy), at(block("other"), 0.3, 0.0)
    assert {name for name in all_names if relation_holds(name, *pair)} == names
    with pytest.raises(ValueError, match="unknown relation 'above': use one of"):
        relation_holds("above", *pair)


def test_next_to_counts_the_gap_between_outlines() -> None:
    other = at(block("other"), 0.3, 0.0)
    for gap, near in ((NEXT_TO - 1e-4, True), (NEXT_TO + 1e-4, False)):
        assert relation_holds("next to", at(block(), 0.3, 0.03 + gap), other) is near


def test_lowest_point_of_tilted_things() -> None:
    half = math.radians(30) / 2
    tilted = at(block(), 0.3, 0.0, 0.1).model_copy(
        update={"quat": (math.cos(half), math.sin(half), 0.0, 0.0)}
    )
    expected = 0.1 - 0.015 * math.sin(math.radians(30))
    assert lowest(tilted) == pytest.approx(expected, abs=1e-9)
    rod = thing("rod", Part(shape="capsule", size=(0.01, 0.04, 0), pos=(0, 0, 0.05)))
    lying = at(rod, 0.3, 0.0, 0.01).model_copy(update={"quat": (0.5**0.5, 0.5**0.5, 0.0, 0.0)})
    assert lowest(lying) == pytest.approx(0.0, abs=1e-9)
    assert on_table(lying) and not on_table(tilted)
    outline, pose = standing(lying)
    assert np.ptp(outline.rectangle(pose.xy, pose.yaw), axis=0) == pytest.approx([0.02, 0.1])


# Laying out


@pytest.mark.parametrize(
    ("carrier", "relation"),
    [(bowl("pot"), "in"), (plate("tray"), "on"), (block("box", 0.03), "stacked on")],
)  # fmt: skip
def test_carried_things_stay_where_the_graph_puts_them(carrier: ObjectSpec, relation: str) -> None:
    count = 1 if relation == "stacked on" else 2
    small = [block(f"small{'ab'[k]}", 0.012) for k in range(count)]
    things = cast(block(), plate(), carrier, *small)
    edges = [(o.name, relation, carrier.name) for o in small]
    graph = graph_of(
        things, "on", *edges, ("pot" if relation == "in" else carrier.name, "left of", "plate")
    )
    for seed in range(3):
        scene = laid_out(things, graph, seed)
        named = {o.name: o for o in scene.objects}
        assert all(edge_holds(edge, named) for edge in graph.relations)
        assert [on_table(o) for o in scene.objects] == [True] * 3 + [False] * count
        motion = simulate(scene, 3.0)
        assert motion.moved.max() < 0.01 and np.degrees(motion.turned).max() < 5.0
        assert motion.overlap[0] < 1e-3


def test_a_ball_rolls_in_its_bowl_and_comes_to_rest() -> None:
    ball = thing("ball", Part(shape="sphere", size=(0.018, 0, 0), pos=(0, 0, 0.018)))
    things = cast(block(), plate(), bowl(), ball)
    graph = graph_of(things, "on", ("ball", "in", "bowl"))
    scene = laid_out(things, graph)
    assert relation_holds("in", scene.objects[3], scene.objects[2])
    assert simulate(scene, 3.0).moved.max() < 0.01


def test_a_target_is_taken_out_of_one_thing_and_put_into_another() -> None:
    things = cast(block(), bowl("pot"), bowl("bowl"))
    scene = laid_out(things, graph_of(things, "in", ("block", "in", "bowl")))
    assert relation_holds("in", scene.objects[0], scene.objects[2])
    assert not relation_holds("in", scene.objects[0], scene.objects[1])
    assert obstacles(scene.objects, scene.graph) == ()


@pytest.mark.parametrize(
    ("things", "goal", "relations", "message"),
    [
        ((block(), plate(), block("brick", 0.06), bowl()), "on", [("brick", "in", "bowl")],
         "no room for 'brick' .* in 'bowl'"),
        ((block(), plate(), bowl("bowl", 0.03), block("b"), block("c")), "on",
         [("b", "in", "bowl"), ("c", "in", "bowl")], r"'bowl' \(6 cm\) beside \['[bc]'\]"),
        ((block(), plate(), block("b"), thing("egg", box((0.02, 0.02, 0.02), (0, 0, 0.02)))), "on",
         [("b", "on", "egg")], "'egg' cannot carry 'b': it has no flat top"),
        ((block(), plate(), block("b")), "on", [("b", "stacked on", "block")],
         "'b' stands on the target 'block', which has to be moved"),
        ((block(), bowl("bowl", 0.03), block("b", 0.025)), "in", [("b", "in", "bowl")],
         "no free spot in 'bowl' to put 'block' down"),
        ((block(), plate(), *(plate(f"p{'abcdefgh'[k]}", 0.09) for k in range(6))), "on", [],
         r"no room for '.*' beside \[.*ask for fewer or smaller objects"),
    ],
)  # fmt: skip
def test_what_cannot_be_laid_out_is_named(
    things: tuple[ObjectSpec, ...],
    goal: str,
    relations: list[tuple[str, str, str]],
    message: str,
) -> None:
    roles = cast(*things)
    with pytest.raises(LayoutError, match=message):
        laid_out(roles, graph_of(roles, goal, *relations))


# The task stays possible


def test_the_gripper_needs_room_on_both_sides_of_the_target() -> None:
    things = cast(at(block(), 0.3, 0.1), at(plate(), 0.3, -0.1))
    graph = graph_of(things, "on")
    assert obstacles(things, graph) == ()
    # Beside the fingers, which end 40 mm from the middle, or the bar above, which ends at 58 mm.
    for height, away, fits in (
        (0.02, 0.043, True), (0.02, 0.037, False), (0.05, 0.060, True), (0.05, 0.050, False),
    ):  # fmt: skip
        wall = thing("wall", box((0.04, 0.01, height), (0, 0, height)))
        beside = [*things, at(wall, 0.3, 0.1 + away + 0.01)]
        reason = "'wall' leaves the gripper no room at 'block'"
        found = obstacles(beside, graph_of(beside, "on"))
        assert found == (() if fits else (reason,)), (height, away)


def test_targets_and_goals_must_be_in_reach() -> None:
    things = cast(at(block(), 0.5, 0.1), at(plate(), 0.05, 0.1))
    found = obstacles(things, graph_of(things, "on"))
    assert [line.split(":")[0] for line in found] == [
        "'block' is out of reach", "'plate' is out of reach"
    ]  # fmt: skip


def test_a_goal_that_holds_already_is_no_task() -> None:
    things = cast(at(block(), 0.3, 0.1), at(plate(), 0.3, 0.0))
    assert "'block' is left of 'plate' already" in obstacles(things, graph_of(things, "left of"))
    assert obstacles(things, graph_of(things, "right of")) == ()


def test_goal_spots_are_free_and_on_the_right_side() -> None:
    things = cast(at(block(), 0.3, 0.15), at(plate(), 0.28, 0.0), at(block("other"), 0.28, -0.125))
    for relation in ("right of", "in front of", "behind", "next to"):
        graph = graph_of(things, relation)
        spot = goal_spot(things, graph)
        assert spot is not None
        there = at(things[0], float(spot[0]), float(spot[1]))
        assert relation_holds(relation, there, things[1])
        assert math.dist(spot, things[2].pos[:2]) > things[0].radius + 0.015 + 0.019
    on_plate = [*things, at(block("mate"), 0.28, 0.0, 0.01)]
    spot = goal_spot(on_plate, graph_of(on_plate, "on", ("mate", "on", "plate")))
    assert spot is not None and math.dist(spot, (0.28, 0.0)) > 0.036


def test_there_is_no_spot_beside_what_stands_at_the_edge() -> None:
    things = cast(at(block(), 0.3, 0.0), at(plate(), 0.3, 0.21))
    assert goal_spot(things, graph_of(things, "left of")) is None
    assert goal_spot(things, graph_of(things, "right of")) is not None
