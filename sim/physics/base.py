"""The physics interface: one state, one step, any engine.

`init` and `step` are pure functions over pytrees and work inside `jit`, `scan` and
`while_loop`. They are written for whole batches: do not `vmap` them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from sim.scene_batch import SceneBatch

CONTACTS = (
    "target_receptacle",
    "target_table",
    "target_robot",
    "target_left_finger",
    "target_right_finger",
)
"""Order of `PhysicsState.contacts`. A contact is a pair of penetrating collision geoms (distance
below zero) in the collision pass of the last physics substep: the truth is one substep old, in
every engine, and all false after `init`."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Dynamics:
    """How an environment's physics departs from its scene's; a factor of 1 changes nothing.

    Attributes:
      mass: f32[N, K] factor on each object's mass and inertia.
      friction: f32[N] factor on the sliding friction of every geom.
      stiffness: f32[N] factor on the servos' position gain.
      damping: f32[N] factor on the servos' velocity gain and on joint damping.
      latency: f32[N] time between a command and the servos' start, s.
    """

    mass: jax.Array
    friction: jax.Array
    stiffness: jax.Array
    damping: jax.Array
    latency: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PhysicsState:
    """Everything that the next step depends on, and what the last one saw.

    Attributes:
      scene_index: i32[N] scene of the batch that each environment is in.
      qpos: f32[N, nq] positions: robot joints, then per object xyz and quaternion wxyz.
      qvel: f32[N, nv] velocities.
      warmstart: f32[N, nv] accelerations that the constraint solver starts from.
      ctrl: f32[N, nu] actuator targets at the end of the last step.
      contacts: bool[N, 5] in the order of `CONTACTS`.
      finite: bool[N] false where the last step met NaN or infinity or, on the native engine, a
        simulation that MuJoCo calls diverging. Such
        an environment has been put back to its scene's start, so nothing spreads from it.
      saturated: bool[N] true where the last step had more contacts than the engine has room for.
      dynamics: departures from the scenes' physics, or None: every scene as it is.
    """

    scene_index: jax.Array
    qpos: jax.Array
    qvel: jax.Array
    warmstart: jax.Array
    ctrl: jax.Array
    contacts: jax.Array
    finite: jax.Array
    saturated: jax.Array
    dynamics: Dynamics | None = None


class Physics(Protocol):
    """An engine. Implementations are frozen and hashable, so they can be closed over in `jit`."""

    @property
    def name(self) -> str:
        """Key in `get_physics`."""
        ...

    def init(
        self,
        batch: SceneBatch,
        scene_index: jax.Array,
        qpos: jax.Array,
        dynamics: Dynamics | None = None,
    ) -> PhysicsState:
        """State at rest.

        Args:
          batch: the scenes.
          scene_index: i32[N] scene of each environment.
          qpos: f32[N, nq] positions, for instance `batch.qpos0[scene_index]`.
          dynamics: departures from the scenes' physics.
        """
        ...

    def step(
        self, batch: SceneBatch, state: PhysicsState, ctrl: jax.Array, n_substeps: int
    ) -> PhysicsState:
        """Advances every environment by `n_substeps` of `batch.timestep`.

        Servo targets move in a straight line from `state.ctrl` to `ctrl`, see `ramp`.

        Args:
          batch: the scenes that `state.scene_index` refers to.
          state: the state of N environments.
          ctrl: f32[N, nu] actuator targets (see `Robot.control`), reached within the step.
          n_substeps: static number of physics steps.
        """
        ...


def initial_state(
    batch: SceneBatch,
    scene_index: jax.Array,
    qpos: jax.Array,
    dynamics: Dynamics | None = None,
) -> PhysicsState:
    """The common `init`: the given positions, no motion, no contacts seen yet.

    The servos hold the joints where they are: actuators come in the order of the robot's joints,
    which come first in qpos (see `Robot.add_to_spec`).
    """
    num = scene_index.shape[0]
    if qpos.shape != (num, batch.nq):
        raise ValueError(
            f"qpos has shape {qpos.shape} but {num} environments of these scenes need "
            f"({num}, {batch.nq}); pass batch.qpos0[scene_index] or positions of that shape"
        )
    zeros = jnp.zeros((num, batch.nv), jnp.float32)
    return PhysicsState(
        scene_index=scene_index.astype(jnp.int32),
        qpos=qpos.astype(jnp.float32),
        qvel=zeros,
        warmstart=zeros,
        ctrl=qpos[:, : batch.nu].astype(jnp.float32),
        contacts=jnp.zeros((num, len(CONTACTS)), bool),
        finite=jnp.ones((num,), bool),
        saturated=jnp.zeros((num,), bool),
        dynamics=dynamics,
    )


def check_ctrl(batch: SceneBatch, state: PhysicsState, ctrl: jax.Array, n_substeps: int) -> None:
    """Raises ValueError if the control or the number of substeps cannot be used."""
    num = state.qpos.shape[0]
    if ctrl.shape != (num, batch.nu):
        raise ValueError(
            f"ctrl has shape {ctrl.shape} but {num} environments with {batch.nu} actuators need "
            f"({num}, {batch.nu})"
        )
    if n_substeps < 1:
        raise ValueError(f"n_substeps is {n_substeps}; it must be at least 1")


def guard(batch: SceneBatch, state: PhysicsState) -> PhysicsState:
    """Puts environments that are not finite back to their scene's start, at rest."""
    values = jnp.concatenate([state.qpos, state.qvel, state.warmstart, state.ctrl], axis=-1)
    good = state.finite & jnp.isfinite(values).all(axis=-1)
    row = good[:, None]
    start = batch.qpos0[state.scene_index]
    return PhysicsState(
        scene_index=state.scene_index,
        qpos=jnp.where(row, state.qpos, start),
        qvel=jnp.where(row, state.qvel, 0.0),
        warmstart=jnp.where(row, state.warmstart, 0.0),
        ctrl=jnp.where(row, state.ctrl, start[:, : batch.nu]),
        contacts=state.contacts & row,
        finite=good,
        saturated=state.saturated & good,
        dynamics=state.dynamics,
    )


_RAMP = 0.6


def ramp(n_substeps: int) -> np.ndarray:
    """Fraction [n_substeps] of the way to the new servo targets, at every substep of a step.

    Targets arrive after 60 % of the step and the rest is for settling, like the time-based profile
    of the real servos. A jump instead would accelerate the gripper by 70 m/s^2 and shake objects
    out of it.
    """
    return np.minimum(1.0, (np.arange(n_substeps) + 1.0) / (_RAMP * n_substeps))


def get_physics(name: str = "auto") -> Physics:
    """The engine of that name.

    Args:
      name: "native" (MuJoCo's batch of simulations on the host's cores), "mjx" (MuJoCo in JAX, on
        the accelerator), "mjx-warp" (its Warp implementation, for NVIDIA GPUs), or "auto": mjx if
        JAX runs on an accelerator, else native.

    Raises:
      ValueError: if there is no such engine, or Warp is not installed.
    """
    if name == "auto":
        name = "native" if jax.default_backend() == "cpu" else "mjx"
    if name == "native":
        from sim.physics.native import NativePhysics

        return NativePhysics()
    if name == "mjx":
        from sim.physics.mjx import MjxPhysics

        return MjxPhysics()
    if name == "mjx-warp":
        from sim.physics.mjx import MjxPhysics
        from sim.physics.mjx_warp import require_warp

        require_warp()
        return MjxPhysics(impl="warp")
    raise ValueError(f"unknown physics backend {name!r}; choose auto, native, mjx or mjx-warp")
