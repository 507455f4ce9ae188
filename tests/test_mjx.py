"""MJX's side of a scene batch: constants per scene, room for contacts, refusals, latency, Warp."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from test_physics import ROBOT, make_batch, make_scene

from generation.compile import SPECK
from generation.designer import design
from sim.physics import get_physics
from sim.physics.base import Dynamics, ramp
from sim.physics.import_mjx import mjx
from sim.physics.latency import delayed_ramp
from sim.physics.mjx import advance
from sim.physics.mjx_capacity import Capacity
from sim.physics.mjx_contacts import collide, penetrating
from sim.physics.mjx_dynamics import scaled_fields
from sim.physics.mjx_fields import FIELDS
from sim.physics.registry import host_scenes
from sim.scene_batch import OPTIONS, TIMESTEP, build_scene_batch, scene_spec

# Colours, and the start of free joints (their poses are state): not physics of a step. Sensors and
# numbers for MJX itself are not the scenes'.
LENT = ("geom_rgba", "qpos0", "qpos_spring", "sensor_", "numeric_")


@pytest.fixture(scope="module")
def varied():
    """Two to six objects of many families, and their batch."""
    scenes = design(["put something in a container", "put something on something"], n=6, seed=5,
                    difficulty="full")  # fmt: skip
    return scenes, build_scene_batch(scenes, ROBOT, np.ones((6, 1, 1), np.int32), mjx=True)


def alone(scene, template) -> mujoco.MjModel:
    """The scene's own model, compiled without the batch; derived constants computed once more."""
    model = scene_spec(scene, template, ROBOT, TIMESTEP, OPTIONS).compile()
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def test_every_constant_is_the_scene_s_own(varied) -> None:
    """All float fields of MJX's model that differ between scenes are gathered, and are right."""
    scenes, batch = varied
    arrays = batch.mjx
    own = [alone(scene, batch.template) for scene in scenes]
    names = [f.name for f in dataclasses.fields(mjx.Model)]
    for name in names:
        values = [getattr(model, name, None) for model in own]
        if not isinstance(values[0], np.ndarray) or values[0].dtype.kind != "f":
            continue
        if name.startswith(LENT):
            continue
        shared = np.asarray(getattr(arrays.model, name))
        for scene, value in enumerate(values):
            ours = np.asarray(arrays.fields[name][scene]) if name in FIELDS else shared
            value = value.reshape(ours.shape)
            if name == "geom_rbound":  # fillers lose every ranking by bounding spheres
                real = own[scene].geom_size[:, 0] != SPECK
                assert (ours[~real] < -100.0).all()
                ours, value = ours[real], value[real]
            np.testing.assert_allclose(ours, value, rtol=2e-5, atol=1e-9, err_msg=name)


def test_capacity_by_hand() -> None:
    """A block, a tray with a bar and a ball.

    On the table: block 4, tray 4, ball 1. In the fingers: an edge of the block, 2 points, at each,
    as it is gripped at 0.3 rad. On the tray: 4. So there are (4 + 1) of the others + 4 + 4 + 8 for
    the finger tips = 21, rounded up to 24.
    """
    batch = make_batch([make_scene(0)], mjx=True)
    assert batch.mjx is not None and batch.mjx.capacity == Capacity(pairs=16, contacts=24)


def test_capacity_is_bounded_and_can_be_given(varied) -> None:
    _, batch = varied
    assert 16 <= batch.mjx.capacity.pairs <= 64 and 16 <= batch.mjx.capacity.contacts <= 96
    given = make_batch([make_scene(2)], mjx=True, capacity=Capacity(8, 24))
    assert given.mjx.data._impl.contact.dist.shape == (24,)


@pytest.mark.slow
def test_contacts_are_mujocos_and_overflow_is_seen() -> None:
    """A tilted block, a tray pressed into the table and a ball in it: 7 contacts, room for 6."""
    batch = make_batch([make_scene(0)], mjx=True, capacity=Capacity(16, 6))
    scenes, model = batch.mjx, host_scenes(int(batch.handle)).models[0]
    one = scenes.model.replace(**{name: x[0] for name, x in scenes.fields.items()})
    qpos = np.array(batch.qpos0[0], np.float64)
    qpos[10], qpos[11:15] = 0.001, (np.cos(0.06), np.sin(0.06), 0.0, 0.0)
    qpos[17] = -1e-4
    qpos[22:25] = *(qpos[15:17] + (-0.02, 0.01)), 0.0075
    reference = mujoco.MjData(model)
    reference.qpos[:] = qpos
    mujoco.mj_forward(model, reference)
    dist = reference.contact.dist
    assert (dist < 0).sum() == 7

    @jax.jit
    def contacts(model: mjx.Model, data: mjx.Data, qpos: jax.Array):
        data = mjx.com_pos(model, mjx.kinematics(model, data.replace(qpos=qpos)))
        data, full = collide(model, data, scenes.capacity)
        return data._impl.contact.dist, data._impl.contact.pos, penetrating(data), full

    ours, points, touching, full = contacts(one, scenes.data, jnp.asarray(qpos))
    assert full and touching.all()
    deepest = np.argsort(dist)[:6]
    np.testing.assert_allclose(np.sort(ours), dist[deepest], atol=1e-6)
    for point in points:
        assert np.linalg.norm(reference.contact.pos - point, axis=1).min() < 1e-5


def test_scaled_fields_are_those_mujoco_computes(varied) -> None:
    """Mass and inertia of objects changed in the C model, then mj_setConst."""
    _, batch = varied
    arrays, bodies = batch.mjx, batch.object_bodies
    rng = np.random.default_rng(0)
    mass = rng.uniform(0.5, 2.0, (2, len(bodies))).astype(np.float32)
    one = jnp.ones(2)
    dynamics = Dynamics(jnp.asarray(mass), 0.5 * one, 1.5 * one, 2.0 * one, 0.0 * one)
    fields = {name: x[jnp.array([1, 4])] for name, x in arrays.fields.items()}
    scaled = scaled_fields(arrays.model, fields, dynamics, bodies)
    for row, scene in enumerate((1, 4)):
        model = copy.copy(host_scenes(int(batch.handle)).models[scene])
        model.body_mass[list(bodies)] *= mass[row]
        model.body_inertia[list(bodies)] *= mass[row][:, None]
        model.geom_friction[:, 0] *= 0.5
        model.actuator_gainprm[:, 0] *= 1.5
        model.actuator_biasprm[:, 1] *= 1.5
        model.actuator_biasprm[:, 2] *= 2.0
        model.dof_damping[:] *= 2.0
        mujoco.mj_setConst(model, mujoco.MjData(model))
        for name, values in scaled.items():
            if name != "geom_rbound":
                ours, theirs = np.asarray(values[row]), getattr(model, name)
                theirs = theirs.reshape(ours.shape)
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-9, err_msg=name)


def test_latency_shifts_the_ramp() -> None:
    """10 substeps of 20 ms reach the target after 6; 40 ms of latency after 8; 0.2 s never."""
    late = np.array([0.0, 0.04, 0.2])
    fractions = delayed_ramp(10, 0.02, late)
    np.testing.assert_array_equal(fractions[0], ramp(10))
    np.testing.assert_allclose(fractions[1], np.clip((np.arange(10) - 1) / 6, 0, 1), atol=1e-12)
    assert not fractions[2].any()
    np.testing.assert_allclose(delayed_ramp(10, 0.02, jnp.asarray(late)), fractions, atol=1e-6)


def test_what_mjx_cannot_collide_is_refused_by_name() -> None:
    scene = make_scene(0)
    tray = scene.objects[1]
    # Scenes refuse colliding cylinders themselves; this one comes from elsewhere.
    round_bar = tray.parts[1].model_copy(update={"shape": "cylinder"})
    tray = tray.model_copy(update={"parts": (tray.parts[0], round_bar)})
    scene = scene.model_copy(update={"objects": (scene.objects[0], tray, scene.objects[2])})
    make_batch([scene])  # MuJoCo can
    with pytest.raises(ValueError, match="cannot collide a cylinder with a box") as error:
        make_batch([scene], mjx=True)
    for words in (scene.id, "part 1 of object 'tray'", "robot_forearm", 'backend="native"'):
        assert words in str(error.value)


@pytest.mark.slow
def test_a_step_without_dynamics_traces() -> None:
    batch = make_batch([make_scene(0), make_scene(1)], mjx=True)
    index = jnp.arange(2)
    state = get_physics("mjx").init(batch, index, batch.qpos0[index])
    data, full = jax.eval_shape(lambda b, s: advance(b, s, s.ctrl, 3), batch, state)
    assert data.qpos.shape == state.qpos.shape and full.shape == (2,)


def test_warp_is_refused_where_it_is_not_installed(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'vla-jax\[warp\]'"):
        get_physics("mjx-warp")
    with pytest.raises(ValueError, match="warp-lang, which is not installed"):
        make_batch([make_scene()], mjx="warp")


@pytest.mark.slow
def test_warp_steps_different_scenes_like_mujoco() -> None:
    """Objects dropped by 1 cm in three scenes side by side: within 0.01 mm after 0.3 s."""
    pytest.importorskip("warp")
    physics = get_physics("mjx-warp")
    batch = make_batch([make_scene(i) for i in range(3)], mjx="warp")
    index = jnp.array([2, 0, 1, 0])
    state = physics.init(batch, index, batch.qpos0[index].at[:, 10::7].add(0.01))
    step = jax.jit(lambda b, s: physics.step(b, s, s.ctrl, 5))
    ours, native = state, state
    for _ in range(3):
        ours = step(batch, ours)
        native = get_physics("native").step(batch, native, native.ctrl, 5)
    np.testing.assert_allclose(ours.qpos, native.qpos, atol=1e-5)
    np.testing.assert_array_equal(ours.contacts, native.contacts)
    assert ours.finite.all() and not ours.saturated.any()
    with pytest.raises(ValueError, match="mjx=True"):
        get_physics("mjx").step(batch, state, state.ctrl, 5)
