"""An episode of the training domain, moved into the transfer domain."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp

from sim.episode import Episode
from sim.physics.base import Dynamics
from sim.state import _LATEST
from sim.transfer.config import TransferConfig

# Numbers of the streams under an episode's key; they never change, so that a seed keeps its meaning
# and a gap does not change what the others draw.
(_CAMERA, _TURN, _FOV, _MASS, _FRICTION, _STIFFNESS, _DAMPING) = range(101, 108)


def widen(episode: Episode, config: TransferConfig, num_objects: int, control_hz: float) -> Episode:
    """The episodes with the gaps in timing, dynamics and cameras added to what they have.

    Args:
        episode: N episodes as the training domain draws them.
        config: sizes of the gaps.
        num_objects: K, slots of the scenes.
        control_hz: control steps a second; limits latency and delay.
    """
    keys = jax.random.wrap_key_data(episode.key)
    n = keys.shape[0]

    def towards(stream: int, shape: tuple[int, ...], size: float) -> jax.Array:
        """f32[N, *shape, 3] vectors of that length."""
        draw = lambda key: jax.random.normal(jax.random.fold_in(key, stream), (*shape, 3))  # noqa: E731
        vector = jax.vmap(draw)(keys)
        return size * vector / jnp.linalg.norm(vector, axis=-1, keepdims=True)

    def factor(stream: int, shape: tuple[int, ...], size: float) -> jax.Array:
        """f32[N, *shape] 1 + size or 1 - size."""
        draw = lambda key: jax.random.rademacher(  # noqa: E731
            jax.random.fold_in(key, stream), shape, jnp.float32
        )
        return 1.0 + size * jax.vmap(draw)(keys)

    changes: dict = {}
    if config.camera:
        changes["camera"] = episode.camera + towards(_CAMERA, (), config.camera)
    if config.camera_turn:
        own = 0.0 if episode.camera_turn is None else episode.camera_turn
        changes["camera_turn"] = own + towards(_TURN, (2,), config.camera_turn)
    if config.camera_fov:
        own = 1.0 if episode.camera_fov is None else episode.camera_fov
        changes["camera_fov"] = own * factor(_FOV, (2,), config.camera_fov)
    if config.delay:
        own = jnp.zeros(n) if episode.delay is None else episode.delay
        changes["delay"] = jnp.minimum(own + config.delay, 1.0 / control_hz)
    c = config
    if any((c.mass, c.friction, c.stiffness, c.damping, c.latency)):
        d = episode.dynamics or _as_it_is(n, num_objects)
        changes["dynamics"] = Dynamics(
            mass=d.mass * factor(_MASS, (num_objects,), c.mass),
            friction=d.friction * factor(_FRICTION, (), c.friction),
            stiffness=d.stiffness * factor(_STIFFNESS, (), c.stiffness),
            damping=d.damping * factor(_DAMPING, (), c.damping),
            latency=jnp.minimum(d.latency + c.latency, _LATEST / control_hz),
        )
    return replace(episode, **changes)


def _as_it_is(n: int, num_objects: int) -> Dynamics:
    one = jnp.ones(n)
    return Dynamics(jnp.ones((n, num_objects)), one, one, one, jnp.zeros(n))
