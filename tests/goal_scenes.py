"""Scenes by hand, one for every kind of goal: boxes, a board, a tray with walls."""

from __future__ import annotations

import math
from typing import Any

from generation import ObjectSpec, Part, SceneSpec
from generation.spec import Background, Edge, Look, Node, Relation, Role, SceneGraph, TaskSpec

Tie = tuple[str, Relation, str]


def box(half: tuple[float, float, float], z: float, **more: Any) -> Part:
    return Part(shape="box", size=half, pos=(0.0, 0.0, z), **more)


def thing(name: str, role: Role, parts: tuple[Part, ...], pos: tuple[float, ...], **more: Any):
    """An object at x, y, z and yaw; its size follows from its first part."""
    x, y, z, yaw = pos
    a, b, _ = parts[0].size
    height = max(part.pos[2] + part.size[2] for part in parts)
    fields: dict[str, Any] = {
        "noun": name,
        "family": name,
        "density": 700.0,
        "friction": 1.0,
        "grasp": (0.0, 0.0, 0.5 * height, 0.5 * math.pi, 2.0 * b),
        "place": (0.0, 0.0, 0.0, 0.0),
        "height": height,
        "radius": math.hypot(a, b),
    }
    quat = (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
    own = {"name": name, "role": role, "parts": parts, "pos": (x, y, z), "quat": quat}
    return ObjectSpec(**fields | own | more)


def block(name: str, role: Role, *pos: float, half: float = 0.018, **more: Any) -> ObjectSpec:
    return thing(name, role, (box((half, half, half), half),), pos, **more)


def board(role: Role, *pos: float) -> ObjectSpec:
    parts = (box((0.06, 0.06, 0.004), 0.004),)
    return thing("board", role, parts, pos, place=(0.0, 0.0, 0.008, 0.055))


def tray(role: Role, *pos: float, half: float = 0.07) -> ObjectSpec:
    floor = box((half, half, 0.004), 0.004)
    sides = [(half, 0.003, 0.0, half - 0.003), (0.003, half, half - 0.003, 0.0)]
    walls = [
        Part(shape="box", size=(a, b, 0.01), pos=(s * x, s * y, 0.018))
        for a, b, x, y in sides
        for s in (-1, 1)
    ]
    place = (0.0, 0.0, 0.008, half - 0.012)
    return thing("tray", role, (floor, *walls), pos, place=place)


def scene(goal: Relation, *objects: ObjectSpec, edges: tuple[Tie, ...] = (), **more) -> SceneSpec:
    """A scene of these objects, the first two of which the goal relates."""
    target, other = objects[:2]
    nodes = tuple(Node(name=o.name, noun=o.noun, role=o.role, family=o.family) for o in objects)
    text = f"put the {target.noun} {goal} the {other.noun}"
    facts: dict[str, Any] = {"table": Look(), "background": Background(), "seed": 0}
    return SceneSpec(
        graph=SceneGraph(
            nodes=nodes,
            relations=tuple(Edge(subject=a, relation=r, object=b) for a, r, b in edges),
            goal=Edge(subject=target.name, relation=goal, object=other.name),
        ),
        objects=objects,
        task=TaskSpec(
            relation=goal,
            target=target.name,
            receptacle=other.name,
            instruction=text,
            paraphrases=(text,),
        ),
        **facts | more,
    )


def goal_scenes() -> list[SceneSpec]:
    """One scene per relation, in the order of `Relation`; some targets start on something."""
    die = block("die", "target", 0.24, -0.12, 0.0, 0.3)
    in_tray = block("die", "target", 0.24, -0.12, 0.008, 0.3)
    dish = tray("distractor", 0.24, -0.12, 0.0, 0.0)
    brick = block("brick", "receptacle", 0.28, 0.06, 0.0, 0.2, half=0.025)
    top = (0.0, 0.0, 0.05, 0.02)
    low = block("brick", "receptacle", 0.28, 0.06, 0.0, 0.2, half=0.025, place=top)
    other = block("cube", "distractor", 0.34, -0.04, 0.0, 0.0, half=0.015)
    inside: tuple[Tie, ...] = (("die", "in", "tray"),)
    behind = block("die", "target", 0.36, -0.06, 0.0, 0.0)
    return [
        scene("on", in_tray, board("receptacle", 0.28, 0.08, 0.0, 0.0), dish, edges=inside),
        scene("in", die, tray("receptacle", 0.28, 0.08, 0.0, 0.0), other),
        scene("stacked on", die, low, other),
        scene("next to", in_tray, brick, dish, edges=inside),
        scene("left of", die, brick, other),
        scene("right of", behind, block("brick", "receptacle", 0.26, 0.06, 0.0, 0.2, half=0.025)),
        scene("in front of", in_tray, brick, dish, edges=inside),
        scene("behind", die, block("brick", "receptacle", 0.24, 0.06, 0.0, 0.2, half=0.025), other),
    ]
