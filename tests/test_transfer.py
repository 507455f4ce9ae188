"""The transfer domain: gaps of known size, the same task and starts, pictures by OpenGL."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.spatial import ConvexHull

import vla_jax as vj
from generation.assets.parts import Paint, primitive
from generation.spec import Part
from sim.env import Env
from sim.physics.registry import host_scenes
from sim.scene_batch import SceneBatch
from sim.state import EnvState
from sim.transfer import NO_OPENGL, USUAL, TransferConfig, TransferEnv, find_opengl, opengl
from sim.transfer.gaps import widen
from sim.transfer.hulls import body_points, hull_points
from sim.transfer.lamps import lamps_of
from sim.transfer.sensor import blurred, expose
from sim.types import Observation
from sim.view import light_of
from vla_jax.cli import main
from vla_jax.tokenizers import WordTokenizer
from vla_jax.transfer import run_expert, run_transfer

N, SIZE, WRIST = 8, 32, 16
NONE = TransferConfig.none()
# Training's shapes and contacts, timing and masses in the structure of `USUAL`: one program serves
# both, which saves most of the time here.
BARE = replace(
    USUAL,
    hulls=False,
    solver=False,
    contact_time=0.0,
    torsion=0.0,
    **dict.fromkeys(("mass", "friction", "stiffness", "damping", "latency", "delay"), 1e-9),
)

pytestmark = pytest.mark.usefixtures("quick_compilation")
needs_opengl = pytest.mark.skipif(find_opengl() is None, reason=NO_OPENGL)


@pytest.fixture(scope="module")
def world() -> tuple[list, Env, SceneBatch]:
    scenes = vj.design("put something in a container", n=N, seed=5, difficulty="easy")
    ranges = vj.Randomization(object_xy=0.03, camera=0.03)
    env, batch = vj.make_env(
        scenes, N, "native", SIZE, wrist_size=WRIST, episode_steps=24, chunk=1, randomization=ranges
    )
    return scenes, env, batch


@pytest.fixture(scope="module")
def transfer(world) -> Iterator[TransferEnv]:
    scenes, env, batch = world
    with TransferEnv(env.config, batch, scenes) as made:
        yield made


@pytest.fixture(scope="module")
def usual(world) -> tuple[EnvState, Observation]:
    """Starts in the training domain."""
    _, env, batch = world
    return jax.jit(env.reset_to)(batch, jax.random.key(1), jnp.arange(N))


@pytest.fixture(scope="module")
def start(transfer) -> EnvState:
    """The same starts in the transfer domain."""
    return transfer.start(jax.random.key(1), jnp.arange(N))


# Configuration ------------------------------------------------------------------------------------


def test_sizes_are_checked_and_none_closes_every_gap():
    for name, bad in (("mass", -0.1), ("lights", 1.5), ("jpeg", 96), ("latency", float("nan"))):
        with pytest.raises(ValueError, match=name):
            replace(USUAL, **{name: bad})
    assert not any(getattr(NONE, field.name) for field in fields(NONE))
    assert all(getattr(USUAL, field.name) for field in fields(USUAL))


# Shapes -------------------------------------------------------------------------------------------


def _volume(part: Part) -> float:
    a, b, c = part.size
    if part.shape == "cylinder":
        return 2 * np.pi * a * a * b
    if part.shape == "capsule":
        return np.pi * a * a * (2 * b + 4 / 3 * a)
    return {"box": 8 * a * b * c, "sphere": 4 / 3 * np.pi * a**3}.get(
        part.shape, 4 / 3 * np.pi * a * b * c
    )


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("box", (0.03, 0.02, 0.01)),
        ("sphere", (0.03,)),
        ("cylinder", (0.03, 0.05)),
        ("capsule", (0.02, 0.03)),
        ("ellipsoid", (0.05, 0.03, 0.02)),
    ],
)
def test_a_hull_fills_its_part(shape, size):
    part = primitive(shape, size, (0.1, 0.0, 0.0), Paint((1, 0, 0)), collide=False)
    points = hull_points(part)
    full = ConvexHull(points)
    assert 0.93 * _volume(part) < full.volume < 1.001 * _volume(part)
    reach = np.ptp(points, axis=0) / 2
    whole = {"sphere": [size[0]] * 3, "cylinder": [size[0]] * 2 + [size[-1]]}.get(shape, size)
    if shape == "capsule":
        whole = [size[0], size[0], sum(size)]
    np.testing.assert_allclose(reach, whole, rtol=0.03)
    assert reach[2] == pytest.approx(whole[2], abs=1e-9)  # it stands as high as it looks


def test_what_is_seen_collides_and_nothing_else(world, transfer):
    scenes, _, _ = world
    models = host_scenes(int(transfer.batch.handle)).models
    assert len({model.nbvh for model in models}) == 1
    for scene, model in zip(scenes, models, strict=True):
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        for k, thing in enumerate(scene.objects):
            body = model.body(f"object{k}")
            own = np.arange(body.geomadr[0], body.geomadr[0] + body.geomnum[0])
            solid = own[(model.geom_contype[own] > 0) & (model.geom_margin[own] >= 0)]
            seen = [part for part in thing.parts if part.visible]
            assert len(solid) == len(seen)
            assert (model.geom_type[solid] == mujoco.mjtGeom.mjGEOM_MESH).all()
            turn = data.xmat[body.id].reshape(3, 3)
            got = np.concatenate([_mesh_points(model, data, g) for g in solid])
            got = (got - data.xpos[body.id]) @ turn
            wanted = np.concatenate([body_points(part) for part in seen])
            away = np.linalg.norm(wanted[:, None] - got[None], axis=-1).min(1)
            assert away.max() < 1e-5


def _mesh_points(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> np.ndarray:
    mesh = model.geom_dataid[geom]
    first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    points = model.mesh_vert[first : first + count]
    return points @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]


# Starts, timing, dynamics -------------------------------------------------------------------------


def test_both_domains_start_alike(world, transfer, usual, start):
    ours, theirs = usual[0], start
    np.testing.assert_array_equal(ours.physics.qpos, theirs.physics.qpos)
    np.testing.assert_array_equal(ours.episode.phrase, theirs.episode.phrase)
    np.testing.assert_array_equal(ours.episode.key, theirs.episode.key)
    shift = np.linalg.norm(theirs.episode.camera - ours.episode.camera, axis=-1)
    np.testing.assert_allclose(shift, USUAL.camera, rtol=1e-4)
    turn = np.linalg.norm(theirs.episode.camera_turn, axis=-1)
    np.testing.assert_allclose(turn, USUAL.camera_turn, rtol=1e-4)
    assert transfer.batch.timestep == USUAL.timestep != world[2].timestep


def test_sizes_are_exact_and_directions_drawn(start):
    d = start.episode.dynamics
    for name in ("mass", "friction", "stiffness", "damping"):
        off = np.asarray(getattr(d, name)) - 1.0
        np.testing.assert_allclose(np.abs(off), getattr(USUAL, name), rtol=1e-4)
        assert len(np.unique(np.sign(off))) == 2
    np.testing.assert_allclose(d.latency, USUAL.latency, rtol=1e-6)
    np.testing.assert_allclose(start.episode.delay, USUAL.delay, rtol=1e-6)


def test_gaps_add_to_what_an_episode_has_up_to_the_limit(start):
    once, mass = start.episode, start.episode.dynamics.mass
    twice = widen(once, USUAL, mass.shape[1], 5.0)
    np.testing.assert_allclose(twice.dynamics.latency, 0.08, rtol=1e-6)  # 0.4 of 0.2 s
    np.testing.assert_allclose(twice.delay, 0.2, rtol=1e-6)
    np.testing.assert_allclose(twice.dynamics.mass, mass**2, rtol=1e-5)


def test_the_arm_starts_late_and_is_seen_late(transfer, start):
    """One step sideways: late servos get less far, and what is seen is half a step old."""
    aside = jnp.zeros((N, 1, 7)).at[:, 0, 1].set(1.0).at[:, 0, 6].set(1.0)
    moved = []
    for latency in (0.0, USUAL.latency):
        dynamics = replace(start.episode.dynamics, latency=jnp.full(N, latency))
        state = transfer.begin(replace(start.episode, dynamics=dynamics))
        after, _ = transfer.step_chunk(state, aside)
        old, new = (np.asarray(s.physics.qpos[:, 0]) for s in (state, after))
        moved.append(np.abs(new - old))
        seen = transfer.observe(after, np.zeros(N, bool)).proprio[:, 0]
        np.testing.assert_allclose(seen, (old + new) / 2, atol=1e-5)
    # Targets take 120 ms of the 200 ms, so the late servos stop short by 60 ms of following.
    assert (moved[1] < 0.85 * moved[0]).all()
    assert (moved[1] > 0.2 * moved[0]).all()


# Episodes -----------------------------------------------------------------------------------------


def test_without_gaps_physics_is_trainings(world, usual):
    scenes, env, batch = world
    same = TransferEnv(env.config, batch, scenes, NONE)
    assert same.batch is batch
    assert same.env.physics == env.physics
    ours = usual[0].episode
    narrow = widen(ours, NONE, batch.num_objects, 5.0)
    assert jax.tree.structure(narrow) == jax.tree.structure(ours)
    assert all(a is b for a, b in zip(jax.tree.leaves(narrow), jax.tree.leaves(ours), strict=True))


def test_the_expert_solves_most_in_both_domains(world):
    scenes, env, _ = world
    near = run_expert(env.config, scenes, N, 3, BARE)
    far = run_expert(env.config, scenes, N, 3)
    again = run_expert(env.config, scenes, N, 3)
    assert near.success_rate >= 0.75
    assert far.success_rate >= 0.75
    assert np.mean(np.array(near.solved) == np.array(far.solved)) >= 0.7
    assert far == again
    assert far.broken == 0
    assert far.mean_time_to_success_s is not None


# Pictures -----------------------------------------------------------------------------------------


def test_lamps_go_from_trainings_to_others(start):
    light, keys = light_of(start.episode), np.asarray(start.episode.key)
    near = lamps_of(light, keys, NONE)
    far = lamps_of(light, keys, USUAL)
    for i in range(N):
        np.testing.assert_allclose(near[i].direction[0], light.direction[i], atol=1e-6)
        assert not near[i].diffuse[1:].any()
        assert far[i].diffuse.all()
        np.testing.assert_allclose(np.linalg.norm(far[i].direction, axis=1), 1.0, rtol=1e-6)
        assert far[i].direction[0] @ near[i].direction[0] < np.cos(0.5)


def test_the_camera_spoils_pictures_by_the_given_amounts():
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[:, 8, 8] = 200
    key, time = np.ones((1, 2), np.uint32), np.zeros(1, np.int32)
    assert expose(image, key, time, 0, NONE, 0.0) is image
    spot = blurred(image.astype(np.float32), 1.0)
    assert spot.sum() == pytest.approx(3 * 200, rel=1e-4)
    assert spot[0, 8, 8, 0] == pytest.approx(200 / (2 * np.pi), rel=0.05)
    grey = np.full_like(image, 128)
    noisy = expose(grey, key, time, 0, NONE, 6.0).astype(float)
    assert noisy.std() == pytest.approx(6.0, rel=0.15)
    gain = expose(grey, key, time, 0, replace(NONE, white_balance=0.1), 0.0)[0, 0, 0] / 128.0
    assert np.linalg.norm(np.log(gain)) == pytest.approx(0.1, abs=0.01)


@needs_opengl
def test_observations_are_trainings_but_for_the_pictures(world, transfer, usual, start):
    """All kinds and sizes agree; proprioception to the bit; pictures of the same things."""
    scenes, env, batch = world
    ours = usual[1]
    unmoved = {"camera": usual[0].episode.camera, "camera_fov": jnp.ones((N, 2))}
    unmoved["camera_turn"] = jnp.zeros((N, 2, 3))
    with TransferEnv(env.config, batch, scenes, NONE) as plain:
        near = plain.observe(replace(start, episode=replace(start.episode, **unmoved)))
    far = transfer.observe(start)
    for other in (near, far):
        shapes = [(x.shape, x.dtype) for x in jax.tree.leaves(other)]
        assert shapes == [(x.shape, x.dtype) for x in jax.tree.leaves(ours)]
        np.testing.assert_array_equal(ours.proprio, other.proprio)
        np.testing.assert_array_equal(ours.instruction, other.instruction)
    for camera in ("image", "wrist"):
        a, b, c = (np.asarray(getattr(o, camera), float) for o in (ours, near, far))
        alike = [np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)]
        assert min(alike) > 0.8, camera
        assert np.abs(a - b).mean() < 0.6 * np.abs(a - c).mean()
        assert (c.std((1, 2, 3)) > 8).all()
        assert (c.mean((1, 2, 3)) > 15).all()
    np.testing.assert_array_equal(transfer.observe(start).image, far.image)
    some = transfer.observe(start, np.arange(N) == 2)
    np.testing.assert_array_equal(some.image[2], far.image[2])
    assert not np.asarray(some.image[3]).any()


@needs_opengl
def test_a_policy_is_evaluated_and_the_same_seed_gives_the_same(world):
    scenes, env, _ = world
    seen = []

    def act(obs, key):
        seen.append(np.asarray(obs.image))
        return jax.random.uniform(key, (N, 1, 7), minval=-1.0)

    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    policy = types.SimpleNamespace(act=act, tokenizer=tokenizer, env=env.config)
    runs = [run_transfer(policy, scenes, 2, 0, num_envs=N) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0].episodes == 2
    assert len(runs[0].solved) == 2
    np.testing.assert_array_equal(seen[5], seen[len(seen) // 2 + 5])
    assert not seen[0][2:].any(), "episodes that nobody asked for are not drawn"


def test_without_opengl_the_command_says_what_to_install(tmp_path, monkeypatch, capfd):
    command = ["eval", str(tmp_path), "--scenes", str(tmp_path), "--domain", "transfer"]
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    find_opengl.cache_clear()
    assert find_opengl() is None
    assert main(command) == 2
    assert NO_OPENGL in capfd.readouterr().err
    find_opengl.cache_clear()
    # MuJoCo itself refuses to be imported then.
    done = subprocess.run(
        [sys.executable, "-m", "vla_jax.cli", *command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "apt-get install libegl1" in done.stderr
    assert main([*command, "--backend", "mjx"]) == 2
    assert "--backend" in capfd.readouterr().err


def test_scenes_in_memory_are_drawn_first(monkeypatch):
    """Of ten scenes only four fit: at every look four are at hand, not none."""
    built = []

    def canvas(model, size):
        nothing = lambda *args: None  # noqa: E731
        return types.SimpleNamespace(opengl=None, pose=nothing, shoot=nothing, close=nothing)

    context = types.SimpleNamespace(make_current=lambda: None, free=lambda: None)
    package = types.SimpleNamespace(GLContext=lambda width, height: context)
    monkeypatch.setattr(opengl, "find_opengl", lambda: "none")
    monkeypatch.setattr(opengl.importlib, "import_module", lambda name: package)
    monkeypatch.setattr(opengl.mujoco, "mjr_setBuffer", lambda *args: None)
    monkeypatch.setattr(opengl, "_Canvas", canvas)
    monkeypatch.setattr(opengl, "_MAX_SCENES", 4)
    painter = opengl.Painter(built.append, 8)  # type: ignore[arg-type]
    scenes = [7, 3, 3, *range(10)]
    for look in range(3):
        order = painter.order(scenes)
        assert sorted(order) == list(range(13))
        for i in order:
            painter.draw(scenes[i], None, None, 0.0, [])  # type: ignore[arg-type]
        assert len(built) == 10 + 6 * look
