"""Per-environment dynamics on the host: copies of a scene's compiled model with other constants."""

from __future__ import annotations

import collections
import copy
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

if TYPE_CHECKING:
    from sim.physics.base import Dynamics
    from sim.physics.registry import HostScenes


def dynamics_rows(dynamics: Dynamics) -> jax.Array:
    """`Dynamics` as rows f32[N, K + 4]: K masses, friction, stiffness, damping, latency (s)."""
    columns = (dynamics.friction, dynamics.stiffness, dynamics.damping, dynamics.latency)
    rows = [dynamics.mass, *(column[:, None] for column in columns)]
    return jnp.concatenate(rows, axis=-1).astype(jnp.float32)


def check_rows(rows: np.ndarray) -> None:
    """Raises ValueError if a number is not finite, a factor not positive or a latency negative."""
    factors, latency = rows[:, :-1], rows[:, -1]
    good = np.isfinite(rows).all(axis=1) & (factors > 0.0).all(axis=1) & (latency >= 0.0)
    if not good.all():
        worst = int(np.argmin(good))
        raise ValueError(
            f"the dynamics of environment {worst} are {rows[worst].tolist()} (masses, friction, "
            "stiffness, damping, latency): factors must be positive and the latency not negative"
        )


def vary_model(
    own: mujoco.MjModel,
    model: mujoco.MjModel,
    row: np.ndarray,
    object_bodies: np.ndarray,
    scratch: mujoco.MjData,
) -> None:
    """Gives a copy of a scene's model an environment's dynamics, whatever it had before.

    MuJoCo itself works out what follows from the masses (`mj_setConst`: subtree masses and the
    inverse weights that set how soft contacts are).

    Args:
      own: a copy of `model`; changed in place.
      model: the scene as compiled.
      row: [K + 4] one row of `dynamics_rows`.
      object_bodies: i[K] body index of every object slot.
      scratch: data of the model's structure; overwritten.
    """
    mass, (friction, stiffness, damping) = row[:-4].astype(np.float64), row[-4:-1].tolist()
    own.body_mass[object_bodies] = model.body_mass[object_bodies] * mass
    own.body_inertia[object_bodies] = model.body_inertia[object_bodies] * mass[:, None]
    own.geom_friction[:, 0] = model.geom_friction[:, 0] * friction
    own.actuator_gainprm[:, 0] = model.actuator_gainprm[:, 0] * stiffness
    own.actuator_biasprm[:, 1] = model.actuator_biasprm[:, 1] * stiffness
    own.actuator_biasprm[:, 2] = model.actuator_biasprm[:, 2] * damping
    own.dof_damping[:] = model.dof_damping * damping
    mujoco.mj_setConst(own, scratch)


# Copies of models kept for later, per simulation: making one costs more than changing it.
_SPARE = 4


class VariedModels:
    """For each of N simulations its own model, kept while its scene and its dynamics stay.

    Attributes:
      models: the N models of the last update.
    """

    def __init__(self) -> None:
        self.models: list[mujoco.MjModel] = []
        self._made_of: tuple[int, np.ndarray, np.ndarray] | None = None
        self._scratch: mujoco.MjData | None = None
        self._spare: collections.defaultdict[int, list[mujoco.MjModel]]
        self._spare = collections.defaultdict(list)

    def update(self, handle: int, scenes: HostScenes, index: np.ndarray, rows: np.ndarray) -> bool:
        """Makes the models of the simulations that changed; returns whether any did.

        Args:
          handle: key of the scenes, never reused for others.
          scenes: the compiled scenes.
          index: i[N] scene of each simulation.
          rows: f32[N, K + 4] see `dynamics_rows`.

        Raises:
          ValueError: for dynamics that are out of range.
        """
        check_rows(rows)
        if self._made_of is None or self._made_of[0] != handle:
            changed = np.ones(len(index), bool)
            self.models = []
            self._spare.clear()
        else:
            _, old_index, old_rows = self._made_of
            # The latency, last, is no part of a model.
            changed = (old_index != index) | (old_rows != rows)[:, :-1].any(axis=1)
            for sim in np.flatnonzero(changed):
                self._spare[int(old_index[sim])].append(self.models[sim])
        if not changed.any():
            return False
        self._made_of = None  # an error below must not leave a record that is half true
        self.models = self.models or [scenes.models[i] for i in index]
        first = scenes.models[0]
        bodies = np.array([first.body(f"object{k}").id for k in range(rows.shape[1] - 4)], int)
        scratch = self._scratch = self._scratch or mujoco.MjData(first)
        for sim in np.flatnonzero(changed):
            model, spare = scenes.models[index[sim]], self._spare[int(index[sim])]
            self.models[sim] = spare.pop() if spare else copy.copy(model)
            vary_model(self.models[sim], model, rows[sim], bodies, scratch)
        if sum(map(len, self._spare.values())) > _SPARE * len(index):
            self._spare.clear()
        self._made_of = (handle, index.copy(), rows.copy())
        return True
