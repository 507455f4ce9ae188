"""MuJoCo in JAX, for accelerators: one template model, per-environment fields gathered by scene."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from sim.physics.base import Dynamics, PhysicsState, check_ctrl, guard, initial_state, ramp
from sim.physics.import_mjx import mjx
from sim.physics.mjx_fields import MjxScenes

if TYPE_CHECKING:
    from sim.scene_batch import SceneBatch


@dataclasses.dataclass(frozen=True)
class MjxPhysics:
    """`Physics` on the accelerator, in float32. The batch must be built with `mjx=True`."""

    @property
    def name(self) -> str:
        """Key in `get_physics`."""
        return "mjx"

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
          ValueError: also if the batch was built without MJX arrays.
        """
        check_ctrl(batch, state, ctrl, n_substeps)
        scenes = batch.mjx
        if scenes is None:
            raise ValueError(
                "this scene batch has no MJX arrays; build it with build_scene_batch(..., mjx=True)"
            )
        fields = {name: values[state.scene_index] for name, values in scenes.fields.items()}
        old = jnp.where(jnp.isfinite(state.ctrl), state.ctrl, 0.0)
        fractions = jnp.asarray(ramp(n_substeps), jnp.float32)

        def advance(fields: dict, qpos, qvel, warmstart, old, new) -> mjx.Data:
            model = scenes.model.replace(**fields)
            data = scenes.data.replace(qpos=qpos, qvel=qvel, qacc_warmstart=warmstart)

            def substep(data: mjx.Data, fraction: jax.Array) -> tuple[mjx.Data, None]:
                return mjx.step(model, data.replace(ctrl=old + fraction * (new - old))), None

            return jax.lax.scan(substep, data, fractions)[0]

        data = jax.vmap(advance)(fields, state.qpos, state.qvel, state.warmstart, old, ctrl)
        after = PhysicsState(
            scene_index=state.scene_index,
            qpos=data.qpos,
            qvel=data.qvel,
            warmstart=data.qacc_warmstart,
            ctrl=ctrl,
            contacts=_touching(scenes, data),
            finite=jnp.ones_like(state.finite),
            saturated=jnp.zeros_like(state.finite),
            dynamics=state.dynamics,
        )
        return guard(batch, after)


def _touching(scenes: MjxScenes, data: mjx.Data) -> jax.Array:
    """Which pairs of `CONTACTS` touch, bool[N, 5]: a contact of negative distance between them."""
    contact = data._impl.contact
    first = scenes.members[:, :, contact.geom[..., 0]]  # [5, 2, N, contacts]
    second = scenes.members[:, :, contact.geom[..., 1]]
    pair = (first[:, 0] & second[:, 1]) | (first[:, 1] & second[:, 0])
    return (pair & (contact.dist < 0.0)).any(axis=-1).T
