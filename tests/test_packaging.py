"""The wheel ships the three import packages and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import vla_jax

ROOT = Path(__file__).resolve().parent.parent
_BUILD = (
    "import sys\n"
    "from hatchling.build import build_wheel\n"
    "print(build_wheel(sys.argv[1]))"  # the name of the file it wrote
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="hatchling is not installed: make setup brings it")
    folder = tmp_path_factory.mktemp("wheel")
    # The backend itself, in a process of its own: no network, no isolated environment.
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(folder / done.stdout.strip().splitlines()[-1])


def test_the_wheel_holds_exactly_three_packages(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    metadata = f"vla_jax-{vla_jax.__version__}.dist-info"
    assert top == {"generation", "sim", "vla_jax", metadata}


def test_the_wheel_holds_every_module_of_the_tree(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if name.endswith(".py")}
    packages = ("generation", "sim", "vla_jax")
    present = {
        path.relative_to(ROOT).as_posix() for p in packages for path in (ROOT / p).rglob("*.py")
    }
    assert shipped == present


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    folder = f"vla_jax-{vla_jax.__version__}.dist-info"
    fields = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert fields["Name"] == "vla-jax"
    assert fields["Version"] == vla_jax.__version__
    assert fields["License-Expression"] == "Apache-2.0"
    assert "vla-jax = vla_jax.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
