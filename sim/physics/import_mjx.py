"""Imports `mujoco.mjx` without its notice on stdout that the optional Warp backend is absent."""

from __future__ import annotations

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    from mujoco import mjx

__all__ = ["mjx"]
