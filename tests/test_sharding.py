"""Several devices and several processes: the same run as on one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from vla_jax.sharding import AXES, MeshConfig, make_mesh, param_shardings, shard_env

HERE = Path(__file__).resolve().parent


def start(program: str, *words: object, cache: Path | None = None) -> subprocess.Popen[str]:
    """A program of this folder in a process of its own; `cache` keeps what it compiles."""
    command = [sys.executable, str(HERE / program), *(str(word) for word in words)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    environment |= {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if cache is not None:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str], timeout: float = 600.0) -> str:
    """What it printed; AssertionError with what it complained of if it failed."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, err[-4000:]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("world", ["probe", "real"])
def test_eight_devices_equal_one(world):
    assert finish(start("mesh_program.py", world)).splitlines()[-1] == "same"


@pytest.mark.slow
def test_two_processes_resume_to_the_bit(tmp_path):
    """Two processes of one device each: a run that was stopped ends like one that was not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [start("hosts_program.py", address, i, tmp_path) for i in range(2)]
    with ThreadPoolExecutor() as pool:  # side by side: a full pipe would stop a process
        ends = list(pool.map(finish, both))
    found = [json.loads(end.splitlines()[-1]) for end in ends]
    assert all(facts["same"] for facts in found)
    # Only the first process wrote; the second knows what happened all the same.
    assert [facts["progress"] for facts in found] == [[1, 2, 3, 4, 1, 2, 3, 4], []]
    assert found[0]["rows"] == found[1]["rows"]


def test_parameters_are_cut_along_their_largest_axis_that_divides():
    mesh = AbstractMesh((2, 4), AXES)
    shapes = {
        "wide": jax.ShapeDtypeStruct((8, 64), jnp.float32),
        "tall": jax.ShapeDtypeStruct((64, 8), jnp.float32),
        "odd": jax.ShapeDtypeStruct((66, 8), jnp.float32),  # 66 does not divide by 4, 8 does
        "prime": jax.ShapeDtypeStruct((67, 7), jnp.float32),
        "small": jax.ShapeDtypeStruct((8, 8), jnp.float32),
        "half": jax.ShapeDtypeStruct((8, 64), jnp.bfloat16),  # as many numbers, half the bytes
        "scalar": jax.ShapeDtypeStruct((), jnp.int32),
    }
    found = {name: at.spec for name, at in param_shardings(shapes, mesh, 2048).items()}
    assert found == {
        "wide": P(None, "fsdp"),
        "tall": P("fsdp"),
        "odd": P(None, "fsdp"),
        "prime": P(),
        "small": P(),
        "half": P(),
        "scalar": P(),
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": 0}, "mesh data is 0"),
        ({"fsdp": 0}, "mesh fsdp is 0"),
        ({"data": 2}, "does not fit 1 devices"),
        ({"fsdp": 3}, "does not fit 1 devices"),
    ],
)
def test_meshes_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        make_mesh(MeshConfig(**settings))


def test_one_device_is_the_environment_itself():
    from probes import Probe

    env = Probe(3)
    assert shard_env(env, MeshConfig()) is env
