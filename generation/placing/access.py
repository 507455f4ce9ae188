"""Whether the task can be done where things stand: a grip on the target, and room at the goal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generation.assets.mass import quat_to_matrix
from generation.assets.parts import corners
from generation.placing.footprint import Footprint, Pose, apart, lowest, standing, turn, world
from generation.placing.relations import carrier, relation_holds
from generation.spec import SUPPORTS, ObjectSpec, SceneGraph

Array = NDArray[np.float64]

CLEARANCE = 0.02  # m between footprints: room for a finger
REACH = (0.12, 0.46)  # m from the base axis, where the gripper gets to the table pointing down
TOP = 0.25  # m, highest point at which the gripper still points down
# The range of the gripper, x and y in m: what lies outside cannot be reached from above.
_RANGE = ((0.11, 0.41), (-0.27, 0.27))

OPENING = 0.056  # m between the open fingers of the WidowX
_FINGER = (0.010, 0.022)  # m, thick along the closing axis and wide across it
_TIP = 0.009  # m that the fingers reach below the grasp point
_GROUND = 0.002  # m that the tips keep from what the target lies on
_BAR = (0.112, 0.044)  # m, the crossbar that carries the fingers, along and across
_BAR_HEIGHT = 0.042  # m of the bar's lower side over the grasp point
_SPARE = 0.008  # m: what is so much smaller than the opening is gripped however it lies
_SLACK = 0.002  # m between the gripper and what it must not touch
# Spots for a goal beside something: gaps in m, and directions either side of the middle in rad.
SPOT_GAPS = (0.03, 0.045, 0.055)
_FAN = math.radians(30.0)
_TOWARDS = {"left of": 0.5 * math.pi, "right of": -0.5 * math.pi, "behind": 0.0,
            "in front of": math.pi}  # fmt: skip
_BESIDE = 0.005  # m between a thing put down and what lies in the receptacle already


def obstacles(objects: Sequence[ObjectSpec], graph: SceneGraph) -> tuple[str, ...]:
    """What stands in the way of the task, one reason each; empty if it can be done.

    Args:
        objects: at their poses; target first, then what the goal relates it to.
        graph: gives the goal and what carries what.
    """
    target, other = objects[:2]
    found = [*hopeless(objects, graph), *_out_of_reach(target, other), *_no_grip(target, objects)]
    if relation_holds(graph.goal.relation, target, other):
        found.append(f"{target.name!r} is {graph.goal.relation} {other.name!r} already")
    elif not found and goal_spot(objects, graph) is None:
        found.append(
            f"no free spot {graph.goal.relation} {other.name!r} to put {target.name!r} down"
        )
    return tuple(found)


def goal_spot(objects: Sequence[ObjectSpec], graph: SceneGraph) -> Array | None:
    """Where the target can be put down to reach the goal: xy [2] in m, None without such a spot."""
    target, other = objects[:2]
    relation = graph.goal.relation
    free = _carried_spots if relation in SUPPORTS else _table_spots
    return next(free(relation, target, other, objects, graph), None)


def hopeless(objects: Sequence[ObjectSpec], graph: SceneGraph) -> tuple[str, ...]:
    """What no other poses would help: a covered target, a goal on what is too small to hold it."""
    target, other = objects[:2]
    relation, usable = graph.goal.relation, other.place[3]
    found = [
        f"{node.name!r} stands on the target {target.name!r}, which has to be moved"
        for node in graph.nodes
        if carrier(graph, node.name) == target.name
    ]
    # A tower stands if its lower part carries the middle of the upper one well.
    least = min(Footprint.of(target).box[1]) / 2 if relation == "stacked on" else 0.0
    if relation in SUPPORTS and usable <= least:
        found.append(
            f"{other.name!r} cannot hold {target.name!r}: its place is {200 * usable:.1f} cm wide"
        )
    return tuple(found)


def _out_of_reach(target: ObjectSpec, other: ObjectSpec) -> Iterator[str]:
    for thing, local in ((target, target.grasp[:3]), (other, other.place[:3])):
        x, y, z = world(thing, local)
        away = math.hypot(x, y)
        if not (REACH[0] <= away <= REACH[1] and x > 0.0 and -0.02 < z < TOP):
            yield (
                f"{thing.name!r} is out of reach: {away * 100:.0f} cm from the robot's base, "
                f"{z * 100:.0f} cm high"
            )


@dataclass(frozen=True)
class _Tool:
    """A rectangle of the gripper that comes down from above as far as `bottom` m."""

    footprint: Footprint
    pose: Pose
    bottom: float


def _no_grip(target: ObjectSpec, objects: Sequence[ObjectSpec]) -> Iterator[str]:
    """Objects in which the open gripper would stand when it closes on the target."""
    tools = _gripper(target)
    for thing in objects:
        near = math.dist(thing.pos[:2], target.pos[:2]) < thing.radius + target.radius + _BAR[0]
        if thing is target or not near:
            continue
        if any(_touch(tools, shape) for shape in part_outlines(thing)):
            yield f"{thing.name!r} leaves the gripper no room at {target.name!r}"


def part_outlines(thing: ObjectSpec) -> Iterator[tuple[Footprint, Pose, float]]:
    """What each colliding part covers of the table, and how high it reaches in m."""
    rotation, pos = quat_to_matrix(thing.quat), np.array(thing.pos)
    for part in thing.parts:
        if part.collide:
            points = corners(part) @ rotation.T
            along = (rotation @ quat_to_matrix(part.quat))[:, 0]
            yaw = math.atan2(along[1], along[0])
            shape = Footprint.around(points[:, :2] @ turn(yaw))
            yield shape, Pose(pos[:2], yaw), float(points[:, 2].max() + pos[2])


def _touch(tools: Sequence[_Tool], shape: tuple[Footprint, Pose, float]) -> bool:
    footprint, pose, high = shape
    return any(
        high > tool.bottom and not apart(footprint, pose, tool.footprint, tool.pose, _SLACK)
        for tool in tools
    )


def _gripper(target: ObjectSpec) -> list[_Tool]:
    at = world(target, target.grasp[:3])
    axis = quat_to_matrix(target.quat) @ [
        math.cos(target.grasp[3]), math.sin(target.grasp[3]), 0.0
    ]  # fmt: skip
    slender = 2.0 * target.radius > OPENING - _SPARE
    yaw = math.atan2(axis[1], axis[0]) if slender else 0.5 * math.pi
    along = np.array([math.cos(yaw), math.sin(yaw)])
    tip = max(float(at[2]) - _TIP, lowest(target) + _GROUND)
    finger = Footprint.bar(_FINGER[0] / 2, _FINGER[1] / 2)
    out = (OPENING + _FINGER[0]) / 2
    fingers = [_Tool(finger, Pose(at[:2] + sign * out * along, yaw), tip) for sign in (-1, 1)]
    bar = Footprint.bar(_BAR[0] / 2, _BAR[1] / 2)
    return [*fingers, _Tool(bar, Pose(at[:2], yaw), float(at[2]) + _BAR_HEIGHT)]


def _carried_spots(
    relation: str,
    target: ObjectSpec,
    other: ObjectSpec,
    objects: Sequence[ObjectSpec],
    graph: SceneGraph,
) -> Iterator[Array]:
    """Free spots in the receptacle's place region, the middle first."""
    usable = other.place[3]
    if usable <= 0.0:
        return
    inside = [standing(o) for o in objects[2:] if carrier(graph, o.name) == other.name]
    centre = world(other, other.place[:3])[:2]
    shape, held = standing(target)
    for part in (0.0,) if relation == "stacked on" else (0.0, 0.25, 0.5, 0.75, 1.0):
        out = part * max(usable - min(shape.box[1]), 0.0)
        for angle in np.arange(1 if out == 0.0 else 12) * (math.pi / 6):
            spot = centre + out * np.array([math.cos(angle), math.sin(angle)])
            pose = Pose(spot, held.yaw)  # as it lies: it is carried without a turn
            if all(apart(shape, pose, *item, _BESIDE) for item in inside):
                yield spot


def _table_spots(
    relation: str,
    target: ObjectSpec,
    other: ObjectSpec,
    objects: Sequence[ObjectSpec],
    graph: SceneGraph,
) -> Iterator[Array]:
    """Free spots on the table on the right side of the other thing."""
    (shape, held), beside = standing(target), standing(other)
    rest = [standing(o) for o in objects[2:]]
    middle = _TOWARDS.get(relation)
    if middle is None:
        angles = np.arange(16) * (math.pi / 8)
    else:
        angles = middle + np.array([0.0, 0.5, -0.5, 1.0, -1.0]) * _FAN
    for angle in angles:
        way = np.array([math.cos(angle), math.sin(angle)])
        reach = _reach(*beside, way) + _reach(shape, held, -way)
        for space in SPOT_GAPS:
            spot = beside[1].xy + way * (reach + space)
            inside = all(low <= v <= high for v, (low, high) in zip(spot, _RANGE, strict=True))
            if not (inside and REACH[0] <= float(np.hypot(*spot)) <= REACH[1]):
                continue
            if all(apart(shape, Pose(spot, held.yaw), *item, CLEARANCE) for item in rest):
                yield spot


def _reach(shape: Footprint, pose: Pose, way: Array) -> float:
    """How far a footprint extends from its origin in a direction, m."""
    corner = float(((shape.rectangle(pose.xy, pose.yaw) - pose.xy) @ way).max())
    return min(shape.radius, corner)
