"""The environment: pure functions of (scenes, state, action) over N parallel environments.

Scenes are an argument, never hidden in the environment, and a reset may move an environment to
another scene: everything that differs between scenes is an array gathered by index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from sim import task
from sim.physics.base import Physics, PhysicsState
from sim.randomize import Randomization, shift_objects
from sim.render.raycast import Camera, Light, render
from sim.rig import Rig
from sim.robots.kinematics import body_poses, quat_to_mat, solve_ik
from sim.scene_batch import SceneBatch
from sim.types import Observation, Step
from sim.view import backdrop_of, geoms_of


@dataclass(frozen=True)
class EnvConfig:
    """Settings of the environment; the defaults are the paper's task (5 Hz, 100 control steps)."""

    # Control steps per second; a multiple of the scenes' physics step fits between two.
    control_hz: float = 5.0
    # Control steps of an episode, and of an action chunk.
    episode_steps: int = 100
    chunk: int = 4
    # Control steps in a row that must satisfy the success test.
    hold_steps: int = 1
    # Sides of the fixed and the wrist camera's square pictures, pixels.
    image_size: int = 64
    wrist_size: int = 32
    # "sparse": 1 on success. "shaped": differences of the potential, and 1 on success.
    reward: str = "sparse"
    randomization: Randomization = Randomization()
    # The target pose leads the measured tool by at most this far, m.
    lead: float = 0.08

    def __post_init__(self) -> None:
        if self.reward not in ("sparse", "shaped"):
            raise ValueError(f"unknown reward {self.reward!r}: choose 'sparse' or 'shaped'")
        for name in ("episode_steps", "chunk", "hold_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if not self.control_hz > 0.0:
            raise ValueError(f"control_hz is {self.control_hz}: it must be positive")
        if self.episode_steps % self.chunk:
            raise ValueError(
                f"episode_steps {self.episode_steps} is no multiple of chunk {self.chunk}"
            )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EnvState:
    """State of N environments."""

    physics: PhysicsState
    scene: jax.Array  # i32[N] index into the scene batch
    phrase: jax.Array  # i32[N] which wording of the instruction
    joints: jax.Array  # f32[N, J] commanded arm joint angles, rad
    tool: jax.Array  # f32[N, 3] commanded tool position, m
    tool_quat: jax.Array  # f32[N, 4] commanded tool orientation, wxyz
    closing: jax.Array  # f32[N] 1 where the gripper is commanded to close
    camera: jax.Array  # f32[N, 3] displacement of the fixed camera, m
    ambient: jax.Array  # f32[N, 3] ambient light
    time: jax.Array  # i32[N] control steps since reset
    held: jax.Array  # i32[N] control steps in a row that satisfied the success test
    potential: jax.Array  # f32[N]
    key: jax.Array  # key[N]


@dataclass(frozen=True)
class Env:
    """N parallel environments of one robot. Stateless; hashable, so it can be a static argument."""

    config: EnvConfig
    rig: Rig
    physics: Physics
    num_envs: int

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise ValueError(f"num_envs is {self.num_envs}: it must be at least 1")

    def substeps(self, batch: SceneBatch) -> int:
        """Physics steps of a control step; ValueError if the physics step does not divide it."""
        period = 1.0 / self.config.control_hz
        steps = round(period / batch.timestep)
        if steps < 1 or abs(steps * batch.timestep - period) > 1e-6:
            raise ValueError(
                f"control period {period:.4f} s is no multiple of the physics step "
                f"{batch.timestep} s: choose another control_hz"
            )
        return steps

    # ------------------------------------------------------------------ reset

    def reset(self, batch: SceneBatch, key: jax.Array) -> tuple[EnvState, Observation]:
        """Start every environment in a random scene of the batch.

        Args:
            batch: S scenes.
            key: random key; everything random in the run of these environments descends from it.
        """
        state = self.start(batch, jax.random.split(key, self.num_envs))
        return state, self.observe(batch, state)

    def reset_to(
        self, batch: SceneBatch, key: jax.Array, scene: jax.Array
    ) -> tuple[EnvState, Observation]:
        """Start environment i in scene `scene[i]` (i32[N]); for evaluation."""
        state = self.start(batch, jax.random.split(key, self.num_envs), scene)
        return state, self.observe(batch, state)

    def start(
        self,
        batch: SceneBatch,
        keys: jax.Array,
        scene: jax.Array | None = None,
        scene_logits: jax.Array | None = None,
    ) -> EnvState:
        """Fresh episodes: f(scenes, keys[N]); scene from `scene_logits` f32[S], uniform if None."""
        split = jax.vmap(lambda k: jax.random.split(k, 7))(keys)
        draw = lambda i, f: jax.vmap(f)(split[:, i])  # noqa: E731
        n, r = keys.shape[0], self.config.randomization
        if scene is None:
            logits = jnp.zeros(batch.num_scenes) if scene_logits is None else scene_logits
            scene = draw(0, lambda k: jax.random.categorical(k, logits))
        scene = jnp.asarray(scene, jnp.int32)
        phrase = draw(1, lambda k: jax.random.randint(k, (), 0, batch.instruction.shape[1]))
        qpos = batch.qpos0[scene]
        joints = qpos[:, : self.rig.num_arm] + draw(
            2, lambda k: jax.random.uniform(k, (self.rig.num_arm,), minval=-1.0, maxval=1.0)
        ) * jnp.float32(r.joints)
        qpos = qpos.at[:, : self.rig.num_arm].set(joints)
        qpos = self._place_objects(batch, scene, qpos, split[0, 3])
        physics = self.physics.init(batch, scene, qpos)
        tool, _ = self.rig.tool(qpos)
        camera = draw(4, lambda k: jax.random.uniform(k, (3,), minval=-1.0, maxval=1.0)) * r.camera
        ambient = draw(
            5,
            lambda k: jax.random.uniform(k, (3,), minval=r.ambient_low, maxval=r.ambient_high),
        )
        zero = jnp.zeros(n, jnp.int32)
        down = jnp.asarray(self.rig.tool_down, jnp.float32)
        state = EnvState(
            physics=physics,
            scene=scene,
            phrase=phrase.astype(jnp.int32),
            joints=joints,
            tool=tool,
            tool_quat=jnp.broadcast_to(down, (n, 4)),
            closing=jnp.zeros(n),
            camera=camera,
            ambient=ambient,
            time=zero,
            held=zero,
            potential=jnp.zeros(n),
            key=split[:, 6],
        )
        return replace(state, potential=task.potential(self.view(batch, state)))

    def _place_objects(self, batch, scene, qpos, key):
        """Shift and turn the objects of every environment; other coordinates stay."""
        start = self.rig.robot.num_joints
        k = batch.num_objects
        poses = qpos[:, start:].reshape(-1, k, 7)
        active = batch.object_active[scene]
        position, yaw = shift_objects(
            key, poses[..., :3], batch.object_radius[scene], active, self.config.randomization
        )
        half = 0.5 * yaw
        spin = jnp.stack(
            [jnp.cos(half), jnp.zeros_like(half), jnp.zeros_like(half), jnp.sin(half)], -1
        )
        poses = jnp.concatenate([position, quat_multiply(spin, poses[..., 3:])], -1)
        return jnp.concatenate([qpos[:, :start], poses.reshape(qpos.shape[0], -1)], -1)

    # ------------------------------------------------------------------ step

    def step(self, batch: SceneBatch, state: EnvState, action: jax.Array) -> tuple[EnvState, Step]:
        """One control step with same-step automatic reset.

        Args:
            batch: the scenes.
            state: N environments.
            action: f32[N, 7] in [-1, 1]: tool displacement (3), rotation (3, axis-angle), gripper
                (positive opens), scaled by the robot's limits; clipped to the range.

        Returns:
            the new state and a Step whose `info` holds `length` i32[N] (control steps so far in the
            episode that ended or goes on), `broken` bool[N] (NaN in the physics) and
            `potential` f32[N].
        """
        return self.step_chunk(batch, state, action[:, None])

    def step_chunk(
        self,
        batch: SceneBatch,
        state: EnvState,
        actions: jax.Array,
        scene_logits: jax.Array | None = None,
    ) -> tuple[EnvState, Step]:
        """Execute a chunk of actions f32[N, C, 7], then reset what ended, then look once.

        An episode that ends within the chunk earns nothing after its end. The state before the
        reset is worth a value: `info["privileged"]` f32[N, 25] is the critic's view of it.
        """

        def act(state, step):
            return actions[:, step], None

        state, out, _ = self.run_chunk(batch, state, act, actions.shape[1], scene_logits)
        return state, out

    def run_chunk(
        self,
        batch: SceneBatch,
        state: EnvState,
        act: Callable[[EnvState, jax.Array], tuple[jax.Array, Any]],
        steps: int,
        scene_logits: jax.Array | None = None,
    ) -> tuple[EnvState, Step, Any]:
        """`step_chunk` with the actions chosen as the chunk runs: (state, step) → action, record.

        Returns:
            state, Step and the records stacked over the control steps.
        """
        n = state.time.shape[0]
        nothing = jnp.zeros(n, bool)
        carry = (state, jnp.zeros(n), nothing, nothing)

        def control(carry, step):
            state, reward, ended, solved = carry
            action, record = act(state, step)
            new, gained, success = self._control(batch, state, action)
            new = where(ended, state, new)
            reward = reward + jnp.where(ended, 0.0, gained)
            solved = solved | (success & ~ended)
            over = success | self._failed(new) | (new.time >= self.config.episode_steps)
            return (new, reward, ended | over, solved), record

        (state, reward, _, success), records = jax.lax.scan(control, carry, jnp.arange(steps))
        broken = ~state.physics.finite
        reward = jnp.where(broken, 0.0, reward)
        success = success & ~broken
        terminated = success | self._failed(state)
        truncated = (state.time >= self.config.episode_steps) & ~terminated
        info = {
            "length": state.time,
            "broken": broken,
            "potential": state.potential,
            "scene": state.scene,
            "privileged": task.privileged(self.view(batch, state)),
        }
        state = self._reset_where(batch, state, terminated | truncated, scene_logits)
        observation = self.observe(batch, state)
        return state, Step(observation, reward, terminated, truncated, success, info), records

    def _failed(self, state):
        """bool[N]: the physics broke, or the target is off the table for good."""
        height = state.physics.qpos[:, self.rig.robot.num_joints + 2]
        return ~state.physics.finite | (height < -0.05)

    def _reset_where(self, batch, state, done, scene_logits):
        keys = jax.vmap(jax.random.split)(state.key)
        fresh = self.start(batch, keys[:, 0], scene_logits=scene_logits)
        return where(done, fresh, replace(state, key=keys[:, 1]))

    def _control(self, batch, state, action):
        """Physics of one control step, without reset: new state, reward, success."""
        action = jnp.clip(jnp.nan_to_num(action), -1.0, 1.0)
        state = self._command(batch, state, action)
        ctrl = self.rig.robot.control(state.joints, 1.0 - 2.0 * state.closing)
        physics = self.physics.step(batch, state.physics, ctrl, self.substeps(batch))
        state = replace(state, physics=physics, time=state.time + 1)
        view = self.view(batch, state)
        held = (state.held + 1) * task.is_success(view.contacts)
        success = (held >= self.config.hold_steps) & physics.finite
        progress = jnp.where(success, 1.0, task.potential(view))
        reward = success.astype(jnp.float32)
        if self.config.reward == "shaped":
            reward = reward + progress - state.potential
        return replace(state, held=held, potential=progress), reward, success

    def _command(self, batch, state, action):
        """Move the commanded tool pose and solve for joint targets (differential IK)."""
        robot, lead = self.rig.robot, self.config.lead
        measured, _ = self.rig.tool(state.physics.qpos)
        tool = state.tool + action[:, :3] * robot.action_scale[0]
        tool = jnp.clip(tool, jnp.asarray(robot.workspace_low), jnp.asarray(robot.workspace_high))
        tool = jnp.clip(tool, measured - lead, measured + lead)
        turn = axis_angle_quat(action[:, 3:6] * robot.action_scale[1])
        tool_quat = quat_multiply(turn, state.tool_quat)
        tool_quat = tool_quat / jnp.linalg.norm(tool_quat, axis=-1, keepdims=True)
        joints = solve_ik(self.rig.chain, state.joints, tool, tool_quat, iterations=3)
        closing = (action[:, 6] < 0.0).astype(jnp.float32)
        return replace(state, tool=tool, tool_quat=tool_quat, joints=joints, closing=closing)

    # ------------------------------------------------------------------ views

    def view(self, batch: SceneBatch, state: EnvState) -> task.TaskView:
        """Where the things of the task are: simulator-only knowledge."""
        qpos = state.physics.qpos
        xpos, xmat = body_poses(batch.tree, qpos)
        tool, _ = self.rig.tool(qpos)
        at = batch.object_bodies
        grasp = batch.object_grasp[state.scene][:, 0]
        place = batch.object_place[state.scene][:, 1]
        target, target_mat = xpos[:, at[0]], xmat[:, at[0]]
        holder, holder_mat = xpos[:, at[1]], xmat[:, at[1]]
        axis = jnp.einsum(
            "nij,nj->ni",
            target_mat,
            jnp.stack([jnp.cos(grasp[:, 3]), jnp.sin(grasp[:, 3]), 0.0 * grasp[:, 3]], -1),
        )
        others = xpos[:, jnp.asarray(at[2:], jnp.int32)] if len(at) > 2 else holder[:, None]
        distance = jnp.linalg.norm(others - tool[:, None], axis=-1)
        nearest = jnp.take_along_axis(others, jnp.argmin(distance, 1)[:, None, None], 1)[:, 0]
        grasp_point = target + jnp.einsum("nij,nj->ni", target_mat, grasp[:, :3])
        return task.TaskView(
            tool=tool,
            grasp=grasp_point,
            grasp_yaw=jnp.arctan2(-axis[:, 0], axis[:, 1]),
            grasp_width=grasp[:, 4],
            rest_height=grasp[:, 2],
            bottom=target,
            up=target_mat[..., 2],
            place=holder + jnp.einsum("nij,nj->ni", holder_mat, place[:, :3]),
            place_radius=place[:, 3],
            target_radius=batch.object_radius[state.scene][:, 0],
            rim=batch.object_height[state.scene][:, 1],
            distractor=nearest,
            gap=self.rig.gap(qpos),
            closing=state.closing,
            contacts=state.physics.contacts,
        )

    def tool_yaw(self, state: EnvState) -> jax.Array:
        """Commanded direction f32[N] of the fingers' closing axis from world +y, rad."""
        axis = quat_to_mat(state.tool_quat)[..., 1]
        return jnp.arctan2(-axis[:, 0], axis[:, 1])

    def privileged(self, batch: SceneBatch, state: EnvState) -> jax.Array:
        """The critic's view f32[N, 25]; never shown to the policy."""
        return task.privileged(self.view(batch, state))

    def located(self, batch: SceneBatch, state: EnvState) -> jax.Array:
        """Where target and receptacle are, f32[N, 16]: an auxiliary training target only.

        World positions of the grasp point and of the resting place (dm, 6 numbers), then where
        target, receptacle and tool appear in the fixed camera's picture and the first two in the
        wrist camera's (x, y in [-1, 1] from the upper left; outside that range, or 9, it is out of
        the picture).
        """
        view = self.view(batch, state)
        xpos, xmat = body_poses(batch.tree, state.physics.qpos)
        fixed, wrist = self.rig.fixed_camera(state.camera), self.rig.wrist_camera(xpos, xmat)
        robot = self.rig.robot
        seen = [
            project(point, *fixed, robot.fixed_camera.fovy)
            for point in (view.grasp, view.place, view.tool)
        ]
        seen += [
            project(point, *wrist, robot.wrist_camera.fovy) for point in (view.grasp, view.place)
        ]
        return jnp.concatenate([task.located(view), *seen], axis=-1)

    def observe(self, batch: SceneBatch, state: EnvState) -> Observation:
        """What the policy sees."""
        qpos = state.physics.qpos
        xpos, xmat = body_poses(batch.tree, qpos)
        tool, _ = self.rig.tool(qpos)
        proprio = jnp.concatenate(
            [
                qpos[:, : self.rig.num_arm],
                self.rig.gap(qpos)[:, None] * 30.0,
                state.closing[:, None],
                (tool - jnp.array([0.27, 0.0, 0.1])) * 10.0,
                self.tool_yaw(state)[:, None],
            ],
            -1,
        )
        c = self.config
        return Observation(
            image=self.picture(batch, state, xpos, xmat, c.image_size).rgb,
            wrist=self.picture(batch, state, xpos, xmat, c.wrist_size, wrist=True).rgb,
            proprio=proprio,
            instruction=batch.instruction[state.scene, state.phrase],
        )

    def render(
        self, batch: SceneBatch, state: EnvState, size: int = 224, *, wrist: bool = False
    ) -> jax.Array:
        """A picture u8[N, size, size, 3] of every environment."""
        xpos, xmat = body_poses(batch.tree, state.physics.qpos)
        return self.picture(batch, state, xpos, xmat, size, wrist=wrist).rgb

    def picture(self, batch, state, xpos, xmat, size, *, wrist=False):
        """Image (rgb, depth, segmentation) from the fixed or the wrist camera."""
        n = xpos.shape[0]
        if wrist:
            position, mat = self.rig.wrist_camera(xpos, xmat)
            fovy = self.rig.robot.wrist_camera.fovy
        else:
            position, mat = self.rig.fixed_camera(state.camera)
            fovy = self.rig.robot.fixed_camera.fovy
        direction = jnp.array([0.35, 0.45, -1.0])
        light = Light(
            direction=jnp.broadcast_to(direction / jnp.linalg.norm(direction), (n, 3)),
            ambient=state.ambient,
            diffuse=jnp.full((n, 3), 0.75),
        )
        return render(
            geoms_of(batch, state.scene, xpos, xmat),
            Camera(position, mat, jnp.full(n, fovy)),
            light,
            backdrop_of(batch, state.scene),
            height=size,
            width=size,
        )


def project(point: jax.Array, position: jax.Array, mat: jax.Array, fovy: float) -> jax.Array:
    """Picture coordinates f32[N, 2] of points f32[N, 3]; 9 for a point behind the camera."""
    local = jnp.einsum("nij,ni->nj", mat, point - position)
    depth = jnp.maximum(-local[:, 2], 1e-3) * jnp.tan(0.5 * fovy)
    at = jnp.stack([local[:, 0], -local[:, 1]], -1) / depth[:, None]
    return jnp.where(local[:, 2:] < -1e-3, jnp.clip(at, -9.0, 9.0), 9.0)


def where(mask: jax.Array, new, old):
    """Choose per environment between two states; mask bool[N]."""
    return jax.tree.map(
        lambda a, b: jnp.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b), new, old
    )


def quat_multiply(a: jax.Array, b: jax.Array) -> jax.Array:
    """Hamilton product of wxyz quaternions [..., 4]."""
    aw, ax, ay, az = jnp.moveaxis(a, -1, 0)
    bw, bx, by, bz = jnp.moveaxis(b, -1, 0)
    return jnp.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def axis_angle_quat(vector: jax.Array) -> jax.Array:
    """Quaternions f32[N, 4] (wxyz) of rotation vectors f32[N, 3], rad."""
    angle = jnp.sqrt(jnp.sum(vector**2, -1, keepdims=True) + 1e-12)
    return jnp.concatenate([jnp.cos(0.5 * angle), vector * (jnp.sin(0.5 * angle) / angle)], -1)
