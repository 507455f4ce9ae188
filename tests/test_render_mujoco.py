"""The ray caster against MuJoCo's own renderer (OpenGL), on generated scenes and both cameras."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import mujoco
import numpy as np
import pytest

import vla_jax as vj
from sim.physics.registry import host_scenes
from sim.render import SEGMENT_TABLE
from sim.robots.kinematics import body_poses
from sim.view import camera_of, picture

SIZE, SCENES = 128, 4

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Draws segmentation and depth in a process of its own, as OpenGL's backend is chosen at import.
_DRAW = """
import sys
import mujoco, numpy as np
folder = sys.argv[1]
given = np.load(f"{folder}/given.npz")
size, out = int(given["size"]), {"segment": [], "depth": []}
for i in range(len(given["qpos"])):
    model = mujoco.MjModel.from_binary_path(f"{folder}/{i}.mjb")
    data = mujoco.MjData(model)
    data.qpos[:] = given["qpos"][i]
    mujoco.mj_forward(model, data)
    model.vis.map.znear, model.vis.map.zfar = 0.01, 30.0
    model.stat.extent, model.vis.quality.offsamples = 1.0, 0
    with mujoco.Renderer(model, size, size) as renderer:
        def shot():
            renderer.update_scene(data)
            for camera in renderer.scene.camera:
                camera.pos, camera.forward = given["pos"][i], -given["mat"][i][:, 2]
                camera.up = given["mat"][i][:, 1]
                camera.frustum_center = camera.frustum_width = 0.0
                camera.frustum_near, camera.frustum_far = 0.01, 30.0
                camera.frustum_top = 0.01 * np.tan(0.5 * given["fovy"][i])
                camera.frustum_bottom = -camera.frustum_top
            return renderer.render()
        renderer.enable_segmentation_rendering()
        out["segment"].append(shot()[..., 0].copy())
        renderer.disable_segmentation_rendering()
        renderer.enable_depth_rendering()
        out["depth"].append(shot().copy())
np.savez(f"{folder}/out.npz", **out)
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Our pictures and MuJoCo's: (names, our depth and segment, theirs) for 2 cameras x scenes."""
    folder: Path = tmp_path_factory.mktemp("opengl")
    scenes = vj.design("put something in a container", n=SCENES, seed=5)
    env, batch = vj.make_env(scenes, num_envs=SCENES, backend="native")
    keys = jax.random.split(jax.random.key(0), SCENES)
    state = jax.jit(env.start)(batch, keys, np.arange(SCENES))
    xpos, xmat = body_poses(batch.tree, state.physics.qpos)
    models = host_scenes(int(batch.handle)).models
    ours, given = [], {"qpos": [], "pos": [], "mat": [], "fovy": [], "size": SIZE}
    for wrist in (False, True):
        image = jax.jit(picture, static_argnums=(0, 5), static_argnames="wrist")(
            env.rig, batch, state.episode, xpos, xmat, SIZE, wrist=wrist
        )
        ours.append((np.asarray(image.depth), np.asarray(image.segmentation)))
        pos, mat, fovy = camera_of(env.rig, state.episode, xpos, xmat, wrist=wrist)
        for i in range(SCENES):
            mujoco.mj_saveModel(models[i], str(folder / f"{len(given['qpos'])}.mjb"))
            given["qpos"].append(np.asarray(state.physics.qpos[i], np.float64))
            given["pos"].append(np.asarray(pos[i], np.float64))
            given["mat"].append(np.asarray(mat[i], np.float64))
            given["fovy"].append(float(np.broadcast_to(fovy, SCENES)[i]))
    np.savez(folder / "given.npz", **given)
    for way in ("egl", "osmesa"):
        environment = {**os.environ, "MUJOCO_GL": way}
        command = [sys.executable, "-c", _DRAW, str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        if done.returncode == 0:
            break
    else:
        pytest.skip(f"MuJoCo cannot draw here: {done.stderr.strip().splitlines()[-1:]}")
    theirs = np.load(folder / "out.npz")
    depth, segment = (np.concatenate([o[k] for o in ours]) for k in (0, 1))
    numbers = np.array([models[0].geom(name).id for name in batch.geom_names])
    table = models[0].geom("table").id
    segment = np.where(
        segment >= 0, numbers[segment], np.where(segment == SEGMENT_TABLE, table, -1)
    )
    return depth, segment, theirs["depth"], theirs["segment"]


def _away_from_edges(segment: np.ndarray) -> np.ndarray:
    padded = np.pad(segment, 1, mode="edge")
    shifts = [(i, j) for i in range(3) for j in range(3)]
    size = len(segment)
    return np.all([padded[i : i + size, j : j + size] == segment for i, j in shifts], axis=0)


def test_segmentation_and_depth_agree(pictures):
    """At least 99 % of the pixels away from edges, and depth within a millimetre in the median."""
    for depth, segment, their_depth, their_segment in zip(*pictures, strict=True):
        inner = _away_from_edges(their_segment) & _away_from_edges(segment)
        assert inner.mean() > 0.6
        agree = segment == their_segment
        assert agree[inner].mean() >= 0.99
        both = inner & agree & (segment >= 0)
        assert len(np.unique(segment[both])) >= 4, "several things are in the picture"
        error = np.abs(depth[both] - their_depth[both])
        assert np.median(error) < 1e-3
        assert np.quantile(error, 0.99) < 5e-3
