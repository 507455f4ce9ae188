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
from sim.episode import Episode, check_episode, draw_episode
from sim.geometry import axis_angle_quat, quat_multiply
from sim.image_blur import add_blur
from sim.image_jpeg import add_jpeg
from sim.image_noise import add_noise
from sim.physics.base import Physics
from sim.rig import Rig
from sim.robots.kinematics import body_poses, quat_to_mat, solve_ik
from sim.scene_batch import SceneBatch
from sim.state import EnvConfig, EnvState, Outcome
from sim.task_view import task_view
from sim.types import Observation, Step
from sim.view import located, picture, proprioception, seen_qpos

__all__ = ["Env", "EnvConfig", "EnvState"]


@dataclass(frozen=True)
class Env:
    """N parallel environments of one robot. Stateless; hashable, so it can be a static argument."""

    config: EnvConfig
    rig: Rig
    physics: Physics
    num_envs: int
    # Mesh axes that the environments are spread over, where this runs under `jax.shard_map`.
    axes: tuple[str, ...] = ()

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
        ranges = self.config.randomization
        episode = draw_episode(self.rig, batch, ranges, keys, scene, scene_logits, self.axes)
        return self.begin(batch, episode)

    def replay(self, batch: SceneBatch, episode: Episode) -> tuple[EnvState, Observation]:
        """Start recorded episodes again (`state.episode` of an earlier run, N rows).

        The same actions then give the same observations and rewards, to the bit on one machine, if
        the randomization has the same image noise; and the same episodes follow, if all N were
        recorded at one reset.

        Raises:
            ValueError: the episodes were drawn with other terms of randomization, for another
                robot or another number of objects.
        """
        check_episode(self.rig, batch, self.config.randomization, episode)
        state = self.begin(batch, episode)
        return state, self.observe(batch, state)

    def begin(self, batch: SceneBatch, episode: Episode) -> EnvState:
        """The state at the start of episodes."""
        n = episode.scene.shape[0]
        tool, _ = self.rig.tool(episode.qpos)
        zero = jnp.zeros(n, jnp.int32)
        down = jnp.asarray(self.rig.tool_down, jnp.float32)
        state = EnvState(
            physics=self.physics.init(batch, episode.scene, episode.qpos, episode.dynamics),
            episode=episode,
            joints=episode.qpos[:, : self.rig.num_arm],
            tool=tool,
            tool_quat=jnp.broadcast_to(down, (n, 4)),
            closing=jnp.zeros(n),
            time=zero,
            held=zero,
            potential=jnp.zeros(n),
            key=jax.random.wrap_key_data(episode.key),
            previous=None if episode.delay is None else episode.qpos,
        )
        return replace(state, potential=task.potential(self.view(batch, state)))

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
            episode that ended or goes on), `broken` bool[N] (NaN in the physics), `saturated`
            bool[N] (more contacts than the engine has room for) and `potential` f32[N].
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
        state, outcome, records = self.advance(batch, state, act, steps)
        return *self.renew(batch, state, outcome, scene_logits), records

    def advance(
        self,
        batch: SceneBatch,
        state: EnvState,
        act: Callable[[EnvState, jax.Array], tuple[jax.Array, Any]],
        steps: int,
    ) -> tuple[EnvState, Outcome, Any]:
        """The first half of `run_chunk`: nothing is reset, episodes that end stand still."""
        n = state.time.shape[0]
        nothing = jnp.zeros(n, bool)
        carry = (state, jnp.zeros(n), nothing, nothing, nothing)

        def control(carry, step):
            state, reward, ended, solved, full = carry
            action, record = act(state, step)
            new, gained, success = self._control(batch, state, action)
            new = where(ended, state, new)
            reward = reward + jnp.where(ended, 0.0, gained)
            solved = solved | (success & ~ended)
            full = full | (new.physics.saturated & ~ended)
            over = success | self._failed(new) | (new.time >= self.config.episode_steps)
            return (new, reward, ended | over, solved, full), record

        (state, reward, _, success, full), records = jax.lax.scan(control, carry, jnp.arange(steps))
        return state, Outcome(reward, success, full), records

    def renew(
        self,
        batch: SceneBatch,
        state: EnvState,
        outcome: Outcome,
        scene_logits: jax.Array | None = None,
    ) -> tuple[EnvState, Step]:
        """The second half of `run_chunk`: reset what ended, and look."""
        broken = ~state.physics.finite
        reward = jnp.where(broken, 0.0, outcome.reward)
        success, terminated, truncated = self.verdict(state, outcome)
        info = {
            "length": state.time,
            "broken": broken,
            "saturated": outcome.saturated,
            "potential": state.potential,
            "scene": state.scene,
            "privileged": task.privileged(self.view(batch, state)),
        }
        state = self._reset_where(batch, state, terminated | truncated, scene_logits)
        observation = self.observe(batch, state)
        return state, Step(observation, reward, terminated, truncated, success, info)

    def verdict(self, state: EnvState, outcome: Outcome) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Success, terminated and truncated, each bool[N], of the state after a chunk."""
        success = outcome.success & state.physics.finite
        terminated = success | self._failed(state)
        truncated = (state.time >= self.config.episode_steps) & ~terminated
        return success, terminated, truncated

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
        previous = None if state.previous is None else state.physics.qpos
        physics = self.physics.step(batch, state.physics, ctrl, self.substeps(batch))
        state = replace(state, physics=physics, time=state.time + 1, previous=previous)
        view = self.view(batch, state)
        held = (state.held + 1) * task.is_success(view)
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
        """Where the target is and belongs, f32[N, 16]: an auxiliary training target only.

        World positions of the grasp point and of the resting place (dm, 6 numbers), then where
        target, its place and the tool appear in the fixed camera's picture and the first two in the
        wrist camera's (x, y in [-1, 1] from the upper left; outside that range, or 9, it is out of
        the picture).
        """
        return located(self.rig, batch, state, self._seen(state))

    def _seen(self, state: EnvState) -> jax.Array:
        return seen_qpos(self.rig, state, self.config.control_hz)

    def observe(self, batch: SceneBatch, state: EnvState) -> Observation:
        """What the policy sees: delayed, blurred, noisy and compressed, if the episode is so.

        The two commanded values of the proprioception (gripper, tool yaw) are never delayed.
        """
        qpos = self._seen(state)
        xpos, xmat = body_poses(batch.tree, qpos)
        c, noise = self.config, self.config.randomization.image_noise
        images = [
            picture(self.rig, batch, state.episode, xpos, xmat, size, wrist=wrist).rgb
            for size, wrist in ((c.image_size, False), (c.wrist_size, True))
        ]
        if state.episode.blur is not None:
            images = [add_blur(image, state.episode.blur) for image in images]
        if noise:
            images = [
                add_noise(image, state.episode.key, state.time, camera, noise)
                for camera, image in enumerate(images)
            ]
        if state.episode.jpeg is not None:
            images = [add_jpeg(image, state.episode.jpeg) for image in images]
        return Observation(
            image=images[0],
            wrist=images[1],
            proprio=proprioception(self.rig, qpos, state.closing, self.tool_yaw(state)),
            instruction=batch.instruction[state.scene, state.phrase],
        )

    def render(
        self, batch: SceneBatch, state: EnvState, size: int = 224, *, wrist: bool = False
    ) -> jax.Array:
        """A picture u8[N, size, size, 3] of every environment as it is now, sharp and noiseless."""
        xpos, xmat = body_poses(batch.tree, state.physics.qpos)
        return picture(self.rig, batch, state.episode, xpos, xmat, size, wrist=wrist).rgb


def where(mask: jax.Array, new, old):
    """Choose per environment between two states; mask bool[N]."""
    return jax.tree.map(
        lambda a, b: jnp.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b), new, old
    )
