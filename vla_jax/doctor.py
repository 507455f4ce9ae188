"""What a machine has, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Literal

Status = Literal["ok", "advice", "missing"]

_NEEDED = "jax flax optax chex orbax-checkpoint mujoco mujoco-mjx trimesh numpy scipy".split()
_NEEDED += "pydantic pillow rich".split()
_SHOWN = ("jax", "flax", "mujoco", "mujoco-mjx")
_MEMORY_GIB = 4.0  # that the demo takes, with a margin
_CORES = 2


@dataclass(frozen=True)
class Check:
    """One finding: "advice" is worth reading, "missing" keeps the library from working."""

    name: str
    status: Status
    found: str
    fix: str = ""


def examine() -> list[Check]:
    """Runs every check; one that fails in an unforeseen way counts as missing."""
    return [_guarded(name, check) for name, check in _CHECKS.items()]


def _guarded(name: str, check: Callable[[], tuple[Status, str, str]]) -> Check:
    try:
        return Check(name, *check())
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Check(name, "missing", text, "install again: pip install --force-reinstall vla-jax")


def _python() -> tuple[Status, str, str]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return "missing", found, "use Python 3.11 to 3.13"
    return "ok", found, ""


def _packages() -> tuple[Status, str, str]:
    versions = {name: _version(name) for name in _NEEDED}
    absent = [name for name, version in versions.items() if version is None]
    if absent:
        return "missing", f"not installed: {', '.join(absent)}", f"pip install {' '.join(absent)}"
    found = ", ".join(f"{name} {versions[name]}" for name in _SHOWN)
    if str(versions["jax"]).startswith("0.10."):
        fix = 'its batched linear algebra hangs on CPUs: pip install "jax>=0.9.2,!=0.10.*"'
        return "missing", found, fix
    return "ok", found, ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> tuple[Status, str, str]:
    import jax

    kinds = [device.device_kind for device in jax.devices()]
    found = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
    if jax.default_backend() == "cpu" and shutil.which("nvidia-smi"):
        fix = 'JAX does not use this machine\'s NVIDIA GPU: pip install "vla-jax[cuda13]"'
        return "advice", found, f"{fix} (or [cuda12] for older drivers)"
    return "ok", found, ""


def _cores() -> tuple[Status, str, str]:
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    if count < _CORES:
        return "advice", f"{count}", f"expect the demo to take longer than on {_CORES} cores"
    return "ok", f"{count}", ""


def _memory() -> tuple[Status, str, str]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return "ok", "unknown on this system", ""
    sizes = {line.split(":")[0]: int(line.split()[1]) / 2**20 for line in lines if " kB" in line}
    free, total = sizes["MemAvailable"], sizes["MemTotal"]
    found = f"{free:.1f} of {total:.1f} GiB available"
    if free < _MEMORY_GIB:
        return "advice", found, f"the demo wants {_MEMORY_GIB:.0f} GiB: close other programs"
    return "ok", found, ""


def _native() -> tuple[Status, str, str]:
    import jax
    import jax.numpy as jnp

    from generation.designer import design
    from vla_jax.api import make_env

    scenes = design("put the banana in the blue bowl", n=1, seed=0)
    env, batch = make_env(scenes, num_envs=1, backend="native")
    state = env.physics.init(batch, jnp.zeros(1, jnp.int32), batch.qpos0[:1])
    after = jax.block_until_ready(env.physics.step(batch, state, state.ctrl, 10))
    if not bool(after.finite.all()) or bool((after.qpos == state.qpos).all()):
        fix = "report it with the output of `vla-jax doctor --json`"
        return "missing", "a designed scene does not move as it should", fix
    return "ok", "steps a designed scene", ""


def _mjx() -> tuple[Status, str, str]:
    try:
        from sim.physics.import_mjx import mjx
    except ImportError as error:
        return "missing", str(error), 'pip install "mujoco-mjx>=3.17,<3.18"'
    return "ok", f"{mjx.__name__} can be imported", ""


def _warp() -> tuple[Status, str, str]:
    if util.find_spec("warp") is not None:
        return "ok", f"warp-lang {_version('warp-lang')}", ""
    if shutil.which("nvidia-smi"):
        return "advice", "not installed", 'optional, for NVIDIA GPUs: pip install "vla-jax[warp]"'
    return "ok", "not installed; only NVIDIA GPUs can use it", ""


def _ffmpeg() -> tuple[Status, str, str]:
    return "ok", "not needed: films are GIFs made by Pillow", ""


def _cache() -> tuple[Status, str, str]:
    from vla_jax.cache import cache_folder, enable_compile_cache

    folder = enable_compile_cache()
    fix = "every start compiles again; point XDG_CACHE_HOME to a folder that you can write"
    if folder is None:
        return "advice", f"cannot make {cache_folder()}", fix
    try:
        with tempfile.TemporaryFile(dir=folder):
            return "ok", str(folder), ""
    except OSError as error:
        return "advice", f"cannot write {folder}: {error.strerror}", fix


_CHECKS: dict[str, Callable[[], tuple[Status, str, str]]] = {
    "python": _python,
    "packages": _packages,
    "devices": _devices,
    "cores": _cores,
    "memory": _memory,
    "native": _native,
    "mjx": _mjx,
    "warp": _warp,
    "ffmpeg": _ffmpeg,
    "cache": _cache,
}
