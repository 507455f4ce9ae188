"""Physics: the native engine against plain MuJoCo, purity, isolation of NaN, and MJX batches."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from generation.spec import (
    Background,
    Edge,
    Look,
    Node,
    ObjectSpec,
    Part,
    Role,
    SceneGraph,
    SceneSpec,
    TaskSpec,
)
from sim.physics import CONTACTS, PhysicsState, get_physics
from sim.physics.base import ramp
from sim.physics.registry import host_scenes, release
from sim.robots import get_robot
from sim.robots.kinematics import body_poses
from sim.scene_batch import SceneBatch, build_scene_batch

ROBOT = get_robot("widowx")
PHYSICS = get_physics("native")


def _object(name: str, role: Role, parts: tuple[Part, ...], x: float, y: float) -> ObjectSpec:
    return ObjectSpec(
        name=name,
        family=name,
        noun=name,
        role=role,
        parts=parts,
        density=500.0,
        friction=1.0,
        pos=(x, y, 0.0),
        grasp=(0.0, 0.0, 0.02, 0.3, 0.024),
        place=(0.0, 0.0, 0.008, 0.05),
        height=0.04,
        radius=0.03,
    )


def make_scene(variant: int = 0, distractor: bool = True) -> SceneSpec:
    """A block, a tray and a ball; variants differ in shape, size and place."""
    half = 0.011 + 0.002 * variant
    block = Part(shape="box", size=(half, half, 0.02), pos=(0.0, 0.0, 0.02), texture="wood")
    tray = (
        Part(shape="box", size=(0.05 + 0.005 * variant, 0.05, 0.004), pos=(0.0, 0.0, 0.004)),
        Part(shape="capsule", size=(0.005, 0.04, 0.0), pos=(0.045, 0.0, 0.012),
             quat=(math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)),
    )  # fmt: skip
    ball = (Part(shape="sphere", size=(0.015, 0.0, 0.0), pos=(0.0, 0.0, 0.015)),)
    objects = [
        _object("block", "target", (block,), 0.24, 0.01 * variant),
        _object("tray", "receptacle", tray, 0.28, 0.15),
    ]
    if distractor:
        objects.append(_object("ball", "distractor", ball, 0.3, -0.12))
    nodes = tuple(Node(name=o.name, noun=o.noun, role=o.role, family=o.family) for o in objects)
    words = "put the block on the tray"
    return SceneSpec(
        graph=SceneGraph(
            nodes=nodes,
            relations=(),
            goal=Edge(subject="block", relation="on", object="tray"),
        ),
        objects=tuple(objects),
        task=TaskSpec(
            relation="on",
            target="block",
            receptacle="tray",
            instruction=words,
            paraphrases=(words,),
        ),
        table=Look(texture="checker"),
        background=Background(),
        seed=variant,
    )


def make_batch(scenes: list[SceneSpec], **options) -> SceneBatch:
    tokens = np.ones((len(scenes), 1, 4), np.int32)
    return build_scene_batch(scenes, ROBOT, tokens, **options)


@pytest.fixture(scope="module")
def batch() -> SceneBatch:
    return make_batch([make_scene(0), make_scene(1), make_scene(2, distractor=False)])


def _ctrl(num: int, seed: int = 0, spread: float = 0.15) -> jax.Array:
    rng = np.random.default_rng(seed)
    home = np.tile(ROBOT.home, (num, 1))
    home[:, :6] += spread * rng.normal(size=(num, 6))
    return jnp.asarray(home, jnp.float32)


def _start(batch: SceneBatch, index: list[int], physics=PHYSICS) -> PhysicsState:
    scene = jnp.asarray(index, jnp.int32)
    return physics.init(batch, scene, batch.qpos0[scene])


def _equal(a: PhysicsState, b: PhysicsState) -> bool:
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


# SceneBatch --------------------------------------------------------------------------------------


def test_batch_describes_the_scenes(batch: SceneBatch) -> None:
    assert (batch.num_scenes, batch.num_objects) == (3, 3)
    assert batch.nq == 8 + 3 * 7 and batch.nu == 8
    np.testing.assert_allclose(batch.qpos0[:, :8], np.tile(ROBOT.home, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(batch.qpos0[1, 8:11], [0.24, 0.01, 0.0], atol=1e-6)
    assert batch.object_active.tolist() == [[True] * 3, [True] * 3, [True, True, False]]
    assert len(batch.geom_types) == batch.geom_size.shape[1] == 10 + 4
    visible = dict(zip(batch.geom_names, np.asarray(batch.geom_visible[2]), strict=True))
    assert visible["robot_base"] and visible["object0_geom0"] and not visible["object2_geom0"]
    assert float(batch.object_grasp[0, 0, 4]) == pytest.approx(0.024)


def test_drawn_geoms_are_where_mujoco_has_them(batch: SceneBatch) -> None:
    xpos, xmat = body_poses(batch.tree, batch.qpos0)
    model = host_scenes(int(batch.handle)).models[1]
    data = mujoco.MjData(model)
    data.qpos[:] = batch.qpos0[1]
    mujoco.mj_kinematics(model, data)
    for i, name in enumerate(batch.geom_names):
        body = int(batch.geom_body[i])
        centre = xpos[1, body] + xmat[1, body] @ batch.geom_pos[1, i]
        np.testing.assert_allclose(centre, data.geom(name).xpos, atol=2e-6)


def test_bad_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="no scenes"):
        make_batch([])
    with pytest.raises(ValueError, match=r"instruction has shape \(1, 1, 4\)"):
        build_scene_batch([make_scene(), make_scene(1)], ROBOT, np.ones((1, 1, 4)))
    small = make_batch([make_scene(2, distractor=False)]).template
    with pytest.raises(ValueError, match="template"):
        make_batch([make_scene()], template=small)
    with pytest.raises(ValueError, match="unknown physics backend 'bullet'"):
        get_physics("bullet")


def test_equal_content_has_equal_handle(batch: SceneBatch) -> None:
    again = make_batch([make_scene(0), make_scene(1), make_scene(2, distractor=False)])
    assert int(again.handle) == int(batch.handle)
    assert int(make_batch([make_scene(1)]).handle) != int(batch.handle)


# Native engine -----------------------------------------------------------------------------------


def test_native_matches_plain_mujoco_with_different_scenes_side_by_side(batch: SceneBatch) -> None:
    index = [2, 0, 1, 0]
    state = _start(batch, index)
    state = dataclasses.replace(state, qpos=state.qpos.at[:, 10].add(0.02))  # drop the target
    ctrl = _ctrl(4)
    step = jax.jit(lambda b, s, c: PHYSICS.step(b, s, c, 10))
    after = state
    for _ in range(3):
        after = step(batch, after, ctrl)
    models = host_scenes(int(batch.handle)).models
    for i, scene in enumerate(index):
        model = models[scene]
        data = mujoco.MjData(model)
        data.qpos[:] = state.qpos[i]
        data.ctrl[:] = state.ctrl[i]
        for _ in range(3):
            old, new = data.ctrl.copy(), np.asarray(ctrl[i], float)
            for fraction in ramp(10):
                data.ctrl[:] = old + fraction * (new - old)
                mujoco.mj_step(model, data)
            for field in (data.qpos, data.qvel, data.qacc_warmstart):
                field[:] = field.astype(np.float32)  # what crosses the boundary is float32
        np.testing.assert_allclose(after.qpos[i], data.qpos, atol=1e-6)
        np.testing.assert_allclose(after.qvel[i], data.qvel, atol=1e-5)
        assert after.contacts[i].tolist() == (data.sensordata[:5] > 0).tolist()
    assert after.contacts[:, CONTACTS.index("target_table")].all()
    assert after.finite.all()


def test_contacts_name_the_finger_that_touches(batch: SceneBatch) -> None:
    state = _start(batch, [0, 0])
    model = host_scenes(int(batch.handle)).models[0]
    data = mujoco.MjData(model)
    data.qpos[:] = state.qpos[0]
    mujoco.mj_forward(model, data)
    finger = data.geom("robot_left_pad").xpos
    # First environment: the block hangs inside the left finger. Second: it stands in the tray.
    qpos = state.qpos.at[0, 8:11].set(jnp.asarray(finger) - jnp.array([0.0, 0.0, 0.02]))
    qpos = qpos.at[1, 8:11].set(state.qpos[1, 15:18] + jnp.array([0.0, 0.0, 0.0079]))
    after = PHYSICS.step(batch, dataclasses.replace(state, qpos=qpos), _ctrl(2, spread=0.0), 1)
    assert after.contacts[0].tolist() == [False, False, True, True, False]
    assert after.contacts[1].tolist() == [True, False, False, False, False]


def test_native_is_pure_whatever_ran_before(batch: SceneBatch) -> None:
    step = jax.jit(lambda b, s, c: PHYSICS.step(b, s, c, 5))
    state, ctrl = _start(batch, [0, 1, 2]), _ctrl(3)
    first = step(batch, state, ctrl)
    step(batch, _start(batch, [2, 2, 2]), _ctrl(3, seed=9, spread=1.0))
    step(batch, first, _ctrl(3, seed=7, spread=1.0))
    assert _equal(step(batch, state, ctrl), first)


def test_an_environment_moves_to_another_scene_by_its_index(batch: SceneBatch) -> None:
    step = jax.jit(lambda b, s, c: PHYSICS.step(b, s, c, 5))
    ctrl = _ctrl(3)
    plain = step(batch, _start(batch, [1, 1, 1]), ctrl)
    moved = step(batch, _start(batch, [1, 2, 1]), ctrl)
    alone = step(batch, _start(batch, [2, 2, 2]), ctrl)
    np.testing.assert_array_equal(moved.qpos[0], plain.qpos[0])
    np.testing.assert_array_equal(moved.qpos[1], alone.qpos[1])
    assert not np.array_equal(moved.qpos[1], plain.qpos[1])


def test_another_batch_of_equal_shape_needs_no_retrace(batch: SceneBatch) -> None:
    traces = []

    @jax.jit
    def run(batch: SceneBatch, state: PhysicsState, ctrl: jax.Array) -> PhysicsState:
        traces.append(1)
        body = lambda s, _: (PHYSICS.step(batch, s, ctrl, 5), None)  # noqa: E731
        return jax.lax.scan(body, state, length=2)[0]

    other = make_batch([make_scene(2), make_scene(3), make_scene(0)], template=batch.template)
    ctrl = _ctrl(2)
    one = run(batch, _start(batch, [0, 1]), ctrl)
    two = run(other, _start(other, [0, 1]), ctrl)
    assert len(traces) == 1
    assert not np.array_equal(one.qpos, two.qpos)
    assert _equal(run(batch, _start(batch, [0, 1]), ctrl), one)
    assert _equal(run(other, _start(other, [2, 0]), ctrl), run(other, _start(other, [2, 0]), ctrl))


def test_nan_stays_in_its_environment(batch: SceneBatch, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo would leave a log file here
    step = jax.jit(lambda b, s, c: PHYSICS.step(b, s, c, 5))
    ctrl, state = _ctrl(5), _start(batch, [0, 1, 2, 0, 1])
    clean = step(batch, state, ctrl)
    bad = dataclasses.replace(
        state,
        qpos=state.qpos.at[1, 9].set(jnp.nan),
        qvel=state.qvel.at[3, 10].set(1e20),
    )
    after = step(batch, bad, ctrl.at[2, 0].set(jnp.inf))
    assert after.finite.tolist() == [True, False, False, False, True]
    for i in (0, 4):
        np.testing.assert_array_equal(after.qpos[i], clean.qpos[i])
    for i in (1, 2, 3):
        np.testing.assert_allclose(after.qpos[i], state.qpos[i])
        assert not after.qvel[i].any() and not after.contacts[i].any()
    assert step(batch, after, ctrl).finite.all()
    assert not list(tmp_path.iterdir())


def test_a_released_batch_says_so() -> None:
    gone = make_batch([make_scene(5)])
    release(int(gone.handle))
    with pytest.raises(Exception, match="build_scene_batch"):
        jax.block_until_ready(PHYSICS.step(gone, _start(gone, [0]), _ctrl(1), 1))


def test_wrong_shapes_are_refused(batch: SceneBatch) -> None:
    state = _start(batch, [0, 1])
    with pytest.raises(ValueError, match=r"ctrl has shape \(3, 8\)"):
        PHYSICS.step(batch, state, _ctrl(3), 5)
    with pytest.raises(ValueError, match="n_substeps is 0"):
        PHYSICS.step(batch, state, _ctrl(2), 0)
    with pytest.raises(ValueError, match="qpos has shape"):
        PHYSICS.init(batch, jnp.zeros(2, jnp.int32), jnp.zeros((2, 5)))


# MJX ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mjx_batch() -> SceneBatch:
    return make_batch([make_scene(0), make_scene(1)], mjx=True)


def test_mjx_batches_of_equal_shape_have_one_structure(mjx_batch: SceneBatch) -> None:
    """Given template and room for contacts of another batch; else they follow the scenes."""
    same = {"template": mjx_batch.template, "capacity": mjx_batch.mjx.capacity}
    other = make_batch([make_scene(2), make_scene(3)], mjx=True, **same)
    assert jax.tree.structure(other) == jax.tree.structure(mjx_batch)


def test_mjx_needs_its_arrays(batch: SceneBatch) -> None:
    with pytest.raises(ValueError, match="mjx=True"):
        get_physics("mjx").step(batch, _start(batch, [0]), _ctrl(1), 1)
