"""What is wrong with scenes: a deterministic judge that measures instead of guessing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from generation.assets.mass import quat_to_matrix
from generation.assets.parts import corners
from generation.compile import TABLE_CENTRE, TABLE_HALF
from generation.measures.accounts import licences, success_of_assets, success_of_families
from generation.measures.descriptors import shape_id
from generation.measures.diversity import diversity
from generation.measures.probe import Probe
from generation.placing.access import OPENING, REACH, TOP, goal_spot
from generation.placing.footprint import lowest, world
from generation.placing.relations import edge_holds, relation_holds
from generation.placing.settling import MOVED, TURNED, simulate
from generation.spec import SUPPORTS, ObjectSpec, SceneSpec

__all__ = [
    "MEASURES",
    "OPENING",
    "PENETRATION",
    "Verdict",
    "inspect_scene",
    "inspect_scenes",
    "shape_id",
    "summarise",
]

PENETRATION = 1e-3  # m that two things may overlap
_SECONDS = 3.0  # simulated, to see what moves
_SUNK = 5e-3  # m that an object may reach below the table top


@dataclass(frozen=True)
class Verdict:
    """One scene's test results; `problems` says what failed, empty when all is well."""

    stable: bool
    collision_free: bool
    reachable: bool
    graspable: bool
    relations: bool
    in_bounds: bool
    problems: tuple[str, ...]


MEASURES = ("stable", "collision_free", "reachable", "graspable", "relations", "in_bounds")


def inspect_scenes(
    scenes: Sequence[SceneSpec], solved: Sequence[bool] | np.ndarray | None = None
) -> dict[str, Any]:
    """Quality report of a set of scenes, from any source.

    Args:
        scenes: at least one.
        solved: whether an expert solved each (`sim.solve.solve_scenes`), None if nobody tried.

    Returns:
        The contract's keys, see `summarise`.

    Raises:
        ValueError: no scenes, or another number of outcomes.
    """
    return summarise(scenes, [inspect_scene(scene) for scene in scenes], solved)


def inspect_scene(scene: SceneSpec) -> Verdict:
    """Tests one scene.

    - stable: let go for 3 s without a robot, no object moves 1 cm or turns 5 degrees.
    - collision_free: no two objects, and no object and the table, overlap by more than 1 mm.
    - reachable: the gripper gets to the target's grasp point and to where the goal wants it.
    - graspable: the target fits between the open fingers, and they fit around it.
    - relations: all relations of the scene graph hold, and the goal does not yet.
    - in_bounds: all objects are on the table with their whole outline.
    """
    probe = Probe(scene)
    found = {
        "stable": _unstable(scene),
        "collision_free": [
            f"{pair.first} and {pair.second} overlap by {pair.depth * 1000:.1f} mm"
            for pair in probe.overlaps(PENETRATION)
        ],
        "reachable": _unreachable(scene),
        "graspable": list(probe.grip()),
        "relations": _broken_relations(scene),
        "in_bounds": _out_of_bounds(scene),
    }
    passed = {name: not problems for name, problems in found.items()}
    return Verdict(**passed, problems=tuple(p for problems in found.values() for p in problems))


def summarise(
    scenes: Sequence[SceneSpec],
    verdicts: Sequence[Verdict],
    solved: Sequence[bool] | np.ndarray | None = None,
) -> dict[str, Any]:
    """The report of scenes that were inspected one by one.

    Returns:
        scenes; stable_, collision_free_, reachable_, graspable_, relations_satisfied_, in_bounds_
        and solved_fraction (None if not tried); sound_fraction (all of them); unique_objects
        (distinct by shape and looks), objects_per_scene, unique_objects_per_scene; diversity (see
        `generation.measures.diversity`); licences, per_family, per_asset (see
        `generation.measures.accounts`);
        problems (one line each: scene, object, numbers).

    Raises:
        ValueError: no scenes, or another number of verdicts or outcomes.
    """
    count = len(scenes)
    if not count:
        raise ValueError("no scenes to inspect: pass at least one")
    outcomes = None if solved is None else [bool(x) for x in solved]
    if len(verdicts) != count or (outcomes is not None and len(outcomes) != count):
        raise ValueError(
            f"{count} scenes with {len(verdicts)} verdicts and "
            f"{None if outcomes is None else len(outcomes)} outcomes: pass one of each per scene"
        )
    share = {name: sum(getattr(v, name) for v in verdicts) / count for name in MEASURES}
    unique = len({shape_id(thing) for scene in scenes for thing in scene.objects})
    lost = [] if outcomes is None else [i for i, won in enumerate(outcomes) if not won]
    bad = {i for i, verdict in enumerate(verdicts) if verdict.problems} | set(lost)
    return {
        "scenes": count,
        "stable_fraction": share["stable"],
        "collision_free_fraction": share["collision_free"],
        "reachable_fraction": share["reachable"],
        "graspable_fraction": share["graspable"],
        "relations_satisfied_fraction": share["relations"],
        "in_bounds_fraction": share["in_bounds"],
        "solved_fraction": None if outcomes is None else 1.0 - len(lost) / count,
        "sound_fraction": 1.0 - len(bad) / count,
        "unique_objects": unique,
        "objects_per_scene": sum(len(scene.objects) for scene in scenes) / count,
        "unique_objects_per_scene": unique / count,
        "diversity": diversity(scenes),
        "licences": licences(scenes),
        "per_family": success_of_families(scenes, verdicts, outcomes),
        "per_asset": success_of_assets(scenes, verdicts, outcomes),
        "problems": [
            f"scene {number} ({scene.id}): {problem}"
            for number, (scene, verdict) in enumerate(zip(scenes, verdicts, strict=True))
            for problem in (*verdict.problems, *(_unsolved(scene) if number in lost else ()))
        ],
    }


def _unsolved(scene: SceneSpec) -> list[str]:
    goal = scene.graph.goal
    return [f"the scripted expert does not get {goal.subject} {goal.relation} {goal.object}"]


def _unstable(scene: SceneSpec) -> list[str]:
    motion = simulate(scene, _SECONDS)
    problems = []
    for k, thing in enumerate(scene.objects):
        # Negated, so that a NaN counts as a problem.
        if not (motion.moved[k] < MOVED and motion.turned[k] < TURNED):
            problems.append(
                f"{thing.name} is unstable: moves {motion.moved[k] * 100:.1f} cm and turns "
                f"{math.degrees(motion.turned[k]):.0f} degrees"
            )
    return problems


def _unreachable(scene: SceneSpec) -> list[str]:
    target, other = scene.objects[:2]
    points = [(target, target.grasp[:3])]
    if scene.graph.goal.relation in SUPPORTS:
        points.append((other, other.place[:3]))
    problems = []
    for thing, local in points:
        x, y, z = world(thing, local)
        distance = math.hypot(x, y)
        if not (REACH[0] <= distance <= REACH[1] and x > 0 and -0.02 < z < TOP):
            problems.append(
                f"{thing.name} is out of reach: {distance * 100:.0f} cm from the robot's base, "
                f"{z * 100:.0f} cm high"
            )
    if not problems and goal_spot(scene.objects, scene.graph) is None:
        goal = scene.graph.goal
        problems.append(f"no free spot within reach for {target.name} {goal.relation} {other.name}")
    return problems


def _broken_relations(scene: SceneSpec) -> list[str]:
    things = {thing.name: thing for thing in scene.objects}
    problems = [
        f"{edge.subject} is not {edge.relation} {edge.object}"
        for edge in scene.graph.relations
        if not edge_holds(edge, things)
    ]
    goal = scene.graph.goal
    if relation_holds(goal.relation, things[goal.subject], things[goal.object]):
        problems.append(f"{goal.subject} is {goal.relation} {goal.object} already: nothing to do")
    return problems


def _out_of_bounds(scene: SceneSpec) -> list[str]:
    problems = []
    for thing in scene.objects:
        over = _overhang(thing)
        if not over <= 0.0:
            problems.append(f"{thing.name} stands out over the table's edge by {over * 100:.1f} cm")
        elif (depth := -lowest(thing)) > _SUNK:
            problems.append(f"{thing.name} reaches {depth * 1000:.0f} mm below the table top")
    return problems


def _overhang(thing: ObjectSpec) -> float:
    """How far the object stands out over the table's edge, m; negative inside."""
    points = np.concatenate([corners(part) for part in thing.parts])
    flat = (points @ quat_to_matrix(thing.quat).T + np.array(thing.pos))[:, :2]
    return float((np.abs(flat - TABLE_CENTRE[:2]) - TABLE_HALF[:2]).max())
