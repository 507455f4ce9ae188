"""How many pairs of geoms and how many contacts MJX makes room for.

MJX works on arrays of fixed size: every candidate pair costs a collision function and every contact
three constraint rows, used or not. So it keeps only the nearest pairs per pair of shapes (by
bounding spheres) and the deepest contacts of all. What is kept follows from the scenes.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import mujoco
import numpy as np

from generation.compile import SPECK
from sim.physics.import_mjx import collision_groups, mjx, points_per_pair
from sim.robots.base import Robot

_PLANE = int(mujoco.mjtGeom.mjGEOM_PLANE)
_PRESS = 2e-4  # m, how deep things lie in each other at rest
_SQUEEZE = 1e-3  # m, how deep each finger goes into the target
_TIPS = 8  # contacts of two finger tips with what lies below or beside the target
_STEP = 8  # rounding: batches of similar scenes get equal capacities, so programs are shared
_PAIRS, _CONTACTS = (16, 64), (16, 96)  # least and most
_LOST = -1e3  # m, a bounding radius that loses against any other


@dataclasses.dataclass(frozen=True)
class Capacity:
    """Room for contacts, a constant of the compiled program.

    Attributes:
      pairs: pairs of geoms that each collision function looks at; those with the table are extra.
      contacts: contacts that the solver sees.
    """

    pairs: int
    contacts: int


def choose_capacity(
    models: Sequence[mujoco.MjModel], robot: Robot, grasp: np.ndarray, place: np.ndarray
) -> Capacity:
    """Room for the worst that picking and placing does in any of the scenes.

    MuJoCo itself collides two postures of every scene, each pressed lightly into contact:
    everything at rest; and the target in the fingers, in place on the receptacle. The contacts are
    those of the objects at rest, the target's with the receptacle instead of the table where that
    is more, the target's with the robot, and 8 for the finger tips; a pair of geoms counts at most
    as many as MJX makes for its shapes. The pairs are the most whose bounding spheres overlap for
    any one collision function. Both are rounded up to a multiple of 8 and kept within 16 to 64
    pairs and 16 to 96 contacts.

    Args:
      models: the scenes, compiled to one template.
      robot: the robot in them.
      grasp: f[S, 5] grasp of the target, see `SceneBatch.object_grasp`.
      place: f[S, 4] place of the receptacle, see `SceneBatch.object_place`.
    """
    groups = crowds(models[0])
    pairs = contacts = 0
    for model, g, p in zip(models, grasp, place, strict=True):
        rest, held = _at_rest(model, robot), _held(model, robot, g, p)
        crowd = [_overlapping(model, data, group) for data in (rest, held) for group in groups]
        pairs = max([pairs, *crowd])
        contacts = max(contacts, _needed(model, rest, held))
    return Capacity(_round(pairs, _PAIRS), _round(contacts, _CONTACTS))


def crowds(model: mujoco.MjModel | mjx.Model, more_than: int = 0) -> list[np.ndarray]:
    """Pairs i32[P, 2] of every collision function that has more than so many, planes aside."""
    groups = [
        np.array(pairs, np.int32)[:, :2]
        for key, pairs in collision_groups(model).items()
        if _PLANE not in [int(kind) for kind in key.types]
    ]
    return [group for group in groups if len(group) > more_than]


def bounding_radius(model: mujoco.MjModel) -> np.ndarray:
    """`geom_rbound` f[ngeom] by which pairs are ranked: fillers of the template come last."""
    return np.where(model.geom_size[:, 0] == SPECK, _LOST, model.geom_rbound)


def _round(count: float, bounds: tuple[int, int]) -> int:
    return int(np.clip(np.ceil(count / _STEP) * _STEP, *bounds))


def _collide(model: mujoco.MjModel, qpos: np.ndarray) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_collision(model, data)
    return data


def _home(model: mujoco.MjModel, robot: Robot) -> np.ndarray:
    qpos = model.qpos0.copy()
    qpos[: robot.num_joints] = robot.home
    return qpos


def _at_rest(model: mujoco.MjModel, robot: Robot) -> mujoco.MjData:
    """Robot at home, the objects where they are, pressed into the table."""
    qpos = _home(model, robot)
    qpos[robot.num_joints :].reshape(-1, 7)[:, 2] -= _PRESS
    return _collide(model, qpos)


def _held(
    model: mujoco.MjModel, robot: Robot, grasp: np.ndarray, place: np.ndarray
) -> mujoco.MjData:
    """Robot at home, the fingers pressed into the target and the target into the receptacle."""
    qpos = _home(model, robot)
    low, high = robot.finger_gap
    opening = np.clip((grasp[4] - 2.0 * _SQUEEZE - low) / (high - low), 0.0, 1.0)
    closed, opened = np.array(robot.gripper_closed), np.array(robot.gripper_open)
    qpos[len(robot.arm_joints) : robot.num_joints] = closed + opening * (opened - closed)
    data = _collide(model, qpos)
    body = data.body(robot.tcp_body)
    mat, axes = body.xmat.reshape(3, 3), np.zeros(9)
    mujoco.mju_quat2Mat(axes, np.array(robot.tcp_quat))
    across = mat @ axes.reshape(3, 3)[:, 1]  # the fingers close along the tool's y axis
    yaw = np.arctan2(across[1], across[0]) - grasp[3]
    tool = body.xpos + mat @ np.array(robot.tcp_pos)
    target = tool - _turned(grasp[:3], yaw)
    below = target - _turned(place[:3], yaw) + (0.0, 0.0, _PRESS)
    quat = (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
    objects = qpos[robot.num_joints :].reshape(-1, 7)
    objects[0], objects[1] = (*target, *quat), (*below, *quat)
    return _collide(model, qpos)


def _turned(vector: np.ndarray, yaw: float) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array(
        [cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1], vector[2]]
    )


def _overlapping(model: mujoco.MjModel, data: mujoco.MjData, pairs: np.ndarray) -> int:
    """How many pairs have overlapping bounding spheres."""
    first, second = pairs.T
    radius = bounding_radius(model)
    apart = np.linalg.norm(data.geom_xpos[first] - data.geom_xpos[second], axis=-1)
    return int((apart < radius[first] + radius[second]).sum())


def _needed(model: mujoco.MjModel, rest: mujoco.MjData, held: mujoco.MjData) -> int:
    """Contacts by the rule of `choose_capacity`."""
    target, receptacle = model.body("object0").id, model.body("object1").id
    robot = model.body("robot_base").id
    on_table = _points(model, rest)
    own = sum(n for pair, n in on_table.items() if target in pair)
    others = sum(on_table.values()) - own
    gripped = placed = 0
    for pair, count in _points(model, held).items():
        if target in pair:
            gripped += count * (robot in pair)
            placed += count * (receptacle in pair)
    return others + max(own, placed) + gripped + _TIPS


def _points(model: mujoco.MjModel, data: mujoco.MjData) -> dict[tuple[int, int], int]:
    """Contacts that MuJoCo found and MJX can hold, by the pair of root bodies."""
    touching = data.contact.geom[data.contact.dist < 0.0]
    count: collections.Counter[tuple[int, int]] = collections.Counter()
    for pair, points in collections.Counter((int(a), int(b)) for a, b in touching).items():
        kinds = sorted(int(model.geom_type[geom]) for geom in pair)
        roots = sorted(int(model.body_rootid[model.geom_bodyid[geom]]) for geom in pair)
        count[roots[0], roots[1]] += min(points, points_per_pair((kinds[0], kinds[1])))
    return count
