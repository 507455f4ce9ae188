"""The memory plan: what a training run needs on every device, from shapes alone.

Nothing is allocated and nothing compiled: the iteration is traced, and `planning.liveness` finds
its worst moment. On several devices that is done for the rows of one device; what lies in parts is
divided, and what has to be gathered to be used is added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from vla_jax.planning.liveness import Usage, count_flops, measure
from vla_jax.rl.agent import Agent, Params
from vla_jax.rl.iteration import TrainState, make_iteration, state_shapes
from vla_jax.sharding import MeshConfig
from vla_jax.train import TrainConfig

PHASES = ("rollout", "update", "critic")
# XLA places buffers of many sizes and lifetimes in one block, with gaps between them: 2 to 6 % of
# what is alive at the worst moment on the sizes compared with its own account, none on one.
_PACKING = 0.04


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes on every device in a PPO iteration; `parts` add up to `total`.

    Attributes:
        num_envs: environments of a device.
        minibatch: samples of a device's share of a minibatch.
        devices: how many.
        actor, critic, frozen: parameters.
        optimizer: its state.
        environment: state of the environments and current observations.
        scenes: all scenes, on every device.
        rollout: stored transitions, pictures as uint8.
        gradients: of the actor, as far as they do not lie in the place of the state copied below.
        copies: the optimizer's state once more, which the update reads while it writes the new one.
        gathered: parameters put together from the devices that share them.
        activations: what else the backward pass of a minibatch needs, the minibatch included.
        step: what else a step of the rollout needs: the policy's forward pass, renderer, physics.
        packing: gaps between buffers.
        phase: the part of an iteration that needs most: "rollout", "update" or "critic". Gradients,
            copies and activations are 0 in `parts` if it is the rollout, and `step` if it is not.
        other: what is in no other part.
        total: at the worst moment.
        available: bytes that the device has; None if unknown.
        flops: multiplications and additions of the iteration's matrix products, all devices.
    """

    num_envs: int
    minibatch: int
    devices: int
    actor: int
    critic: int
    frozen: int
    optimizer: int
    environment: int
    scenes: int
    rollout: int
    gradients: int
    copies: int
    gathered: int
    activations: int
    step: int
    packing: int
    phase: str
    other: int
    total: int
    available: int | None
    flops: int

    @property
    def fits(self) -> bool:
        """Whether the total is available, as far as that is known."""
        return self.available is None or self.total <= self.available

    @property
    def parts(self) -> dict[str, int]:
        """What the total consists of."""
        update = ("gradients", "copies", "activations")
        left_out = {"rollout": update, "update": ("step",), "critic": (*update, "step")}[self.phase]
        fixed = ("actor", "critic", "frozen", "optimizer", "environment", "scenes", "rollout")
        names = (*fixed, *update, "gathered", "step", "packing", "other")
        return {name: 0 if name in left_out else getattr(self, name) for name in names}

    @property
    def largest(self) -> str:
        """Name of the largest part."""
        return max(self.parts, key=lambda name: self.parts[name])

    def to_json(self) -> dict[str, Any]:
        """`fits`, `available_bytes`, `total_bytes`, `parts`, and the worst phase's name."""
        return {
            "fits": self.fits,
            "available_bytes": self.available,
            "total_bytes": self.total,
            "parts": self.parts,
            "phase": self.phase,
            "activation_bytes": self.activations,
            "rollout_step_bytes": self.step,
            "devices": self.devices,
            "flops_per_iteration": self.flops,
        }


def plan_memory(
    agent: Agent,
    params: Params,
    env: Any,
    batch: Any,
    settings: TrainConfig,
    *,
    mesh: tuple[int, int] | None = None,
    available: int | None = None,
) -> MemoryPlan:
    """The plan of a run.

    Args:
        agent: the policy.
        params: its parameters or their shapes.
        env: the environment on one device, for any number of environments.
        batch: scenes or their shapes.
        settings: of the run; its `num_envs` counts.
        mesh: sizes (data, fsdp); by default those of `settings.mesh` on the devices there are.
        available: bytes that a device has.

    Raises:
        ValueError: the environments do not divide among the devices.
    """
    data, fsdp = mesh or mesh_sizes(settings.mesh)
    rows, left = divmod(settings.num_envs, data * fsdp)
    if left or not rows:
        raise ValueError(
            f"{settings.num_envs} environments do not divide among {data * fsdp} devices: choose "
            "a multiple"
        )
    state, usage, flops = _trace(agent, params, env, batch, settings, rows, whole=fsdp == 1)
    share = lambda tree: _share(tree, fsdp, settings.mesh.fsdp_threshold)  # noqa: E731
    actor, critic, frozen = (share(part) for part in state.params)
    optimizer = share(state.opt_state)
    whole = _bytes((state.params, state.opt_state))
    gathered = _bytes(state.params) - actor - critic - frozen
    environment, scenes = _bytes((state.env, state.obs)), _bytes(batch)
    loops = rollout, update, critic_loop = usage.loops[0], *usage.loops[-2:]
    # Gradients and the second copy of the optimizer's state lie where their parameters do, as far
    # as the gradients do not find room in the place of the copied state.
    moments, copies = _bytes(state.opt_state[0]), share(state.opt_state[0])
    trained = _bytes(state.params.actor)
    loose = min(max(update.scratch - moments, 0), trained)
    gradients = loose * actor // max(trained, 1)
    activations = max(update.scratch - moments - loose, 0)
    scratch = (rollout.scratch, copies + gradients + activations, critic_loop.scratch)
    peaks = [x.live + int(size * (1 + _PACKING)) for x, size in zip(loops, scratch, strict=True)]
    worst = peaks.index(max(peaks))
    arguments = _bytes((state, batch)) - whole + actor + critic + frozen + optimizer
    total = arguments + gathered + max(peaks)
    plan = MemoryPlan(
        num_envs=rows,
        minibatch=rows * settings.length // settings.ppo.minibatches,
        devices=data * fsdp,
        actor=actor,
        critic=critic,
        frozen=frozen,
        optimizer=optimizer,
        environment=environment,
        scenes=scenes,
        rollout=rollout.stacked,
        gradients=gradients,
        copies=copies,
        gathered=gathered,
        activations=activations,
        step=rollout.scratch,
        packing=int(scratch[worst] * _PACKING),
        phase=PHASES[worst],
        other=0,
        total=total,
        available=available,
        flops=flops * data * fsdp,
    )
    return replace(plan, other=total - sum(plan.parts.values()))


def mesh_sizes(config: MeshConfig) -> tuple[int, int]:
    """Sizes (data, fsdp) of the mesh on the devices there are; see `sharding.make_mesh`."""
    data = max(jax.device_count() // config.fsdp, 1) if config.data == -1 else config.data
    return data, config.fsdp


def available_bytes() -> int | None:
    """Memory of a device in bytes: what an accelerator gives to JAX, or what this machine has left.

    On a CPU that is shared by the devices of this process; None where no system tells.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    if limit := stats.get("bytes_limit"):
        return int(limit)
    if jax.default_backend() != "cpu":
        return None
    rooms = [room for room in (_machine_room(), _group_room()) if room is not None]
    return min(rooms) // jax.local_device_count() if rooms else None


def size_text(count: int) -> str:
    """Bytes as people read them."""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def _machine_room() -> int | None:
    info = Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.exists() else []
    room = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return room[0] * 1024 if room else None


def _group_room(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the control group of this process (a container's limit) has left.

    Pages of files that nobody uses count as free: the kernel drops them when memory is wanted.
    """
    for folder, limit, used, idle in (
        (root, "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            top, now = (Path(folder, name).read_text().strip() for name in (limit, used))
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except OSError:
            continue
        return max(int(top) - int(now) + int(stat.get(idle, 0)), 0) if top.isdigit() else None
    return None


def _trace(
    agent: Agent,
    params: Params,
    env: Any,
    batch: Any,
    settings: TrainConfig,
    rows: int,
    *,
    whole: bool,
) -> tuple[TrainState, Usage, int]:
    """The iteration with that many environments: its arguments' shapes, memory and arithmetic.

    With `whole` the optimizer's state is whole on the device: only then its place is large enough
    for gradients while the update reads a copy.
    """
    env = replace(env, num_envs=rows)
    shapes = jax.eval_shape(lambda: params)
    state = state_shapes(shapes, env, batch, settings.ppo, 0)
    iterate = make_iteration(env, agent, settings.ppo, settings.length, settings.focus)
    jaxpr = iterate.trace(state, batch).jaxpr  # type: ignore[attr-defined]
    usage = measure(jaxpr, [True] * len(jax.tree.leaves(state)), reuse=whole)
    return state, usage, count_flops(jaxpr)


def _bytes(tree: Any) -> int:
    """Of arrays or their shapes."""
    return sum(_size(x) for x in jax.tree.leaves(tree))


def _size(x: Any) -> int:
    if not hasattr(x, "dtype"):
        return 0
    width = 8 if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x.dtype.itemsize
    return math.prod(x.shape) * width


def _share(tree: Any, parts: int, threshold: int) -> int:
    """Bytes of a device's share of parameters, see `sharding.param_shardings`."""
    total = 0
    for x in jax.tree.leaves(tree):
        divides = any(size and size % parts == 0 for size in x.shape)
        total += _size(x) // (parts if divides and _size(x) >= threshold else 1)
    return total
