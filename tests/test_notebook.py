"""The notebook runs top to bottom on a CPU, and is stored without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
PATH = ROOT / "notebooks" / "01_quickstart.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(PATH, as_version=4)


def test_is_stored_clean(notebook):
    """Valid, no outputs, and the Colab badge points at this very file."""
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
    link = "https://colab.research.google.com/github/vla-jax/vla-jax/blob/main/"
    assert link + PATH.relative_to(ROOT).as_posix() in notebook.cells[0].source


@pytest.mark.slow
def test_runs_top_to_bottom(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("VLA_JAX_SMALL", "1")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    # Its programs run a few steps each: optimizing them would take most of the time.
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources)
    client.execute()
    kinds = {
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        for kind in output.get("data", ())
    }
    assert {"image/png", "image/gif"} <= kinds
