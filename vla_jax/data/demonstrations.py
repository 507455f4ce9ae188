"""Samples for imitation: the scripted expert recorded in the simulator, and still pictures."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.env import Env
from sim.expert import expert_action
from sim.robots.kinematics import solve_ik
from sim.scene_batch import SceneBatch
from sim.types import Observation

if TYPE_CHECKING:
    from vla_jax.imitation import ImitationConfig

# Stands in `located` where nobody knows where things are; as a place in a picture it is out of it.
UNKNOWN_PLACE = 9.0


class Demonstrations(NamedTuple):
    """Samples with leading axis [M], on the host or the device."""

    obs: Observation
    action: Any  # f32[M, C, 7]
    located: Any  # f32[M, 16] see Env.located
    has_action: Any  # f32[M] 1 where the action is one to imitate; its weight in the loss
    source: Any  # i32[M, 2] scene and episode that it is from


# Share of the jitter that each action dimension gets; the gripper is not shaken.
JITTER = (1.0, 1.0, 1.0, 0.3, 0.3, 0.3, 0.0)


def make_recorder(env: Env, settings: ImitationConfig) -> Callable:
    """One jitted chunk of the expert in N environments: f(batch, state, obs, key) → state, obs,
    sample, ended bool[N], success bool[N]. The sample's `source` is the scene i32[N] alone."""

    def record(batch: SceneBatch, state, obs, key):
        located, scene = env.located(batch, state), state.scene
        key, key_wrong, key_shift = jax.random.split(key, 3)
        wrong = jax.random.bernoulli(key_wrong, settings.mistakes, (env.num_envs,))
        shift = settings.mistake_xy * jax.random.normal(key_shift, (env.num_envs, 3))
        shift = shift.at[:, 2].set(0.0) * wrong[:, None]

        def act(state, step):
            view = env.view(batch, state)
            believed = replace(view, grasp=view.grasp + shift)
            clean = expert_action(believed, env.rig.robot, env.tool_yaw(state))
            jitter = jax.random.normal(jax.random.fold_in(key, step), clean.shape)
            return clean + settings.noise * jitter * jnp.asarray(JITTER), clean

        state, out, clean = env.run_chunk(batch, state, act, env.config.chunk)
        sample = Demonstrations(obs, clean.swapaxes(0, 1), located, 1.0 - wrong, scene)
        return state, out.observation, sample, out.terminated | out.truncated, out.success

    return jax.jit(record)


def collect_demonstrations(
    env: Env,
    batch: SceneBatch,
    seed: int,
    settings: ImitationConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Demonstrations, dict[str, float]]:
    """Record the expert until `settings.chunks` chunks of successful episodes are at hand.

    Args:
        env, batch: where.
        seed: of everything random.
        settings: how many chunks, and how the expert is disturbed.
        progress: called with (chunks so far, chunks wanted).

    Returns:
        the samples, and {"episodes", "expert_success"}.

    Raises:
        RuntimeError: if the expert solves less than one episode in twenty.
    """
    key, chunks = jax.random.key(seed), settings.chunks
    record = make_recorder(env, settings)
    state, obs = jax.jit(env.reset)(batch, key)
    pending: list[Any] = []  # chunks whose episodes have not ended, newest last
    kept: list[Any] = []
    open_rows: np.ndarray = np.zeros((0, env.num_envs), bool)
    # Number of the episode that each environment is in.
    number = np.arange(env.num_envs, dtype=np.int32)
    episodes = successes = count = 0
    while count < chunks:
        key, k = jax.random.split(key)
        state, obs, sample, done, success = record(batch, state, obs, k)
        sample = jax.tree.map(np.asarray, sample)
        pending.append(sample._replace(source=np.stack([sample.source, number], 1)))
        done, success = np.asarray(done), np.asarray(success)
        number = np.where(done, env.num_envs + episodes + np.cumsum(done) - 1, number)
        number = number.astype(np.int32)
        open_rows = np.concatenate([open_rows, np.ones((1, env.num_envs), bool)])
        for t, rows in enumerate(open_rows):
            good = rows & success
            if good.any():
                kept.append(jax.tree.map(lambda x: x[good], pending[t]))  # noqa: B023
                count += int(good.sum())
        open_rows &= ~done
        while len(pending) and not open_rows[0].any():
            pending.pop(0)
            open_rows = open_rows[1:]
        episodes, successes = episodes + int(done.sum()), successes + int(success.sum())
        if episodes > 200 and successes < 0.05 * episodes:
            raise RuntimeError(
                f"the expert solved {successes} of {episodes} episodes: "
                "these scenes are out of its reach; inspect them"
            )
        progress(min(count, chunks), chunks)
    data = jax.tree.map(lambda *x: np.concatenate(x)[:chunks], *kept)
    return data, {"episodes": episodes, "expert_success": successes / max(episodes, 1)}


def collect_stills(env: Env, batch: SceneBatch, seed: int, count: int) -> Demonstrations:
    """Pictures of the scenes with the tool at random places, without actions; each an episode."""
    robot, rig = env.rig.robot, env.rig
    low, high = np.asarray(robot.workspace_low), np.asarray(robot.workspace_high)
    low, high = jnp.asarray(low + [0.06, 0.08, 0.02]), jnp.asarray(high - [0.04, 0.08, 0.08])

    @jax.jit
    def shoot(batch, key):
        key_start, key_tool = jax.random.split(key)
        state = env.start(batch, jax.random.split(key_start, env.num_envs))
        tool = jax.random.uniform(key_tool, (env.num_envs, 3), minval=low, maxval=high)
        joints = solve_ik(rig.chain, state.joints, tool, state.tool_quat, iterations=25)
        qpos = state.physics.qpos.at[:, : rig.num_arm].set(joints)
        state = replace(state, physics=replace(state.physics, qpos=qpos))
        return env.observe(batch, state), env.located(batch, state), state.scene

    shots = [
        jax.tree.map(np.asarray, shoot(batch, jax.random.fold_in(jax.random.key(seed), i)))
        for i in range(-(-count // env.num_envs))
    ]
    obs, located, scene = jax.tree.map(lambda *x: np.concatenate(x)[:count], *shots)
    nothing = np.zeros((count, env.config.chunk, 7), np.float32)
    source = np.stack([scene, np.arange(count, dtype=np.int32)], 1)
    return Demonstrations(obs, nothing, located, np.zeros(count, np.float32), source)


def join(*parts: Demonstrations) -> Demonstrations:
    """Concatenate sample sets."""
    if len(parts) == 1:
        return parts[0]
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def fingerprint(data: Demonstrations) -> int:
    """A checksum of all samples, 32 bits: two recordings with the same one are the same."""
    checksum = 0
    for leaf in jax.tree.leaves(data):
        checksum = zlib.crc32(np.ascontiguousarray(leaf).view(np.uint8).data, checksum)
    return checksum
