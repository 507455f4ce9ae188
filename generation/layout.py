"""Where the objects stand: apart from each other, within reach, and at rest.

Poses are drawn at random, checked for clearance and for the relations of the scene graph, then
settled by MuJoCo without the robot. What moves while settling is drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from generation.assets.mass import matrix_to_quat, quat_to_matrix
from generation.assets.parts import corners, rounded, yaw_quat
from generation.compile import compile_scene
from generation.spec import ObjectSpec, SceneGraph, SceneSpec

Array = NDArray[np.float64]
Difficulty = Literal["easy", "full"]

CLEARANCE = 0.02  # m between footprints: room for a finger
KEEPOUT = 0.10  # m around the base axis that belong to the robot
NEXT_TO = 0.06  # m, largest gap of things "next to" each other
MOVED, TURNED = 0.01, math.radians(5.0)  # what counts as not staying in place
REACH = (0.12, 0.46)  # m from the base axis, where the gripper gets to the table pointing down


class LayoutError(ValueError):
    """These shapes found no stable, non-overlapping poses; other shapes may."""


@dataclass(frozen=True)
class Workspace:
    """Where body frames may stand (m) and how far the closing axis may turn from world y (rad)."""

    x: tuple[float, float]
    y: tuple[float, float]
    yaw: float


WORKSPACES: dict[str, Workspace] = {
    "easy": Workspace((0.20, 0.34), (-0.13, 0.13), 0.35),
    "full": Workspace((0.16, 0.38), (-0.22, 0.22), math.pi),
}


@dataclass(frozen=True)
class Footprint:
    """Bounds of an object on the table: a circle about its origin and a rectangle, both valid."""

    radius: float
    low: Array  # [2] body frame
    high: Array  # [2]

    @classmethod
    def of(cls, thing: ObjectSpec) -> Footprint:
        points = np.concatenate([corners(part)[:, :2] for part in thing.parts])
        return cls(thing.radius, points.min(axis=0), points.max(axis=0))

    def rectangle(self, xy: Array, yaw: float) -> Array:
        """Corners [4, 2] in the world."""
        (x0, y0), (x1, y1) = self.low, self.high
        c, s = math.cos(yaw), math.sin(yaw)
        local = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        return local @ np.array([[c, s], [-s, c]]) + xy


@dataclass(frozen=True)
class Pose:
    """A standing object: position on the table in m and heading in rad."""

    xy: Array
    yaw: float


def gap(a: Footprint, at: Pose, b: Footprint, bt: Pose) -> float:
    """A lower bound of the distance between two footprints in m, negative if they may overlap."""
    circles = float(np.linalg.norm(at.xy - bt.xy)) - a.radius - b.radius
    p, q = a.rectangle(at.xy, at.yaw), b.rectangle(bt.xy, bt.yaw)
    best = circles
    for yaw in (at.yaw, at.yaw + math.pi / 2, bt.yaw, bt.yaw + math.pi / 2):
        axis = np.array([math.cos(yaw), math.sin(yaw)])
        u, v = p @ axis, q @ axis
        best = max(best, float(u.min() - v.max()), float(v.min() - u.max()))
    return best


def relation_holds(relation: str, a: Array, b: Array, distance: float) -> bool:
    """Whether a stands in `relation` to b, seen from the robot (left is +y, behind is +x).

    Args:
        relation: a key of the grammar's spatial relations; "" and "on" hold always.
        a: position [2] of the subject in m.
        b: position [2] of the object in m.
        distance: gap between their footprints in m.
    """
    dx, dy = float(a[0] - b[0]), float(a[1] - b[1])
    sideways = abs(dy) >= abs(dx)
    return {
        "next to": distance <= NEXT_TO,
        "left of": dy > 0 and sideways,
        "right of": dy < 0 and sideways,
        "behind": dx > 0 and not sideways,
        "in front of": dx < 0 and not sideways,
    }.get(relation, True)


def place(
    objects: Sequence[ObjectSpec],
    graph: SceneGraph,
    rng: np.random.Generator,
    difficulty: Difficulty,
    *,
    attempts: int = 60,
) -> tuple[ObjectSpec, ...]:
    """Draws poses with clearance that satisfy the relations; the objects stand, not yet settled.

    Raises:
        LayoutError: no arrangement was found; names the object that did not fit.
    """
    space = WORKSPACES[difficulty]
    prints = [Footprint.of(thing) for thing in objects]
    index = {thing.name: k for k, thing in enumerate(objects)}
    edges = [
        (index[e.subject], e.relation, index[e.object])
        for e in graph.relations
        if e.subject in index and e.object in index
    ]
    failed = 0
    for _ in range(attempts):
        poses: list[Pose] = []
        for k, thing in enumerate(objects):
            pose = _draw(thing, k, prints, poses, edges, space, rng)
            if pose is None:
                failed = max(failed, k)
                break
            poses.append(pose)
        if len(poses) == len(objects):
            return tuple(_posed(thing, pose) for thing, pose in zip(objects, poses, strict=True))
    raise LayoutError(
        f"no room for {objects[failed].name!r} beside {[o.name for o in objects[:failed]]} "
        f"({attempts} arrangements tried): ask for fewer or smaller objects, or for "
        'difficulty="full"'
    )


def _draw(
    thing: ObjectSpec,
    k: int,
    prints: Sequence[Footprint],
    poses: Sequence[Pose],
    edges: Sequence[tuple[int, str, int]],
    space: Workspace,
    rng: np.random.Generator,
    tries: int = 40,
) -> Pose | None:
    """A pose for object k that respects the objects already standing, None if none was found."""
    robot = Footprint(KEEPOUT, np.full(2, -KEEPOUT), np.full(2, KEEPOUT))
    base = Pose(np.zeros(2), 0.0)
    for _ in range(tries):
        xy = np.array([rng.uniform(*space.x), rng.uniform(*space.y)])
        limit = math.pi if thing.role == "receptacle" else space.yaw
        pose = Pose(xy, float(rng.uniform(-limit, limit)))
        gaps = [gap(prints[k], pose, prints[j], other) for j, other in enumerate(poses)]
        if any(g < CLEARANCE for g in gaps) or gap(prints[k], pose, robot, base) < 0:
            continue
        known = [*poses, pose]
        if all(
            relation_holds(relation, known[a].xy, known[b].xy, gaps[min(a, b)])
            for a, relation, b in edges
            if max(a, b) == k
        ):
            return pose
    return None


def _posed(thing: ObjectSpec, pose: Pose) -> ObjectSpec:
    pos, quat = rounded((*pose.xy, 0.0)), rounded(yaw_quat(pose.yaw))
    return thing.model_copy(update={"pos": pos, "quat": quat})


@dataclass(frozen=True)
class Motion:
    """How far each object went: metres [K], radians [K], and where it ended."""

    moved: Array
    turned: Array
    pos: Array  # [K, 3]
    quat: Array  # [K, 4]


def simulate(scene: SceneSpec, seconds: float, *, lift: float = 0.0) -> Motion:
    """Lets the scene go without a robot, at most `seconds`, stopping early once all is at rest.

    Args:
        scene: objects at their stored poses, raised by `lift` m.
        seconds: longest time simulated.
    """
    model = compile_scene(scene, sensors=False)
    data = mujoco.MjData(model)
    count = len(scene.objects)
    data.qpos.reshape(count, 7)[:, 2] += lift
    start = data.qpos.reshape(count, 7).copy()
    calm = 0
    for _ in range(round(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)
        calm = calm + 1 if np.abs(data.qvel).max() < 1e-3 else 0
        if calm == 25:  # a quarter of a second without motion: it will not start again
            break
    end = data.qpos.reshape(count, 7)
    turned = [_angle(start[k, 3:], end[k, 3:]) for k in range(count)]
    moved = np.linalg.norm(end[:, :3] - start[:, :3], axis=1)
    return Motion(moved, np.array(turned), end[:, :3].copy(), end[:, 3:].copy())


def _angle(p: Array, q: Array) -> float:
    relative = quat_to_matrix(p).T @ quat_to_matrix(q)
    return 2 * math.acos(min(1.0, abs(float(matrix_to_quat(relative)[0]))))


def settle(scene: SceneSpec, *, seconds: float = 2.0) -> SceneSpec:
    """The scene with the objects where they come to rest.

    Raises:
        LayoutError: an object moves more than 1 cm or 5 degrees; names it.
    """
    motion = simulate(scene, seconds, lift=5e-4)
    for k, thing in enumerate(scene.objects):
        # Negated, so that a NaN counts as unstable.
        if not (motion.moved[k] < MOVED and motion.turned[k] < TURNED):
            raise LayoutError(
                f"{thing.name!r} does not stay in place: it moved {motion.moved[k] * 100:.1f} cm "
                f"and turned {math.degrees(motion.turned[k]):.0f} degrees"
            )
    objects = tuple(
        thing.model_copy(
            update={"pos": rounded(motion.pos[k]), "quat": rounded(motion.quat[k])}
        )
        for k, thing in enumerate(scene.objects)
    )  # fmt: skip
    return scene.model_copy(update={"objects": objects})
