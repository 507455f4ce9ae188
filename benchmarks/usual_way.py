"""The pick-and-place task written the usual way, to compare with: gymnasium, MuJoCo, OpenGL.

A `gymnasium.Env` over one scene at a time, with numpy inverse kinematics and `mujoco.Renderer`; run
many at once in the processes of a `gymnasium.vector.AsyncVectorEnv`. It takes the compiled models
of the library's own scenes, so physics, control period and cameras are the same. Its pictures have
a light that casts shadows, with MuJoCo's default quality, as environments usually have, but no
textures; or no such light either, which spares it most of the work. Nothing here uses JAX.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

_SENSORS = ("target_receptacle", "target_table", "target_robot")
# Of the damped least squares, and how often they are solved in a control step.
_DAMPING, _ITERATIONS = 1e-3, 3


@dataclass(frozen=True)
class Mount:
    """A camera: its body (0 is the world), pose in that body's frame, vertical field, side."""

    body: int
    pos: np.ndarray  # [3] m
    mat: np.ndarray  # [3, 3]
    fovy: float  # rad
    size: int  # pixels


@dataclass(frozen=True)
class Setup:
    """What the task is made of, apart from the scenes."""

    cameras: dict[str, Mount]
    home: np.ndarray  # [nu] joint positions of arm and fingers at reset
    tool_body: int
    tool_pos: np.ndarray  # [3] in that body's frame, m
    gripper: np.ndarray  # [2, 2] finger targets, closed and open
    action_scale: tuple[float, float]
    workspace: np.ndarray  # [2, 3] lowest and highest corner, m
    substeps: int
    episode_steps: int
    shadows: bool


class PickPlace(gymnasium.Env):
    """One environment that plays the given scenes in random order."""

    def __init__(self, models: tuple[mujoco.MjModel, ...], qpos0: np.ndarray, setup: Setup) -> None:
        self.models, self.qpos0, self.setup = models, qpos0, setup
        self.worlds: list[_World] = []
        pictures = {
            name: gymnasium.spaces.Box(0, 255, (mount.size, mount.size, 3), np.uint8)
            for name, mount in setup.cameras.items()
        }
        size = len(setup.home)
        proprio = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.observation_space = gymnasium.spaces.Dict({**pictures, "proprio": proprio})
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (7,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        """Start an episode in a random scene."""
        super().reset(seed=seed)
        if not self.worlds:  # here, as the vector environment also makes one that it never resets
            self.worlds = [_World(model, self.setup) for model in self.models]
        scene = int(self.np_random.integers(len(self.worlds)))
        self.world, self.time = self.worlds[scene], 0
        self.joints = self.setup.home[:-2].copy()
        self.joints += self.np_random.uniform(-0.1, 0.1, self.joints.shape)
        qpos = self.qpos0[scene].copy()
        qpos[: len(self.joints)] = self.joints
        self.world.start(qpos)
        self.tool = self.world.tool(self.world.data)
        self.turn = self.world.data.xmat[self.setup.tool_body].reshape(3, 3).copy()
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        """One control step."""
        setup, world = self.setup, self.world
        action = np.clip(action, -1.0, 1.0)
        self.tool = np.clip(self.tool + action[:3] * setup.action_scale[0], *setup.workspace)
        self.turn = _rotation(action[3:6] * setup.action_scale[1]) @ self.turn
        self.joints = world.solve(self.joints, self.tool, self.turn)
        fingers = setup.gripper[int(action[6] >= 0.0)]
        world.data.ctrl[:] = np.concatenate([self.joints, fingers])
        mujoco.mj_step(world.model, world.data, setup.substeps)
        self.time += 1
        on, table, robot = (world.data.sensor(name).data[0] > 0 for name in _SENSORS)
        success = bool(on and not table and not robot)
        return self._observe(), float(success), success, self.time >= setup.episode_steps, {}

    def close(self) -> None:
        """Free the OpenGL contexts."""
        for world in self.worlds:
            world.close()

    def _observe(self) -> dict[str, np.ndarray]:
        size = len(self.setup.home)
        proprio = self.world.data.qpos[:size].astype(np.float32)
        return {**self.world.pictures(), "proprio": proprio}


class _World:
    """One scene: its data and a renderer for each camera."""

    def __init__(self, model: mujoco.MjModel, setup: Setup) -> None:
        self.model, self.setup = model, setup
        self.data, self.scratch = mujoco.MjData(model), mujoco.MjData(model)
        sides = [mount.size for mount in setup.cameras.values()]
        model.vis.global_.offwidth = model.vis.global_.offheight = max(sides)
        self.renderers = {
            name: mujoco.Renderer(model, mount.size, mount.size)
            for name, mount in setup.cameras.items()
        }

    def start(self, qpos: np.ndarray) -> None:
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = qpos
        self.data.ctrl[:] = self.setup.home
        mujoco.mj_forward(self.model, self.data)

    def tool(self, data: mujoco.MjData) -> np.ndarray:
        """Position of the tool, m."""
        body = self.setup.tool_body
        return data.xpos[body] + data.xmat[body].reshape(3, 3) @ self.setup.tool_pos

    def solve(self, joints: np.ndarray, tool: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """Joint targets that bring the tool to a pose (damped least squares)."""
        model, data, body = self.model, self.scratch, self.setup.tool_body
        num = len(joints)
        jacobian = np.zeros((6, model.nv))
        data.qpos[:] = self.data.qpos
        for _ in range(_ITERATIONS):
            data.qpos[:num] = joints
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            at = self.tool(data)
            mujoco.mj_jac(model, data, jacobian[:3], jacobian[3:], at, body)
            now = data.xmat[body].reshape(3, 3)
            twist = 0.5 * sum(np.cross(now[:, i], turn[:, i]) for i in range(3))
            j = jacobian[:, :num]
            error = np.concatenate([tool - at, twist])
            joints = joints + j.T @ np.linalg.solve(j @ j.T + _DAMPING * np.eye(6), error)
        low, high = model.jnt_range[:num].T
        return np.clip(joints, low, high)

    def pictures(self) -> dict[str, np.ndarray]:
        """One picture from each camera."""
        result = {}
        for name, mount in self.setup.cameras.items():
            renderer = self.renderers[name]
            renderer.update_scene(self.data)
            if self.setup.shadows:
                _add_light(renderer.scene)
            turn = self.data.xmat[mount.body].reshape(3, 3)
            _aim(
                renderer.scene,
                self.data.xpos[mount.body] + turn @ mount.pos,
                turn @ mount.mat,
                mount.fovy,
            )
            result[name] = renderer.render()
        return result

    def close(self) -> None:
        for renderer in self.renderers.values():
            renderer.close()


def _aim(scene: mujoco.MjvScene, pos: np.ndarray, mat: np.ndarray, fovy: float) -> None:
    """Put the scene's camera where we want it; the models have no cameras of their own."""
    for camera in scene.camera:
        camera.pos, camera.forward, camera.up = pos, -mat[:, 2], mat[:, 1]
        camera.frustum_center = camera.frustum_width = 0.0
        camera.frustum_near = 0.01
        camera.frustum_top = camera.frustum_near * np.tan(0.5 * fovy)
        camera.frustum_bottom = -camera.frustum_top


def _add_light(scene: mujoco.MjvScene) -> None:
    """A directional light that casts shadows, from the side that the ray caster's comes from."""
    light = scene.lights[scene.nlight]
    direction = np.array([0.35, 0.45, -1.0]) / np.linalg.norm([0.35, 0.45, -1.0])
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    light.pos, light.dir = np.array([0.25, 0.0, 0.0]) - 2.0 * direction, direction
    light.ambient, light.diffuse, light.specular = np.zeros(3), np.full(3, 0.75), np.zeros(3)
    light.castshadow, light.headlight, light.exponent, light.cutoff = True, False, 1.0, 45.0
    light.attenuation = np.array([1.0, 0.0, 0.0])
    scene.nlight += 1


def _rotation(vector: np.ndarray) -> np.ndarray:
    """Rotation matrix of a rotation vector, rad."""
    quat, mat = np.zeros(4), np.zeros(9)
    angle = float(np.linalg.norm(vector))
    mujoco.mju_axisAngle2Quat(quat, vector / max(angle, 1e-9), angle)
    mujoco.mju_quat2Mat(mat, quat)
    return mat.reshape(3, 3)


def make_vector_env(
    models: tuple[mujoco.MjModel, ...], qpos0: np.ndarray, setup: Setup, workers: int, opengl: str
) -> AsyncVectorEnv:
    """One environment in each of `workers` processes; every process plays its share of the scenes.

    Args:
        models: compiled scenes, at least one for each worker.
        qpos0: f64[S, nq] start positions.
        setup: the task.
        workers: processes.
        opengl: from `sim.transfer.find_opengl`.
    """
    os.environ["MUJOCO_GL"] = opengl  # the processes inherit it
    makers = [_Maker(models[i::workers], qpos0[i::workers], setup) for i in range(workers)]
    # A forked copy of a process in which JAX runs threads may hang.
    return AsyncVectorEnv(makers, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)


@dataclass(frozen=True)
class _Maker:
    """A function that travels to the worker process."""

    models: tuple[mujoco.MjModel, ...]
    qpos0: np.ndarray
    setup: Setup

    def __call__(self) -> PickPlace:
        return PickPlace(self.models, self.qpos0, self.setup)
