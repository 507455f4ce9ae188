"""Several processes of one run: joining, agreeing, and who writes.

Every process runs the same program on its own devices and builds the same scenes; arrays spread
over a mesh belong to all of them, files of the run (on a file system that all of them see) only to
the first. In a single process everything here is immediate.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

# How long processes wait for one another. Compiling may keep one of them for minutes longer than
# the others, and the collectives of CPUs (gloo) give up after 30 seconds, so what can differ in
# length ends at a `barrier`. One that has died is noticed by its missing heartbeat much earlier.
PATIENCE_MS = 3_600_000


def join(coordinator: str | None, processes: int | None, index: int | None) -> None:
    """Connects this process to the others of the run; call it before anything uses a device.

    Args:
        coordinator: HOST:PORT at which the first process listens.
        processes: how many there are.
        index: number of this one, from 0.

    What is None is found out by JAX, which knows Slurm, Open MPI, Kubernetes and TPU pods (and
    the environment variable JAX_COORDINATOR_ADDRESS).

    Raises:
        ValueError: something is missing that cannot be found out.
    """
    try:
        jax.distributed.initialize(coordinator, processes, index)
    except ValueError as error:
        raise ValueError(
            f"cannot join the other processes ({error}): pass --coordinator HOST:PORT, "
            "--processes N and --process-index I"
        ) from None


def is_first() -> bool:
    """Whether this process writes the run's files."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until all processes are here, however long it takes them."""
    multihost.get_barrier_sync_fn()(key=name, timeout_ms=PATIENCE_MS)


def compiled(program: Any, *args: Any) -> Callable:
    """A jitted function compiled for these arguments by all processes before any runs it."""
    executable = program.lower(*args).compile()
    barrier("compiled")
    return executable


def from_first(ask: Callable[[], int]) -> int:
    """The answer of the first process, on all of them; only the first one asks."""
    if jax.process_count() == 1:
        return ask()
    answer = np.int32(ask() if is_first() else 0)
    barrier("answered")
    return int(multihost_utils.broadcast_one_to_all(answer))


def check_same(text: str, what: str) -> None:
    """ValueError unless all processes were started with the same `text`."""
    if jax.process_count() == 1:
        return
    barrier("compared")
    marks = multihost_utils.process_allgather(np.uint32(zlib.crc32(text.encode())))
    if len(set(np.ravel(marks).tolist())) > 1:
        raise ValueError(f"the processes of this run have different {what}: start all alike")


def to_host(array: jax.Array | np.ndarray) -> np.ndarray:
    """The whole array; all processes call this if it is spread over them."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        if array.is_fully_replicated:
            return np.asarray(array.addressable_data(0))
        barrier("gathered")
        array = multihost_utils.process_allgather(array, tiled=True)
    return np.asarray(array)
