"""Where the objects stand at a reset: moved about, but apart, in place and with the task to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sim.randomize import Randomization
from sim.spread import own_rows

# Layouts tried per reset; the first that is good is taken, else the scene's own layout.
_TRIES = 8
_CLEARANCE = 0.015


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Things:
    """The objects of N environments, in K slots; see `SceneBatch`."""

    position: jax.Array  # f32[N, K, 3] where they rest in the scene, m
    radius: jax.Array  # f32[N, K] of their footprints, m
    active: jax.Array  # bool[N, K]
    carrier: jax.Array  # i32[N, K] what stands on the table below each
    leader: jax.Array  # i32[N, K] whose shift each shares
    turns: jax.Array  # bool[N, K] whether they may turn

    @classmethod
    def alone(cls, position: jax.Array, radius: jax.Array, active: jax.Array) -> Things:
        """Things that all stand on the table for themselves."""
        own = jnp.broadcast_to(jnp.arange(radius.shape[1], dtype=jnp.int32), radius.shape)
        return cls(position, radius, active, own, own, jnp.ones_like(active))


def shift_objects(
    key: jax.Array,
    things: Things,
    randomization: Randomization,
    suits: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    axes: tuple[str, ...] = (),
) -> tuple[jax.Array, jax.Array]:
    """New object positions and yaws that keep the objects apart and in the workspace.

    What is carried stays where it is on its carrier, and things of one leader keep their places
    relative to each other.

    Args:
        key: random key.
        things: the objects.
        randomization: ranges.
        suits: which layouts are good starts of the task: positions f32[N, T, K, 2] and yaws
            f32[N, K] to bool[N, T].
        axes: see `sim.spread`.

    Returns:
        position f32[N, K, 3] and yaw f32[N, K] in rad.
    """
    n, k = things.radius.shape
    key_shift, key_yaw = jax.random.split(key)
    r = randomization

    def draw(key: jax.Array, shape: tuple[int, ...], most: float) -> jax.Array:
        every = lambda num: jax.random.uniform(key, (num, *shape), minval=-most, maxval=most)  # noqa: E731
        return own_rows(every, n, axes)

    shift = draw(key_shift, (_TRIES, k, 2), r.object_xy)
    yaw = draw(key_yaw, (k,), r.object_yaw)
    yaw = jnp.take_along_axis(yaw * things.turns, things.carrier, axis=1) * things.active
    own = things.position[:, None, :, :2]
    low, high = _limits(things, r)
    tried = jnp.clip(own + shift, low[:, None], high[:, None])
    tried = _turned(things, _led(things, own, tried), own, yaw)
    clear = _clear(things, tried)
    good = jnp.all(clear, axis=-1)
    # The scene's own layout, which takes its place if none is good, may be too tight to turn in.
    here = _turned(things, own, own, yaw)
    roomy = _clear(things, here)[:, 0]
    if suits is not None:
        good &= suits(tried, yaw)
        roomy &= suits(here, yaw)
    found = good.any(axis=1)[:, None]
    yaw = jnp.where(found | jnp.take_along_axis(roomy, things.carrier, axis=1), yaw, 0.0)
    first = jnp.argmax(good, axis=1)
    chosen = jnp.take_along_axis(tried, first[:, None, None, None], axis=1)[:, 0]
    still = _turned(things, own, own, yaw)[:, 0]
    chosen = jnp.where((found & things.active)[..., None], chosen, still)
    return jnp.concatenate([chosen, things.position[..., 2:]], axis=-1), yaw


def _limits(things: Things, r: Randomization) -> tuple[jax.Array, jax.Array]:
    """Lowest and highest position f32[N, K, 2] of each leader with all that it leads.

    The workspace never moves an object that the scene itself placed outside it.
    """
    own, k = things.position[..., :2], things.radius.shape[1]
    low = jnp.minimum(jnp.array([r.workspace[0], r.workspace[2]]), own)
    high = jnp.maximum(jnp.array([r.workspace[1], r.workspace[3]]), own)
    each = jnp.arange(k)
    stands = (things.carrier == each) & things.active
    led = (things.leader[:, None, :] == each[:, None]) & stands[:, None, :]
    led = (led | jnp.eye(k, dtype=bool))[..., None]  # [N, leader, led, 1]
    offset = own[:, :, None] - own[:, None]
    return (
        jnp.where(led, low[:, None] + offset, -jnp.inf).max(2),
        jnp.where(led, high[:, None] + offset, jnp.inf).min(2),
    )


def _led(things: Things, own: jax.Array, tried: jax.Array) -> jax.Array:
    """Positions f32[N, T, K, 2] in which each is as far from its leader as in its own place."""
    leader = things.leader[:, None, :, None]
    alone = leader == jnp.arange(things.radius.shape[1])[:, None]
    moved = jnp.take_along_axis(tried - own, leader, axis=2)
    return jnp.where(alone, tried, own + moved)


def _turned(things: Things, at: jax.Array, own: jax.Array, yaw: jax.Array) -> jax.Array:
    """Positions `at` f32[N, T, K, 2] with all that is carried turned about its carrier."""
    carrier = things.carrier[:, None, :, None]
    alone = carrier == jnp.arange(things.radius.shape[1])[:, None]
    offset = own - jnp.take_along_axis(own, carrier, axis=2)
    cos, sin = jnp.cos(yaw)[:, None, :, None], jnp.sin(yaw)[:, None, :, None]
    across = jnp.stack([-offset[..., 1], offset[..., 0]], -1)
    return jnp.where(alone, at, at - offset + cos * offset + sin * across)


def _clear(things: Things, at: jax.Array) -> jax.Array:
    """bool[N, T, K] whether what each carries, itself included, is clear of all led by others.

    True for what is carried: its carrier stands for it.
    """
    own, k = things.position[..., :2], things.radius.shape[1]
    base = jnp.take_along_axis(own, things.carrier[..., None], axis=1)
    spread: jax.Array = jnp.linalg.norm(own - base, axis=-1) + things.radius
    on = (things.carrier[:, None, :] == jnp.arange(k)[:, None]) & things.active[:, None, :]
    wide = jnp.maximum(things.radius, jnp.max(on * spread[:, None, :], axis=2))
    apart = jnp.linalg.norm(at[:, :, :, None] - at[:, :, None], axis=-1)
    needed = wide[:, None, :, None] + wide[:, None, None, :] + _CLEARANCE
    stands = things.active & (things.carrier == jnp.arange(k))
    pair = stands[:, :, None] & stands[:, None, :]
    pair &= things.leader[:, :, None] != things.leader[:, None, :]
    return jnp.all((apart >= needed) | ~pair[:, None], axis=3)
