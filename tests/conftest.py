"""Fixtures that several files of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """For programs that run a few steps each: optimizing them would take most of the time."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, True)
    yield
    jax.config.update(name, before)


# Files that take longest start first: with two processes none of them runs on alone in the end.
_FIRST = ("test_notebook.py", "test_runs.py", "test_parity.py", "test_adapters.py", "test_env.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders files, not tests within a file."""
    rank = {name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(_FIRST)))
