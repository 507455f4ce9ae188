"""Gymnasium and brax adapters, and recordings for MuJoCo's viewer."""

from __future__ import annotations

import functools
import importlib
import math
import sys
import types
import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import vla_jax as vj
from sim.physics.base import get_physics, ramp
from sim.physics.registry import host_scenes
from sim.randomize import Randomization
from sim.recording import Trajectory, load_recording, pose_at, save_recording, scene_mjcf
from sim.robots import get_robot
from sim.robots.kinematics import body_poses
from vla_jax import replay

PROMPT = "put the red block on the blue plate"
N, STEPS = 3, 4

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def scenes():
    """Scenes with different numbers of objects, so that one has an unused slot."""
    (few,) = vj.design(PROMPT, n=1, seed=0)
    full = vj.design(PROMPT, n=8, seed=0, difficulty="full")
    more = [scene for scene in full if len(scene.objects) > len(few.objects)]
    return [few, min(more, key=lambda scene: len(scene.objects))]


@pytest.fixture(scope="module")
def world(scenes):
    return vj.make_env(
        scenes,
        num_envs=N,
        backend="native",
        image_size=8,
        wrist_size=8,
        episode_steps=STEPS,
        reward="shaped",
        randomization=Randomization(object_xy=0.02),
    )


# --------------------------------------------------------------------- gymnasium


@pytest.fixture(scope="module")
def envs(world):
    """N environments that show pictures."""
    pytest.importorskip("gymnasium")
    from sim.adapters.gymnasium import GymVectorEnv

    return GymVectorEnv(*world, seed=0, render_mode="rgb_array", render_size=16)


@pytest.fixture(scope="module")
def make_one(world):
    """Makes single environments that show the state; all share their compiled programs."""
    pytest.importorskip("gymnasium")
    from sim.adapters.gymnasium_single import GymEnv

    return functools.partial(GymEnv, *world, observation="state", render_size=16)


def test_vector_env_passes_the_checks_that_fit_one(envs):
    """Those of Gymnasium's `check_env`, which itself refuses vector environments."""
    from gymnasium.utils import env_checker as check
    from gymnasium.vector import AutoresetMode

    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    check.check_action_space(envs.single_action_space)
    check.check_observation_space(envs.single_observation_space)
    check.check_reset_return_type(envs)
    check.check_reset_seed_determinism(envs)
    check.check_reset_options(envs)
    one, two = envs.reset(seed=1), envs.reset(seed=2)
    assert not check.data_shares_objects(one, two)
    first, again, other = (envs.reset(seed=seed)[0] for seed in (7, 7, 8))
    assert check.data_equivalence(first, again, exact=True)
    assert not np.array_equal(first["proprio"], other["proprio"])
    assert first["image"].shape == (N, 8, 8, 3) and first["image"].flags.writeable
    pictures = envs.render()
    assert len(pictures) == N and pictures[0].shape == (16, 16, 3) and pictures[0].std() > 0


@pytest.mark.slow
def test_end_of_an_episode_is_gymnasiums_same_step(envs):
    """Structure as Gymnasium's own SyncVectorEnv in that mode; statistics by its own wrapper."""
    from gymnasium.vector import AutoresetMode, SyncVectorEnv
    from gymnasium.wrappers.vector import RecordEpisodeStatistics

    space, mode = envs.single_observation_space, AutoresetMode.SAME_STEP
    reference = SyncVectorEnv([lambda: _dummy(space)] * N, autoreset_mode=mode)
    counted = RecordEpisodeStatistics(envs)
    assert _structure(counted.reset(seed=3)[1]) == _structure(reference.reset(seed=3)[1])
    actions = np.zeros((N, 7), np.float32)
    actions[:, 2] = -0.5
    total = np.zeros(N)
    for step in range(STEPS):
        seen, reward, terminated, truncated, info = counted.step(actions)
        total += reward
        stats = {name: info.pop(name, None) for name in ("episode", "_episode")}
        assert _structure(info) == _structure(reference.step(actions)[-1])
        assert not terminated.any() and truncated.all() == (step == STEPS - 1)
    assert seen in envs.observation_space
    np.testing.assert_allclose(stats["episode"]["r"], total)
    assert stats["episode"]["l"].tolist() == [STEPS] * N
    assert info["final_info"]["length"].tolist() == [STEPS] * N and not info["length"].any()
    assert all(info["final_obs"][i] in space for i in range(N))
    # The arm went down by 1 cm a step; the next episode starts above again (10 = 1 m).
    before = np.stack([last["proprio"][10] for last in info["final_obs"]])
    assert (seen["proprio"][:, 10] - before > 0.2).all()


def _dummy(space):
    """An environment with our spaces and facts that truncates after STEPS."""
    import gymnasium

    class Dummy(gymnasium.Env):
        observation_space = space
        action_space = gymnasium.spaces.Box(-1.0, 1.0, (7,), np.float32)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.length = 0
            return space.sample(), {"scene": 0, "length": 0}

        def step(self, action):
            self.length += 1
            facts = {
                "scene": 0,
                "length": self.length,
                "success": False,
                "broken": False,
                "saturated": False,
            }
            return space.sample(), 0.0, False, self.length == STEPS, facts

    return Dummy()


def _structure(info):
    """Names and types at every level; masks by value, as they say what applies where."""
    if isinstance(info, dict):
        return {
            name: value.tolist() if name.startswith("_") else _structure(value)
            for name, value in info.items()
        }
    return info.dtype.kind


def test_final_observation_is_that_of_the_step(envs):
    """Where nothing ends, what would be the final observation is what `step` returns."""
    envs.reset(seed=5)
    actions = np.random.default_rng(0).uniform(-1, 1, (N, 7)).astype(np.float32)
    seen, _, terminated, truncated, _ = envs.step(actions)
    assert not (terminated | truncated).any()
    final = envs._final_observations(envs._state, np.array([True, False, True]))
    assert final[1] is None
    for i in (0, 2):
        np.testing.assert_allclose(final[i]["proprio"], seen["proprio"][i], atol=1e-5)
        np.testing.assert_array_equal(final[i]["instruction"], seen["instruction"][i])
        for name in ("image", "wrist"):
            same = np.abs(final[i][name].astype(int) - seen[name][i]) <= 1
            assert same.mean() > 0.98  # rounding may move an edge across a pixel
    assert not np.array_equal(seen["proprio"][0], envs.reset(seed=5)[0]["proprio"][0])


@pytest.mark.slow
def test_single_env_ends_with_its_own_last_observation(make_one):
    from gymnasium.error import ResetNeeded

    one = make_one()
    with pytest.raises(ValueError, match=r"\[9\]"):
        one.reset(options={"scene": 9})
    first, start = one.reset(seed=5)
    assert start == {"scene": start["scene"], "length": 0}
    height = [first[10]]
    for step in range(STEPS):
        last, _, terminated, truncated, info = one.step([0, 0, -0.5, 0, 0, 0, 1])
        height.append(last[10])
        assert (terminated, truncated) == (False, step == STEPS - 1)
        facts = {"length": step + 1, "success": False, "broken": False, "saturated": False}
        assert info == {"scene": start["scene"]} | facts
    assert (np.diff(height) < -0.05).all()
    with pytest.raises(ResetNeeded, match="reset"):
        one.step(np.zeros(7))


@pytest.mark.slow
def test_single_env_passes_gymnasiums_checker(make_one):
    import gymnasium
    from gymnasium.utils.env_checker import check_env

    gymnasium.register("VlaJaxTest-v0", entry_point=make_one)
    try:
        one = gymnasium.make("VlaJaxTest-v0", render_mode="rgb_array", disable_env_checker=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_env(one.unwrapped)
    finally:
        gymnasium.registry.pop("VlaJaxTest-v0")
    # Positions have no bounds; everything else must be as Gymnasium recommends.
    texts = [str(warning.message) for warning in caught]
    assert all("infinity" in text for text in texts), texts


@pytest.mark.slow
def test_reset_options(envs):
    _, info = envs.reset(seed=0, options={"scene": [1, 0, 1]})
    assert info["scene"].tolist() == [1, 0, 1]
    first, *_ = envs.step(np.ones((N, 7), np.float32))
    mask = np.array([False, True, False])
    second, info = envs.reset(options={"reset_mask": mask, "scene": [0, 1, 0]})
    assert info["scene"].tolist() == [0, 1, 0] and info["_scene"].tolist() == mask.tolist()
    for name in first:
        np.testing.assert_array_equal(first[name][~mask], second[name][~mask])
    assert not np.array_equal(first["proprio"][1], second["proprio"][1])
    *_, info = envs.step(np.ones((N, 7), np.float32))
    assert info["length"].tolist() == [2, 1, 2] and info["scene"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"speed": 2}, "'speed'"),
        ({"scene": [0]}, "give 3 numbers"),
        ({"scene": [0, 1, 2]}, "0 to 1"),
        ({"reset_mask": np.zeros(N, bool)}, "at least one"),
        ({"reset_mask": np.ones(2, bool)}, "give 3 booleans"),
        ({"reset_mask": [True] * N}, "NumPy array of bool"),
    ],
)
def test_bad_reset_options_are_named(options, hint, envs):
    with pytest.raises((ValueError, TypeError), match=hint):
        envs.reset(options=options)


def test_bad_gymnasium_input_is_named(world, envs):
    from gymnasium.error import ResetNeeded

    from sim.adapters.gymnasium import GymVectorEnv

    with pytest.raises(ValueError, match="'depth'"):
        GymVectorEnv(*world, observation="depth")
    with pytest.raises(ValueError, match="'human'"):
        GymVectorEnv(*world, render_mode="human")
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"\(2, 7\)"):
        envs.step(np.zeros((2, 7)))
    fresh = GymVectorEnv(*world)
    with pytest.raises(ResetNeeded):
        fresh.step(np.zeros((N, 7)))
    fresh.close()
    fresh.close()


@pytest.mark.parametrize("name", ["gymnasium", "brax"])
def test_a_missing_package_names_the_extra(name, monkeypatch):
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"sim.adapters.{name}", raising=False)
    extra = {"gymnasium": "gym", "brax": "brax"}[name]
    with pytest.raises(ImportError, match=rf"pip install 'vla-jax\[{extra}\]'"):
        importlib.import_module(f"sim.adapters.{name}")


# --------------------------------------------------------------------- brax


@pytest.fixture(scope="module")
def brax_adapter():
    pytest.importorskip("brax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from sim.adapters import brax

        return brax


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_brax_ppo_trains_it(world, brax_adapter):
    if problem := brax_adapter.trainer_problem():
        pytest.skip(problem)
    from brax.training.agents.ppo import networks, train

    env, batch = world
    brax_env = brax_adapter.BraxEnv(env, batch)
    small = {"policy_hidden_layer_sizes": (32, 32), "value_hidden_layer_sizes": (32, 32)}
    make_policy, params, metrics = train.train(
        brax_env,
        num_timesteps=4096,
        episode_length=16,
        wrap_env_fn=brax_adapter.wrap,
        num_envs=32,
        num_eval_envs=8,
        unroll_length=8,
        batch_size=32,
        num_minibatches=4,
        num_updates_per_batch=2,
        normalize_observations=True,
        network_factory=functools.partial(networks.make_ppo_networks, **small),
    )
    assert all(math.isfinite(float(value)) for value in metrics.values()), metrics
    assert 0 <= metrics["eval/episode_success"] <= 1
    assert 1 <= metrics["eval/avg_episode_length"] <= 16
    obs = jnp.zeros((5, brax_env.observation_size))
    action, _ = make_policy(params, deterministic=True)(obs, jax.random.PRNGKey(0))
    assert action.shape == (5, 7) and bool((jnp.abs(action) <= 1).all())
    assert float(jnp.abs(action).max()) > 0


def test_brax_env_refuses_what_it_cannot_do(world, brax_adapter):
    brax_env = brax_adapter.BraxEnv(*world)
    assert (brax_env.action_size, brax_env.backend) == (7, "native")
    with pytest.raises(ValueError, match="wrap_env_fn=sim.adapters.brax.wrap"):
        brax_env.reset(jax.random.PRNGKey(0))
    with pytest.raises(ValueError, match="action_repeat is 2"):
        brax_adapter.wrap(brax_env, 8, action_repeat=2)
    with pytest.raises(ValueError, match="randomization"):
        brax_adapter.wrap(brax_env, 8, randomization_fn=lambda sys: (sys, None))
    assert brax_adapter.wrap(brax_env, 8).env.config.episode_steps == 8


# --------------------------------------------------------------------- recordings


@pytest.fixture(scope="module")
def recording(scenes, world, tmp_path_factory):
    """Eight control steps of the first scene, whose batch has a slot more than it needs."""
    _, batch = world
    robot, physics = get_robot(batch.robot), get_physics("native")
    state = physics.init(batch, jnp.zeros(1, jnp.int32), batch.qpos0[:1])
    step = jax.jit(functools.partial(physics.step, n_substeps=10))
    rng = np.random.default_rng(1)
    rows = [(state.qpos[0], state.ctrl[0])]
    for _ in range(8):
        ctrl = state.ctrl.at[:, :6].add(jnp.asarray(rng.uniform(-0.05, 0.05, (1, 6)), jnp.float32))
        state = step(batch, state, ctrl)
        rows.append((state.qpos[0], state.ctrl[0]))
    qpos, ctrl = (np.stack(x).astype(float) for x in zip(*rows, strict=True))
    made = Trajectory(np.arange(9) * 0.2, qpos, ctrl, True, scenes[0].task.instruction)
    parts = {"template": batch.template, "timestep": batch.timestep}
    mjcf = scene_mjcf(scenes[0], robot, **parts, start=made)
    folder = save_recording(tmp_path_factory.mktemp("recording") / "episode", mjcf, made)
    return folder, made


_TWO_SIZES = (int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_CYLINDER))


def test_recorded_model_is_the_one_that_ran(recording, world):
    """Every body, joint and colliding geom of the host's model, to the digits of the file."""
    _, batch = world
    model, _ = load_recording(recording[0])
    ran = host_scenes(int(batch.handle)).models[0]
    assert (model.nq, model.nv, model.nu, model.nbody) == (ran.nq, ran.nv, ran.nu, ran.nbody)
    assert model.nsensor == ran.nsensor and model.opt.integrator == ran.opt.integrator
    for kind, prefix in (("body", "body_"), ("jnt", "dof_"), ("actuator", "actuator_")):
        names = [n for n in dir(ran) if n.startswith((f"{kind}_", prefix)) and "adr" not in n]
        for name in names:
            a, b = getattr(ran, name), getattr(model, name)
            # Geoms that only the viewer shows have changed these.
            skip = ("bvh", "sameframe", "geomnum", "contype", "conaffinity", "plugin", "user")
            if isinstance(a, np.ndarray) and not any(word in name for word in skip):
                np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6, err_msg=name)
    own = [ran.geom(g).name for g in range(ran.ngeom)]
    assert {model.geom(g).name for g in range(model.ngeom)} - set(own) == {
        "view_floor",
        "view_table",
    }
    for name in own:
        for field in ("size", "pos", "quat", "friction", "contype", "conaffinity", "solref"):
            a, b = getattr(ran.geom(name), field), getattr(model.geom(name), field)
            if field == "size" and int(ran.geom(name).type[0]) in _TWO_SIZES:
                a, b = a[:2], b[:2]
            np.testing.assert_allclose(b, a, atol=1e-5, err_msg=f"{name} {field}")
    for name in ("view_floor", "view_table"):
        assert model.geom(name).contype == model.geom(name).conaffinity == 0
    assert model.nlight == 1 and model.ncam == 2


def test_recorded_poses_are_those_of_the_simulation(recording, world):
    _, batch = world
    model, trajectory = load_recording(recording[0])
    data = mujoco.MjData(model)
    xpos, xmat = body_poses(batch.tree, jnp.asarray(recording[1].qpos, jnp.float32))
    for k, qpos in enumerate(trajectory.qpos):
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(data.xpos, xpos[k], atol=2e-6)
        np.testing.assert_allclose(data.xmat.reshape(-1, 3, 3), xmat[k], atol=5e-6)
    assert trajectory.success and trajectory.instruction == recording[1].instruction


def test_stepping_the_recorded_model_repeats_the_episode(recording):
    """The keyframe and the recorded servo targets lead to the recorded positions."""
    model, trajectory = load_recording(recording[0])
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    for k in range(1, len(trajectory.time)):
        for fraction in ramp(10):
            old, new = trajectory.ctrl[k - 1 : k + 1]
            data.ctrl[:] = old + fraction * (new - old)
            mujoco.mj_step(model, data)
        assert data.time == pytest.approx(trajectory.time[k])
        np.testing.assert_allclose(data.qpos, trajectory.qpos[k], atol=1e-3)
    moved = np.abs(trajectory.qpos[-1] - trajectory.qpos[0])[:6]
    assert moved.max() > 0.02


def test_scene_without_a_batch_has_no_unused_slots(scenes):
    model = mujoco.MjModel.from_xml_string(scene_mjcf(scenes[0], get_robot("widowx")))
    robot = get_robot("widowx")
    assert model.nq == robot.num_joints + 7 * len(scenes[0].objects)
    np.testing.assert_allclose(model.key_qpos[0, : robot.num_joints], robot.home, atol=1e-5)


def test_pose_between_two_instants():
    """Joints go straight, orientations along the shortest turn, and the ends stand still."""
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><joint type='hinge'/><geom size='.1'/></body>"
        "<body><freejoint/><geom size='.1'/></body></worldbody></mujoco>"
    )
    half = math.sqrt(0.5)
    qpos = np.array([[0.0, 0, 0, 0, 1, 0, 0, 0], [1.0, 2, 0, 0, half, 0, 0, half]])
    path = Trajectory(np.array([0.0, 0.4]), qpos, np.zeros((2, 0)), False, "")
    middle = [0.25, 0.5, 0, 0, math.cos(math.pi / 16), 0, 0, math.sin(math.pi / 16)]
    np.testing.assert_allclose(pose_at(model, path, 0.1), middle, atol=1e-12)
    np.testing.assert_allclose(pose_at(model, path, -1.0), qpos[0])
    np.testing.assert_allclose(pose_at(model, path, 9.0), qpos[1])
    assert path.duration == pytest.approx(0.4)


def test_damaged_recordings_are_named(recording, tmp_path, capsys, monkeypatch):
    folder, made = recording
    mjcf = (folder / "scene.xml").read_text()
    with pytest.raises(FileNotFoundError, match=r"scene\.xml"):
        load_recording(tmp_path)
    short = save_recording(tmp_path / "short", mjcf, replace(made, qpos=made.qpos[:, :-7]))
    with pytest.raises(ValueError, match="the model needs"):
        load_recording(short)
    torn = save_recording(tmp_path / "torn", mjcf, made)
    (torn / "trajectory.npz").write_bytes((torn / "trajectory.npz").read_bytes()[:200])
    with pytest.raises(ValueError, match="damaged"):
        load_recording(torn)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    for argv, hint in (
        ([tmp_path / "none"], "scene.xml"),
        ([folder, "--speed", 0], "--speed is 0"),
        ([folder], "no display"),
    ):
        assert replay.main([str(word) for word in argv]) == 2
        assert hint in capsys.readouterr().err


def test_playback_shows_the_episode_over_and_over(recording, monkeypatch):
    """Against a viewer and a clock that only take notes: two rounds and the pause between them."""
    model, trajectory = load_recording(recording[0])
    shown, now = [], [0.0]

    class Viewer:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def is_running(self):
            return now[0] < 6.0

        def sync(self):
            shown.append((now[0], self.data.time, self.data.qpos.copy()))

    viewer = Viewer()

    def launch(model, data):
        viewer.data = data
        return viewer

    def sleep(seconds):
        now[0] += seconds

    module = types.ModuleType("mujoco.viewer")
    module.launch_passive = launch
    monkeypatch.setitem(sys.modules, "mujoco.viewer", module)
    monkeypatch.setattr(mujoco, "viewer", module, raising=False)
    monkeypatch.setattr(replay.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(replay.time, "sleep", sleep)
    replay.play(model, trajectory)
    for clock, time, qpos in shown:
        phase = clock % (trajectory.duration + 1.0)
        assert time == pytest.approx(min(phase, trajectory.duration))
        np.testing.assert_array_equal(qpos, pose_at(model, trajectory, time))
    assert len(shown) == pytest.approx(360, abs=2)
