"""Control steps with camera per second: `python -m benchmarks.env [--quick] [--json] [--save]`.

Row `env` is the library's environment: all copies in one jitted program, every control step
followed by a picture from the fixed and one from the wrist camera, with textures and shadows. Row
`env.usual_way` is the same task on the same scenes with the same physics steps, kind of actions and
cameras, as it is usually written (see `benchmarks.usual_way`), with shadows of MuJoCo's default
quality; row `env.usual_way_plain` does without shadows. All are timed in alternation in one run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax
import mujoco
import numpy as np

import vla_jax as vj
from benchmarks import common
from sim.env import Env
from sim.physics.registry import host_scenes
from sim.robots.base import camera_quat
from sim.scene_batch import SceneBatch
from sim.transfer import NO_OPENGL, find_opengl
from vla_jax.demo import TRAIN_SENTENCES

NUM_ENVS = 256 if jax.default_backend() == "cpu" else 4096
NUM_SCENES, CONTROL_STEPS = 64, 8
WORKERS = len(os.sched_getaffinity(0))
USUAL_STEPS = 60  # per timed call, of each worker
UNIT = "control steps/s"


def make_world(num_envs: int, num_scenes: int, seed: int = 0) -> tuple[Env, SceneBatch]:
    """Generated scenes and environments over them, with the default cameras."""
    scenes = vj.design(list(TRAIN_SENTENCES), n=num_scenes, seed=seed)
    return vj.make_env(scenes, num_envs=num_envs, image_size=64, wrist_size=32)


def ours(
    env: Env, batch: SceneBatch, control_steps: int, seed: int = 0
) -> tuple[Callable[[], Any], float]:
    """A call that plays `control_steps` random actions and keeps all frames; its compile time (s).

    Every call goes on from where the last one stopped, through resets.
    """
    key_reset, key_act = jax.random.split(jax.random.key(seed))
    state, _ = jax.jit(env.reset)(batch, key_reset)
    shape = (control_steps, env.num_envs, 7)
    actions = jax.random.uniform(key_act, shape, minval=-1.0, maxval=1.0)

    def play(batch: SceneBatch, state: Any, actions: jax.Array) -> tuple[Any, Any]:
        def step(state: Any, action: jax.Array) -> tuple[Any, Any]:
            state, out = env.step(batch, state, action)
            return state, (out.observation.image, out.observation.wrist, out.reward)

        return jax.lax.scan(step, state, actions)

    program, compile_s = common.compiled(play, batch, state, actions)

    def call() -> Any:
        nonlocal state
        state, frames = program(batch, state, actions)
        return state, frames

    return call, compile_s


def usual_setup(env: Env, batch: SceneBatch, shadows: bool) -> Any:
    """The task's numbers for `benchmarks.usual_way`."""
    from benchmarks.usual_way import Mount, Setup

    robot = env.rig.robot
    model = host_scenes(int(batch.handle)).models[0]
    fixed, wrist = robot.fixed_camera, robot.wrist_camera
    quat = camera_quat(fixed.pos, fixed.look_at, (0.0, 0.0, 1.0))
    size, wrist_size = env.config.image_size, env.config.wrist_size
    cameras = {
        "image": Mount(0, np.array(fixed.pos), _matrix(quat), fixed.fovy, size),
        "wrist": Mount(
            model.body(wrist.body).id,
            np.array(wrist.pos),
            _matrix(wrist.quat),
            wrist.fovy,
            wrist_size,
        ),
    }
    return Setup(
        cameras=cameras,
        home=np.array(robot.home),
        tool_body=model.body(robot.tcp_body).id,
        tool_pos=np.array(robot.tcp_pos),
        gripper=np.array([robot.gripper_closed, robot.gripper_open]),
        action_scale=robot.action_scale,
        workspace=np.array([robot.workspace_low, robot.workspace_high]),
        substeps=env.substeps(batch),
        episode_steps=env.config.episode_steps,
        shadows=shadows,
    )


def _matrix(quat: tuple[float, ...]) -> np.ndarray:
    mat = np.zeros(9)
    mujoco.mju_quat2Mat(mat, np.asarray(quat, np.float64))
    return mat.reshape(3, 3)


def usual(
    env: Env, batch: SceneBatch, control_steps: int, shadows: bool, seed: int = 0
) -> tuple[Callable[[], Any], Callable[[], None]]:
    """A call that plays random actions in the worker processes, and one that ends these.

    Raises:
        RuntimeError: if gymnasium is missing or MuJoCo cannot draw here; says how to get it.
    """
    try:
        from benchmarks.usual_way import make_vector_env
    except ImportError as error:
        raise RuntimeError(f"{error}: pip install 'vla-jax[gym]'") from None
    opengl = find_opengl()
    if opengl is None:
        raise RuntimeError(NO_OPENGL)
    host = host_scenes(int(batch.handle))
    setup = usual_setup(env, batch, shadows)
    vector = make_vector_env(host.models, host.qpos0, setup, WORKERS, opengl)
    vector.reset(seed=seed)
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1.0, 1.0, (control_steps, WORKERS, 7)).astype(np.float32)

    def call() -> None:
        for action in actions:
            vector.step(action)

    return call, vector.close


def rows(quick: bool = False) -> list[common.Row]:
    """Rows `env`, `env.usual_way` and `env.usual_way_plain`."""
    num_envs, num_scenes, steps, usual_steps = NUM_ENVS, NUM_SCENES, CONTROL_STEPS, USUAL_STEPS
    if quick:
        num_envs, num_scenes, steps, usual_steps = 16, 4, 2, 10
    runs = common.QUICK_RUNS if quick else common.RUNS
    env, batch = make_world(num_envs, num_scenes)
    size, wrist = env.config.image_size, env.config.wrist_size
    task = {
        "num_scenes": num_scenes,
        "substeps": env.substeps(batch),
        "cameras": f"fixed {size}x{size} and wrist {wrist}x{wrist}, one frame each a control step",
    }
    call, compile_s = ours(env, batch, steps)
    calls, closes, reason = [call], [], ""
    try:
        try:
            for shadows in (True, False):
                other, close = usual(env, batch, usual_steps, shadows)
                calls.append(other)
                closes.append(close)
        except RuntimeError as error:
            calls, reason = calls[:1], str(error)
        timings = common.measure_all(calls, runs)
    finally:
        for close in closes:
            close()
    row = common.make_row(
        "env",
        UNIT,
        num_envs * steps,
        timings[0],
        compile_s=compile_s,
        num_envs=num_envs,
        shadows=True,
        **task,
    )
    row["frames_per_s"] = common.tidy(2 * row["value"])
    if reason:
        return [row, common.missing_row("env.usual_way", UNIT, reason, num_envs=WORKERS, **task)]
    beside = [
        common.make_row(
            name,
            UNIT,
            WORKERS * usual_steps,
            timing,
            compile_s=0.0,
            num_envs=WORKERS,
            device="cpu",
            workers=WORKERS,
            shadows=shadows,
            **task,
        )
        for name, timing, shadows in (
            ("env.usual_way", timings[1], True),
            ("env.usual_way_plain", timings[2], False),
        )
    ]
    for other in beside:
        other["frames_per_s"] = common.tidy(2 * other["value"])
        row["times_" + other["name"].removeprefix("env.")] = common.tidy(
            row["value"] / other["value"]
        )
    return [row, *beside]


if __name__ == "__main__":
    common.main("env", rows, (__doc__ or "").splitlines()[0])
