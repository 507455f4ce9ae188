"""From drawn poses to poses at rest: MuJoCo without the robot, and what must hold afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from generation.assets.mass import matrix_to_quat, quat_to_matrix
from generation.assets.parts import rounded
from generation.compile import compile_scene
from generation.placing.access import obstacles
from generation.placing.relations import carrier, edge_holds
from generation.spec import TABLE, SceneSpec

Array = NDArray[np.float64]

MOVED, TURNED = 0.01, math.radians(5.0)  # what counts as not staying in place
PENETRATION = 1e-3  # m that two objects may overlap
WATCHED = 3.0  # s, how long a scene must stay as it is
_LIFT = 5e-4  # m above the surface at which things are let go
_SLIDES = 0.05  # m that what lies on or in something may move until it rests
_CALM = 1e-3  # m/s and rad/s
_CALM_STEPS = 25  # a quarter of a second without motion: it will not start again


class LayoutError(ValueError):
    """These shapes found no stable, non-overlapping poses; other shapes may."""


@dataclass(frozen=True)
class Motion:
    """How far each object went, where it ended, and what overlaps there.

    Attributes:
        moved, turned: metres [K] and radians [K].
        pos, quat: [K, 3] in m and [K, 4] at the end.
        calm: whether nothing moved any more at the end.
        overlap: deepest penetration of two bodies at the end in m, and the bodies (table: -1).
    """

    moved: Array
    turned: Array
    pos: Array
    quat: Array
    calm: bool
    overlap: tuple[float, int, int]


def simulate(scene: SceneSpec, seconds: float, *, lift: float = 0.0) -> Motion:
    """Lets the scene go without a robot, at most `seconds`, stopping early once all is at rest.

    Args:
        scene: objects at their stored poses; those that stand on the table are raised by `lift` m,
            those upon these by twice that, and so on.
        seconds: longest time simulated.
    """
    model = compile_scene(scene, sensors=False)
    data = mujoco.MjData(model)
    count = len(scene.objects)
    poses = data.qpos[: 7 * count].reshape(count, 7)
    poses[:, 2] += lift * np.array([level(scene, k) for k in range(count)])
    start = poses.copy()
    calm = 0
    for _ in range(round(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)
        calm = calm + 1 if np.abs(data.qvel).max() < _CALM else 0
        if calm == _CALM_STEPS:
            break
    end = poses.copy()
    turned = [_angle(start[k, 3:], end[k, 3:]) for k in range(count)]
    moved = np.linalg.norm(end[:, :3] - start[:, :3], axis=1)
    still = calm == _CALM_STEPS
    return Motion(moved, np.array(turned), end[:, :3], end[:, 3:], still, _overlap(model, data))


def level(scene: SceneSpec, k: int) -> int:
    """How many things are below object k and the table: 1 if it stands on the table."""
    steps, name = 1, scene.objects[k].name
    while (name := carrier(scene.graph, name)) != TABLE:
        steps += 1
    return steps


def settle(scene: SceneSpec, *, seconds: float = WATCHED) -> SceneSpec:
    """The scene with the objects where they come to rest, its relations true and its task possible.

    Raises:
        LayoutError: an object moves more than 1 cm or 5 degrees (on the table) or does not come to
            rest (elsewhere), objects overlap, a relation is lost, or something stands in the way of
            the task; names the objects.
    """
    motion = simulate(scene, seconds, lift=_LIFT)
    upper = [carrier(scene.graph, thing.name) != TABLE for thing in scene.objects]
    _check_motion(scene, motion, upper)
    objects = tuple(
        thing.model_copy(update={"pos": rounded(motion.pos[k]), "quat": rounded(motion.quat[k])})
        for k, thing in enumerate(scene.objects)
    )
    settled = scene.model_copy(update={"objects": objects})
    things = {thing.name: thing for thing in objects}
    for edge in scene.graph.relations:
        if not edge_holds(edge, things):
            raise LayoutError(f"{edge.subject!r} did not stay {edge.relation} {edge.object!r}")
    for reason in obstacles(objects, scene.graph):
        raise LayoutError(reason)
    if any(upper) or not motion.calm:
        again = simulate(settled, seconds)
        _check_motion(settled, again, [False] * len(objects))
    return settled


def _check_motion(scene: SceneSpec, motion: Motion, upper: list[bool]) -> None:
    for k, thing in enumerate(scene.objects):
        far, wide = (_SLIDES, math.pi) if upper[k] else (MOVED, TURNED)
        # Negated, so that a NaN counts as unstable.
        if not (motion.moved[k] < far and motion.turned[k] <= wide):
            raise LayoutError(
                f"{thing.name!r} does not stay in place: it moved {motion.moved[k] * 100:.1f} cm "
                f"and turned {math.degrees(motion.turned[k]):.0f} degrees"
            )
    deep, *bodies = motion.overlap
    if deep > PENETRATION:
        a, b = (scene.objects[k].name if k >= 0 else TABLE for k in bodies)
        raise LayoutError(f"{a!r} and {b!r} overlap by {deep * 1000:.1f} mm")


def _overlap(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[float, int, int]:
    if not data.ncon:
        return 0.0, -1, -1
    worst = int(np.argmin(data.contact.dist[: data.ncon]))
    # Body 0 is the world with the table, body k + 1 is object k: there is no robot here.
    a, b = (int(model.geom_bodyid[geom]) - 1 for geom in data.contact.geom[worst])
    return max(0.0, -float(data.contact.dist[worst])), min(a, b), max(a, b)


def _angle(p: Array, q: Array) -> float:
    relative = quat_to_matrix(p).T @ quat_to_matrix(q)
    return 2 * math.acos(min(1.0, abs(float(matrix_to_quat(relative)[0]))))
