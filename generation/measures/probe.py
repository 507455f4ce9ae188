"""A compiled scene probed with a stand-in gripper: what overlaps, and whether the fingers fit.

Unlike the layout, which reasons with outlines seen from above, this asks MuJoCo's collision
detection about the real shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from generation.assets.mass import quat_to_matrix
from generation.assets.parts import yaw_quat
from generation.compile import compile_scene
from generation.placing.access import OPENING
from generation.placing.footprint import lowest, world
from generation.spec import TABLE, ObjectSpec, SceneSpec

Array = NDArray[np.float64]

SPARE = 0.008  # m: what is so much narrower than the opening is gripped however it lies
_TIP = 0.009  # m that the fingers reach below the grasp point
_PAD = (0.005, 0.011)  # half sizes in m of a finger along the closing axis and across it
_BAR = (0.056, 0.012)  # of the crossbar above the fingers
_BAR_HEIGHT = 0.044  # m of the bar's lower side over the grasp point
_SWEPT = 0.20  # m above the grasp point through which the gripper comes down
_TOUCH = 2e-3  # m that the gripper may push a neighbour aside
_PRESS = 3e-3  # m that an open finger may press into the target itself
_GROUND = 2e-3  # m that the tips keep from what the target stands on
_YAWS = 8  # directions tried of what fits between the fingers at any


@dataclass(frozen=True)
class Overlap:
    """Two things of a scene, by name, and how deep they are in each other, m."""

    first: str
    second: str
    depth: float


class Probe:
    """One scene, compiled once for all the questions below."""

    def __init__(self, scene: SceneSpec) -> None:
        self._scene = scene
        self._model = compile_scene(scene, sensors=False, add_robot=_add_gripper)
        self._data = mujoco.MjData(self._model)
        owners = {self._model.body(f"object{k}").id: o.name for k, o in enumerate(scene.objects)}
        bodies = self._model.geom_bodyid.tolist()
        self._things = [owners.get(body, TABLE) for body in bodies]
        tool = self._model.body(_TOOL).id
        self._tools = {
            geom: self._model.geom(geom).name.split("_")[0]
            for geom, body in enumerate(bodies)
            if body == tool
        }

    def overlaps(self, limit: float) -> list[Overlap]:
        """Pairs of objects, or object and table, deeper in each other than `limit` m."""
        self._move(np.array([0.0, 0.0, 5.0]), 0.0)
        deepest: dict[tuple[str, str], float] = {}
        for a, b, depth in self._contacts():
            one, other = sorted((self._things[a], self._things[b]), key=self._rank)
            deepest[one, other] = max(deepest.get((one, other), 0.0), depth)
        return [Overlap(a, b, depth) for (a, b), depth in deepest.items() if depth > limit]

    def grip(self) -> tuple[str, ...]:
        """Why the open gripper does not fit around the target, () if it does."""
        target = self._scene.objects[0]
        if not target.grasp[4] < OPENING:
            return (
                f"{target.name} is {target.grasp[4] * 1000:.0f} mm wide; the gripper opens to "
                f"{OPENING * 1000:.0f} mm",
            )
        at = world(target, target.grasp[:3])
        at[2] = max(at[2], lowest(target) + _GROUND + _TIP)
        tried = [tuple(dict.fromkeys(self._blocked(at, yaw))) for yaw in _closing_axes(target)]
        return min(tried, key=len)

    def _blocked(self, at: Array, yaw: float) -> Iterator[str]:
        target = self._scene.objects[0].name
        self._move(at, yaw)
        for a, b, depth in self._contacts():
            if (a in self._tools) == (b in self._tools):
                continue
            part, geom = (self._tools[a], b) if a in self._tools else (self._tools[b], a)
            thing = self._things[geom]
            if thing == target:
                if part == "finger" and depth > _PRESS:
                    yield f"{target} does not fit between the fingers, they stand in it"
            elif depth > _TOUCH:
                if part == "between":
                    yield f"{thing} covers {target} from above"
                else:
                    yield f"{thing} leaves the gripper no room at {target}"

    def _rank(self, name: str) -> int:
        """The table first, then the objects in their order."""
        names = [thing.name for thing in self._scene.objects]
        return names.index(name) if name in names else -1

    def _move(self, at: Array, yaw: float) -> None:
        self._data.mocap_pos[0] = at
        self._data.mocap_quat[0] = yaw_quat(yaw)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_collision(self._model, self._data)

    def _contacts(self) -> Iterator[tuple[int, int, float]]:
        """The two geoms and the depth in m of every contact."""
        contact = self._data.contact
        for geoms, distance in zip(contact.geom.tolist(), contact.dist.tolist(), strict=True):
            yield geoms[0], geoms[1], -distance


_TOOL = "probe_gripper"


def _add_gripper(spec: mujoco.MjSpec) -> None:
    """The open gripper with the space it comes down through; its closing axis is x."""
    body = spec.worldbody.add_body(name=_TOOL, mocap=True, pos=(0.0, 0.0, 5.0))
    middle, half = (_BAR_HEIGHT - _TIP) / 2, (_BAR_HEIGHT + _TIP) / 2
    out = OPENING / 2 + _PAD[0]
    inside = OPENING / 2 - _PAD[0]
    rise = (_SWEPT - _BAR_HEIGHT) / 2
    boxes = {
        "finger_left": ((*_PAD, half), (out, 0.0, middle)),
        "finger_right": ((*_PAD, half), (-out, 0.0, middle)),
        "between": ((inside, _PAD[1], _BAR_HEIGHT / 2), (0.0, 0.0, _BAR_HEIGHT / 2)),
        "bar": ((*_BAR, rise), (0.0, 0.0, _BAR_HEIGHT + rise)),
    }
    for name, (size, pos) in boxes.items():
        body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=pos)


def _closing_axes(target: ObjectSpec) -> list[float]:
    """Directions in rad along which the fingers may close: the given one first, then others."""
    turn, yaw = quat_to_matrix(target.quat), target.grasp[3]
    axis = turn @ [math.cos(yaw), math.sin(yaw), 0.0]
    own = math.atan2(float(axis[1]), float(axis[0]))
    slender = 2.0 * target.radius > OPENING - SPARE
    return [own + k * math.pi / _YAWS for k in range(1 if slender else _YAWS)]
