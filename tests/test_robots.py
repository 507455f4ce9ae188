"""Robots: kinematics against MuJoCo, inverse kinematics, servo tracking."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import vla_jax as vj
from sim.expert import expert_action
from sim.physics.base import ramp
from sim.robots import Robot, camera_quat, get_robot, gripper_down_quat, register
from sim.robots.kinematics import (
    Tree,
    body_poses,
    quat_to_mat,
    robot_chain,
    solve_ik,
    tcp_jacobian,
    tcp_pose,
)


@pytest.fixture(scope="module", params=["widowx", "panda"])
def robot(request: pytest.FixtureRequest) -> Robot:
    return get_robot(request.param)


def _model(robot: Robot, free_bodies: int = 2) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.02
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    robot.add_to_spec(spec)
    for i in range(free_bodies):
        body = spec.worldbody.add_body(name=f"object{i}", pos=(1.0 + i, 1.0, 0.0))
        body.add_freejoint()
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.01, 0.02, 0.03), pos=(0, 0, 0.03))
    return spec.compile()


def _random_qpos(model: mujoco.MjModel, num: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    qpos = rng.normal(size=(num, model.nq))
    for j in range(model.njnt):
        if model.jnt_limited[j]:
            qpos[:, model.jnt_qposadr[j]] = rng.uniform(*model.jnt_range[j], size=num)
    return qpos


def _tool(robot: Robot, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
    body = data.body(robot.tcp_body)
    mat, own = body.xmat.reshape(3, 3), np.zeros(9)
    mujoco.mju_quat2Mat(own, np.asarray(robot.tcp_quat))
    return body.xpos + mat @ np.asarray(robot.tcp_pos), mat @ own.reshape(3, 3)


def _down(yaw: np.ndarray) -> jax.Array:
    return jnp.array([gripper_down_quat(float(a)) for a in yaw])


def test_structure_follows_the_contract(robot: Robot) -> None:
    model = _model(robot)
    assert model.body(1).name == "robot_base"
    names = [model.joint(i).name for i in range(robot.num_joints)]
    assert names == [*robot.arm_joints, *robot.finger_joints]
    assert [model.actuator(i).name for i in range(model.nu)] == names
    visible = [g for g in range(model.ngeom) if 0 < model.geom_bodyid[g] < model.body("object0").id]
    assert 9 <= len(visible) <= 18
    np.testing.assert_allclose(model.body_gravcomp[1 : model.body("object0").id], 1.0)


def test_home_points_down_over_the_workspace(robot: Robot) -> None:
    model = _model(robot, 0)
    data = mujoco.MjData(model)
    data.qpos[:] = robot.home
    mujoco.mj_forward(model, data)
    pos, mat = _tool(robot, data)
    assert 0.22 <= pos[0] <= 0.28 and abs(pos[1]) < 1e-6 and 0.18 <= pos[2] <= 0.22
    np.testing.assert_allclose(mat[:, 0], [0, 0, -1], atol=1e-6)
    assert data.ncon == 0


def test_body_poses_match_mujoco(robot: Robot) -> None:
    model = _model(robot)
    qpos = _random_qpos(model, 16, seed=0)
    xpos, xmat = jax.jit(lambda q: body_poses(Tree.from_model(model), q))(qpos)
    data = mujoco.MjData(model)
    for i in range(16):
        data.qpos[:] = qpos[i]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(xpos[i], data.xpos, atol=2e-6)
        np.testing.assert_allclose(xmat[i].reshape(-1, 9), data.xmat, atol=4e-6)


def test_body_poses_with_joint_anchor_reference_and_nested_slide() -> None:
    model = mujoco.MjModel.from_xml_string("""
      <mujoco><compiler angle="radian"/><worldbody>
        <body pos=".1 .2 .3" quat=".8 .6 0 0">
          <joint type="hinge" axis="1 2 3" pos=".1 0 .2" ref=".4"/><geom size=".1"/>
          <body pos="0 .3 0"><joint type="slide" axis="0 1 1" ref=".1"/><joint axis="0 1 0"/>
            <geom size=".1"/></body>
        </body>
      </worldbody></mujoco>""")
    qpos = np.random.default_rng(1).normal(size=(8, model.nq))
    xpos, xmat = body_poses(Tree.from_model(model), jnp.asarray(qpos))
    data = mujoco.MjData(model)
    for i in range(8):
        data.qpos[:] = qpos[i]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(xpos[i], data.xpos, atol=2e-6)
        np.testing.assert_allclose(xmat[i].reshape(-1, 9), data.xmat, atol=4e-6)


def test_ball_joint_is_refused() -> None:
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><joint name='b' type='ball'/><geom size='.1'/></body>"
        "</worldbody></mujoco>"
    )
    with pytest.raises(ValueError, match="'b'.*mjJNT_BALL"):
        Tree.from_model(model)


def test_tool_pose_and_jacobian_match_mujoco(robot: Robot) -> None:
    model = _model(robot, 0)
    chain = robot_chain(robot)
    q = _random_qpos(model, 16, seed=2)[:, : len(robot.arm_joints)]
    pos, quat = tcp_pose(chain, jnp.asarray(q))
    jac = tcp_jacobian(chain, jnp.asarray(q))
    data = mujoco.MjData(model)
    expected = np.zeros((6, model.nv))
    for i in range(16):
        data.qpos[: q.shape[1]] = q[i]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        tool, mat = _tool(robot, data)
        body = model.body(robot.tcp_body).id
        mujoco.mj_jac(model, data, expected[:3], expected[3:], tool, body)
        np.testing.assert_allclose(pos[i], tool, atol=2e-6)
        np.testing.assert_allclose(quat_to_mat(quat[i]), mat, atol=4e-6)
        np.testing.assert_allclose(jac[i], expected[:, : q.shape[1]], atol=4e-6)


def test_ik_reaches_gripper_down_targets_from_home(robot: Robot) -> None:
    num, rng = 512, np.random.default_rng(3)
    chain = robot_chain(robot)
    target = jnp.asarray(rng.uniform((0.16, -0.22, 0.01), (0.38, 0.22, 0.2), (num, 3)))
    quat = _down(rng.uniform(0.25 * np.pi, 0.75 * np.pi, num))
    solve = jax.jit(lambda q: solve_ik(chain, q, target, quat))
    q = jnp.tile(jnp.asarray(robot.arm_home, jnp.float32), (num, 1))
    for _ in range(3):
        q = solve(q)
    pos, reached = tcp_pose(chain, q)
    angle = 2 * np.arccos(np.clip(np.abs(np.sum(np.asarray(reached * quat), -1)), 0, 1))
    assert np.linalg.norm(pos - target, axis=-1).max() < 1e-3
    assert angle.max() < 0.01
    assert np.all(q >= np.asarray(chain.low)) and np.all(q <= np.asarray(chain.high))


def test_ik_of_one_control_step_converges_within_one_call(robot: Robot) -> None:
    num, rng = 256, np.random.default_rng(4)
    chain = robot_chain(robot)
    q = jnp.tile(jnp.asarray(robot.arm_home, jnp.float32), (num, 1))
    start, _ = tcp_pose(chain, q)
    target = start + jnp.asarray(rng.uniform(-0.05, 0.05, (num, 3)))
    quat = _down(np.pi / 2 + rng.uniform(-0.25, 0.25, num))
    pos, _ = tcp_pose(chain, solve_ik(chain, q, target, quat, iterations=4))
    assert np.linalg.norm(pos - target, axis=-1).max() < 1e-3


def test_ik_stays_finite_out_of_reach(robot: Robot) -> None:
    chain = robot_chain(robot)
    target = jnp.array([[2.0, 0, 0.1], [0, 0, 0], [0.0, 0.0, 5.0], [-1, -1, -1], [0.1, 0, 0.3]])
    q = jnp.tile(jnp.asarray(robot.arm_home, jnp.float32), (5, 1))
    for _ in range(20):
        q = solve_ik(chain, q, target, _down(np.zeros(5)))
        assert np.isfinite(q).all()
    assert np.all(q >= np.asarray(chain.low)) and np.all(q <= np.asarray(chain.high))


def test_servos_follow_a_control_step(robot: Robot) -> None:
    """5 cm in 0.2 s: within 5 mm at the end and ever after if the target stays."""
    model = _model(robot, 0)
    data = mujoco.MjData(model)
    chain = robot_chain(robot)
    data.qpos[:] = data.ctrl[:] = robot.home
    q = jnp.asarray([robot.arm_home])
    for delta in [(0.05, 0, 0), (0, 0.05, 0), (0, 0, -0.05), (-0.05, 0, 0), (0.03, -0.03, 0.03)]:
        pos, _ = tcp_pose(chain, q)
        goal = pos + jnp.asarray(delta)
        q = solve_ik(chain, q, goal, _down(np.full(1, np.pi / 2)))
        errors = []
        old, new = data.ctrl.copy(), np.r_[np.asarray(q[0]), robot.gripper_open]
        for fraction in [*ramp(10), *np.ones(10)]:
            data.ctrl[:] = old + fraction * (new - old)
            mujoco.mj_step(model, data)
            mujoco.mj_kinematics(model, data)
            errors.append(np.linalg.norm(_tool(robot, data)[0] - np.asarray(goal[0])))
        assert max(errors[9:]) < 5e-3
        assert errors[-1] < 1e-3


def test_control_interpolates_the_gripper(robot: Robot) -> None:
    arm = jnp.tile(jnp.asarray(robot.arm_home), (3, 1))
    control = robot.control(arm, jnp.array([1.0, -1.0, 0.0]))
    np.testing.assert_allclose(control[0], robot.home, atol=1e-6)
    np.testing.assert_allclose(control[1, -2:], robot.gripper_closed, atol=1e-6)
    middle = 0.5 * (np.asarray(robot.gripper_open) + np.asarray(robot.gripper_closed))
    np.testing.assert_allclose(control[2, -2:], middle, atol=1e-6)


def test_registry_names_what_is_missing(robot: Robot) -> None:
    with pytest.raises(ValueError, match="unknown robot 'pr2'.*panda.*widowx"):
        get_robot("pr2")
    assert register(robot) is robot


def test_camera_looks_at_its_target() -> None:
    quat = np.array(camera_quat((0.5, 0.1, 0.4), (0.2, 0.0, 0.0), (0, 0, 1)))
    mat = np.zeros(9)
    mujoco.mju_quat2Mat(mat, quat)
    view = -mat.reshape(3, 3)[:, 2]
    wanted = np.array([-0.3, -0.1, -0.4])
    np.testing.assert_allclose(view, wanted / np.linalg.norm(wanted), atol=1e-9)
    assert mat.reshape(3, 3)[2, 1] > 0
    with pytest.raises(ValueError, match="up"):
        camera_quat((0, 0, 1), (0, 0, 0), (0, 0, 1))


# ------------------------------------------------------------------ the Panda


def test_panda_follows_its_published_parameters() -> None:
    """Modified Denavit-Hartenberg parameters in float64: the flange, and the tool 0.1034 m on."""
    panda = get_robot("panda")
    a = [0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088]
    d = [0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0]
    alpha = np.array([0.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0]) * np.pi / 2
    chain = robot_chain(panda)
    q = np.random.default_rng(5).uniform(chain.low, chain.high, (8, 7))
    pos, _ = tcp_pose(chain, jnp.asarray(q, jnp.float32))
    for i in range(8):
        pose = np.eye(4)
        pose[0, 3] = -0.25  # where the base stands
        for j in range(7):
            ca, sa, ct, st = np.cos(alpha[j]), np.sin(alpha[j]), np.cos(q[i, j]), np.sin(q[i, j])
            pose = pose @ np.array(
                [
                    [ct, -st, 0.0, a[j]],
                    [st * ca, ct * ca, -sa, -sa * d[j]],
                    [st * sa, ct * sa, ca, ca * d[j]],
                    [0.0, 0.0, 0.0, 1.0],
                ]
            )
        tool = pose @ [0.0, 0.0, 0.107 + 0.1034, 1.0]
        np.testing.assert_allclose(pos[i], tool[:3], atol=5e-6)


def test_the_seventh_joint_does_not_wander() -> None:
    """A square driven 25 times ends in the posture of the first round: no drift in null space."""
    panda = get_robot("panda")
    chain = robot_chain(panda)
    q = jnp.asarray([panda.arm_home], jnp.float32)
    start, _ = tcp_pose(chain, q)
    corners = [(0.0, 0.1, 0.0), (0.08, 0.1, -0.05), (0.08, -0.1, -0.05), (0.0, 0.0, 0.0)]
    down = _down(np.full(1, np.pi / 2))
    ends = []
    for _ in range(25):
        for corner in corners:
            for _ in range(2):
                q = solve_ik(chain, q, start + jnp.asarray(corner), down)
        ends.append(np.asarray(q[0]))
    assert np.abs(ends[-1] - ends[0]).max() < 0.02
    assert np.abs(ends[-1] - np.asarray(panda.arm_home)).max() < 0.1


@pytest.mark.slow
def test_the_expert_solves_generated_scenes_with_the_panda() -> None:
    scenes = vj.design("put something in a container", n=8, seed=11)
    env, batch = vj.make_env(
        scenes, num_envs=16, backend="native", image_size=8, wrist_size=8, robot="panda"
    )

    @jax.jit
    def play(batch, key):
        state, _ = env.reset_to(batch, key, jnp.arange(16, dtype=jnp.int32) % 8)

        def act(state, _):
            return expert_action(env.view(batch, state), env.rig.robot, env.tool_yaw(state)), None

        return env.run_chunk(batch, state, act, 60)[1].success

    assert np.asarray(play(batch, jax.random.key(0))).mean() >= 0.7
