"""Packages of the optional extra `lerobot`."""

from __future__ import annotations

import importlib
from types import ModuleType


def need(name: str) -> ModuleType:
    """Import "pyarrow", "pyarrow.parquet" or "av".

    Raises:
        ValueError: it is not installed; the message has the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ValueError(
            f"LeRobot datasets need the package {package}, which cannot be imported ({error}): "
            "pip install 'vla-jax[lerobot]'"
        ) from None
