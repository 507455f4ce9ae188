"""The MJX engine's side of a scene batch: one template model and what differs between scenes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from generation.compile import compile_spec
from sim.physics.import_mjx import mjx
from sim.physics.mjx_capacity import Capacity, bounding_radius

Impl = Literal["jax", "warp"]

FIELDS = (
    "body_pos",
    "body_quat",
    "body_ipos",
    "body_iquat",
    "body_mass",
    "body_subtreemass",
    "body_inertia",
    "body_gravcomp",
    "body_invweight0",
    "dof_invweight0",
    "dof_M0",
    "geom_size",
    "geom_aabb",
    "geom_rbound",
    "geom_pos",
    "geom_quat",
    "geom_friction",
    "geom_margin",
    "geom_solref",
    "geom_solimp",
)
"""Fields of `mjx.Model` that an environment takes from its scene. The list is fixed, so that every
batch has the same structure; the derived ones (invweight, subtreemass, rbound) come from MuJoCo's
compiler, since MJX cannot recompute them. All are MuJoCo's numbers, but for `geom_rbound`: see
`bounding_radius`."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MjxScenes:
    """What MJX needs, as pytrees.

    Attributes:
      model: the first scene's `mjx.Model`, without sensors.
      data: an `mjx.Data` of it, for shapes and constants.
      fields: f32[S, ...] per name in `FIELDS`.
      members: bool[5, 2, ngeom] for every entry of `CONTACTS` the geoms on either side.
      capacity: room for contacts.
      impl: MJX's implementation that the arrays are for.
    """

    model: mjx.Model
    data: mjx.Data
    fields: dict[str, jax.Array]
    members: jax.Array
    capacity: Capacity = dataclasses.field(metadata={"static": True})
    impl: Impl = dataclasses.field(metadata={"static": True})


def stack_fields(
    spec: mujoco.MjSpec,
    models: Sequence[mujoco.MjModel],
    capacity: Capacity,
    impl: Impl = "jax",
) -> MjxScenes:
    """Puts a template on the device and stacks the models' `FIELDS`.

    Args:
      spec: a scene without sensors: MJX has no contact sensor between bodies.
      models: all scenes, of the template's structure but for sensors.
      capacity: room for contacts.
      impl: MJX's implementation.

    Raises:
      ValueError: Warp is asked for and not installed.
    """
    if not models[0].dof_damping.any():
        # Without joint damping MuJoCo integrates the solver's acceleration. MJX computes it anew
        # from the forces, which is another one where the solver stopped early, and objects explode.
        spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_EULERDAMP)
    spec.add_numeric(name="max_geom_pairs", data=[capacity.pairs], size=1)
    template = compile_spec(spec)
    if impl == "warp":
        from sim.physics.mjx_warp import put_template  # Warp takes a second to import

        model, data = put_template(template, capacity)
        return MjxScenes(model, data, _stack(model, models), _members(template), capacity, impl)
    model = mjx.put_model(template, impl="jax")
    # A constant of the program that only height fields use, but that differs from scene to scene:
    # left alone, every batch would be compiled anew.
    model = model.tree_replace({"_impl.geom_rbound_hfield": np.zeros(template.ngeom)})
    # The model keeps all contacts, for `sim.physics.mjx_contacts` to choose; the data that the
    # solver works on has room for as many as the capacity says.
    spec.add_numeric(name="max_contact_points", data=[capacity.contacts], size=1)
    data = mjx.make_data(compile_spec(spec), impl="jax")
    if len(dims := set(data._impl.contact.dim.tolist())) > 1:
        raise ValueError(f"geoms have several contact dimensions {sorted(dims)}: MJX needs one")
    return MjxScenes(model, data, _stack(model, models), _members(template), capacity, impl)


def _stack(model: mjx.Model, models: Sequence[mujoco.MjModel]) -> dict[str, jax.Array]:
    # Warp shares dof_M0, which no step reads.
    names = [name for name in FIELDS if model.impl == mjx.Impl.JAX or name != "dof_M0"]
    values = {name: np.stack([getattr(m, name) for m in models]) for name in names}
    values["geom_rbound"] = np.stack([bounding_radius(m) for m in models])
    return {
        name: jnp.asarray(value, jnp.float32).reshape(-1, *getattr(model, name).shape)
        for name, value in values.items()
    }


def _members(model: mujoco.MjModel) -> jax.Array:
    """The two sides of every entry of `CONTACTS`, as sets of geoms."""
    of_body = model.geom_bodyid

    def body(name: str) -> np.ndarray:
        return of_body == model.body(name).id

    target = body("object0")
    table = np.arange(model.ngeom) == model.geom("table").id
    robot = model.body_rootid[of_body] == model.body("robot_base").id
    others = (body("object1"), table, robot, body("left_finger"), body("right_finger"))
    return jnp.asarray(np.stack([np.stack([target, other]) for other in others]))
