"""Episodes as files that MuJoCo's own viewer opens: the scene's MJCF and what happened in it.

A recording is a folder of two files: `scene.xml`, the scene's model that the physics ran on
(without an episode's own dynamics) plus what a person wants to see (floor, sky, light, cameras),
and `trajectory.npz`.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from generation.compile import (
    TABLE_CENTRE,
    TABLE_HALF,
    PhysicsOptions,
    SlotTemplate,
    slot_template,
)
from generation.spec import SceneSpec
from sim.robots.base import Robot, camera_quat
from sim.scene_batch import OPTIONS, TIMESTEP, scene_spec

SCENE_FILE, TRAJECTORY_FILE = "scene.xml", "trajectory.npz"
_FLOOR = -0.75  # m, below the table's top
# What reading a damaged archive raises besides.
_DAMAGE = (EOFError, zipfile.BadZipFile, zlib.error)
_SLAB = 0.01  # m, gap between the table's plane and the slab drawn below it


@dataclass(frozen=True)
class Trajectory:
    """What happened in one episode, T instants from its start to its end.

    Attributes:
        time: f64[T] seconds since the start.
        qpos: f64[T, nq] positions of all joints, in the order of the MJCF.
        ctrl: f64[T, nu] servo targets reached at that instant.
        success: whether the task was solved.
        instruction: what the robot was told to do.
    """

    time: np.ndarray
    qpos: np.ndarray
    ctrl: np.ndarray
    success: bool
    instruction: str

    @property
    def duration(self) -> float:
        """Seconds from the first to the last instant."""
        return float(self.time[-1] - self.time[0])


def scene_mjcf(
    scene: SceneSpec,
    robot: Robot,
    *,
    template: SlotTemplate | None = None,
    timestep: float = TIMESTEP,
    options: PhysicsOptions = OPTIONS,
    start: Trajectory | None = None,
) -> str:
    """The scene with the robot in it as MJCF that `mujoco.viewer` opens.

    Bodies, joints, actuators, contact sensors and solver settings are those of `SceneBatch`; added
    are geoms and cameras that touch nothing. Procedural textures appear as their first colour.

    Args:
        scene: what to write.
        robot: stands at the origin.
        template: of the batch that the episode ran in, so that the joints are numbered alike; by
            default the scene's own, without unused slots.
        timestep: physics step, s.
        options: solver settings.
        start: its first instant becomes the keyframe "start"; by default home, objects at rest.

    Raises:
        ValueError: the scene does not fit the template, or the trajectory the scene.
    """
    template = template or slot_template([scene])
    spec = scene_spec(scene, template, robot, timestep, options, meshes=True)
    spec.modelname = scene.id
    _add_surroundings(spec, scene)
    _add_cameras(spec, robot)
    model = spec.compile()
    if start is None:
        qpos, ctrl = model.qpos0.copy(), np.asarray(robot.home)
        qpos[: robot.num_joints] = robot.home
    else:
        _check_fits(model, start, f"scene {scene.id}")
        qpos, ctrl = start.qpos[0], start.ctrl[0]
    spec.add_key(name="start", qpos=qpos.tolist(), ctrl=ctrl.tolist())
    spec.compile()
    return spec.to_xml()


def _add_surroundings(spec: mujoco.MjSpec, scene: SceneSpec) -> None:
    """Floor, sky, light and a table with thickness; none of it collides."""
    world, ghost = spec.worldbody, {"contype": 0, "conaffinity": 0}
    floor = (*scene.background.floor[:3], 1.0)
    world.add_geom(
        name="view_floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(0.0, 0.0, 0.1),
        pos=(0.0, 0.0, _FLOOR),
        rgba=floor,
        **ghost,
    )
    world.add_geom(
        name="view_table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=TABLE_HALF,
        pos=(*TABLE_CENTRE[:2], -TABLE_HALF[2] - _SLAB),
        rgba=scene.table.rgba,
        **ghost,
    )
    world.add_light(
        name="view_light",
        pos=(-0.4, -0.8, 2.2),
        dir=(0.35, 0.45, -1.0),
        cutoff=60.0,
        exponent=1.0,
        diffuse=(0.6, 0.6, 0.6),
    )
    spec.visual.headlight.ambient = (0.35, 0.35, 0.35)
    spec.visual.headlight.diffuse = (0.25, 0.25, 0.25)
    spec.add_texture(
        name="view_sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=scene.background.top[:3],
        rgb2=scene.background.horizon[:3],
        width=256,
        height=256,
    )
    # Where the viewer's free camera starts.
    spec.stat.center, spec.stat.extent = (0.25, 0.0, 0.1), 0.8
    spec.visual.global_.azimuth, spec.visual.global_.elevation = 150.0, -30.0


def _add_cameras(spec: mujoco.MjSpec, robot: Robot) -> None:
    """The policy's two cameras where they stand without randomization."""
    fixed, wrist = robot.fixed_camera, robot.wrist_camera
    quat = camera_quat(fixed.pos, fixed.look_at, (0.0, 0.0, 1.0))
    spec.worldbody.add_camera(
        name="view_fixed", pos=fixed.pos, quat=quat, fovy=math.degrees(fixed.fovy)
    )
    spec.body(wrist.body).add_camera(
        name="view_wrist", pos=wrist.pos, quat=wrist.quat, fovy=math.degrees(wrist.fovy)
    )


def save_recording(folder: Path, mjcf: str, trajectory: Trajectory) -> Path:
    """Write `scene.xml` and `trajectory.npz` into a new folder and return it."""
    folder.mkdir(parents=True)
    (folder / SCENE_FILE).write_text(mjcf)
    np.savez_compressed(
        folder / TRAJECTORY_FILE,
        time=trajectory.time,
        qpos=trajectory.qpos,
        ctrl=trajectory.ctrl,
        success=np.asarray(trajectory.success),
        instruction=np.asarray(trajectory.instruction),
    )
    return folder


def load_recording(folder: Path) -> tuple[mujoco.MjModel, Trajectory]:
    """Read what `save_recording` wrote.

    Raises:
        FileNotFoundError: one of the two files is missing.
        ValueError: a file is damaged, or the two do not belong together.
    """
    for name in (SCENE_FILE, TRAJECTORY_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}: pass an episode's folder")
    model = mujoco.MjModel.from_xml_path(str(folder / SCENE_FILE))
    try:
        with np.load(folder / TRAJECTORY_FILE) as file:
            data = {name: file[name] for name in ("time", "qpos", "ctrl", "success", "instruction")}
    except (KeyError, ValueError, TypeError, AttributeError, OSError, *_DAMAGE) as error:
        raise ValueError(f"{folder / TRAJECTORY_FILE} is damaged ({error}): record again") from None
    trajectory = Trajectory(
        time=data["time"],
        qpos=data["qpos"],
        ctrl=data["ctrl"],
        success=bool(data["success"]),
        instruction=str(data["instruction"]),
    )
    _check_fits(model, trajectory, str(folder))
    return model, trajectory


def _check_fits(model: mujoco.MjModel, trajectory: Trajectory, name: str) -> None:
    arrays = (trajectory.time, trajectory.qpos, trajectory.ctrl)
    if trajectory.time.ndim != 1 or any(a.dtype.kind != "f" for a in arrays):
        raise ValueError(f"{name}: time, qpos and ctrl must be arrays of numbers; record again")
    if not all(np.isfinite(a).all() for a in arrays) or (np.diff(trajectory.time) <= 0.0).any():
        raise ValueError(f"{name}: numbers that are not finite, or time runs backwards")
    num = len(trajectory.time)
    expected = ((num, model.nq), (num, model.nu))
    found = (trajectory.qpos.shape, trajectory.ctrl.shape)
    if num == 0 or found != expected:
        raise ValueError(
            f"{name}: the trajectory has {num} instants, qpos {found[0]} and ctrl {found[1]}, but "
            f"the model needs {expected[0]} and {expected[1]}; record both in one go"
        )


def pose_at(model: mujoco.MjModel, trajectory: Trajectory, time: float) -> np.ndarray:
    """Positions f64[nq] at a time, along the shortest way between the two nearest instants.

    Args:
        model: of the recording.
        trajectory: of the recording.
        time: seconds since the start; before and after the episode its ends stand still.
    """
    after = int(np.searchsorted(trajectory.time, time, side="right"))
    if after == 0 or after == len(trajectory.time):
        return trajectory.qpos[min(after, len(trajectory.time) - 1)].copy()
    begin, end = trajectory.time[after - 1 : after + 1]
    velocity = np.zeros(model.nv)
    qpos = trajectory.qpos[after - 1].copy()
    mujoco.mj_differentiatePos(model, velocity, end - begin, qpos, trajectory.qpos[after])
    mujoco.mj_integratePos(model, qpos, velocity, time - begin)
    return qpos
