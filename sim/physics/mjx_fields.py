"""The MJX engine's side of a scene batch: one template model and what differs between scenes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from generation.compile import compile_spec
from sim.physics.import_mjx import mjx

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
    "geom_solref",
    "geom_solimp",
)
"""Fields of `mjx.Model` that an environment takes from its scene. The list is fixed, so that every
batch has the same structure; the derived ones (invweight, subtreemass, rbound) come from MuJoCo's
compiler, since MJX cannot recompute them."""

# Every slot of a contact costs four constraint rows whether it is used or not, so MJX keeps only
# the nearest pairs per pair of shapes (by bounding sphere) and the deepest contacts of all.
_MAX_GEOM_PAIRS = 24
_CONTACTS_PER_OBJECT = 8
_CONTACTS_OF_GRIPPER = 8


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MjxScenes:
    """What MJX needs, as pytrees.

    Attributes:
      model: the first scene's `mjx.Model`, without sensors.
      data: an `mjx.Data` of it, for shapes and constants.
      fields: f32[S, ...] per name in `FIELDS`.
      members: bool[5, 2, ngeom] for every entry of `CONTACTS` the geoms on either side.
    """

    model: mjx.Model
    data: mjx.Data
    fields: dict[str, jax.Array]
    members: jax.Array


def stack_fields(spec: mujoco.MjSpec, models: Sequence[mujoco.MjModel]) -> MjxScenes:
    """Puts a template on the device and stacks the models' `FIELDS`.

    Args:
      spec: a scene without sensors: MJX has no contact sensor between bodies.
      models: all scenes, of the template's structure but for sensors.
    """
    template = _compile_template(spec)
    model = mjx.put_model(template, impl="jax")
    # A constant of the program that only height fields use, but that differs from scene to scene:
    # left alone, every batch would be compiled anew.
    model = model.tree_replace({"_impl.geom_rbound_hfield": np.zeros(template.ngeom)})
    fields = {
        name: jnp.asarray(np.stack([getattr(m, name) for m in models]), jnp.float32)
        for name in FIELDS
    }
    fields = {name: x.reshape(-1, *getattr(model, name).shape) for name, x in fields.items()}
    return MjxScenes(model, mjx.make_data(template, impl="jax"), fields, _members(template))


def _compile_template(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """The scene with MJX's caps on candidate pairs and contacts."""
    objects = sum(body.name.startswith("object") for body in spec.bodies)
    contacts = _CONTACTS_OF_GRIPPER + _CONTACTS_PER_OBJECT * objects
    spec.add_numeric(name="max_geom_pairs", data=[_MAX_GEOM_PAIRS], size=1)
    spec.add_numeric(name="max_contact_points", data=[contacts], size=1)
    return compile_spec(spec)


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
