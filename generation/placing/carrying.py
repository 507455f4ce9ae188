"""What stands on or in what, and where in it: several things side by side in a place region."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from generation.placing.access import part_outlines
from generation.placing.footprint import Footprint, Pose, apart
from generation.placing.relations import carrier
from generation.placing.settling import LayoutError
from generation.spec import SUPPORTS, TABLE, ObjectSpec, SceneGraph

_FILLS = 12  # tries to put all carried things side by side
_TRIES = 40  # poses of one of them per try
_SIBLINGS = 0.004  # m between things on one carrier
_WALL = 0.001  # m between a carried thing and the walls around it
_BASE_SHARE = 0.5  # of a thing's radius that stays on a carrier without walls
_TOWER = 0.2  # share of the usable radius within which the middle of a stacked thing lies


class Carriers:
    """Who carries whom in a scene; objects are meant by their indices.

    Raises:
        LayoutError: a carrier has no place for things.
    """

    def __init__(self, objects: Sequence[ObjectSpec], graph: SceneGraph) -> None:
        self._objects = tuple(objects)
        self._prints = [Footprint.of(thing) for thing in objects]
        index = {thing.name: k for k, thing in enumerate(objects)}
        names = [carrier(graph, thing.name) for thing in objects]
        self.below = [None if name == TABLE else index[name] for name in names]
        self._relation = {
            index[e.subject]: e.relation
            for e in graph.relations
            if e.relation in SUPPORTS and e.object != TABLE
        }
        self._walls = {k: _walls(self._objects[k]) for k in self.below if k is not None}
        # Carriers before what they carry; on one level the largest first.
        self.order = sorted(
            range(len(objects)), key=lambda k: (len(self.under(k)), -spread(self._prints[k]), k)
        )
        for k, below in enumerate(self.below):
            if below is not None and objects[below].place[3] <= 0.0:
                raise LayoutError(
                    f"{objects[below].name!r} cannot carry {objects[k].name!r}: it has no flat top "
                    "or room"
                )

    def under(self, k: int) -> list[int]:
        """All that is below an object, its carrier first."""
        found = []
        step = self.below[k]
        while step is not None:
            found.append(step)
            step = self.below[step]
        return found

    def root(self, k: int) -> int:
        """What stands on the table below an object, itself if nothing does."""
        return [k, *self.under(k)][-1]

    def siblings(self, k: int) -> set[int]:
        """The other objects on the same carrier, or on the table."""
        return {j for j, below in enumerate(self.below) if below == self.below[k] and j != k}

    def fill(self, rng: np.random.Generator) -> dict[int, Pose]:
        """Poses of all carried objects in the frames of their carriers.

        Raises:
            LayoutError: they do not fit side by side.
        """
        reason = ""
        for _ in range(_FILLS):
            poses: dict[int, Pose] = {}
            try:
                for k in self.order:
                    if self.below[k] is not None:
                        poses[k] = self._inside(k, poses, rng)
            except LayoutError as error:
                reason = str(error)
                continue
            return poses
        raise LayoutError(reason)

    def no_room(self, k: int, placed: Sequence[int]) -> str:
        """The complaint that a carried object finds no place beside others."""
        on = self._objects[self.under(k)[0]]
        others = sorted(self._objects[j].name for j in self.siblings(k).intersection(placed))
        return (
            f"no room for {self._objects[k].name!r} ({200 * spread(self._prints[k]):.0f} cm wide) "
            f"{self._relation[k]} {on.name!r} ({200 * on.place[3]:.0f} cm)"
            f"{f' beside {others}' if others else ''}"
        )

    def _inside(self, k: int, poses: dict[int, Pose], rng: np.random.Generator) -> Pose:
        """A free pose in the frame of the object's carrier among random ones.

        Raises:
            LayoutError: there was none.
        """
        below = self.under(k)[0]
        size, (x, y, z, usable) = self._prints[k], self._objects[below].place
        walls, siblings = self._walls[below], self.siblings(k) & poses.keys()
        reach = max(usable - (0.0 if walls else _BASE_SHARE * spread(size)), 0.0)
        if self._relation[k] == "stacked on":
            reach = _TOWER * usable
        for number in range(_TRIES):
            # Half of the tries are the middle, where what hardly fits may fit.
            out = 0.0 if number % 2 and not siblings else reach * math.sqrt(rng.uniform())
            angle, yaw = rng.uniform(-math.pi, math.pi, 2)
            spot = np.array([x + out * math.cos(angle), y + out * math.sin(angle)])
            pose = Pose(spot, float(yaw), z)
            if all(apart(size, pose, *wall, _WALL) for wall in walls) and all(
                apart(size, pose, self._prints[j], poses[j], _SIBLINGS) for j in siblings
            ):
                return pose
        raise LayoutError(self.no_room(k, list(poses)))


def spread(size: Footprint) -> float:
    """Half of the largest extent of a footprint, m."""
    return min(size.radius, math.hypot(*size.box[1]))


def _walls(on: ObjectSpec) -> list[tuple[Footprint, Pose]]:
    """What stands around the place of a carrier, in its frame; nothing for a flat top."""
    floor = on.place[2]
    level = on.model_copy(update={"pos": (0.0, 0.0, 0.0), "quat": (1.0, 0.0, 0.0, 0.0)})
    return [(shape, pose) for shape, pose, top in part_outlines(level) if top > floor + 1e-3]
