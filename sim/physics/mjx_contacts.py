"""The contact pass of MJX, corrected towards that of MuJoCo.

`mjx.collision` differs from MuJoCo in ways that change forces (MJX 3.17):
- A box on a plane touches at its corners within 1 mm of the deepest; a tilted box loses support.
- Points between boxes lie on one box's face, MuJoCo's midway between the two surfaces.
- Points between boxes repeat when there are fewer than four, each as stiff as a real one.
Here the first two are made as MuJoCo makes them and the repetitions are dropped. What stays: MuJoCo
keeps up to eight points between two boxes, MJX four.
"""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from sim.physics.import_mjx import collision_groups, mjx, points_per_pair
from sim.physics.mjx_capacity import Capacity, crowds

_PLANE, _BOX = int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_BOX)
_SIGNS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)), np.float32)
_SAME = 1e-6  # m, points nearer than this are one
_APART = 1.0  # m, distance that stands for "no contact", as in MJX


def collide(model: mjx.Model, data: mjx.Data, capacity: Capacity) -> tuple[mjx.Data, jax.Array]:
    """Fills in the contacts of one environment: the deepest `capacity.contacts` of all.

    Args:
      model: made without `max_contact_points`, so that `mjx.collision` keeps all contacts.
      data: after `mjx.kinematics`; made with `max_contact_points`, for the shapes that come after.
      capacity: room for contacts.

    Returns:
      data, and bool[]: there were more contacts than there is room for, or more pairs with
      overlapping bounding spheres than were looked at.
    """
    slots = data._impl.contact.dist.shape[0]
    contact = mjx.collision(model, data)._impl.contact
    start = 0
    for key, pairs in collision_groups(model).items():
        kinds = (int(key.types[0]), int(key.types[1]))
        points = points_per_pair(kinds)
        count = len(pairs) if _PLANE in kinds else min(len(pairs), capacity.pairs)
        rows = slice(start, start + points * count)
        if kinds == (_PLANE, _BOX):
            contact = _place(contact, rows, *_corners(model, data, np.array(pairs)[:, :2]))
        elif kinds == (_BOX, _BOX):
            contact = _place(contact, rows, *_between(model, data, contact, rows))
        start += points * count
    # Geoms that only fill the template have a negative margin, which no contact undercuts.
    depth = contact.dist - jnp.minimum(contact.includemargin, 0.0)
    full = (depth < 0.0).sum() > slots
    for pairs in crowds(model, more_than=capacity.pairs):
        full |= _overlapping(model, data, pairs) > capacity.pairs
    if start > slots:
        _, kept = jax.lax.top_k(-depth, slots)
        contact = jax.tree.map(lambda x: x[kept], contact)
    return data.tree_replace({"_impl.contact": contact}), full


def penetrating(data: mjx.Data) -> jax.Array:
    """Which contacts of `data` touch, bool[..., contacts]: MJX keeps those at a distance too."""
    contact = data._impl.contact
    return contact.dist < jnp.minimum(contact.includemargin, 0.0)


def _place(contact: Any, rows: slice, dist: jax.Array, pos: jax.Array) -> Any:
    return contact.replace(dist=contact.dist.at[rows].set(dist), pos=contact.pos.at[rows].set(pos))


def _corners(model: mjx.Model, data: mjx.Data, pairs: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """The four lowest corners of boxes over planes: distances [P * 4], points [P * 4, 3].

    They lie midway between corner and plane.
    """
    plane, box = pairs.T
    normal = data.geom_xmat[plane][:, :, 2]
    offset = jnp.einsum("pij,kpj->pki", data.geom_xmat[box], _SIGNS[:, None] * model.geom_size[box])
    below = jnp.einsum("pki,pi->pk", offset, normal)
    centre = jnp.einsum("pi,pi->p", data.geom_xpos[box] - data.geom_xpos[plane], normal)
    lowest, which = jax.lax.top_k(-below, 4)
    dist = centre[:, None] - lowest
    corner = data.geom_xpos[box][:, None] + jnp.take_along_axis(offset, which[..., None], axis=1)
    point = corner - 0.5 * dist[..., None] * normal[:, None]
    return dist.reshape(-1), point.reshape(-1, 3)


def _between(
    model: mjx.Model, data: mjx.Data, contact: Any, rows: slice
) -> tuple[jax.Array, jax.Array]:
    """Points between boxes moved midway, repeated ones dropped: distances, points."""
    dist: jax.Array = contact.dist[rows]
    pos, normal = contact.pos[rows], contact.frame[rows, 0]
    first, second = contact.geom[rows, 0], contact.geom[rows, 1]

    def surface(geom: jax.Array) -> jax.Array:
        """How far the points are from the surface of their box, m."""
        offset = pos - data.geom_xpos[geom]
        local = jnp.einsum("cij,ci->cj", data.geom_xmat[geom], offset)
        return jnp.abs((jnp.abs(local) - model.geom_size[geom]).max(axis=-1))

    # The normal leads from the first box to the second; the point is on the face of one of them.
    side = jnp.where(surface(first) < surface(second), 0.5, -0.5)
    # Boxes far apart have the largest float as their distance: nothing may be computed from that.
    point = pos + (side * jnp.minimum(dist, 0.0))[:, None] * normal
    four = pos.reshape(-1, 4, 3)
    same = ((four[:, :, None] - four[:, None]) ** 2).sum(axis=-1) < _SAME**2
    repeated = (same & jnp.tri(4, k=-1, dtype=bool)).any(axis=-1).reshape(-1)
    return jnp.where(repeated, _APART, dist), point


def _overlapping(model: mjx.Model, data: mjx.Data, pairs: np.ndarray) -> jax.Array:
    """How many pairs have overlapping bounding spheres, i32[]."""
    first, second = pairs.T
    apart = jnp.linalg.norm(data.geom_xpos[first] - data.geom_xpos[second], axis=-1)
    return (apart < model.geom_rbound[first] + model.geom_rbound[second]).sum()
