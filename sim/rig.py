"""A robot with what its description compiles to: kinematic chain, camera mounts, finger opening."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from sim.robots.base import Robot, camera_quat, gripper_down_quat
from sim.robots.kinematics import Chain, quat_to_mat, robot_chain, tcp_pose


@dataclass(frozen=True)
class Rig:
    """Static and hashable; build it with `make_rig`."""

    robot: Robot
    chain: Chain
    wrist_body: int  # index of the body that carries the wrist camera; robot bodies come first

    @property
    def num_arm(self) -> int:
        """Joints of the arm, without the fingers."""
        return len(self.robot.arm_joints)

    def tool(self, qpos: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Tool position f32[N, 3] and orientation f32[N, 4] for qpos f32[N, nq]."""
        return tcp_pose(self.chain, qpos[:, : self.num_arm])

    def gap(self, qpos: jax.Array) -> jax.Array:
        """Free width f32[N] between the fingers, m."""
        fingers = qpos[:, self.num_arm : self.num_arm + 2]
        closed, opened = (
            jnp.asarray(x, jnp.float32)
            for x in (self.robot.gripper_closed, self.robot.gripper_open)
        )
        fraction = ((fingers - closed) / (opened - closed)).mean(-1)
        low, high = self.robot.finger_gap
        return low + fraction * (high - low)

    @property
    def tool_down(self) -> tuple[float, ...]:
        """Tool orientation (wxyz) straight down, fingers closing along y."""
        return gripper_down_quat(np.pi / 2)

    def wrist_camera(self, xpos: jax.Array, xmat: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Position f32[N, 3] and rotation f32[N, 3, 3] of the wrist camera, from body poses."""
        mount = self.robot.wrist_camera
        body, turned = xpos[:, self.wrist_body], xmat[:, self.wrist_body]
        own = quat_to_mat(jnp.asarray(mount.quat, jnp.float32))
        return body + turned @ jnp.asarray(mount.pos, jnp.float32), turned @ own

    def fixed_camera(self, shift: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Position f32[N, 3] and rotation of the fixed camera moved by `shift` f32[N, 3], m.

        The camera keeps its orientation, as when a tripod is bumped.
        """
        mount = self.robot.fixed_camera
        quat = camera_quat(mount.pos, mount.look_at, (0.0, 0.0, 1.0))
        mat = quat_to_mat(jnp.asarray(quat, jnp.float32))
        position = jnp.asarray(mount.pos, jnp.float32) + shift
        return position, jnp.broadcast_to(mat, (shift.shape[0], 3, 3))


@functools.cache
def make_rig(robot: Robot) -> Rig:
    """Compile what is static about a robot."""
    spec = mujoco.MjSpec()
    robot.add_to_spec(spec)
    model = spec.compile()
    return Rig(robot, robot_chain(robot), model.body(robot.wrist_camera.body).id)
