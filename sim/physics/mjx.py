"""MuJoCo in JAX, for accelerators: one template model, per-environment fields gathered by scene."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from sim.geometry import full_precision
from sim.physics.base import Dynamics, PhysicsState, check_ctrl, guard, initial_state, ramp
from sim.physics.import_mjx import mjx
from sim.physics.latency import delayed_ramp
from sim.physics.mjx_capacity import Capacity
from sim.physics.mjx_contacts import collide, penetrating
from sim.physics.mjx_dynamics import scaled_fields
from sim.physics.mjx_fields import Impl, MjxScenes

if TYPE_CHECKING:
    from sim.scene_batch import SceneBatch


@dataclasses.dataclass(frozen=True)
class MjxPhysics:
    """`Physics` on the accelerator, in float32.

    Attributes:
      impl: MJX's implementation. The batch must be built with `mjx=True` for "jax" and
        `mjx="warp"` for "warp".
    """

    impl: Impl = "jax"

    @property
    def name(self) -> str:
        """Key in `get_physics`."""
        return "mjx" if self.impl == "jax" else "mjx-warp"

    def init(
        self,
        batch: SceneBatch,
        scene_index: jax.Array,
        qpos: jax.Array,
        dynamics: Dynamics | None = None,
    ) -> PhysicsState:
        """See `Physics.init`."""
        return initial_state(batch, scene_index, qpos, dynamics)

    def step(
        self, batch: SceneBatch, state: PhysicsState, ctrl: jax.Array, n_substeps: int
    ) -> PhysicsState:
        """See `Physics.step`.

        Raises:
          ValueError: also if the batch was built without the arrays of this implementation.
        """
        scenes = _scenes(batch)
        if scenes.impl != self.impl:
            wanted = '"warp"' if self.impl == "warp" else "True"
            raise ValueError(
                f"this scene batch has the MJX arrays of impl={scenes.impl!r}; for {self.name} "
                f"build it with build_scene_batch(..., mjx={wanted})"
            )
        return observed(batch, state, ctrl, *advance(batch, state, ctrl, n_substeps))


@full_precision
def advance(
    batch: SceneBatch, state: PhysicsState, ctrl: jax.Array, n_substeps: int
) -> tuple[mjx.Data, jax.Array]:
    """What `MjxPhysics.step` does, with all that MJX knows afterwards.

    Returns:
      `mjx.Data` of N environments, whose derived quantities (contacts, forces, body poses) belong
      to the last substep's start, and bool[N]: some substep met more contacts than there is room
      for.

    Raises:
      ValueError: see `MjxPhysics.step`.
    """
    check_ctrl(batch, state, ctrl, n_substeps)
    scenes, dynamics = _scenes(batch), state.dynamics
    fields = {name: values[state.scene_index] for name, values in scenes.fields.items()}
    num = state.qpos.shape[0]
    if dynamics is None:
        fractions = jnp.broadcast_to(jnp.asarray(ramp(n_substeps), jnp.float32), (num, n_substeps))
    else:
        fields = scaled_fields(scenes.model, fields, dynamics, batch.object_bodies)
        fractions = delayed_ramp(n_substeps, batch.timestep, dynamics.latency)
    old = jnp.where(jnp.isfinite(state.ctrl), state.ctrl, 0.0)
    if scenes.impl == "warp":
        from sim.physics.mjx_warp import advance_warp

        start = {"qpos": state.qpos, "qvel": state.qvel, "qacc_warmstart": state.warmstart}
        moved = old + fractions.T[..., None] * (ctrl - old)
        return advance_warp(scenes.model, scenes.data, fields, start, moved)

    def environment(fields: dict, qpos, qvel, warmstart, old, new, fractions):
        model = scenes.model.replace(**fields)
        data = scenes.data.replace(qpos=qpos, qvel=qvel, qacc_warmstart=warmstart)

        def substep(carry: tuple[mjx.Data, jax.Array], fraction: jax.Array):
            data, full = carry
            data = data.replace(ctrl=old + fraction * (new - old))
            data, lost = _substep(model, data, scenes.capacity)
            return (data, full | lost), None

        return jax.lax.scan(substep, (data, jnp.zeros((), bool)), fractions)[0]

    return jax.vmap(environment)(
        fields, state.qpos, state.qvel, state.warmstart, old, ctrl, fractions
    )


def observed(
    batch: SceneBatch, state: PhysicsState, ctrl: jax.Array, data: mjx.Data, saturated: jax.Array
) -> PhysicsState:
    """The state after `advance`; environments that broke are back at their start."""
    after = PhysicsState(
        scene_index=state.scene_index,
        qpos=data.qpos,
        qvel=data.qvel,
        warmstart=data.qacc_warmstart,
        ctrl=ctrl,
        contacts=_touching(_scenes(batch), data),
        finite=jnp.ones_like(state.finite),
        saturated=saturated,
        dynamics=state.dynamics,
    )
    return guard(batch, after)


def _substep(model: mjx.Model, data: mjx.Data, capacity: Capacity) -> tuple[mjx.Data, jax.Array]:
    """`mjx.step` with our contact pass, without sensors and tendons; whether contacts were lost."""
    data = mjx.com_pos(model, mjx.kinematics(model, data))
    data = mjx.factor_m(model, mjx.crb(model, data))
    data, full = collide(model, data, capacity)
    data = mjx.transmission(model, mjx.make_constraint(model, data))
    data = mjx.fwd_actuation(model, mjx.fwd_velocity(model, data))
    data = mjx.solve(model, mjx.fwd_acceleration(model, data))
    return mjx.euler(model, data), full


def _scenes(batch: SceneBatch) -> MjxScenes:
    if batch.mjx is None:
        raise ValueError(
            "this scene batch has no MJX arrays; build it with build_scene_batch(..., mjx=True)"
        )
    return batch.mjx


def _touching(scenes: MjxScenes, data: mjx.Data) -> jax.Array:
    """Which pairs of `CONTACTS` touch, bool[N, 5]: a contact of negative distance between them."""
    if scenes.impl == "warp":
        from sim.physics.mjx_warp import touching

        return touching(scenes.members, data)
    contact = data._impl.contact
    first = scenes.members[:, :, contact.geom[..., 0]]  # [5, 2, N, contacts]
    second = scenes.members[:, :, contact.geom[..., 1]]
    pair = (first[:, 0] & second[:, 1]) | (first[:, 1] & second[:, 0])
    return (pair & penetrating(data)).any(axis=-1).T
