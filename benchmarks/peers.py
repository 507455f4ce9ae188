"""Beside the peers: `python -m benchmarks.peers [--quick] [--json] [--save]`.

What runs here is measured on the same generated scenes, 64 x 64 pixels from the fixed camera:

- `peers.render.ours`: the ray caster, textures and shadows;
- `peers.render.mujoco`: `mujoco.Renderer`, a process on every core, with a light that casts shadows
  in MuJoCo's default quality; `peers.render.mujoco_plain`: without that light;
- `peers.render.warp`: the batch renderer of MJX-Warp on copies of one scene, with shadows.

Rows `peers.published` are figures that others published for what does not run here; their `source`
says where, and nobody measured them on this machine.
"""

from __future__ import annotations

import importlib.util
import math
import multiprocessing
import os
import time
from dataclasses import replace
from typing import Any

import jax
import mujoco
import numpy as np

from benchmarks import common
from benchmarks.env import make_world, usual_setup
from sim.env import Env
from sim.physics.registry import host_scenes
from sim.robots.base import camera_quat
from sim.robots.kinematics import body_poses
from sim.scene_batch import SceneBatch
from sim.transfer import NO_OPENGL, find_opengl
from sim.view import picture

SIZE, SCENES, WORLDS, FRAMES = 64, 64, 64, 100
UNIT = "frames/s"

# name of the workload, value, unit, hardware, source
PUBLISHED = (
    ("MuJoCo Playground PandaPickCubeCartesian, Madrona 64x64, one cube", 36881, "control steps/s",
     "RTX 4090", "MuJoCo Playground's benchmark table"),
    ("MuJoCo Playground the same, state only", 63974, "control steps/s", "RTX 4090",
     "MuJoCo Playground's benchmark table"),
    ("mujoco_warp renderer, 127 primitives, 64x64", 570_000, "frames/s", "RTX 6000 Ada",
     "mujoco_warp nightly benchmarks, 2026"),
    ("madrona_mjx cartpole, 64x64", 403_000, "frames/s", "not stated", "madrona_mjx README"),
    ("ManiSkill3 PickCube RGB 128x128, 1024 environments", 15_812, "frames/s", "RTX 4090",
     "ManiSkill3 benchmark results"),
    ("Isaac Lab tiled camera 128x128", 40_600, "frames/s", "not stated", "Isaac Lab documentation"),
    ("jaxrenderer, 84x84", 510, "frames/s", "A100", "jaxrenderer README"),
)  # fmt: skip


def rows(quick: bool = False) -> list[common.Row]:
    """All rows; a peer that is missing here has a row that says why."""
    scenes, frames, worlds = (4, 10, 4) if quick else (SCENES, FRAMES, WORLDS)
    env, batch = make_world(scenes, scenes)
    result = [our_row(env, batch)]
    result += [opengl_row(env, batch, frames, shadows) for shadows in (True, False)]
    result.append(warp_or_reason(env, batch, worlds))
    return result + [
        {
            "name": "peers.published",
            "value": value,
            "unit": unit,
            "compile_s": 0.0,
            "device": hardware,
            "num_envs": 0,
            "workload": workload,
            "source": source,
            "measured_here": False,
        }
        for workload, value, unit, hardware, source in PUBLISHED
    ]


def our_row(env: Env, batch: SceneBatch) -> common.Row:
    """The ray caster, one picture of each scene a call."""
    n = batch.num_scenes
    state, _ = jax.jit(env.reset_to)(batch, jax.random.key(0), np.arange(n))
    poses = body_poses(batch.tree, state.physics.qpos)

    def draw(batch: SceneBatch, episode: Any, xpos: jax.Array, xmat: jax.Array) -> jax.Array:
        return picture(env.rig, batch, episode, xpos, xmat, SIZE).rgb

    program, compile_s = common.compiled(draw, batch, state.episode, *poses)
    timing = common.measure(lambda: program(batch, state.episode, *poses))
    return common.make_row(
        "peers.render.ours", UNIT, n, timing, compile_s=compile_s, num_envs=n, shadows=True,
        size=SIZE, geoms=len(batch.geom_types),
    )  # fmt: skip


def opengl_row(env: Env, batch: SceneBatch, frames: int, shadows: bool) -> common.Row:
    """`mujoco.Renderer` in as many processes as there are cores."""
    name = "peers.render.mujoco" if shadows else "peers.render.mujoco_plain"
    workers = min(len(os.sched_getaffinity(0)), batch.num_scenes)
    opengl = find_opengl()
    if opengl is None:
        return common.missing_row(name, UNIT, NO_OPENGL, num_envs=workers)
    os.environ["MUJOCO_GL"] = opengl  # the processes inherit it
    try:
        setup = usual_setup(env, batch, shadows)
    except ImportError as error:
        return common.missing_row(name, UNIT, f"{error}", num_envs=workers)
    setup = replace(setup, cameras={"image": setup.cameras["image"]})
    host = host_scenes(int(batch.handle))
    share = max(1, frames // (10 if shadows else 1))
    jobs = [(host.models[i::workers], host.qpos0[i::workers], setup, share) for i in range(workers)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        seconds = pool.starmap(_draw_with_opengl, jobs)
    timing = common.Timing((max(seconds),))
    return common.make_row(
        name, UNIT, workers * share, timing, compile_s=0.0, num_envs=workers, shadows=shadows,
        size=SIZE, device="cpu",
    )  # fmt: skip


def _draw_with_opengl(
    models: tuple[mujoco.MjModel, ...], qpos0: np.ndarray, setup: Any, frames: int
) -> float:
    """Seconds that one process takes for so many pictures of its scenes in turn."""
    from benchmarks.usual_way import _World

    worlds = [_World(model, setup) for model in models[:8]]
    for world, qpos in zip(worlds, qpos0, strict=False):
        world.start(qpos)
        world.pictures()
    begin = time.perf_counter()
    for i in range(frames):
        worlds[i % len(worlds)].pictures()
    taken = time.perf_counter() - begin
    for world in worlds:
        world.close()
    return taken


def warp_or_reason(env: Env, batch: SceneBatch, worlds: int) -> common.Row:
    """`warp_row`, or why there is none: a peer's trouble must not cost the other rows."""
    try:
        return warp_row(env, batch, worlds)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return common.missing_row("peers.render.warp", UNIT, reason, num_envs=worlds)


def warp_row(env: Env, batch: SceneBatch, worlds: int) -> common.Row:
    """MJX-Warp's renderer; it draws copies of one scene, as its geometry is shared."""
    name = "peers.render.warp"
    if importlib.util.find_spec("warp") is None:
        reason = "warp-lang is not installed: pip install 'vla-jax[warp]'"
        return common.missing_row(name, UNIT, reason, num_envs=worlds)
    from mujoco import mjx

    model = _with_camera(env, host_scenes(int(batch.handle)).models[0])
    put = mjx.put_model(model, impl="warp")
    data = mjx.make_data(model, impl="warp", naconmax=64 * worlds, njmax=256)
    data = jax.vmap(lambda _: data)(np.arange(worlds))
    data = jax.jit(jax.vmap(mjx.forward, in_axes=(None, 0)))(put, data)
    context = mjx.create_render_context(
        model, worlds, cam_res=(SIZE, SIZE), render_rgb=True, use_shadows=True
    )

    def draw(put: Any, data: Any) -> Any:
        data = mjx.refit_bvh(put, data, context.pytree())
        rgb, _, data = mjx.render(put, data, context.pytree())
        return rgb

    program, compile_s = common.compiled(draw, put, data)
    timing = common.measure(lambda: program(put, data))
    return common.make_row(
        name, UNIT, worlds, timing, compile_s=compile_s, num_envs=worlds, shadows=True, size=SIZE,
        geoms=model.ngeom,
    )  # fmt: skip


def _with_camera(env: Env, model: mujoco.MjModel) -> mujoco.MjModel:
    """The drawn geoms where they are at the start, seen by the fixed camera under one light."""
    spec, data = mujoco.MjSpec(), mujoco.MjData(model)
    data.qpos[: len(env.rig.robot.home)] = env.rig.robot.home
    mujoco.mj_kinematics(model, data)
    for geom in np.flatnonzero(model.geom_rgba[:, 3] > 0):
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, data.geom_xmat[geom])
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom(int(model.geom_type[geom])),
            size=model.geom_size[geom],
            pos=data.geom_xpos[geom],
            quat=quat,
            rgba=model.geom_rgba[geom],
            contype=0,
            conaffinity=0,
        )
    mount = env.rig.robot.fixed_camera
    spec.worldbody.add_camera(
        name="fixed",
        pos=mount.pos,
        quat=camera_quat(mount.pos, mount.look_at, (0.0, 0.0, 1.0)),
        fovy=math.degrees(mount.fovy),
    )
    spec.worldbody.add_light(
        pos=(0.0, 0.0, 2.0), dir=(0.35, 0.45, -1.0), type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    )
    # A model in which nothing can move is refused.
    ball = spec.worldbody.add_body(name="ball", pos=(0.25, 0.0, 0.3))
    ball.add_freejoint()
    ball.add_geom(size=(0.01, 0.0, 0.0), contype=0, conaffinity=0)
    return spec.compile()


if __name__ == "__main__":
    common.main("peers", rows, (__doc__ or "").splitlines()[0])
