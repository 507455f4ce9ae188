"""Compiled MuJoCo models that stay on the host, found by an integer that travels through jit.

A traced program cannot hold a list of `MjModel`; a `SceneBatch` therefore carries a `handle`, and
the host callback looks the models up here. Handles are never reused within a process, and equal
content gets the same handle, so that building a batch again costs no memory.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Hashable, Sequence

import mujoco
import numpy as np


@dataclasses.dataclass(frozen=True)
class HostScenes:
    """The host's side of a batch of scenes.

    Attributes:
      models: one compiled model a scene, all of one structure.
      qpos0: f64[S, nq] start positions.
      structure: sizes that MjData depends on; scenes of equal structure can share a batch.
    """

    models: tuple[mujoco.MjModel, ...]
    qpos0: np.ndarray
    structure: tuple[int, ...]


def _structure(model: mujoco.MjModel) -> tuple[int, ...]:
    """All sizes of a model: data made for one model fits another whose sizes are equal."""
    sizes = [name for name in dir(model) if name.startswith("n")]
    values = (getattr(model, name) for name in sizes if name != "names")
    return tuple(int(value) for value in values if isinstance(value, int))


_lock = threading.Lock()
_scenes: dict[int, HostScenes] = {}
_handles: dict[Hashable, int] = {}
_next_handle = 0


def register_models(
    key: Hashable,
    build: Callable[[], tuple[Sequence[mujoco.MjModel], np.ndarray]],
) -> int:
    """The handle of the models with that content key; builds them if they are new.

    Args:
      key: describes the content (scene ids, robot, options).
      build: returns the compiled models and their start positions [S, nq].
    """
    global _next_handle
    with _lock:
        if key in _handles:
            return _handles[key]
    models, qpos0 = build()
    entry = HostScenes(tuple(models), np.asarray(qpos0, np.float64), _structure(models[0]))
    with _lock:
        if key not in _handles:
            _handles[key] = _next_handle
            _scenes[_next_handle] = entry
            _next_handle += 1
        return _handles[key]


def host_scenes(handle: int) -> HostScenes:
    """The scenes behind a handle.

    Raises:
      ValueError: if this process has not built them, or has released them.
    """
    with _lock:
        entry = _scenes.get(handle)
    if entry is None:
        raise ValueError(
            f"scene batch handle {handle} is unknown in this process; build the batch here with "
            "build_scene_batch"
        )
    return entry


def release(handle: int) -> None:
    """Frees the models behind a handle; a batch that carries it can no longer be stepped."""
    with _lock:
        _scenes.pop(handle, None)
        for key in [key for key, value in _handles.items() if value == handle]:
            del _handles[key]
