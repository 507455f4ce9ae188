"""Per-environment departures from a scene's physics, as scaled fields of MJX's model."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sim.physics.base import Dynamics
from sim.physics.import_mjx import mjx

_FREE_DOFS = 6


def scaled_fields(
    model: mjx.Model, fields: dict[str, jax.Array], dynamics: Dynamics, bodies: Sequence[int]
) -> dict[str, jax.Array]:
    """The fields with mass, friction, servo gains and damping scaled.

    An object is a free body, so what MuJoCo's compiler derives from its mass is known exactly: if
    mass and inertia grow by a factor, so does its mass matrix, and its inverse shrinks by it.

    Args:
      model: the template, for what scenes share.
      fields: f32[N, ...] fields that environments take from their scenes.
      dynamics: factors of N environments.
      bodies: body of every object slot.

    Returns:
      the same fields and those of the servos, f32[N, ...].
    """
    num = dynamics.friction.shape[0]
    objects = np.asarray(bodies)
    dofs = np.asarray(model.body_dofadr)[objects][:, None] + np.arange(_FREE_DOFS)
    mass, over = dynamics.mass, 1.0 / dynamics.mass
    shared = {
        name: jnp.broadcast_to(getattr(model, name), (num, *getattr(model, name).shape))
        for name in ("actuator_gainprm", "actuator_biasprm", "dof_damping")
    }
    fields = {**fields, **shared}
    more = (fields["body_mass"][:, objects] * (mass - 1.0)).sum(axis=-1)
    subtree = fields["body_subtreemass"].at[:, objects].multiply(mass).at[:, 0].add(more)
    stiffness, damping = dynamics.stiffness[:, None], dynamics.damping[:, None]
    if "dof_M0" in fields:
        fields["dof_M0"] = fields["dof_M0"].at[:, dofs].multiply(mass[..., None])
    return {
        **fields,
        "body_mass": fields["body_mass"].at[:, objects].multiply(mass),
        "body_inertia": fields["body_inertia"].at[:, objects].multiply(mass[..., None]),
        "body_subtreemass": subtree,
        "body_invweight0": fields["body_invweight0"].at[:, objects].multiply(over[..., None]),
        "dof_invweight0": fields["dof_invweight0"].at[:, dofs].multiply(over[..., None]),
        "geom_friction": fields["geom_friction"].at[..., 0].multiply(dynamics.friction[:, None]),
        "actuator_gainprm": fields["actuator_gainprm"].at[..., 0].multiply(stiffness),
        "actuator_biasprm": fields["actuator_biasprm"]
        .at[..., 1]
        .multiply(stiffness)
        .at[..., 2]
        .multiply(damping),
        "dof_damping": fields["dof_damping"] * damping,
    }
