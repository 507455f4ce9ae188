"""Where the objects stand: apart from each other, within reach, as the scene graph says.

Poses are drawn at random, the largest objects first, and checked for clearance, for the relations
and for the task; `generation.placing.settling` then brings them to rest. Later attempts pack things
closer together, so that crowded scenes find a place too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from generation.assets.parts import rounded, yaw_quat
from generation.placing.access import CLEARANCE, hopeless, obstacles
from generation.placing.carrying import Carriers, spread
from generation.placing.footprint import Footprint, Pose, apart, gap
from generation.placing.relations import NEXT_TO, stands_beside
from generation.placing.settling import LayoutError, settle
from generation.spec import SUPPORTS, ObjectSpec, SceneGraph

__all__ = ["WORKSPACES", "Difficulty", "LayoutError", "Workspace", "place", "settle"]

Array = NDArray[np.float64]
Difficulty = Literal["easy", "full"]

KEEPOUT = 0.10  # m around the base axis that belong to the robot
_ATTEMPTS = 60  # arrangements of one scene
_LOOSE = 20  # attempts in which the first free pose is taken, the rest pack
_SAME = 30  # attempts that may fail for the same reason
_TRIES = 40  # poses of one object per attempt
_AWAY = 0.008  # m between a carried thing and what does not carry it
_ROBOT = Footprint.disc(KEEPOUT)
_BASE = Pose(np.zeros(2), 0.0)


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


def place(
    objects: Sequence[ObjectSpec],
    graph: SceneGraph,
    rng: np.random.Generator,
    difficulty: Difficulty,
    *,
    attempts: int = _ATTEMPTS,
) -> tuple[ObjectSpec, ...]:
    """Draws poses with clearance that satisfy the relations; the objects stand, not yet settled.

    What the graph puts on or in something stands in that carrier's place region, several things
    side by side. The task stays possible: see `access.obstacles`.

    Raises:
        LayoutError: no arrangement was found; names the object that did not fit, and why.
    """
    plan = _Plan(objects, graph, WORKSPACES[difficulty], rng)
    reasons: Counter[str] = Counter()
    for attempt in range(attempts):
        try:
            return plan.arrange(pack=attempt >= _LOOSE)
        except LayoutError as error:
            reasons[str(error)] += 1
        if max(reasons.values()) == _SAME:
            break
    reason = reasons.most_common(1)[0][0]
    raise LayoutError(
        f"{reason} ({reasons.total()} arrangements tried): ask for fewer or smaller objects, or "
        'for difficulty="full"'
    )


class _Plan:
    """One scene to arrange: its shapes, what they stand on, and what they stand beside.

    Raises:
        LayoutError: no arrangement can make the relations and the task true.
    """

    def __init__(
        self,
        objects: Sequence[ObjectSpec],
        graph: SceneGraph,
        space: Workspace,
        rng: np.random.Generator,
    ) -> None:
        self.objects, self.graph, self.space, self.rng = tuple(objects), graph, space, rng
        self.prints = [Footprint.of(thing) for thing in objects]
        self.carriers = Carriers(objects, graph)
        index = {thing.name: k for k, thing in enumerate(objects)}
        self.beside = [
            (index[e.subject], e.relation, index[e.object])
            for e in graph.relations
            if e.relation not in SUPPORTS
        ]
        for reason in hopeless(self.objects, graph):
            raise LayoutError(reason)
        self.carriers.fill(rng)

    def arrange(self, *, pack: bool) -> tuple[ObjectSpec, ...]:
        """One attempt.

        Raises:
            LayoutError: an object found no pose, or the task is not possible.
        """
        local = self.carriers.fill(self.rng)
        poses: dict[int, Pose] = {}
        for k in self.carriers.order:
            if k in local:
                poses[k] = self._carried(k, local[k], poses)
                continue
            free = self._on_table(k, poses)
            pose = self._tightest(k, free, poses) if pack else next(free, None)
            if pose is None:
                others = sorted(self.objects[j].name for j in poses)
                raise LayoutError(f"no room for {self.objects[k].name!r} beside {others}")
            poses[k] = pose
        placed = tuple(_posed(thing, poses[k]) for k, thing in enumerate(self.objects))
        for reason in obstacles(placed, self.graph):
            raise LayoutError(reason)
        return placed

    def _tightest(self, k: int, free: Iterator[Pose], poses: dict[int, Pose]) -> Pose | None:
        """Of the free poses the one that wastes least room: closest to others or an edge."""
        best, least = None, math.inf
        for pose in free:
            near = [gap(self.prints[k], pose, self.prints[j], other) for j, other in poses.items()]
            (x0, x1), (y0, y1) = self.space.x, self.space.y
            edges = (pose.xy[0] - x0, x1 - pose.xy[0], pose.xy[1] - y0, y1 - pose.xy[1])
            waste = sum(sorted([*near, *edges])[:2])
            if waste < least:
                best, least = pose, waste
        return best

    def _on_table(self, k: int, poses: dict[int, Pose]) -> Iterator[Pose]:
        """Free poses on the table among random ones."""
        size = self.prints[k]
        for _ in range(_TRIES):
            limit = math.pi if self.objects[k].role == "receptacle" else self.space.yaw
            pose = Pose(self._spot(k, poses), float(self.rng.uniform(-limit, limit)))
            clear = all(
                apart(size, pose, self.prints[j], other, CLEARANCE) for j, other in poses.items()
            )
            if clear and gap(size, pose, _ROBOT, _BASE) >= 0 and self._related(k, pose, poses):
                yield pose

    def _spot(self, k: int, poses: dict[int, Pose]) -> Array:
        """A random position; every other one of a thing beside another is near that other."""
        (x0, x1), (y0, y1) = self.space.x, self.space.y
        xy = np.array([self.rng.uniform(x0, x1), self.rng.uniform(y0, y1)])
        pairs = [(self.carriers.root(a), self.carriers.root(b)) for a, _, b in self.beside]
        anchors = [b if a == k else a for a, b in pairs if k in (a, b)]
        anchors = [j for j in anchors if j in poses]
        if not anchors or self.rng.uniform() < 0.5:
            return xy
        j = anchors[int(self.rng.integers(len(anchors)))]
        angle = self.rng.uniform(-math.pi, math.pi)
        away = spread(self.prints[k]) + spread(self.prints[j])
        away += self.rng.uniform(CLEARANCE, NEXT_TO)
        spot = poses[j].xy + away * np.array([math.cos(angle), math.sin(angle)])
        return np.clip(spot, [x0, y0], [x1, y1])

    def _related(self, k: int, pose: Pose, poses: dict[int, Pose]) -> bool:
        """Whether the spatial relations between k and what stands already hold."""
        known = {**poses, k: pose}
        return all(
            stands_beside(relation, self.prints[a], known[a], self.prints[b], known[b])
            for a, relation, b in self.beside
            if k in (a, b) and a in known and b in known
        )

    def _carried(self, k: int, local: Pose, poses: dict[int, Pose]) -> Pose:
        """The world pose of a carried object.

        Raises:
            LayoutError: it touches something else, or is not where a relation says.
        """
        under = self.carriers.under(k)
        pose = poses[under[0]].carried(local.xy, local.yaw, local.z)
        others = poses.keys() - set(under) - self.carriers.siblings(k)
        clear = all(apart(self.prints[k], pose, self.prints[j], poses[j], _AWAY) for j in others)
        if not (clear and self._related(k, pose, poses)):
            raise LayoutError(self.carriers.no_room(k, list(poses)))
        return pose


def _posed(thing: ObjectSpec, pose: Pose) -> ObjectSpec:
    pos, quat = rounded((*pose.xy, pose.z)), rounded(yaw_quat(pose.yaw))
    return thing.model_copy(update={"pos": pos, "quat": quat})
