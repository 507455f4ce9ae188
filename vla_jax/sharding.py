"""From one device to many hosts: the mesh of devices, and what lies where on it.

A mesh has two axes. Environments, and with them observations, rollouts and minibatches, are spread
over both axes together; parameters and optimizer state over `fsdp` alone; scenes lie everywhere.
Policy and update are partitioned by the compiler. The simulator is not: every device steps and
draws its own environments (`ShardedEnv`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

AXES = ("data", "fsdp")
# The leading axis is that of the environments.
ROWS = P(AXES)


@dataclass(frozen=True)
class MeshConfig:
    """How many devices a run uses, and for what."""

    # Groups of devices that hold all parameters between them; -1: as many as there are.
    data: int = -1
    # Devices that share one copy of the parameters and of the optimizer's state.
    fsdp: int = 1
    # Smaller arrays of parameters lie on every device, bytes.
    fsdp_threshold: int = 2**20

    def __post_init__(self) -> None:
        if self.data != -1 and self.data < 1:
            raise ValueError(f"mesh data is {self.data}: it must be -1 (all devices) or at least 1")
        if self.fsdp < 1:
            raise ValueError(f"mesh fsdp is {self.fsdp}: it must be at least 1")


def make_mesh(config: MeshConfig) -> Mesh:
    """The mesh on the devices that there are.

    Raises:
        ValueError: there are too few devices, they do not divide, or a process would be left out.
    """
    devices = jax.devices()
    data = len(devices) // config.fsdp if config.data == -1 else config.data
    used = data * config.fsdp
    if used > len(devices) or (config.data == -1 and used != len(devices)):
        raise ValueError(
            f"a mesh of data {config.data} x fsdp {config.fsdp} does not fit {len(devices)} "
            "devices: choose an fsdp that divides their number, or a smaller data"
        )
    if jax.process_count() > 1 and used != len(devices):
        raise ValueError(
            f"a mesh of {used} devices leaves out some of the {len(devices)} of the "
            f"{jax.process_count()} processes: use all of them"
        )
    types = (AxisType.Auto,) * len(AXES)
    return jax.make_mesh((data, config.fsdp), AXES, types, devices=devices[:used])


# What lies where ----------------------------------------------------------------------------------


def row_shardings(tree: Any, mesh: Mesh) -> Any:
    """For arrays whose leading axis is that of the environments."""
    return jax.tree.map(lambda _: NamedSharding(mesh, ROWS), tree)


def same_everywhere(tree: Any, mesh: Mesh) -> Any:
    """For arrays that lie on every device."""
    return jax.tree.map(lambda _: NamedSharding(mesh, P()), tree)


def param_shardings(tree: Any, mesh: Mesh, threshold: int) -> Any:
    """For parameters and what is shaped like them: the largest axis that divides, over `fsdp`.

    Args:
        tree: arrays or their shapes.
        mesh: with axes `AXES`.
        threshold: arrays of fewer bytes lie on every device, and so do those of no axis that
            divides.
    """
    parts = mesh.shape["fsdp"]

    def place(x: Any) -> NamedSharding:
        axes = [i for i, size in enumerate(x.shape) if size and size % parts == 0]
        if parts == 1 or not axes or math.prod(x.shape) * x.dtype.itemsize < threshold:
            return NamedSharding(mesh, P())
        largest = max(axes, key=lambda i: x.shape[i])
        return NamedSharding(mesh, P(*(None,) * largest, "fsdp"))

    return jax.tree.map(place, tree)


def put(tree: Any, shardings: Any) -> Any:
    """Arrays that every process has whole, placed as asked."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)

    def place(x: Any, sharding: NamedSharding) -> jax.Array:
        whole = np.asarray(x)
        return jax.make_array_from_callback(whole.shape, sharding, lambda at: whole[at])

    return jax.tree.map(place, tree, shardings)


# Environments -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShardedEnv:
    """An environment whose rows are spread over a mesh; offers what rollout and evaluation use.

    Every function runs on each device with its own rows, as the environment itself would. What
    depends on all environments together (see `sim.spread`) comes out as on one device.
    """

    # A frozen dataclass with a field `axes`, see `sim.env.Env`.
    env: Any
    mesh: Mesh
    # See `MeshConfig`.
    fsdp_threshold: int = 2**20

    @property
    def num_envs(self) -> int:
        """N, on all devices together."""
        return self.env.num_envs

    @property
    def config(self) -> Any:
        """Settings of the environment."""
        return self.env.config

    def reset(self, batch: Any, key: jax.Array) -> tuple[Any, Any]:
        """See `Env.reset`."""
        return self._begin(batch, jax.random.split(key, self.num_envs))

    def reset_to(self, batch: Any, key: jax.Array, scene: jax.Array) -> tuple[Any, Any]:
        """See `Env.reset_to`."""
        return self._begin(batch, jax.random.split(key, self.num_envs), scene)

    def step_chunk(
        self,
        batch: Any,
        state: Any,
        actions: jax.Array,
        scene_logits: jax.Array | None = None,
    ) -> tuple[Any, Any]:
        """See `Env.step_chunk`."""

        def step(env, shared, state, actions):
            return env.step_chunk(shared[0], state, actions, shared[1])

        return self._spread(step, (batch, scene_logits), state, actions)

    def privileged(self, batch: Any, state: Any) -> jax.Array:
        """See `Env.privileged`."""
        return self._spread(lambda env, *args: env.privileged(*args), batch, state)

    def located(self, batch: Any, state: Any) -> jax.Array:
        """See `Env.located`."""
        return self._spread(lambda env, *args: env.located(*args), batch, state)

    def observe(self, batch: Any, state: Any) -> Any:
        """See `Env.observe`."""
        return self._spread(lambda env, *args: env.observe(*args), batch, state)

    def _begin(self, batch, keys, *scene):
        def begin(env, batch, keys, *scene):
            state = env.start(batch, keys, *scene)
            return state, env.observe(batch, state)

        return self._spread(begin, batch, keys, *scene)

    def _spread(self, f: Callable, shared: Any, *rows: Any) -> Any:
        """f(environment, shared, *rows) on every device with its own rows."""
        env = replace(self.env, axes=AXES)
        return jax.shard_map(
            lambda shared, *rows: f(env, shared, *rows),
            mesh=self.mesh,
            in_specs=(P(), *(ROWS,) * len(rows)),
            out_specs=ROWS,
            check_vma=False,
        )(shared, *rows)


def shard_env(env: Any, config: MeshConfig) -> Any:
    """The environment spread over a mesh; on a single device the environment itself.

    Raises:
        ValueError: the environments do not divide among the devices, or see `make_mesh`.
    """
    mesh = make_mesh(config)
    if env.num_envs % mesh.size:
        raise ValueError(
            f"{env.num_envs} environments do not divide among {mesh.size} devices: choose a "
            "multiple, or a mesh of fewer devices"
        )
    return env if mesh.size == 1 else ShardedEnv(env, mesh, config.fsdp_threshold)
