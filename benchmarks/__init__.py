"""Measurements of speed; each module runs as `python -m benchmarks.NAME`."""

import os

# Before anything imports JAX: see `vla_jax.cache.enable_compile_cache`.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
