"""When a relation of the scene graph holds: one definition for layout and quality.

The predicates look at the objects' stored poses and shapes alone, so that they can be asked of any
scene, also of one that was not made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from generation.placing.footprint import Footprint, Pose, gap, lowest, standing, world
from generation.spec import SUPPORTS, TABLE, Edge, ObjectSpec, SceneGraph

NEXT_TO = 0.06  # m, largest gap of things "next to" each other
RESTS = 6e-3  # m that the bottom of a resting object may be away from the surface it rests on
_ON_TABLE = 3e-3  # m; less than a bowl's floor is thick
_DEPTH = 4e-3  # m; what is shallower has no inside: things lie on it
_BELOW_RIM = 2e-3  # m that the bottom of a contained object is below the rim, at least


def relation_holds(relation: str, subject: ObjectSpec, other: ObjectSpec) -> bool:
    """Whether `subject` stands in `relation` to `other`.

    "on" and "stacked on": the subject's middle is over the other and its bottom on the surface
    that holds things. "in": its middle is within the walls and its bottom between floor and rim.
    The rest is seen from the robot (left is +y, behind is +x): "next to" means a gap of at most
    6 cm, "left of" that the positions differ more sideways than in depth, and so on.

    Raises:
        ValueError: no such relation.
    """
    if relation in SUPPORTS:
        return _carries(relation, subject, other)
    return stands_beside(relation, *standing(subject), *standing(other))


def stands_beside(relation: str, a: Footprint, at: Pose, b: Footprint, bt: Pose) -> bool:
    """`relation_holds` for what stands beside something, given the footprints.

    Raises:
        ValueError: no such relation.
    """
    dx, dy = at.xy - bt.xy
    sideways = bool(abs(dy) >= abs(dx))
    if relation == "next to":
        return -1e-3 <= gap(a, at, b, bt) <= NEXT_TO
    beside = {
        "left of": bool(dy > 0) and sideways,
        "right of": bool(dy < 0) and sideways,
        "behind": bool(dx > 0) and not sideways,
        "in front of": bool(dx < 0) and not sideways,
    }
    if relation not in beside:
        raise ValueError(f"unknown relation {relation!r}: use one of {[*SUPPORTS, *beside]}")
    return beside[relation]


def on_table(thing: ObjectSpec) -> bool:
    """Whether the object's bottom is at the height of the table top."""
    return abs(lowest(thing)) < _ON_TABLE


def edge_holds(edge: Edge, things: Mapping[str, ObjectSpec]) -> bool:
    """Whether an edge of a scene graph holds among `things`, by name."""
    subject = things[edge.subject]
    if edge.object == TABLE:
        return on_table(subject)
    return relation_holds(edge.relation, subject, things[edge.object])


def carrier(graph: SceneGraph, name: str) -> str:
    """What the object stands on or in at the start; the table if nothing else is said."""
    return next(iter(graph.carriers(name)), TABLE)


def depth(thing: ObjectSpec) -> float:
    """Height in m of a carrier's rim over the surface that holds things, 0 if it has none."""
    inside = thing.height - thing.place[2]
    return inside if inside > _DEPTH else 0.0


def _carries(relation: str, subject: ObjectSpec, other: ObjectSpec) -> bool:
    if other.place[3] <= 0.0:
        return False
    print_, pose = standing(subject)
    middle = Footprint.disc(0.0), replace(pose, xy=print_.rectangle(pose.xy, pose.yaw).mean(axis=0))
    inside = gap(*middle, *standing(other)) < 0.0
    bottom, floor = lowest(subject), float(world(other, other.place[:3])[2])
    if relation == "in" and depth(other):
        rim = floor + depth(other)
        return inside and floor - RESTS < bottom < rim - _BELOW_RIM
    return inside and abs(bottom - floor) < RESTS
