"""The environment: task arithmetic, resets, scene swaps, the expert, and faults."""

from __future__ import annotations

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vla_jax as vj
from sim.expert import expert_action, wrap_half
from sim.randomize import Randomization
from sim.rearrange import Things, shift_objects

pytestmark = pytest.mark.usefixtures("quick_compilation")

N = 8


@pytest.fixture(scope="module")
def scenes():
    return vj.design("put something in a container", n=3, seed=0)


@pytest.fixture(scope="module")
def world(scenes):
    env, batch = vj.make_env(
        scenes,
        num_envs=N,
        backend="native",
        image_size=32,
        wrist_size=16,
        episode_steps=24,
        reward="shaped",
        randomization=Randomization(object_xy=0.02, joints=0.02),
    )
    return env, batch, jax.jit(env.reset), jax.jit(env.step)


def test_wrap_half_turn():
    angle = jnp.array([0.0, 2.0, -2.0, 3.0])
    np.testing.assert_allclose(
        wrap_half(angle), [0.0, 2.0 - np.pi, np.pi - 2.0, 3.0 - np.pi], atol=1e-6
    )


def test_shifted_objects_stay_apart():
    """Random layouts keep the clearance and the workspace; unused slots do not move."""
    position = jnp.tile(
        jnp.array([[0.25, -0.08, 0.0], [0.25, 0.08, 0.0], [2.0, 2.0, 0.5]]), (64, 1, 1)
    )
    radius = jnp.tile(jnp.array([0.03, 0.08, 0.0]), (64, 1))
    active = jnp.tile(jnp.array([True, True, False]), (64, 1))
    ranges = Randomization(object_xy=0.1, workspace=(0.2, 0.3, -0.1, 0.1))
    moved, _ = shift_objects(jax.random.key(0), Things.alone(position, radius, active), ranges)
    distance = jnp.linalg.norm(moved[:, 0, :2] - moved[:, 1, :2], axis=-1)
    assert float(distance.min()) >= 0.11
    assert bool((moved[:, 2] == position[:, 2]).all())
    x = np.asarray(moved[:, :2, 0])
    assert x.min() >= np.float32(0.2) and x.max() <= np.float32(0.3)
    assert float(jnp.std(moved[:, 0, 0])) > 0.01


def test_reset_is_a_function_of_the_seed(world):
    _, batch, reset, _ = world
    first, obs = reset(batch, jax.random.key(3))
    again, _ = reset(batch, jax.random.key(3))
    other, _ = reset(batch, jax.random.key(4))
    chex.assert_trees_all_equal(first.physics, again.physics)
    assert not np.array_equal(first.physics.qpos, other.physics.qpos)
    assert obs.image.shape == (N, 32, 32, 3) and obs.image.dtype == jnp.uint8
    assert obs.wrist.shape == (N, 16, 16, 3)
    assert len(np.unique(np.asarray(obs.image[0]))) > 10


def test_policy_input_holds_no_object_pose(world):
    """Moving the objects changes pictures only: proprioception and instruction stay."""
    env, batch, reset, _ = world
    state, obs = reset(batch, jax.random.key(0))
    qpos = state.physics.qpos.at[:, env.rig.robot.num_joints].add(0.03)
    moved = replace(state, physics=replace(state.physics, qpos=qpos))
    seen = jax.jit(env.observe)(batch, moved)
    np.testing.assert_array_equal(seen.proprio, obs.proprio)
    np.testing.assert_array_equal(seen.instruction, obs.instruction)
    assert not np.array_equal(seen.image, obs.image)


def test_episode_is_truncated_and_restarts(world):
    env, batch, reset, step = world
    state, _ = reset(batch, jax.random.key(1))
    still = jnp.zeros((N, 7)).at[:, 6].set(1.0)
    for t in range(env.config.episode_steps):
        state, out = step(batch, state, still)
        if t + 1 < env.config.episode_steps:
            assert not bool(out.truncated.any() | out.terminated.any())
    assert bool(out.truncated.all()) and not bool(out.terminated.any())
    assert bool((state.time == 0).all())


def test_step_compiles_once_whatever_the_scenes(world, scenes):
    """Scene swaps at reset and even another batch of the same structure reuse the program."""
    env, batch, reset, _ = world
    step = jax.jit(chex.assert_max_traces(env.step, n=1))
    state, _ = reset(batch, jax.random.key(0))
    for _ in range(2):
        state, _ = step(batch, state, jnp.zeros((N, 7)))
        over = jnp.full(N, env.config.episode_steps, jnp.int32)
        state = replace(state, time=over)  # the next step resets everything
    turned = vj.make_env(scenes[::-1], num_envs=N, backend="native", image_size=32)[1]
    step(
        replace(turned, instruction=batch.instruction, instruction_mask=batch.instruction_mask),
        state,
        jnp.zeros((N, 7)),
    )


def test_expert_solves_the_scenes(world):
    """The scripted expert, through the same actions as the policy, places what it should."""
    env, batch, _, _ = world

    @jax.jit
    def play(batch, key):
        state, _ = env.reset(batch, key)

        def act(state, _):
            view = env.view(batch, state)
            return expert_action(view, env.rig.robot, env.tool_yaw(state)), view.contacts

        _, out, _ = env.run_chunk(batch, state, act, env.config.episode_steps)
        return out.success, out.reward, out.info["length"]

    success, reward, length = play(batch, jax.random.key(5))
    assert float(success.mean()) >= 0.75
    # A solved episode earns 1 for success and all of the potential that was missing at its start.
    assert float(reward[success].min()) > 1.5
    assert int(length[success].max()) < env.config.episode_steps


def test_nan_ends_its_episode_only(world):
    """A NaN ends that environment's episode, is reported, pays nothing and spreads nowhere."""
    _, batch, reset, step = world
    state, _ = reset(batch, jax.random.key(2))
    qvel = state.physics.qvel.at[3].set(jnp.nan)
    sick = replace(state, physics=replace(state.physics, qvel=qvel))
    action = jnp.zeros((N, 7))
    after, out = step(batch, sick, action)
    healthy, _ = step(batch, state, action)
    assert out.info["broken"].tolist() == [i == 3 for i in range(N)]
    assert bool(out.terminated[3]) and not bool(out.success[3])
    assert float(out.reward[3]) == 0.0
    assert bool(jnp.isfinite(after.physics.qpos).all())
    others = jnp.arange(N) != 3
    np.testing.assert_array_equal(after.physics.qpos[others], healthy.physics.qpos[others])


def test_nan_action_is_harmless(world):
    _, batch, reset, step = world
    state, _ = reset(batch, jax.random.key(2))
    after, out = step(batch, state, jnp.full((N, 7), jnp.nan))
    assert bool(jnp.isfinite(after.physics.qpos).all()) and not bool(out.info["broken"].any())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0"),
        ({"backend": "bullet"}, "unknown physics backend 'bullet'"),
        ({"reward": "dense"}, "unknown reward 'dense'"),
        ({"robot": "r2d2"}, "unknown robot 'r2d2'"),
        ({"colour": 1}, "unknown environment settings"),
    ],
)
def test_bad_settings_are_named(scenes, settings, message):
    with pytest.raises(ValueError, match=message):
        vj.make_env(scenes, **settings)


def test_zero_scenes():
    with pytest.raises(ValueError, match="zero scenes|no scene|at least one"):
        vj.make_env([])
