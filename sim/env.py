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
from sim.geometry import axis_angle_quat, quat_multiply
from sim.physics.base import Physics
from sim.randomize import shift_objects
from sim.rig import Rig
from sim.robots.kinematics import body_poses, quat_to_mat, solve_ik
from sim.scene_batch import SceneBatch
from sim.state import EnvConfig, EnvState
from sim.types import Observation, Step
from sim.view import located, picture, task_view

__all__ = ["Env", "EnvConfig", "EnvState"]


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
        return task_view(self.rig, batch, state)

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
        return located(self.rig, batch, state)

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
            image=picture(self.rig, batch, state, xpos, xmat, c.image_size).rgb,
            wrist=picture(self.rig, batch, state, xpos, xmat, c.wrist_size, wrist=True).rgb,
            proprio=proprio,
            instruction=batch.instruction[state.scene, state.phrase],
        )

    def render(
        self, batch: SceneBatch, state: EnvState, size: int = 224, *, wrist: bool = False
    ) -> jax.Array:
        """A picture u8[N, size, size, 3] of every environment."""
        xpos, xmat = body_poses(batch.tree, state.physics.qpos)
        return picture(self.rig, batch, state, xpos, xmat, size, wrist=wrist).rgb


def where(mask: jax.Array, new, old):
    """Choose per environment between two states; mask bool[N]."""
    return jax.tree.map(
        lambda a, b: jnp.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b), new, old
    )
