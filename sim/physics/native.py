"""MuJoCo's own engine, on the host's cores, inside a jitted program.

One `pure_callback` a control step hands the state rows of all environments to `mujoco.batch`,
which steps them on a pool of threads, each on the model of its scene. Everything the step depends
on crosses the boundary (positions, velocities, solver warm start, controls, scene index, handle),
so the callback is a pure function: the same arguments give the same bits whatever ran before.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from mujoco import batch as mujoco_batch

from sim.physics.base import CONTACTS, Dynamics, PhysicsState, check_ctrl, guard, initial_state, ramp
from sim.physics.registry import HostScenes, host_scenes

if TYPE_CHECKING:
    from sim.scene_batch import SceneBatch

_log = logging.getLogger(__name__)
_MAX_POOLS = 8
# Sensors of the compiled scenes (generation.compile), in the order of CONTACTS.
_SENSORS = (
    "target_receptacle",
    "target_table",
    "target_robot",
    "target_fingers_left",
    "target_fingers_right",
)
_DIVERGED = (
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
)


@dataclasses.dataclass(frozen=True)
class NativePhysics:
    """`Physics` on the host.

    Attributes:
      num_threads: threads of the pool; 0 takes every core.
    """

    num_threads: int = 0

    @property
    def name(self) -> str:
        """Key in `get_physics`."""
        return "native"

    def init(
        self,
        batch: SceneBatch,
        scene_index: jax.Array,
        qpos: jax.Array,
        dynamics: Dynamics | None = None,
    ) -> PhysicsState:
        """See `Physics.init`."""
        return initial_state(batch, scene_index, qpos, dynamics)

    def step(
        self, batch: SceneBatch, state: PhysicsState, ctrl: jax.Array, n_substeps: int
    ) -> PhysicsState:
        """See `Physics.step`."""
        check_ctrl(batch, state, ctrl, n_substeps)
        num, nq, nv = state.qpos.shape[0], batch.nq, batch.nv
        rows = [state.qpos, state.qvel, state.warmstart, state.ctrl, ctrl]
        shape = jax.ShapeDtypeStruct((num, nq + 2 * nv + len(CONTACTS) + 1), jnp.float32)
        out = jax.pure_callback(
            _callback(n_substeps, self.num_threads),
            shape,
            batch.handle,
            state.scene_index,
            jnp.concatenate(rows, axis=-1),
        )
        qpos, qvel, warmstart, contacts, finite = jnp.split(
            out, np.cumsum([nq, nv, nv, len(CONTACTS)]), axis=-1
        )
        after = PhysicsState(
            scene_index=state.scene_index,
            qpos=qpos,
            qvel=qvel,
            warmstart=warmstart,
            ctrl=ctrl,
            contacts=contacts > 0,
            finite=finite[:, 0] > 0,
            saturated=jnp.zeros(num, bool),
            dynamics=state.dynamics,
        )
        return guard(batch, after)


class _Pool:
    """A reusable `mujoco.batch.Batch` with its live views, and the models it last ran on."""

    def __init__(self, scenes: HostScenes, num: int, num_threads: int) -> None:
        model = scenes.models[0]
        self.batch = mujoco_batch.Batch(model, nsim=num, nthread=num_threads)
        self.time = self.batch.bind("time")
        self.qpos = self.batch.bind("qpos")
        self.qvel = self.batch.bind("qvel")
        self.warmstart = self.batch.bind("qacc_warmstart")
        self.ctrl = self.batch.bind("ctrl")
        self.sensordata = self.batch.bind("sensordata")
        self.contact_columns = np.array([model.sensor(name).adr[0] for name in _SENSORS])
        self.assignment: tuple[int, bytes] | None = None

    def assign(self, handle: int, scenes: HostScenes, index: np.ndarray) -> None:
        """Runs simulation i on the model of scene `index[i]`."""
        assignment = (handle, index.tobytes())
        if assignment != self.assignment:
            self.batch.set_models([scenes.models[i] for i in index])
            self.assignment = assignment

    def run(self, rows: np.ndarray, start: np.ndarray, n_substeps: int) -> np.ndarray:
        """Steps the simulations from their rows; rows of those that break are marked, not mended.

        Args:
          rows: [N, nq + 2 nv + 2 nu] positions, velocities, warm start, old and new control.
          start: [N, nq] where a simulation begins whose row is not finite.
          n_substeps: number of physics steps.

        Returns:
          f32[N, nq + 2 nv + 6] positions, velocities, warm start, contacts, finite.
        """
        good = np.asarray(np.isfinite(rows).all(axis=1))
        rows = np.where(good[:, None], rows, 0.0)
        sizes = [a.shape[1] for a in (self.qpos, self.qvel, self.qvel, self.ctrl)]
        qpos, qvel, warmstart, old, new = np.split(rows, np.cumsum(sizes), axis=1)
        self.time[:] = 0.0
        self.qpos[:] = np.where(good[:, None], qpos, start)
        self.qvel[:] = qvel
        self.warmstart[:] = warmstart
        control = old[:, None] + ramp(n_substeps)[:, None] * (new - old)[:, None]
        self.batch.warning[:] = 0
        try:
            with _warnings_to_log():
                self.batch.rollout(n_substeps, control=control, record=())
        except mujoco_batch.SimulationError as error:
            good[error.ids] = False
        good &= (self.batch.warning[:, _DIVERGED, 1] == 0).all(axis=1)
        contacts = self.sensordata[:, self.contact_columns] > 0
        out = np.concatenate(
            [self.qpos, self.qvel, self.warmstart, contacts, good[:, None]], axis=1
        )
        return out.astype(np.float32)


@contextlib.contextmanager
def _warnings_to_log() -> Iterator[None]:
    """Sends MuJoCo's warnings to the log; by default it appends to a file in the current folder."""
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(_log.debug)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(previous)


_pools: collections.OrderedDict[tuple, _Pool] = collections.OrderedDict()
_lock = threading.Lock()


def _pool(scenes: HostScenes, num: int, num_threads: int) -> _Pool:
    """The cached pool for that many simulations of that structure; the oldest make room."""
    key = (scenes.structure, num, num_threads)
    if key not in _pools:
        if len(_pools) >= _MAX_POOLS:
            _pools.popitem(last=False)
        _pools[key] = _Pool(scenes, num, num_threads)
    _pools.move_to_end(key)
    return _pools[key]


@functools.cache
def _callback(n_substeps: int, num_threads: int) -> Callable[..., np.ndarray]:
    """The host function for that many substeps; cached so that tracing sees one function."""

    def advance(handle: jax.Array, scene_index: jax.Array, rows: jax.Array) -> np.ndarray:
        key = int(handle)
        scenes = host_scenes(key)
        index = np.clip(np.asarray(scene_index), 0, len(scenes.models) - 1)
        with _lock:  # a Batch serves one Python thread at a time
            pool = _pool(scenes, len(index), num_threads)
            pool.assign(key, scenes, index)
            return pool.run(np.asarray(rows), scenes.qpos0[index], n_substeps)

    return advance
