"""Control latency: servo targets that start to move some time after the command."""

from __future__ import annotations

from typing import overload

import jax
import jax.numpy as jnp
import numpy as np

from sim.physics.base import _RAMP


@overload
def delayed_ramp(n_substeps: int, timestep: float, latency: np.ndarray) -> np.ndarray: ...


@overload
def delayed_ramp(n_substeps: int, timestep: float, latency: jax.Array) -> jax.Array: ...


def delayed_ramp(
    n_substeps: int, timestep: float, latency: np.ndarray | jax.Array
) -> np.ndarray | jax.Array:
    """`sim.physics.base.ramp` of every environment, shifted by its latency.

    Targets wait for `latency` and then move at the speed of the ramp without latency. What is left
    of the way at the end of the control step is skipped: the next step starts at the target.

    Args:
      n_substeps: number of physics steps in a control step.
      timestep: physics step, s.
      latency: f[N] time between command and start, s; NumPy or JAX.

    Returns:
      f[N, n_substeps] fraction of the way to the new targets at every substep, of the latency's
      library; exactly `ramp(n_substeps)` in NumPy where the latency is 0.
    """
    xp = jnp if isinstance(latency, jax.Array) else np
    elapsed = xp.arange(n_substeps) + 1.0 - xp.asarray(latency)[:, None] / timestep
    return xp.clip(elapsed / (_RAMP * n_substeps), 0.0, 1.0)
