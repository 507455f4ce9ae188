"""Goals beside something, when they hold; and where to put things to reach a goal of any kind.

The predicates are those of `generation.placing.relations`, for things that may have been tilted:
left is +y, behind is +x (away from the robot), and what counts between two things is the gap of
their footprints.
"""

from __future__ import annotations

import math
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from generation.placing.access import REACH, SPOT_GAPS
from generation.placing.relations import NEXT_TO
from generation.spec import SUPPORTS, Relation
from sim.robots.base import Robot

RELATIONS: tuple[str, ...] = get_args(Relation)
"""Values of `SceneBatch.goal` are indices into this tuple."""
NEAR = 0.25
"""Largest distance of the origins of things of which one stands "left of" the other, m."""
STACKED = RELATIONS.index("stacked on")
_NEXT_TO = RELATIONS.index("next to")
_SPATIAL = np.array([name not in SUPPORTS for name in RELATIONS])
# Directions from the robot's point of view, as unit vectors on the table; zero for the others.
_TOWARDS = {"left of": (0, 1), "right of": (0, -1), "in front of": (-1, 0), "behind": (1, 0)}
_DIRECTION = np.array([_TOWARDS.get(name, (0, 0)) for name in RELATIONS], np.float32)

_UPRIGHT = 0.98  # cosine of the tilt up to which a footprint turns within its circle
_STEEP = 0.7  # sine of the tilt of an axis that no longer tells the heading

PLACE_RADIUS = 0.04
"""How far from the aim of a spatial goal the place is said to extend, m."""
_DIRECTIONS = 9  # to be tried with each gap
_FAN = math.radians(34.0)  # of the 45 degrees to either side that count as "left of"
_PARTS = (0.0, 0.5, 1.0)  # of the way from the middle of a place to its edge
_CLEAR = 0.03  # m from all other things: more is no better
_FREE = 0.01  # m that a free spot has at least
_BESIDE = 0.005  # m from what lies in the receptacle already: more is no better
_MARGIN = 0.015  # m within the tool's range


class Footprint(NamedTuple):
    """Bounds of things on the table about their origins: a rectangle and a circle, both valid."""

    axis: jax.Array  # f32[..., 2] unit vector along the rectangle's first side
    centre: jax.Array  # f32[..., 2] of the rectangle, from the origin, m
    half: jax.Array  # f32[..., 2] half sides, m
    radius: jax.Array  # f32[...] of the circle about the origin, m; huge where none is known


def footprint(mat: jax.Array, low: jax.Array, high: jax.Array, radius: jax.Array) -> Footprint:
    """Footprints of things as they lie.

    Args:
        mat: f32[..., 3, 3] rotations.
        low, high: f32[..., 3] bounds in the body frame, m.
        radius: f32[...] of the circle around the body's z axis, m.
    """
    first, second = mat[..., :2, 0], mat[..., :2, 1]
    level = jnp.linalg.norm(first, axis=-1, keepdims=True) > _STEEP
    axis = jnp.where(level, first, second)
    axis = axis / jnp.maximum(jnp.linalg.norm(axis, axis=-1, keepdims=True), 1e-6)
    centre = jnp.sum(mat[..., :2, :] * (0.5 * (low + high))[..., None, :], -1)
    sides = jnp.stack([axis, _across(axis)], -2)  # [..., side, xy]
    along = jnp.abs(jnp.sum(sides[..., :, :, None] * mat[..., None, :2, :], -2))  # [..., side, 3]
    half = jnp.sum(along * (0.5 * (high - low))[..., None, :], -1)
    upright = mat[..., 2, 2] > _UPRIGHT
    return Footprint(axis, centre, half, jnp.where(upright, radius, 1e3))


def gap(a: Footprint, a_at: jax.Array, b: Footprint, b_at: jax.Array) -> jax.Array:
    """A lower bound f32[...] of the distance of footprints (m), negative if they may overlap.

    Args:
        a, b: footprints.
        a_at, b_at: f32[..., 2] where their origins are, m.
    """
    apart = b_at + b.centre - a_at - a.centre
    best = jnp.linalg.norm(b_at - a_at, axis=-1) - a.radius - b.radius
    for line in (a.axis, _across(a.axis), b.axis, _across(b.axis)):
        between = jnp.abs(jnp.sum(apart * line, -1)) - _extent(a, line) - _extent(b, line)
        best = jnp.maximum(best, between)
    return best


def is_spatial(goal: jax.Array) -> jax.Array:
    """bool[...]: the goal is a place beside something, not on or in it."""
    return jnp.asarray(_SPATIAL)[goal]


def related(
    goal: jax.Array,
    a: Footprint,
    a_at: jax.Array,
    b: Footprint,
    b_at: jax.Array,
    near: float = NEAR,
) -> jax.Array:
    """bool[...]: a stands beside b as the goal i32[...] says; false for goals on or in things.

    Things further apart than `near` m are neither left nor right of each other.
    """
    offset = a_at - b_at
    towards = jnp.asarray(_DIRECTION)[goal]
    forward, aside = jnp.sum(offset * towards, -1), jnp.sum(offset * _across(towards), -1)
    # Where both are equal, sideways wins, as in generation.
    sideways = towards[..., 1] != 0.0
    ahead = jnp.where(sideways, forward >= jnp.abs(aside), forward > jnp.abs(aside))
    close = jnp.linalg.norm(offset, axis=-1) <= near
    directed = (forward > 0.0) & ahead & close & jnp.any(towards != 0.0, -1)
    return directed | ((goal == _NEXT_TO) & (gap(a, a_at, b, b_at) <= NEXT_TO))


class Place(NamedTuple):
    """What the goal is about, as a place to put something."""

    at: jax.Array  # f32[N, 2] origin, m
    middle: jax.Array  # f32[N, 2] of the surface that holds things, m
    usable: jax.Array  # f32[N] radius of that surface, m


class Others(NamedTuple):
    """What else there is: circles, J of them."""

    at: jax.Array  # f32[N, J, 2] m
    radius: jax.Array  # f32[N, J] m; very negative where there is nothing
    carried: jax.Array  # bool[N, J] stands on what the goal is about, or with it on one thing


def aim(
    goal: jax.Array, a: Footprint, b: Footprint, place: Place, others: Others, robot: Robot
) -> tuple[jax.Array, jax.Array]:
    """Where to put a on, in or beside b: the spot with most room of a few that fit the goal.

    The spots follow from b, from the others and from the outline of a, not from where a is, so the
    choice stays the same while a is carried there.

    Args:
        goal: i32[N].
        a, b: footprints of the thing to place and of what the goal is about.
        place: where b is.
        others: things to keep away from.
        robot: gives the range of the tool.

    Returns:
        the spot f32[N, 2] (m), and bool[N]: beside b it is free, within reach, and fits the goal.
    """
    unit, share, cost = (jnp.asarray(table)[goal] for table in _candidates())  # [N, C, ...]
    spatial = is_spatial(goal)[:, None]
    one, two = (Footprint(*(jnp.expand_dims(x, 1) for x in thing)) for thing in (a, b))
    width = jnp.minimum(a.radius, jnp.linalg.norm(jnp.abs(a.centre) + a.half, axis=-1))
    along = _extent(one, unit) + _extent(two, unit)
    along = along + jnp.sum((two.centre - one.centre) * unit, -1)
    beside = share + jnp.minimum(along, one.radius + two.radius)
    within = share * jnp.maximum(place.usable - width, 0.0)[:, None]
    start = jnp.where(spatial, place.at, place.middle)
    spot = start[:, None] + unit * jnp.where(spatial, beside, within)[..., None]
    room: jax.Array = (
        jnp.linalg.norm(spot[:, :, None] - others.at[:, None], axis=-1) - others.radius[:, None]
    )
    room = jnp.where(spatial[..., None] | others.carried[:, None], room, 1.0)
    room = jnp.min(room, axis=-1, initial=1.0) - width[:, None]
    inside = jnp.where(spatial, _inside(spot, robot), 0.0)
    fits = related(goal[:, None], one, spot, two, place.at[:, None]) | ~spatial
    wanted = jnp.where(spatial, _CLEAR, _BESIDE)
    score = jnp.minimum(room, wanted) + 10.0 * jnp.minimum(inside, 0.0) - cost - 1.0 * ~fits
    best = jnp.argmax(score, axis=1)[:, None]
    good = fits & (inside >= 0.0) & (room >= _FREE)
    chosen = jnp.take_along_axis(spot, best[..., None], axis=1)[:, 0]
    return chosen, jnp.take_along_axis(good, best, axis=1)[:, 0]


def _inside(spot: jax.Array, robot: Robot) -> jax.Array:
    """How far inside the tool's range points f32[..., 2] are, m; negative outside."""
    low = jnp.asarray(robot.workspace_low[:2], jnp.float32)
    high = jnp.asarray(robot.workspace_high[:2], jnp.float32)
    box = jnp.minimum(spot - low, high - spot).min(-1) - _MARGIN
    away = jnp.linalg.norm(spot, axis=-1)
    return jnp.minimum(box, jnp.minimum(REACH[1] - _MARGIN - away, away - REACH[0]))


def _candidates() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per relation C spots: directions [R, C, 2], distances [R, C], and a cost each in m.

    Beside things a distance is a gap in m, and the middle of the region is best; on and in things
    it is a share of the way to the edge of the place, and its middle is best. Towers have no other.
    """
    fan = np.linspace(-_FAN, _FAN, _DIRECTIONS)
    around = np.arange(_DIRECTIONS) * (2 * math.pi / _DIRECTIONS)
    rows = []
    for relation, name in enumerate(RELATIONS):
        x, y = _TOWARDS.get(name, (1, 0))
        heading = math.atan2(y, x)
        turns = fan if name in _TOWARDS else around
        steps = SPOT_GAPS if _SPATIAL[relation] else _PARTS
        turn, step = (grid.ravel() for grid in np.meshgrid(turns, steps, indexing="ij"))
        if relation == STACKED:
            step = np.zeros_like(step)
        aside = 0.02 * np.abs(turn) if name in _TOWARDS else 0.0
        cost = aside + (0.1 * np.abs(step - SPOT_GAPS[1]) if _SPATIAL[relation] else 0.02 * step)
        unit = np.stack([np.cos(turn + heading), np.sin(turn + heading)], -1)
        rows.append((unit, step, cost))
    unit, share, cost = (np.stack(column).astype(np.float32) for column in zip(*rows, strict=True))
    return unit, share, cost


def _across(vector: jax.Array) -> jax.Array:
    """The vector turned left by a quarter."""
    return jnp.stack([-vector[..., 1], vector[..., 0]], -1)


def _extent(thing: Footprint, line: jax.Array) -> jax.Array:
    """Half the width of the rectangle along a unit vector, m."""
    along = jnp.abs(jnp.sum(thing.axis * line, -1))
    across = jnp.abs(jnp.sum(_across(thing.axis) * line, -1))
    return thing.half[..., 0] * along + thing.half[..., 1] * across
