"""Domain randomization: what varies from episode to episode, in one frozen dataclass.

The list and its ranges are the paper's (arXiv 2603.18532): object position and yaw, joint angles,
camera position, ambient light.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Randomization:
    """Half-widths of uniform ranges; zero switches a term off."""

    # Shift of every object on the table, m.
    object_xy: float = 0.15
    # Rotation of every object about the vertical, rad.
    object_yaw: float = 3.14159265
    # Start angle of every arm joint, rad.
    joints: float = 0.1
    # Position of the fixed camera, m.
    camera: float = 0.05
    # Ambient light per colour channel, from ... to.
    ambient_low: float = 0.0
    ambient_high: float = 0.6
    # Objects stay inside this rectangle of the table (x low, x high, y low, y high), m.
    workspace: tuple[float, float, float, float] = (0.16, 0.38, -0.22, 0.22)

    @staticmethod
    def none() -> Randomization:
        """No randomization at all: every episode of a scene starts alike."""
        return Randomization(0.0, 0.0, 0.0, 0.0, 0.3, 0.3)


# Layouts tried per reset; the first without overlap is taken, else the scene's own layout.
_TRIES = 8
_CLEARANCE = 0.015


def shift_objects(
    key: jax.Array,
    position: jax.Array,
    radius: jax.Array,
    active: jax.Array,
    randomization: Randomization,
) -> tuple[jax.Array, jax.Array]:
    """New object positions and yaws that keep the objects apart and in the workspace.

    Args:
        key: random key.
        position: f32[N, K, 3] resting positions of the scene.
        radius: f32[N, K] footprint radii, m.
        active: bool[N, K].
        randomization: ranges.

    Returns:
        position f32[N, K, 3] and yaw f32[N, K] in rad.
    """
    n, k = radius.shape
    key_shift, key_yaw = jax.random.split(key)
    r = randomization
    shift = jax.random.uniform(
        key_shift, (n, _TRIES, k, 2), minval=-r.object_xy, maxval=r.object_xy
    )
    low = jnp.array([r.workspace[0], r.workspace[2]])
    high = jnp.array([r.workspace[1], r.workspace[3]])
    own = position[:, None, :, :2]
    # The workspace never moves an object that the scene itself placed outside it.
    tried = jnp.clip(own + shift, jnp.minimum(low, own), jnp.maximum(high, own))
    apart = jnp.linalg.norm(tried[:, :, :, None] - tried[:, :, None], axis=-1)
    needed = radius[:, None, :, None] + radius[:, None, None, :] + _CLEARANCE
    pair = active[:, :, None] & active[:, None, :] & ~jnp.eye(k, dtype=bool)
    good = jnp.all((apart >= needed) | ~pair[:, None], axis=(2, 3))
    first = jnp.argmax(good, axis=1)
    chosen = jnp.take_along_axis(tried, first[:, None, None, None], axis=1)[:, 0]
    chosen = jnp.where((good.any(axis=1)[:, None] & active)[..., None], chosen, position[..., :2])
    yaw = jax.random.uniform(key_yaw, (n, k), minval=-r.object_yaw, maxval=r.object_yaw)
    return jnp.concatenate([chosen, position[..., 2:]], axis=-1), yaw * active
