"""Physics steps per second: the native engine inside a jitted program, bare MuJoCo, and MJX.

`python -m benchmarks.physics [--quick] [--json] [--save]`. Native and bare run the same
models from the same states in alternation, so that other load on the machine hits both alike, and
the median of the repetitions counts.

`--options` instead compares physics steps and solver settings by what matters: does a grasp hold,
does the object end up in the receptacle, and how many control steps a second does it run. That is
where `sim.scene_batch.OPTIONS` and `TIMESTEP` come from.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from mujoco import batch as mujoco_batch

from benchmarks import common
from generation.designer import design
from sim.physics import Physics, PhysicsState, get_physics
from sim.physics.registry import host_scenes
from sim.robots import DEFAULT_ROBOT, get_robot, gripper_down_quat
from sim.robots.kinematics import body_poses, robot_chain, solve_ik, tcp_pose
from sim.scene_batch import OPTIONS, TIMESTEP, SceneBatch, build_scene_batch

Row = dict[str, Any]

SUBSTEPS = 10  # of 20 ms: 5 Hz control
CONTROL_STEPS = 8  # per timed call


def make_batch(num_scenes: int, seed: int, **settings: Any) -> SceneBatch:
    """Easy scenes of many object families, three objects each; see `build_scene_batch`."""
    prompts = ["put something in a container", "put something on something"]
    scenes = design(prompts, n=num_scenes, seed=seed, difficulty="easy")
    tokens = np.ones((num_scenes, 1, 1), np.int32)
    return build_scene_batch(scenes, get_robot(DEFAULT_ROBOT), tokens, **settings)


def targets(batch: SceneBatch, num_envs: int, seed: int) -> jax.Array:
    """Servo targets f32[T, N, nu] that keep the arm moving over the objects."""
    rng = np.random.default_rng(seed)
    home = np.asarray(get_robot(batch.robot).home)
    offset = 0.1 * rng.normal(size=(CONTROL_STEPS, num_envs, batch.nu))
    offset[..., -2:] = 0.0
    return jnp.asarray(home + offset, jnp.float32)


def start(physics: Physics, batch: SceneBatch, num_envs: int) -> PhysicsState:
    """Every scene in turn."""
    scene = jnp.arange(num_envs, dtype=jnp.int32) % batch.num_scenes
    return physics.init(batch, scene, batch.qpos0[scene])


def compiled(
    physics: Physics, batch: SceneBatch, num_envs: int, seed: int
) -> tuple[Callable[[], None], float]:
    """A call that runs CONTROL_STEPS control steps in one jitted scan, and its compile time (s)."""
    state, ctrl = start(physics, batch, num_envs), targets(batch, num_envs, seed)

    def run(batch: SceneBatch, state: PhysicsState, ctrl: jax.Array) -> PhysicsState:
        body = lambda s, c: (physics.step(batch, s, c, SUBSTEPS), None)  # noqa: E731
        return jax.lax.scan(body, state, ctrl)[0]

    begin = time.perf_counter()
    program = jax.jit(run).lower(batch, state, ctrl).compile()
    compile_s = time.perf_counter() - begin
    return lambda: jax.block_until_ready(program(batch, state, ctrl)), compile_s


def bare(batch: SceneBatch, num_envs: int, seed: int) -> Callable[[], None]:
    """The same work by `mujoco.batch` alone: no JAX, no state carried across a boundary."""
    host = host_scenes(int(batch.handle))
    index = np.arange(num_envs) % batch.num_scenes
    sims = mujoco_batch.Batch(host.models[0], nsim=num_envs)
    sims.set_models([host.models[i] for i in index])
    qpos, qvel, warmstart = (sims.bind(name) for name in ("qpos", "qvel", "qacc_warmstart"))
    control = sims.bind("ctrl")
    ctrl = np.asarray(targets(batch, num_envs, seed), np.float64)

    def run() -> None:
        qpos[:], qvel[:], warmstart[:] = host.qpos0[index], 0.0, 0.0
        for row in ctrl:
            control[:] = row
            sims.step(nstep=SUBSTEPS)

    return run


def seconds(calls: list[Callable[[], None]], repetitions: int) -> list[float]:
    """Median wall time of each call, taken in alternation after one warm-up."""
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(repetitions):
        for call, taken in zip(calls, times, strict=True):
            begin = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in times]


def _row(name: str, num_envs: int, wall_s: float, compile_s: float, **more: Any) -> Row:
    control = num_envs * CONTROL_STEPS / wall_s
    return {
        "name": name,
        "value": round(control * SUBSTEPS),
        "unit": "physics steps/s",
        "control_steps_per_s": round(control),
        "device": "cpu" if name != "physics.mjx" else jax.devices()[0].device_kind,
        "num_envs": num_envs,
        "substeps": SUBSTEPS,
        "compile_s": round(compile_s, 2),
        **more,
        **common.machine(),
    }


def rows(
    quick: bool = False,
    *,
    num_envs: int = 256,
    num_scenes: int = 64,
    mjx_envs: int = 16 if jax.default_backend() == "cpu" else 4096,
    repetitions: int = 9,
    seed: int = 0,
) -> list[Row]:
    """Measures all engines.

    Args:
      quick: small sizes, without MJX.
      num_envs: environments of the native engine and of bare MuJoCo.
      num_scenes: different scenes among them.
      mjx_envs: environments of MJX; 0 leaves it out (on a CPU it takes half a minute to compile).
      repetitions: timed calls each.
      seed: of the scenes and the motion.
    """
    if quick:
        num_envs, num_scenes, mjx_envs, repetitions = 16, 4, 0, 3
    batch = make_batch(num_scenes, seed, mjx=mjx_envs > 0)
    native, compile_s = compiled(get_physics("native"), batch, num_envs, seed)
    native_s, bare_s = seconds([native, bare(batch, num_envs, seed)], repetitions)
    ratio = round(bare_s / native_s, 3)
    scenes = {"num_scenes": num_scenes}
    result = [
        _row("physics.native", num_envs, native_s, compile_s, fraction_of_bare=ratio, **scenes),
        _row("physics.bare_batch", num_envs, bare_s, 0.0, **scenes),
    ]
    if mjx_envs:
        program, compile_s = compiled(get_physics("mjx"), batch, mjx_envs, seed)
        (mjx_s,) = seconds([program], 3)
        result.append(_row("physics.mjx", mjx_envs, mjx_s, compile_s, **scenes))
    return result


class Script:
    """Open-loop pick and place in every scene at once, by the true poses of the objects."""

    def __init__(self, batch: SceneBatch, seed: int = 0) -> None:
        self.batch, self.robot = batch, get_robot(batch.robot)
        self.rng = np.random.default_rng(seed)
        self.physics, self.chain = get_physics("native"), robot_chain(self.robot)
        self.state = start(self.physics, batch, batch.num_scenes)
        self.joints = self.state.qpos[:, : len(self.robot.arm_joints)]
        self.tool = np.array(tcp_pose(self.chain, self.joints)[0])
        _, mat = self.poses(0)
        grasp = np.asarray(batch.object_grasp[:, 0])
        yaw = np.arctan2(mat[:, 1, 0], mat[:, 0, 0]) + grasp[:, 3]
        self.down = jnp.asarray([gripper_down_quat(angle % np.pi) for angle in yaw], jnp.float32)
        substeps = round(0.2 / batch.timestep)
        self.step = jax.jit(lambda b, s, c: self.physics.step(b, s, c, substeps))
        self.finite = np.ones(batch.num_scenes, bool)
        self.wall_s: list[float] = []

    def poses(self, slot: int) -> tuple[np.ndarray, np.ndarray]:
        """Position [S, 3] and rotation [S, 3, 3] of the object in a slot."""
        xpos, xmat = body_poses(self.batch.tree, self.state.qpos)
        body = self.batch.object_bodies[slot]
        return np.asarray(xpos[:, body]), np.asarray(xmat[:, body])

    def go(self, goal: np.ndarray, gripper: float, control_steps: int, noise: float = 0.0) -> None:
        """Moves the tool towards the goal, at most 5 cm an axis and control step.

        With noise every target is off by that many decimetres and about as many radians.
        """
        for _ in range(control_steps):
            self.tool = self.tool + np.clip(goal - self.tool, -0.05, 0.05)
            target = self.tool + 0.1 * noise * self.rng.normal(size=self.tool.shape)
            quat = self.down + 0.25 * noise * self.rng.normal(size=self.down.shape)
            quat = quat / jnp.linalg.norm(quat, axis=-1, keepdims=True)
            self.joints = solve_ik(self.chain, self.joints, jnp.asarray(target, jnp.float32), quat)
            ctrl = self.robot.control(self.joints, jnp.full(len(self.tool), gripper))
            begin = time.perf_counter()
            self.state = jax.block_until_ready(self.step(self.batch, self.state, ctrl))
            self.wall_s.append(time.perf_counter() - begin)
            self.finite &= np.asarray(self.state.finite)

    def run(self) -> Row:
        """Picks, shakes (2 cm, 6 deg), carries over the receptacle, releases; what came of it."""
        up = np.array([0.0, 0.0, 1.0])
        centre, mat = self.poses(0)
        grasp = centre + (mat @ np.asarray(self.batch.object_grasp[:, 0, :3, None]))[..., 0]
        self.go(grasp + 0.06 * up, 1.0, 5)
        self.go(grasp, 1.0, 3)
        self.go(grasp, -1.0, 2)
        self.go(grasp + 0.1 * up, -1.0, 3)
        lifted = self.poses(0)[0][:, 2] > 0.05
        self.go(grasp + 0.1 * up, -1.0, 15, noise=0.2)
        self.go(grasp + 0.1 * up, -1.0, 1)
        contacts = np.asarray(self.state.contacts)
        held_after = contacts[:, 3] & contacts[:, 4]
        centre, mat = self.poses(1)
        place = centre + (mat @ np.asarray(self.batch.object_place[:, 1, :3, None]))[..., 0]
        held = self.poses(0)[0] - self.tool
        over = place - held
        over[:, 2] = self.tool[:, 2]
        self.go(over, -1.0, 7)
        over[:, 2] = place[:, 2] + 0.015 - held[:, 2]
        self.go(over, -1.0, 3)
        self.go(over, 1.0, 2)
        self.go(over + 0.08 * up, 1.0, 3)
        contacts = np.asarray(self.state.contacts)
        placed = contacts[:, 0] & ~contacts[:, 1] & ~contacts[:, 2]
        return {
            "lifted": round(float(lifted.mean()), 3),
            "held_after_shaking": round(float(held_after.mean()), 3),
            "placed": round(float(placed.mean()), 3),
            "finite": round(float(self.finite.mean()), 3),
            "control_steps_per_s": round(len(self.tool) / statistics.median(self.wall_s)),
        }


def option_rows(num_scenes: int = 96, seed: int = 1) -> list[Row]:
    """Pick and place under several physics steps and solver settings."""
    settings = [(step, OPTIONS) for step in (0.01, 0.02, 0.025, 0.04)]
    settings += [
        (TIMESTEP, dataclasses.replace(OPTIONS, **change))
        for change in ({"iterations": 2}, {"impratio": 1.0}, {"elliptic": False})
    ]
    result = []
    for timestep, options in settings:
        batch = make_batch(num_scenes, seed, timestep=timestep, options=options)
        row = Script(batch).run()
        result.append({"timestep": timestep, **dataclasses.asdict(options), **row})
    return result


if __name__ == "__main__":
    if "--options" in sys.argv:
        for option_row in option_rows():
            print(json.dumps(option_row))
    else:
        common.main("physics", rows, (__doc__ or "").splitlines()[0])
