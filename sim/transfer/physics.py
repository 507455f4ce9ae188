"""The scenes' physics with other shapes, contacts and solver, for the same native engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import mujoco
import numpy as np

from generation.compile import compile_spec
from generation.spec import SceneSpec
from sim.physics.registry import host_scenes, register_models
from sim.robots.base import Robot, get_robot
from sim.scene_batch import OPTIONS, SceneBatch, scene_spec
from sim.transfer.config import TransferConfig
from sim.transfer.hulls import give_hulls

_ITERATIONS, _IMPRATIO = 50, 10.0


def transfer_batch(
    batch: SceneBatch, scenes: Sequence[SceneSpec], config: TransferConfig
) -> SceneBatch:
    """The batch with the transfer domain's physics behind it; what it says of scenes stays.

    Args:
        batch: S scenes built for the native engine.
        scenes: the same scenes.
        config: sizes of the gaps; without any in the models the batch is returned as it is.
    """
    if not config.changes_models:
        return batch
    timestep = config.timestep or batch.timestep
    robot = get_robot(batch.robot)
    parts = (config.hulls, config.solver, timestep, config.contact_time, config.torsion)
    key = ("transfer", tuple(s.id for s in scenes), batch.robot, batch.template, parts)

    def build() -> tuple[list[mujoco.MjModel], np.ndarray]:
        specs = [_spec(scene, batch, robot, timestep, config) for scene in scenes]
        return _of_one_size(specs), host_scenes(int(batch.handle)).qpos0

    handle = jnp.asarray(register_models(key, build), jnp.int32)
    return replace(batch, handle=handle, timestep=timestep, mjx=None)


def _spec(
    scene: SceneSpec, batch: SceneBatch, robot: Robot, timestep: float, config: TransferConfig
) -> mujoco.MjSpec:
    spec = scene_spec(scene, batch.template, robot, timestep, OPTIONS)
    if config.hulls:
        give_hulls(spec, scene, batch.template)
    if config.solver:
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.option.iterations = _ITERATIONS
        spec.option.ls_iterations = _ITERATIONS
        spec.option.impratio = _IMPRATIO
        several = getattr(mujoco.mjtDisableBit, "mjDSBL_MULTICCD", None)
        if several is not None:
            spec.option.disableflags &= ~int(several)
    for geom in spec.geoms:
        if config.contact_time:
            geom.solref = (config.contact_time, 1.0)
        if config.torsion:
            geom.condim = 4
            geom.friction = (geom.friction[0], config.torsion, geom.friction[2])
    return spec


def _of_one_size(specs: Sequence[mujoco.MjSpec]) -> list[mujoco.MjModel]:
    """The compiled scenes, whose simulations take equal room, as `mujoco.batch` wants it.

    Hulls of different scenes have different bounding volume trees, 2 F - 1 nodes for F faces, and a
    simulation keeps a byte for every node. Meshes that nothing uses bring all to one number.
    """
    models = [compile_spec(spec) for spec in specs]
    nodes = [model.nbvh for model in models]
    if len(set(nodes)) == 1:
        return models
    most = max(nodes) + 2 * (2 * len(_FACES) - 1)
    for spec, own in zip(specs, nodes, strict=True):
        missing = most - own
        if missing % 2 == 0:
            missing -= _add_filler(spec, "filler_even", len(_FACES))
        _add_filler(spec, "filler", (missing + 1) // 2)
    return [compile_spec(spec) for spec in specs]


_FACES = ((0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3))  # of a tetrahedron


def _add_filler(spec: mujoco.MjSpec, name: str, faces: int) -> int:
    """Adds a mesh with so many faces, however often each; returns its number of nodes."""
    mesh = spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX)
    mesh.uservert = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    mesh.userface = np.resize(np.array(_FACES), (faces, 3)).ravel()
    return 2 * faces - 1
