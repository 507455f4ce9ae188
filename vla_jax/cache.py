"""One place for compiled programs, so that a second start does not compile again."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path


def cache_folder() -> Path:
    """Folder of compiled programs: in the user's cache, apart for each kind of processor.

    A program compiled for a processor may use instructions that another one lacks, and home
    folders are often shared between machines.
    """
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "vla-jax" / f"compiled-{_processor()}"


def _processor() -> str:
    described = platform.machine() + platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        described += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        pass  # not Linux: the architecture has to do
    return f"{platform.machine()}-{hashlib.sha256(described.encode()).hexdigest()[:8]}"


def enable_compile_cache() -> Path | None:
    """Makes JAX keep compiled programs between runs; call it before the first computation.

    A folder chosen by the user (JAX_COMPILATION_CACHE_DIR) stays. Where no folder can be made,
    nothing is cached.

    Returns:
        The folder in use, or None.
    """
    # XLA reports its own tuning flags as "machine features" that the host lacks whenever it
    # loads a cached program. Set before the first import of jaxlib.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    chosen = getattr(jax.config, "jax_compilation_cache_dir", None)
    if chosen:
        return Path(chosen)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder
