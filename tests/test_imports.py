"""The layers: generation knows no JAX, sim knows no learning, the façade loads lazily."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import generation
import vla_jax

ROOT = Path(__file__).resolve().parent.parent
# What a package may not import, anywhere, not even inside a function or under TYPE_CHECKING.
FORBIDDEN = {
    "generation": {"sim", "vla_jax", "jax", "jaxlib", "flax", "optax", "chex", "orbax"},
    "sim": {"vla_jax", "flax", "optax", "orbax"},
    "vla_jax": {"benchmarks", "tests"},
}


def imported_packages(source: str) -> Iterator[tuple[str, int]]:
    """Top-level names of all absolute imports in `source`, with their line numbers."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0], node.lineno
        elif isinstance(node, ast.Call) and node.args:
            name = node.args[0]
            if ast.unparse(node.func).endswith("import_module") and isinstance(name, ast.Constant):
                yield str(name.value).split(".")[0], node.lineno


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=environment.pop("cwd", str(ROOT)),
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def test_the_walk_sees_every_form_of_import() -> None:
    source = (
        "import jax.numpy as jnp\n"
        "from sim.env import Env\n"
        "from . import near\n"
        "def later():\n    import flax\n    importlib.import_module('optax.tree')\n"
    )
    assert [name for name, _ in imported_packages(source)] == ["jax", "sim", "flax", "optax"]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    crossings = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for name, line in imported_packages(path.read_text())
        if name in FORBIDDEN[package]
    ]
    assert not crossings


def test_the_facade_is_small_and_complete() -> None:
    names = vla_jax.__all__
    assert len(names) == len(set(names)) <= 20
    # The Python contract of the design, and the records that it takes and returns.
    contract = "design save_scenes load_scenes inspect_scenes make_env load_policy evaluate"
    assert set(contract.split()) <= set(names)
    assert set(dir(vla_jax)) == set(names)
    for name in names:
        assert getattr(vla_jax, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = vla_jax.nonsense


def test_every_public_name_of_generation_resolves() -> None:
    assert {"design", "save_scenes", "load_scenes", "inspect_scenes", "SceneSpec"} <= set(
        generation.__all__
    )
    for name in generation.__all__:
        assert getattr(generation, name) is not None
    assert generation.design is vla_jax.design
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = generation.nonsense


def test_importing_the_facade_loads_nothing_heavy() -> None:
    loaded = _python("import json, sys, vla_jax, generation; print(json.dumps(list(sys.modules)))")
    assert loaded.returncode == 0, loaded.stderr
    heavy = {"jax", "jaxlib", "flax", "optax", "mujoco", "numpy", "pydantic"}
    assert not heavy & set(json.loads(loaded.stdout))


def test_designing_scenes_loads_no_jax() -> None:
    code = (
        "import sys, vla_jax as vj\n"
        "scenes = vj.design('put the red block on the blue plate', n=1, seed=0)\n"
        "vj.inspect_scenes(scenes)\n"
        "print(sorted({'jax', 'jaxlib', 'flax', 'optax'} & set(sys.modules)))"
    )
    done = _python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["sim", "generation"])
@pytest.mark.parametrize("form", ["package", "namespace", "module"])
def test_a_shadowing_package_is_named(name: str, form: str, tmp_path: Path) -> None:
    # A namespace package yields to a regular one later on the path, so ours is then still found.
    shadow = tmp_path / name
    if form == "module":
        shadow = tmp_path / f"{name}.py"
        shadow.write_text("")
    else:
        shadow.mkdir()
        if form == "package":
            (shadow / "__init__.py").write_text("")
    done = _python("import vla_jax", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", cwd=str(tmp_path))
    if form == "namespace":
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: ")
    assert str(shadow) in message
    assert "Rename" in message


def test_an_already_imported_stranger_is_named() -> None:
    code = "import sys, types; sys.modules['sim'] = types.ModuleType('sim'); import vla_jax"
    done = _python(code)
    assert done.returncode == 1
    assert "ImportError: vla_jax needs its own package 'sim'" in done.stderr


def test_no_module_hides_a_public_name() -> None:
    """Importing a submodule sets an attribute of its name: no public function may share one."""
    modules = {path.stem for path in (ROOT / "vla_jax").iterdir() if path.suffix == ".py"}
    modules |= {path.name for path in (ROOT / "vla_jax").iterdir() if path.is_dir()}
    public = set(vla_jax.__all__)
    assert not modules & public
