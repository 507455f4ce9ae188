"""Domain randomization: ranges, records and replay, delays, noise, and dynamics on the host."""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import vla_jax as vj
from generation.compile import compile_spec
from sim.episode import LIGHT_DIRECTION, draw_episode
from sim.geometry import interpolate_poses
from sim.image_blur import add_blur
from sim.image_jpeg import add_jpeg
from sim.image_noise import add_noise
from sim.physics import get_physics
from sim.physics.base import Dynamics
from sim.physics.native_models import vary_model
from sim.physics.registry import host_scenes, register_models
from sim.randomize import Randomization
from sim.render.types import SEGMENT_TABLE
from sim.robots.kinematics import body_poses
from sim.scene_batch import OPTIONS, TIMESTEP, scene_spec
from sim.transfer.sensor import compressed
from sim.view import camera_of, check_camera, light_of, picture, seen_qpos

pytestmark = pytest.mark.usefixtures("quick_compilation")

N = 6
SUBSTEPS = 10
FULL = Randomization.full()
NATIVE = get_physics("native")


@pytest.fixture(scope="module")
def scenes():
    return vj.design("put something in a container", n=3, seed=0)


@pytest.fixture(scope="module")
def world(scenes):
    return vj.make_env(
        scenes,
        num_envs=N,
        backend="native",
        image_size=32,
        wrist_size=16,
        episode_steps=4,
        chunk=1,
        reward="shaped",
        randomization=FULL,
    )


@pytest.fixture(scope="module")
def programs(world):
    """start(batch, keys), step(batch, state, actions), draw(batch, episode, qpos).

    Compiled once: every program that draws pictures costs seconds.
    """
    env, _ = world

    def draw(batch, episode, qpos):
        return picture(env.rig, batch, episode, *body_poses(batch.tree, qpos), 32)

    step = jax.jit(chex.assert_max_traces(env.step_chunk, n=1))
    return jax.jit(env.start), step, jax.jit(draw)


@pytest.fixture(scope="module")
def begun(world, programs):
    """Fresh episodes of the first scenes, every term on."""
    _, batch = world
    return programs[0](batch, jax.random.split(jax.random.key(4), N))


# Ranges ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mass": -0.1}, "mass is -0.1"),
        ({"mass": 1.0}, r"mass is 1.0: give 0 ... 0.95"),
        ({"textures": 1.5}, "textures is 1.5"),
        ({"latency": math.nan}, "latency is nan"),
        ({"light_cone": 1.4}, "light_cone is 1.4"),
        ({"colour": 0.3}, "colour is 0.3"),
        ({"blur": 0.9}, "blur is 0.9"),
        ({"ambient_low": 0.7}, "ambient_low 0.7 is above ambient_high 0.6"),
        ({"workspace": (0.3, 0.2, 0.0, 0.1)}, "workspace is"),
    ],
)
def test_impossible_ranges_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        Randomization(**values)


@pytest.mark.parametrize(("name", "longest"), [("latency", 0.04), ("delay", 0.1)])
def test_delays_must_fit_the_control_period(name, longest):
    """At 10 Hz a command must start within 0.04 s, or its ramp would be cut off."""
    vj.EnvConfig(control_hz=10.0, randomization=Randomization(**{name: longest}))
    with pytest.raises(ValueError, match=f"{name} is .* at 10.0 control steps a second"):
        vj.EnvConfig(control_hz=10.0, randomization=Randomization(**{name: longest + 0.01}))


# Terms beyond the paper's list, and the fields of an episode that each may change.
TERMS = {
    "light_cone": "light_direction",
    "light_intensity": "diffuse",
    "light_colour": "diffuse",
    "fill": "fill",
    "textures": "backdrop",
    "surfaces": "paint",
    "colour": "tint",
    "camera_turn": "camera_turn",
    "camera_fov": "camera_fov",
    "blur": "blur",
    "jpeg": "jpeg",
    "mass": "dynamics",
    "friction": "dynamics",
    "stiffness": "dynamics",
    "damping": "dynamics",
    "latency": "dynamics",
    "delay": "delay",
}


@pytest.fixture(scope="module")
def drawn(world):
    """Episodes of the default terms, of all terms, and of the default terms with one more each."""
    env, batch = world
    ranges = {"plain": Randomization(), "full": FULL}
    ranges |= {term: Randomization(**{term: getattr(FULL, term)}) for term in TERMS}

    @jax.jit
    def draw(batch, keys):
        return {name: draw_episode(env.rig, batch, r, keys) for name, r in ranges.items()}

    return draw(batch, jax.random.split(jax.random.key(1), 512))


def test_each_term_draws_its_own_field_only(drawn):
    """A term that is on leaves all other draws as they were, to the bit; off it draws nothing."""
    plain = drawn["plain"]
    optional = {f.name for f in dataclasses.fields(plain) if getattr(plain, f.name) is None}
    assert optional == set(TERMS.values())
    for term, field in TERMS.items():
        episode = drawn[term]
        assert getattr(episode, field) is not None
        chex.assert_trees_all_equal(replace(episode, **{field: None}), plain)
        if field == "dynamics":
            others = replace(episode.dynamics, **{term: None})
            for name in ("mass", "friction", "stiffness", "damping"):
                assert name == term or bool((getattr(others, name) == 1.0).all())


def test_samples_lie_in_their_ranges_and_fill_them(drawn):
    e = drawn["full"]
    assert e.dynamics is not None and e.light_direction is not None
    ranges = {
        "camera": (e.camera, -FULL.camera, FULL.camera),
        "ambient": (e.ambient, 0.0, 0.6),
        "diffuse": (e.diffuse, 0.75 * 0.7 * 0.9, 0.75 * 1.3 * 1.1),
        "fill": (e.fill, 0.0, FULL.fill),
        "paint": (e.paint, -FULL.surfaces, FULL.surfaces),
        "tint": (e.tint, -FULL.colour, FULL.colour),
        "blur": (e.blur, 0.0, FULL.blur),
        "jpeg": (e.jpeg, 100.0 - FULL.jpeg, 100.0),
        "turn": (e.camera_turn, -FULL.camera_turn, FULL.camera_turn),
        "fov": (e.camera_fov, 0.95, 1.05),
        "mass": (e.dynamics.mass, 0.7, 1.3),
        "friction": (e.dynamics.friction, 0.7, 1.3),
        "stiffness": (e.dynamics.stiffness, 0.85, 1.15),
        "damping": (e.dynamics.damping, 0.7, 1.3),
        "latency": (e.dynamics.latency, 0.0, FULL.latency),
        "delay": (e.delay, 0.0, FULL.delay),
    }
    for name, (values, low, high) in ranges.items():
        x = np.asarray(values)
        slack = 1e-6 * max(1.0, abs(high))
        assert x.min() >= low - slack and x.max() <= high + slack, name
        assert x.max() - x.min() > 0.8 * (high - low), name
    # A cone: cos of the angle to the usual light is uniform, so half lie beyond its mean.
    axis = np.array(LIGHT_DIRECTION) / np.linalg.norm(LIGHT_DIRECTION)
    cos = np.asarray(e.light_direction) @ axis
    np.testing.assert_allclose(np.linalg.norm(e.light_direction, axis=1), 1.0, atol=1e-5)
    assert cos.min() >= math.cos(FULL.light_cone) - 1e-6
    assert abs(cos.mean() - 0.5 * (1.0 + math.cos(FULL.light_cone))) < 0.01
    assert float(e.light_direction[:, 2].max()) < 0.0  # never from below the table
    # Half of the episodes borrow their look, always from another scene of the batch.
    swapped = np.asarray(e.backdrop != e.scene)
    assert abs(swapped.mean() - FULL.textures) < 0.1
    assert set(np.asarray(e.backdrop)) == {0, 1, 2}


# Pictures ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_looks_change_colours_and_cameras_change_views(world, programs, begun):
    """Light, tint and backdrop leave every pixel's geom; turn and field of view move them."""
    _, batch = world
    drawn = begun.episode
    plain = replace(drawn, light_direction=None, diffuse=None)
    same = replace(  # all fields present, at the values that change nothing
        drawn,
        light_direction=light_of(plain).direction,
        diffuse=light_of(plain).diffuse,
        fill=jnp.zeros(N),
        backdrop=drawn.scene,
        paint=jnp.zeros_like(drawn.paint),
        tint=jnp.zeros_like(drawn.tint),
        camera_turn=jnp.zeros((N, 2, 3)),
        camera_fov=jnp.ones((N, 2)),
    )

    def look(**changes):
        image = programs[2](batch, replace(same, **changes), drawn.qpos)
        return np.asarray(image.rgb), np.asarray(image.segmentation)

    rgb, segment = look()
    table = segment == SEGMENT_TABLE
    for name in ("light_direction", "diffuse", "fill", "tint"):
        rgb2, segment2 = look(**{name: getattr(drawn, name)})
        np.testing.assert_array_equal(segment2, segment)
        assert np.any(rgb2 != rgb), name
        if name == "tint":  # objects and robot only: the table is lit as before
            np.testing.assert_array_equal(rgb2[table], rgb[table])
    things = segment >= 0
    for change in ({"backdrop": (drawn.scene + 1) % 3}, {"paint": drawn.paint}):
        rgb2, segment2 = look(**change)
        np.testing.assert_array_equal(segment2, segment)
        np.testing.assert_array_equal(rgb2[things], rgb[things])
        assert np.mean(rgb2[table] != rgb[table]) > 0.5
    for name in ("camera_turn", "camera_fov"):
        _, segment2 = look(**{name: getattr(drawn, name)})
        assert np.any(segment2 != segment), name


def test_camera_turn_and_field_of_view(world, begun):
    """A turn of 0.1 rad about the camera's own x axis tilts its view up by just that."""
    env, _ = world
    xpos = jnp.zeros((N, env.rig.wrist_body + 1, 3))
    xmat = jnp.broadcast_to(jnp.eye(3), (*xpos.shape, 3))
    turn = jnp.zeros((N, 2, 3)).at[:, 1, 0].set(0.1)
    moved = replace(
        begun.episode, camera_turn=turn, camera_fov=jnp.tile(jnp.array([1.1, 0.9]), (N, 1))
    )
    plain = replace(begun.episode, camera_turn=None, camera_fov=None)
    for wrist, angle, factor in ((False, 0.0, 1.1), (True, 0.1, 0.9)):
        position, mat, fovy = camera_of(env.rig, plain, xpos, xmat, wrist=wrist)
        position2, mat2, fovy2 = camera_of(env.rig, moved, xpos, xmat, wrist=wrist)
        np.testing.assert_array_equal(position2, position)
        np.testing.assert_allclose(fovy2, fovy * factor, rtol=1e-6)
        np.testing.assert_allclose(mat2[..., 0], mat[..., 0], atol=1e-5)
        # It looks along -z: up is towards its old y axis.
        expected = math.cos(angle) * mat[..., 2] - math.sin(angle) * mat[..., 1]
        np.testing.assert_allclose(mat2[..., 2], expected, atol=1e-5)


def test_blur_of_an_edge_and_of_a_point():
    """Worked out by hand: s = 0.8 has the weights 0.32, 0.36, 0.32."""
    image = np.zeros((3, 6, 6, 3), np.uint8)
    image[0, :, 3:], image[1, 2, 2, 1], image[2, 2, 2, 1] = 100, 250, 250
    seen = np.asarray(add_blur(jnp.asarray(image), jnp.array([0.8, 0.8, 0.0])))
    np.testing.assert_array_equal(seen[0, :, :, 0], [[0, 0, 32, 68, 100, 100]] * 6)
    weights = 250.0 * np.outer([0.32, 0.36, 0.32], [0.32, 0.36, 0.32])
    np.testing.assert_allclose(seen[1, 1:4, 1:4, 1], weights, atol=0.5)
    assert seen[1].sum() == seen[1, 1:4, 1:4, 1].sum()
    np.testing.assert_array_equal(seen[2], image[2])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 24)])
def test_jpeg_is_what_libjpeg_makes(height, width):
    """Smooth pictures with edges and noise, at four qualities, beside Pillow's."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width]
    wave = 128 + 90 * np.sin(x / 5.0)[..., None] * np.cos(y / 7.0)[..., None] * [1.0, 0.4, -0.8]
    wave[10:20, 5:15] = (200, 30, 40)
    wave = wave + rng.normal(0.0, 6.0, wave.shape)
    images = np.stack([np.clip(wave, 0, 255).astype(np.uint8)] * 4)
    qualities = (95, 70, 50, 20)
    seen = np.asarray(add_jpeg(jnp.asarray(images), jnp.array(qualities, jnp.float32)))
    for own, quality in zip(seen.astype(int), qualities, strict=True):
        expected = compressed(images[:1], quality)[0].astype(int)
        lost = np.abs(expected - images[0]).mean()
        # What is left is rounding: libjpeg keeps whole numbers between its stages.
        assert np.abs(own - expected).mean() < min(1.5, 0.3 * lost), quality
        assert np.abs(own - expected).max() < 32


def test_image_noise_is_gaussian_and_a_function_of_episode_and_time():
    image = jnp.full((4, 64, 64, 3), 128, jnp.uint8)
    keys = jax.random.key_data(jax.random.split(jax.random.key(3), 4))
    time = jnp.array([0, 0, 5, 5])
    seen = add_noise(image, keys, time, 0, 3.0)
    noise = np.asarray(seen, float) - 128.0
    n = noise.size
    # Rounding to whole steps adds a variance of 1/12.
    assert noise.std() == pytest.approx(math.sqrt(9.0 + 1.0 / 12.0), rel=4.0 / math.sqrt(2 * n))
    assert abs(noise.mean()) < 4 * 3.0 / math.sqrt(n)
    assert (noise**4).mean() / noise.var() ** 2 == pytest.approx(3.0, abs=0.1)  # as of a Gaussian
    flat = noise.reshape(4, -1)
    for a, b in ((flat[:, 1:], flat[:, :-1]), (flat[:, 192:], flat[:, :-192]), (flat[0], flat[1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.03
    np.testing.assert_array_equal(seen, add_noise(image, keys, time, 0, 3.0))
    for other in (add_noise(image, keys, time + 1, 0, 3.0), add_noise(image, keys, time, 1, 3.0)):
        assert float((other != seen).mean()) > 0.8
    dark = add_noise(jnp.zeros_like(image), keys, time, 0, 3.0)
    assert int(dark.max()) < 30  # clipped, not wrapped around


# Replay ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_replay_is_exact_through_a_reset(world, programs, begun):
    """From the record alone: the same pictures, rewards and next episodes, to the bit."""
    env, batch = world
    _, step, _ = programs
    actions = jax.random.uniform(jax.random.key(9), (6, N, 1, 7), minval=-1.0, maxval=1.0)

    def play(state):
        seen, states = [], [state]
        for action in actions:
            state, out = step(batch, state, action)
            seen.append(out)
            states.append(state)
        return seen, states

    first, states = play(begun)
    record = jax.tree.map(np.asarray, begun.episode)  # plain arrays, as from a file
    # `env.replay` starts like this and then looks.
    again, states_again = play(jax.jit(env.begin)(batch, jax.tree.map(jnp.asarray, record)))
    chex.assert_trees_all_equal(again, first)
    chex.assert_trees_all_equal(states_again, states)
    assert bool(first[3].truncated.all())  # all were cut off after four steps, and went on
    old, new = states[0].episode, states[4].episode
    for name in ("tint", "fill", "delay", "light_direction", "camera_fov", "key"):
        assert np.all(getattr(new, name) != getattr(old, name)), name
    assert bool((new.dynamics.mass != old.dynamics.mass).all())
    chex.assert_trees_all_equal(states[4].physics.dynamics, new.dynamics)
    assert not np.array_equal(new.qpos, old.qpos)
    assert first[0].info["saturated"].tolist() == [False] * N


def test_replay_needs_the_same_terms(world, begun):
    env, batch = world
    state, obs = jax.eval_shape(env.replay, batch, begun.episode)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, begun)
    assert obs.image.shape == (N, 32, 32, 3)
    with pytest.raises(ValueError, match="the recorded episode has no tint"):
        env.replay(batch, replace(begun.episode, tint=None))


# Observation delay -------------------------------------------------------------------------------


def test_interpolated_poses():
    """Half way: joints and positions in the middle, a quarter turn from a half turn; q = -q."""
    quarter = math.sqrt(0.5)
    start = jnp.array([[0.2, 1.0, 2.0, 3.0, 1.0, 0.0, 0.0, 0.0]] * 2)
    end = jnp.array([[0.4, 2.0, 2.0, 1.0, 0.0, 0.0, 0.0, 1.0]] * 2)
    end = end.at[1, 4:].set(jnp.array([-1.0, 0.0, 0.0, 0.0]))  # the same orientation as at start
    middle = interpolate_poses(start, end, jnp.array([0.5, 0.5]), 1)
    np.testing.assert_allclose(
        middle[0], [0.3, 1.5, 2.0, 2.0, quarter, 0.0, 0.0, quarter], atol=1e-6
    )
    np.testing.assert_allclose(middle[1, 4:], [1.0, 0.0, 0.0, 0.0], atol=1e-6)


def test_delayed_observation_shows_the_earlier_configuration(world, programs, begun):
    """With a delay of a whole period the observation is that of one control step ago."""
    env, batch = world
    _, step, draw = programs
    period = 1.0 / env.config.control_hz
    episode = replace(begun.episode, delay=jnp.full_like(begun.episode.delay, period))
    action = jnp.ones((N, 1, 7)).at[..., 3:6].set(0.0)
    before, _ = step(batch, replace(begun, episode=episode), action)
    after, out = step(batch, before, action)
    arm = slice(0, env.rig.num_arm)
    now, old = after.physics.qpos[:, arm], before.physics.qpos[:, arm]
    assert float(jnp.abs(now - old).max(axis=1).min()) > 0.02
    np.testing.assert_array_equal(after.previous, before.physics.qpos)
    # Proprioception and picture: as if the world were the earlier one.
    np.testing.assert_allclose(out.observation.proprio[:, arm], old, atol=1e-6)
    pictures = {}
    for name, qpos in (("old", before.physics.qpos), ("now", after.physics.qpos)):
        clean = draw(batch, episode, qpos).rgb
        clean = add_blur(clean, episode.blur)
        noisy = add_noise(clean, episode.key, after.time, 0, FULL.image_noise)
        noisy = add_jpeg(noisy, episode.jpeg)
        pictures[name] = np.mean(np.asarray(noisy) != np.asarray(out.observation.image))
    assert pictures["old"] < 0.005 and pictures["now"] > 0.02

    def seen(state, fraction):
        delay = jnp.full(N, fraction * period)
        state = replace(state, episode=replace(state.episode, delay=delay))
        return seen_qpos(env.rig, state, env.config.control_hz)

    np.testing.assert_allclose(seen(after, 0.0)[:, arm], now, atol=1e-7)
    np.testing.assert_allclose(seen(after, 0.25)[:, arm], 0.75 * now + 0.25 * old, atol=1e-6)
    # At the start nothing is older, whatever `previous` holds.
    stale = replace(begun, previous=jnp.zeros_like(begun.previous))
    np.testing.assert_allclose(seen(stale, 1.0), begun.physics.qpos, atol=1e-6)
    # What the auxiliary targets say is where things are in the picture.
    there = replace(after, physics=replace(after.physics, qpos=before.physics.qpos))
    there = replace(there, episode=replace(there.episode, delay=jnp.zeros(N)))
    located = jax.jit(env.located)
    np.testing.assert_allclose(located(batch, after), located(batch, there), atol=1e-4)


# Dynamics on the host ----------------------------------------------------------------------------


def _dynamics(batch, num: int, **changes) -> Dynamics:
    one = jnp.ones(num)
    plain = Dynamics(jnp.ones((num, batch.num_objects)), one, one, one, jnp.zeros(num))
    return replace(plain, **changes)


def _moved_ctrl(batch, num: int) -> jax.Array:
    ctrl = batch.qpos0[jnp.zeros(num, int), : batch.nu]
    return ctrl.at[:, :6].add(jnp.array([0.1, 0.1, -0.1, 0.1, 0.1, -0.1]))


def test_native_dynamics_are_those_of_a_changed_model(world):
    """Against `mj_step` on models whose fields are changed here, scene by scene."""
    _, batch = world
    index, num = [0, 1, 2, 1], 4
    rng = np.random.default_rng(0)
    mass = rng.uniform(0.6, 1.5, (num, batch.num_objects)).astype(np.float32)
    friction, stiffness, damping = rng.uniform(0.6, 1.4, (3, num)).astype(np.float32)
    dynamics = Dynamics(*map(jnp.asarray, (mass, friction, stiffness, damping, np.zeros(num))))
    scene = jnp.asarray(index)
    # Objects start in the air, so that they fall, hit and slide.
    qpos = batch.qpos0[scene].at[:, 10::7].add(0.005)
    qpos = qpos.at[:, :8].set(batch.qpos0[scene, :8])
    qvel = jnp.zeros((num, batch.nv)).at[:, 8::6].set(0.8)
    state = replace(NATIVE.init(batch, scene, qpos, dynamics), qvel=qvel)
    ctrl = _moved_ctrl(batch, num)
    start = np.asarray(state.ctrl, np.float64)
    after = NATIVE.step(batch, state, ctrl, SUBSTEPS)
    plain = NATIVE.step(batch, replace(state, dynamics=None), ctrl, SUBSTEPS)
    for i, s in enumerate(index):
        model = copy.copy(host_scenes(int(batch.handle)).models[s])
        for k, body in enumerate(batch.object_bodies):
            model.body_mass[body] *= float(mass[i, k])
            model.body_inertia[body] *= float(mass[i, k])
        model.geom_friction[:, 0] *= float(friction[i])
        model.actuator_gainprm[:, 0] *= float(stiffness[i])
        model.actuator_biasprm[:, 1] *= float(stiffness[i])
        model.actuator_biasprm[:, 2] *= float(damping[i])
        model.dof_damping[:] *= float(damping[i])
        data = mujoco.MjData(model)
        mujoco.mj_setConst(model, data)
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = qpos[i], qvel[i]
        old, new = start[i], np.asarray(ctrl[i], np.float64)
        for k in range(SUBSTEPS):
            data.ctrl[:] = old + min(1.0, (k + 1) / 6.0) * (new - old)
            mujoco.mj_step(model, data)
        np.testing.assert_allclose(after.qpos[i], data.qpos, atol=1e-6)
        np.testing.assert_allclose(after.qvel[i], data.qvel, atol=1e-5)
    change = np.abs(np.asarray(after.qpos - plain.qpos))
    assert change[:, :8].max() > 2e-4 and change[:, 8:11].max() > 5e-3  # and they do matter


def test_mass_factor_and_what_follows_from_it(world):
    """Twice the mass: half the inverse weights of that body, and nothing else moves."""
    _, batch = world
    model = host_scenes(int(batch.handle)).models[0]
    body, k = batch.object_bodies[1], batch.num_objects
    row = np.ones(k + 4)
    row[1] = 2.0
    bodies = np.array(batch.object_bodies)
    own, scratch = copy.copy(model), mujoco.MjData(model)
    vary_model(own, model, 3.0 * row, bodies, scratch)  # must leave no trace
    vary_model(own, model, row, bodies, scratch)
    dofs = slice(int(model.body_dofadr[body]), int(model.body_dofadr[body]) + 6)
    factors = {
        "body_mass": ([body], 2.0),
        "body_inertia": ([body], 2.0),
        "body_invweight0": ([body], 0.5),
        "dof_invweight0": (dofs, 0.5),
        "dof_M0": (dofs, 2.0),
    }
    for name, (rows, factor) in factors.items():
        expected = np.array(getattr(model, name))
        expected[rows] *= factor
        np.testing.assert_allclose(getattr(own, name), expected, rtol=1e-9, err_msg=name)
    subtree = np.array(model.body_subtreemass)
    subtree[[0, body]] += model.body_mass[body]
    np.testing.assert_allclose(own.body_subtreemass, subtree, rtol=1e-12)
    for name in ("geom_friction", "actuator_gainprm", "actuator_biasprm", "dof_damping"):
        np.testing.assert_array_equal(getattr(own, name), getattr(model, name))


def test_dynamics_of_one_are_the_plain_scene_and_models_are_not_mixed_up(world):
    """Bit-equal to no dynamics; alternating between dynamics gives each its own result."""
    _, batch = world
    scene = jnp.array([0, 2, 1])
    ctrl = _moved_ctrl(batch, 3)

    def run(dynamics, scene=scene):
        state = NATIVE.init(batch, scene, batch.qpos0[scene], dynamics)
        return np.asarray(NATIVE.step(batch, state, ctrl, SUBSTEPS).qpos)

    plain, ones = run(None), run(_dynamics(batch, 3))
    np.testing.assert_array_equal(ones, plain)
    soft = _dynamics(batch, 3, stiffness=jnp.array([1.0, 0.7, 1.0]))
    first = run(soft)
    np.testing.assert_array_equal(first[[0, 2]], plain[[0, 2]])
    assert not np.array_equal(first[1], plain[1])
    run(soft, jnp.array([0, 0, 1]))
    np.testing.assert_array_equal(run(_dynamics(batch, 3)), plain)
    np.testing.assert_array_equal(run(soft), first)
    with pytest.raises(Exception, match="the dynamics of environment 2 are .* must be positive"):
        jax.block_until_ready(run(_dynamics(batch, 3, friction=jnp.array([1.0, 1.0, 0.0]))))


def test_latency_delays_the_motion_by_that_many_substeps(world):
    """Two substeps of latency in ten: targets at 0, 0, 1/6 ... 5/6, 1, 1, 1 of the way."""
    _, batch = world
    scene = jnp.zeros(3, jnp.int32)
    dynamics = _dynamics(batch, 3, latency=TIMESTEP * jnp.array([0.0, 2.0, 4.0]))
    state = NATIVE.init(batch, scene, batch.qpos0[scene], dynamics)
    ctrl = _moved_ctrl(batch, 3)
    after = np.asarray(NATIVE.step(batch, state, ctrl, SUBSTEPS).qpos)
    fractions = [
        [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1, 1, 1],
        [0, 0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1],
        [0, 0, 0, 0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1],
    ]
    model = host_scenes(int(batch.handle)).models[0]
    for i, row in enumerate(fractions):
        data = mujoco.MjData(model)
        data.qpos[:] = batch.qpos0[0]
        for fraction in row:
            old, new = np.asarray(state.ctrl[i], float), np.asarray(ctrl[i], float)
            data.ctrl[:] = old + fraction * (new - old)
            mujoco.mj_step(model, data)
        np.testing.assert_allclose(after[i, :8], data.qpos[:8], atol=2e-6)
    moved = np.abs(after[:, :6] - np.asarray(batch.qpos0[0, :6])).max(axis=1)
    assert moved[0] > moved[1] > moved[2] > 0.0


def test_full_contact_memory_is_reported_and_the_step_finished(world, scenes):
    """Without memory for constraints MuJoCo drops them: objects fall freely, and it is said."""
    env, batch = world
    spec = scene_spec(scenes[0], batch.template, env.rig.robot, TIMESTEP, OPTIONS)
    spec.memory = 20_000
    model = compile_spec(spec)
    handle = register_models(("little memory",), lambda: ([model], np.asarray(batch.qpos0[:1])))
    scene = jnp.zeros(2, jnp.int32)
    small = replace(batch, handle=jnp.int32(handle))
    state = NATIVE.init(small, scene, batch.qpos0[scene])
    after = NATIVE.step(small, state, state.ctrl, SUBSTEPS)
    assert bool(after.saturated.all()) and bool(after.finite.all())
    # Euler steps of free fall: g dt^2 (1 + 2 + ... + 10).
    fall = state.qpos[:, 10] - after.qpos[:, 10]
    np.testing.assert_allclose(fall, 9.81 * TIMESTEP**2 * 55, rtol=1e-3)
    whole = NATIVE.step(batch, state, state.ctrl, SUBSTEPS)
    assert not bool(whole.saturated.any())


# Cameras in things -------------------------------------------------------------------------------


def test_camera_inside_something_is_refused(world, scenes):
    env, batch = world
    robot = env.rig.robot

    def rig_at(*pos):
        camera = replace(robot.fixed_camera, pos=pos)
        return replace(env.rig, robot=replace(robot, fixed_camera=camera))

    check_camera(env.rig, batch)
    x, y = np.asarray(batch.qpos0[2, 8:10], float)
    name = scenes[2].objects[0].name
    with pytest.raises(ValueError, match=f"scene 2 .*lies inside object '{name}'"):
        check_camera(rig_at(float(x), float(y), 0.01), batch, scenes)
    with pytest.raises(ValueError, match="scene 0.*inside the table"):
        check_camera(rig_at(0.4, 0.5, -0.01), batch)
