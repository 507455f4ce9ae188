"""What is wrong with scenes: a deterministic judge that measures instead of guessing."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from generation.compile import compile_scene
from generation.layout import (
    MOVED,
    REACH,
    TURNED,
    Footprint,
    Pose,
    gap,
    relation_holds,
    simulate,
)
from generation.spec import ObjectSpec, SceneSpec

PENETRATION = 1e-3  # m that two objects may overlap
GRIPPER_OPENING = 0.056  # m
_SECONDS = 3.0  # simulated, to see what moves
_TOP = 0.25  # m, highest point at which the gripper still points down


@dataclass(frozen=True)
class Verdict:
    """One scene's test results; `problems` says what failed, empty when all is well."""

    stable: bool
    collision_free: bool
    reachable: bool
    relations: bool
    problems: tuple[str, ...]


def inspect_scenes(scenes: Sequence[SceneSpec]) -> dict[str, Any]:
    """Quality report of a set of scenes.

    Each scene is simulated for 3 s without a robot. An object is stable if it moves less than 1 cm
    and turns less than 5 degrees; two objects collide if they overlap by more than 1 mm; a scene
    is reachable if the gripper gets to the target's grasp and over the receptacle.

    Returns:
        scenes, stable_fraction, collision_free_fraction, reachable_fraction,
        relations_satisfied_fraction, unique_objects (distinct shapes), problems (one line each).

    Raises:
        ValueError: no scenes.
    """
    if not scenes:
        raise ValueError("no scenes to inspect: pass at least one")
    verdicts = [inspect_scene(scene) for scene in scenes]
    count = len(verdicts)
    return {
        "scenes": count,
        "stable_fraction": sum(v.stable for v in verdicts) / count,
        "collision_free_fraction": sum(v.collision_free for v in verdicts) / count,
        "reachable_fraction": sum(v.reachable for v in verdicts) / count,
        "relations_satisfied_fraction": sum(v.relations for v in verdicts) / count,
        "unique_objects": len({shape_id(o) for scene in scenes for o in scene.objects}),
        "problems": [
            f"scene {number} ({scene.id}): {problem}"
            for number, (scene, verdict) in enumerate(zip(scenes, verdicts, strict=True))
            for problem in verdict.problems
        ],
    }


def inspect_scene(scene: SceneSpec) -> Verdict:
    """Tests one scene; see `inspect_scenes`."""
    found = {
        "stable": _unstable(scene),
        "collision_free": _collisions(scene),
        "reachable": _unreachable(scene),
        "relations": _broken_relations(scene),
    }
    passed = {name: not problems for name, problems in found.items()}
    return Verdict(**passed, problems=tuple(p for problems in found.values() for p in problems))


def shape_id(thing: ObjectSpec) -> str:
    """Content hash of an object's parts: equal for the same shape and looks in any pose."""
    parts = json.dumps([p.model_dump(mode="json") for p in thing.parts], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


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


def _collisions(scene: SceneSpec) -> list[str]:
    model = compile_scene(scene, sensors=False)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    names = ["table", *(thing.name for thing in scene.objects)]
    deepest: dict[tuple[str, str], float] = {}
    for contact in data.contact[: data.ncon]:
        # Body 0 is the world with the table, body k + 1 is object k: there is no robot here.
        bodies = sorted(int(model.geom_bodyid[geom]) for geom in contact.geom)
        pair = (names[bodies[0]], names[bodies[1]])
        deepest[pair] = min(deepest.get(pair, 0.0), float(contact.dist))
    return [
        f"{a} and {b} overlap by {-depth * 1000:.1f} mm"
        for (a, b), depth in deepest.items()
        if -depth > PENETRATION
    ]


def _unreachable(scene: SceneSpec) -> list[str]:
    target, receptacle = scene.objects[:2]
    problems = []
    for thing, local in ((target, target.grasp[:3]), (receptacle, receptacle.place[:3])):
        x, y, z = _world(thing, local)
        distance = math.hypot(x, y)
        if not (REACH[0] <= distance <= REACH[1] and x > 0 and -0.02 < z < _TOP):
            problems.append(
                f"{thing.name} is out of reach: {distance * 100:.0f} cm from the robot's base, "
                f"{z * 100:.0f} cm high"
            )
    if target.grasp[4] >= GRIPPER_OPENING:
        problems.append(
            f"{target.name} is {target.grasp[4] * 1000:.0f} mm wide; the gripper opens to "
            f"{GRIPPER_OPENING * 1000:.0f} mm"
        )
    return problems


def _world(thing: ObjectSpec, local: Sequence[float]) -> tuple[float, float, float]:
    out = np.zeros(3)
    mujoco.mju_rotVecQuat(out, np.array(local), np.array(thing.quat))
    x, y, z = out + np.array(thing.pos)
    return float(x), float(y), float(z)


def _standing(thing: ObjectSpec) -> tuple[Footprint, Pose]:
    w, x, y, z = thing.quat
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return Footprint.of(thing), Pose(np.array(thing.pos[:2]), yaw)


def _broken_relations(scene: SceneSpec) -> list[str]:
    things = {thing.name: thing for thing in scene.objects}
    problems = []
    for edge in scene.graph.relations:
        subject = things[edge.subject]
        if edge.object == "table":
            holds = abs(subject.pos[2]) < 5e-3
        else:
            (a, at), (b, bt) = _standing(subject), _standing(things[edge.object])
            holds = relation_holds(edge.relation, at.xy, bt.xy, gap(a, at, b, bt))
        if not holds:
            problems.append(f"{edge.subject} is not {edge.relation} {edge.object}")
    return problems
