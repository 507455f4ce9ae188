"""Fixtures that several files of tests share."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import jax
import pytest

# Jobs started in the background ignore Ctrl-C, and so would the programs under test.
main = threading.current_thread() is threading.main_thread()
if main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """For programs that run a few steps each: optimizing them would take most of the time."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, True)
    yield
    jax.config.update(name, before)


@pytest.fixture(scope="module")
def plain_pictures() -> Iterator[None]:
    """For programs that train but are not about what cameras see, see `tiny_world`."""
    import tiny_world

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.env.picture", tiny_world.plain_picture)
        yield


# Files that take longest start first: with two processes none of them runs on alone in the end.
_FIRST = ("test_notebook.py", "test_runs.py", "test_parity.py", "test_adapters.py", "test_env.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders files, not tests within a file."""
    rank = {name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(_FIRST)))
