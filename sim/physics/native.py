"""MuJoCo's own engine, on the host's cores, inside a jitted program.

One `pure_callback` a control step hands the state rows of all environments to `mujoco.batch`,
which steps them on a pool of threads, each on the model of its scene, or on its own copy of it
where the environment has `Dynamics`. Everything the step depends on crosses the boundary
(positions, velocities, solver warm start, controls, scene index, dynamics, handle), so the
callback is a pure function: the same arguments give the same bits whatever ran before.
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

from sim.physics.base import (
    CONTACTS,
    Dynamics,
    PhysicsState,
    check_ctrl,
    guard,
    initial_state,
    ramp,
)
from sim.physics.latency import delayed_ramp
from sim.physics.native_models import VariedModels, dynamics_rows
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
_FULL = (int(mujoco.mjtWarning.mjWARN_CONTACTFULL), int(mujoco.mjtWarning.mjWARN_CNSTRFULL))


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
        shape = jax.ShapeDtypeStruct((num, nq + 2 * nv + len(CONTACTS) + 2), jnp.float32)
        out = jax.pure_callback(
            _callback(n_substeps, self.num_threads),
            shape,
            batch.handle,
            state.scene_index,
            jnp.concatenate(rows, axis=-1),
            *([] if state.dynamics is None else [dynamics_rows(state.dynamics)]),
        )
        qpos, qvel, warmstart, contacts, finite, saturated = jnp.split(
            out, np.cumsum([nq, nv, nv, len(CONTACTS), 1]), axis=-1
        )
        after = PhysicsState(
            scene_index=state.scene_index,
            qpos=qpos,
            qvel=qvel,
            warmstart=warmstart,
            ctrl=ctrl,
            contacts=contacts > 0,
            finite=finite[:, 0] > 0,
            saturated=saturated[:, 0] > 0,
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
        self.timestep = model.opt.timestep
        self.assignment: tuple[int, bytes] | None = None
        self.varied = VariedModels()

    def assign(self, handle: int, scenes: HostScenes, index: np.ndarray) -> None:
        """Runs simulation i on the model of scene `index[i]`."""
        assignment = (handle, index.tobytes())
        if assignment != self.assignment:
            self.batch.set_models([scenes.models[i] for i in index])
            self.assignment = assignment

    def assign_varied(
        self, handle: int, scenes: HostScenes, index: np.ndarray, dynamics: np.ndarray
    ) -> None:
        """Runs simulation i on its own copy of scene `index[i]` with dynamics f32[N, K + 4]."""
        changed = self.varied.update(handle, scenes, index, dynamics)
        if changed or self.assignment is not None:
            self.batch.set_models(self.varied.models)
            self.assignment = None

    def run(self, rows: np.ndarray, start: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        """Steps the simulations from their rows; rows of those that break are marked, not mended.

        Args:
          rows: [N, nq + 2 nv + 2 nu] positions, velocities, warm start, old and new control.
          start: [N, nq] where a simulation begins whose row is not finite.
          fractions: [n] or [N, n] part of the way to the new control at each of n physics steps.

        Returns:
          f32[N, nq + 2 nv + 7] positions, velocities, warm start, contacts, finite, saturated.
        """
        good = np.asarray(np.isfinite(rows).all(axis=1))
        rows = np.where(good[:, None], rows, 0.0)
        sizes = [a.shape[1] for a in (self.qpos, self.qvel, self.qvel, self.ctrl)]
        qpos, qvel, warmstart, old, new = np.split(rows, np.cumsum(sizes), axis=1)
        self.time[:] = 0.0
        self.qpos[:] = np.where(good[:, None], qpos, start)
        self.qvel[:] = qvel
        self.warmstart[:] = warmstart
        control = old[:, None] + fractions[..., None] * (new - old)[:, None]
        self.batch.warning[:] = 0
        with _warnings_to_log():
            self._roll(control, good)
            full = self._raised(_FULL)
            for sim in np.flatnonzero(full & good):
                self._finish(int(sim), control, good)
        good &= ~self._raised(_DIVERGED)
        contacts = self.sensordata[:, self.contact_columns] > 0
        flags = np.stack([good, full], axis=1)
        out = np.concatenate([self.qpos, self.qvel, self.warmstart, contacts, flags], axis=1)
        return out.astype(np.float32)

    def _raised(self, warnings: tuple[int, ...]) -> np.ndarray:
        """bool[N]: simulations that have met one of the warnings since they were cleared."""
        return np.asarray((self.batch.warning[:, warnings, 1] > 0).any(axis=1))

    def _roll(self, control: np.ndarray, good: np.ndarray, sim: int | None = None) -> None:
        """Steps all simulations, or one; clears `good` of those that raise an error."""
        ids = None if sim is None else [sim]
        try:
            self.batch.rollout(control.shape[1], control=control, record=(), ids=ids)
        except mujoco_batch.SimulationError as error:
            good[error.ids] = False

    def _finish(self, sim: int, control: np.ndarray, good: np.ndarray) -> None:
        """Steps a simulation to the end whose memory was full: a rollout stops at any warning."""
        steps, done = control.shape[1], 0
        while good[sim] and not self._raised(_DIVERGED)[sim]:
            before, done = done, round(float(self.time[sim]) / self.timestep)
            if done >= steps or done <= before:
                break
            self._roll(control[sim : sim + 1, done:], good, sim)


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
    model = scenes.models[0]
    key = (scenes.structure, model.narena, model.opt.timestep, num, num_threads)
    if key not in _pools:
        if len(_pools) >= _MAX_POOLS:
            _pools.popitem(last=False)
        _pools[key] = _Pool(scenes, num, num_threads)
    _pools.move_to_end(key)
    return _pools[key]


@functools.cache
def _callback(n_substeps: int, num_threads: int) -> Callable[..., np.ndarray]:
    """The host function for that many substeps; cached so that tracing sees one function."""

    def advance(
        handle: jax.Array,
        scene_index: jax.Array,
        rows: jax.Array,
        dynamics: jax.Array | None = None,
    ) -> np.ndarray:
        key = int(handle)
        scenes = host_scenes(key)
        index = np.asarray(scene_index) % len(scenes.models)  # see `sim.buckets.make_room`
        with _lock:  # a Batch serves one Python thread at a time
            pool = _pool(scenes, len(index), num_threads)
            if dynamics is None:
                pool.assign(key, scenes, index)
                fractions = ramp(n_substeps)
            else:
                varied = np.asarray(dynamics)
                pool.assign_varied(key, scenes, index, varied)
                latency = varied[:, -1].astype(np.float64)
                fractions = delayed_ramp(n_substeps, pool.timestep, latency)
            return pool.run(np.asarray(rows), scenes.qpos0[index], fractions)

    return advance
