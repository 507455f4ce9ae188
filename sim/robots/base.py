"""What the simulator needs to know about a robot, and the registry of robots.

A robot is one file: it fills a `Robot` and calls `register`. Nothing else in the library
names a particular arm.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

Vec3 = tuple[float, float, float]
Quat = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class WristCamera:
    """A camera fixed to a robot body, in MuJoCo's convention (looks along -z, +y is up).

    Attributes:
      body: name of the body that carries it.
      pos: position in that body's frame, m.
      quat: orientation in that body's frame, wxyz.
      fovy: vertical field of view, rad.
    """

    body: str
    pos: Vec3
    quat: Quat
    fovy: float


@dataclasses.dataclass(frozen=True)
class FixedCamera:
    """A camera fixed in the world: position and the point it looks at (m), vertical field (rad)."""

    pos: Vec3
    look_at: Vec3
    fovy: float


@dataclasses.dataclass(frozen=True)
class Robot:
    """An arm with a two-finger gripper, standing at the world origin.

    Attributes:
      name: key in the registry.
      add_to_spec: adds the robot's bodies, joints, geoms and actuators to a `MjSpec`. The root
        body is called "robot_base", the finger bodies "left_finger" and "right_finger";
        actuators come in the order arm joints, then left and right finger, each a position
        servo whose control is the joint target.
      arm_joints: names of the arm's joints, base to wrist.
      finger_joints: names of the (left, right) finger slides.
      arm_home: arm joint angles at reset, rad; the gripper points straight down.
      tcp_body: body that carries the tool frame.
      tcp_pos: tool centre point in that body: midway between the finger tips, m.
      tcp_quat: tool frame in that body. Its x axis is the approach direction (down when the
        gripper points down), its y axis is the direction in which the fingers close.
      action_scale: (translation m, rotation rad) of an action component of 1, per control step.
      gripper_open: target of the (left, right) finger slide when open, m.
      gripper_closed: the same when closed, m. It may lie beyond contact with the other finger:
        the difference is what squeezes an object.
      finger_gap: free width between the pads when (closed, open), m.
      workspace_low: lowest corner of the box that tool targets are clamped to, m.
      workspace_high: highest corner, m.
      wrist_camera: where the wrist camera sits.
      fixed_camera: a view of the workspace that the gripper does not cover.
      posture_weight: how strongly inverse kinematics prefers joint angles near `arm_home`, in
        squared radians of tool error per squared radian (see `kinematics.solve_ik`). An arm with
        more than six joints needs some, or it drifts through the postures that the tool leaves
        free; with six there is nothing to prefer.
    """

    name: str
    add_to_spec: Callable[[mujoco.MjSpec], None]
    arm_joints: tuple[str, ...]
    finger_joints: tuple[str, str]
    arm_home: tuple[float, ...]
    tcp_body: str
    tcp_pos: Vec3
    tcp_quat: Quat
    action_scale: tuple[float, float]
    gripper_open: tuple[float, float]
    gripper_closed: tuple[float, float]
    finger_gap: tuple[float, float]
    workspace_low: Vec3
    workspace_high: Vec3
    wrist_camera: WristCamera
    fixed_camera: FixedCamera
    posture_weight: float = 0.0

    @property
    def num_joints(self) -> int:
        """Scalar joints of the whole robot: arm and fingers. They come first in qpos."""
        return len(self.arm_joints) + len(self.finger_joints)

    @property
    def home(self) -> tuple[float, ...]:
        """Joint positions at reset, gripper open: arm, then fingers; also the control there."""
        return self.arm_home + self.gripper_open

    def control(self, arm: jax.Array, gripper: jax.Array) -> jax.Array:
        """Actuator targets for arm joint targets and a gripper opening, by interpolation.

        Args:
          arm: f32[..., J] arm joint targets, rad.
          gripper: f32[...] opening in [-1, 1]: +1 open, -1 closed.

        Returns:
          f32[..., J + 2] targets in actuator order.
        """
        opening = jnp.clip(0.5 * (gripper + 1.0), 0.0, 1.0)[..., None]
        closed = jnp.asarray(self.gripper_closed, arm.dtype)
        opened = jnp.asarray(self.gripper_open, arm.dtype)
        return jnp.concatenate([arm, closed + opening * (opened - closed)], axis=-1)


def camera_quat(pos: Vec3, look_at: Vec3, up: Vec3) -> Quat:
    """Orientation (wxyz) of a MuJoCo camera at `pos` that looks at `look_at`.

    Args:
      pos: camera position, m.
      look_at: a point on the optical axis, in the same frame, m.
      up: direction that appears upwards in the picture; not parallel to the optical axis.

    Raises:
      ValueError: if `look_at` is `pos` or `up` is along the optical axis.
    """
    backward = np.subtract(pos, look_at).astype(float)
    right = np.cross(up, backward)
    if np.linalg.norm(backward) < 1e-9 or np.linalg.norm(right) < 1e-9:
        raise ValueError(
            f"camera at {pos} cannot look at {look_at} with up={up}: the points coincide or the "
            "up direction is along the view; choose another look_at or up"
        )
    backward /= np.linalg.norm(backward)
    right /= np.linalg.norm(right)
    mat = np.stack([right, np.cross(backward, right), backward], axis=1)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, mat.ravel())
    return (float(quat[0]), float(quat[1]), float(quat[2]), float(quat[3]))


def gripper_down_quat(closing_yaw: float) -> Quat:
    """Tool orientation (wxyz) pointing straight down with the fingers closing along a yaw.

    Args:
      closing_yaw: angle of the closing direction in the table plane from world +x, rad. The
        gripper is symmetric: yaw and yaw + pi grasp alike.
    """
    cos, sin = math.cos(closing_yaw), math.sin(closing_yaw)
    mat = np.array([[0.0, cos, sin], [0.0, sin, -cos], [-1.0, 0.0, 0.0]])
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, mat.ravel())
    return (float(quat[0]), float(quat[1]), float(quat[2]), float(quat[3]))


_ROBOTS: dict[str, Robot] = {}


def register(robot: Robot) -> Robot:
    """Makes a robot available to `get_robot` and returns it.

    Raises:
      ValueError: if another robot has that name.
    """
    if _ROBOTS.get(robot.name, robot) is not robot:
        raise ValueError(f"a robot named {robot.name!r} is already registered; choose another name")
    _ROBOTS[robot.name] = robot
    return robot


def get_robot(name: str) -> Robot:
    """The registered robot of that name.

    Raises:
      ValueError: if there is none; the message lists the known names.
    """
    if name not in _ROBOTS:
        known = ", ".join(sorted(_ROBOTS)) or "none"
        raise ValueError(f"unknown robot {name!r}; known robots: {known}")
    return _ROBOTS[name]
