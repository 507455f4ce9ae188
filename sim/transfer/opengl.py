"""MuJoCo's OpenGL renderer without a screen, in this process."""

from __future__ import annotations

import collections
import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import mujoco
import numpy as np

NO_OPENGL = (
    "MuJoCo cannot draw without a screen here: install EGL or OSMesa (Debian "
    "and Ubuntu: apt-get install libegl1 libgl1-mesa-dri, or libosmesa6), or set "
    "MUJOCO_GL to a way that works"
)
_PROBE = """
import importlib, sys, mujoco
context = importlib.import_module("mujoco." + sys.argv[1]).GLContext(8, 8)
context.make_current()
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody/></mujoco>")
mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
"""
_NEAR, _FAR = 0.01, 20.0  # m
_SHADOW_MAP = 512  # texels along a side: most of the time goes into shadows
_SLICES, _STACKS = 16, 8  # of round shapes
_SAMPLES = 4  # a pixel
_MAX_SCENES = 128  # whose textures stay in OpenGL's memory
_MAX_GEOMS = 1000


@functools.cache
def find_opengl() -> str | None:
    """The way of drawing without a screen that works here, or None.

    `MUJOCO_GL` if it is set, else EGL, else OSMesa. Each is tried in a process of its own, as a
    driver that does not work may end it.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    for way in [wanted] if wanted else ["egl", "osmesa"]:
        environment = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"}
        command = [sys.executable, "-c", _PROBE, way]
        try:
            tried = subprocess.run(command, env=environment, capture_output=True, timeout=120)
        except subprocess.TimeoutExpired:
            continue
        if tried.returncode == 0:
            return way
    return None


class Lamps(NamedTuple):
    """The lights of a scene, L of them; colours are factors on a surface's sRGB."""

    ambient: np.ndarray  # f[3]
    direction: np.ndarray  # f[L, 3] unit vectors in which they shine
    diffuse: np.ndarray  # f[L, 3] black for a lamp that is off
    specular: np.ndarray  # f[L, 3]


class Shot(NamedTuple):
    """A camera and the side of its square picture."""

    pos: np.ndarray  # f[3] m
    mat: np.ndarray  # f[3, 3] rotation, camera to world
    fovy: float  # rad
    size: int  # pixels


class Painter:
    """Draws scenes with OpenGL. Use it in the thread that made it, and close it in the end.

    Args:
        build: gives the model of a scene by its number; its lights are called "lamp0", "lamp1" ...
            and the first casts the shadows. It is asked once for each scene.
        size: side of the largest picture, pixels.

    Raises:
        ValueError: MuJoCo cannot draw here; says what to install.
    """

    def __init__(self, build: Callable[[int], mujoco.MjModel], size: int) -> None:
        way = find_opengl()
        if way is None:
            raise ValueError(NO_OPENGL)
        # Mesa's software renderer draws such small pictures faster without threads of its own.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        self._context = importlib.import_module(f"mujoco.{way}").GLContext(size, size)
        self._build, self._size = build, size
        self._canvases: collections.OrderedDict[int, _Canvas] = collections.OrderedDict()

    def draw(
        self, scene: int, qpos: np.ndarray, lamps: Lamps, haze: float, shots: Sequence[Shot]
    ) -> list[np.ndarray]:
        """Pictures u8[size, size, 3] of a scene in a configuration, one for every shot.

        Args:
            scene: its number.
            qpos: f[nq] configuration.
            lamps: its lights.
            haze: share of fog at a distance of 0.6 m.
            shots: the cameras.
        """
        self._context.make_current()
        canvas = self._canvases.pop(scene, None)
        if canvas is None:
            if len(self._canvases) >= _MAX_SCENES:
                self._canvases.popitem(last=False)[1].close()
            canvas = _Canvas(self._build(scene), self._size)
        self._canvases[scene] = canvas
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, canvas.opengl)
        canvas.pose(qpos, lamps, haze)
        return [canvas.shoot(shot) for shot in shots]

    def order(self, scenes: Sequence[int]) -> list[int]:
        """Positions in `scenes` in the order that is drawn fastest: those in memory come first.

        Of more scenes than fit, one fixed order would always have just dropped what comes next.
        """
        rank = [(scene not in self._canvases, scene) for scene in scenes]
        return sorted(range(len(scenes)), key=rank.__getitem__)

    def close(self) -> None:
        """Frees OpenGL's memory; nothing can be drawn any more."""
        self._context.make_current()
        while self._canvases:
            self._canvases.popitem()[1].close()
        self._context.free()


class _Canvas:
    """A scene's model with its OpenGL resources."""

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        visual = model.vis
        visual.global_.offwidth = visual.global_.offheight = size
        visual.quality.shadowsize, visual.quality.offsamples = _SHADOW_MAP, _SAMPLES
        visual.quality.numslices, visual.quality.numstacks = _SLICES, _STACKS
        visual.map.znear, visual.map.zfar, model.stat.extent = _NEAR, _FAR, 1.0
        visual.headlight.active = 0
        self.model, self.data = model, mujoco.MjData(model)
        self.opengl = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        self.scene = mujoco.MjvScene(model, _MAX_GEOMS)
        self.options, self.camera = mujoco.MjvOption(), mujoco.MjvCamera()

    def pose(self, qpos: np.ndarray, lamps: Lamps, haze: float) -> None:
        model = self.model
        for i in range(model.nlight):
            model.light_dir[i] = lamps.direction[i]
            # All lamps are far away; where they are only says where the shadow map looks.
            model.light_pos[i] = np.array([0.25, 0.0, 0.0]) - 1.5 * lamps.direction[i]
            model.light_diffuse[i] = lamps.diffuse[i]
            model.light_specular[i] = lamps.specular[i]
        # In the shadow of a lamp there is nothing of its ambient light either.
        model.light_ambient[:] = 0.0
        model.light_ambient[-1] = lamps.ambient
        flags = self.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_FOG] = haze > 0.0
        model.vis.map.fogstart, model.vis.map.fogend = 0.0, 0.6 / max(haze, 1e-6)
        self.data.qpos[:] = qpos
        mujoco.mj_kinematics(model, self.data)
        mujoco.mj_camlight(model, self.data)
        mujoco.mjv_updateScene(
            model,
            self.data,
            self.options,
            None,
            self.camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self.scene,
        )

    def shoot(self, shot: Shot) -> np.ndarray:
        for camera in self.scene.camera:  # two eyes, of which one picture shows the middle
            camera.pos, camera.forward, camera.up = shot.pos, -shot.mat[:, 2], shot.mat[:, 1]
            camera.frustum_center = camera.frustum_width = 0.0
            camera.frustum_near, camera.frustum_far = _NEAR, _FAR
            camera.frustum_top = _NEAR * np.tan(0.5 * shot.fovy)
            camera.frustum_bottom = -camera.frustum_top
        whole = mujoco.MjrRect(0, 0, shot.size, shot.size)
        picture = np.zeros((shot.size, shot.size, 3), np.uint8)
        mujoco.mjr_render(whole, self.scene, self.opengl)
        mujoco.mjr_readPixels(picture, None, whole, self.opengl)
        return picture[::-1]  # OpenGL begins below

    def close(self) -> None:
        self.opengl.free()
