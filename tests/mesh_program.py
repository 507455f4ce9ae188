"""Run by test_sharding.py in a process of its own: eight virtual devices against one.

python mesh_program.py probe|real
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import Probe, ProbeBatch, probe_agent, probe_params
from tiny_world import make_world

from vla_jax.checkpoint import load_checkpoint, save_checkpoint
from vla_jax.leaves import flatten
from vla_jax.models.agent import make_agent
from vla_jax.rl.iteration import init_train_state, make_iteration, state_shardings
from vla_jax.rl.ppo import PPOConfig
from vla_jax.sharding import (
    MeshConfig,
    ShardedEnv,
    param_shardings,
    put,
    same_everywhere,
    shard_env,
)

ONE, EIGHT = MeshConfig(data=1), MeshConfig()
FOUR_TIMES_TWO = MeshConfig(fsdp=2, fsdp_threshold=0)


def begin(env, batch, params, config, mesh):
    """Environment on a mesh, batch, and the state of a fresh run."""
    env = shard_env(env, mesh)
    if isinstance(env, ShardedEnv):
        params = put(params, param_shardings(params, env.mesh, env.fsdp_threshold))
        batch = put(batch, same_everywhere(batch, env.mesh))
    return env, batch, init_train_state(params, env, batch, config, seed=0)


def assert_close(first, second, rtol: float) -> None:
    """Two states or metrics are the same up to rounding; integers and keys exactly."""
    a, b = flatten(first), flatten(second)
    assert a.keys() == b.keys()
    for name, value in a.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(b[name], value, rtol=rtol, atol=rtol, err_msg=name)
        elif value.dtype == np.uint8:  # a ray at the edge of a geom may fall to either side
            off = np.abs(b[name].astype(int) - value.astype(int)) > 1
            assert off.mean() < 0.01, name
        else:
            np.testing.assert_array_equal(b[name], value, err_msg=name)


def probe() -> None:
    """Three iterations on one device, on eight, and with parameters in two parts."""
    config = PPOConfig(epochs=2, minibatches=2, critic_epochs=2, value_warmup=0)
    agent, ends, compiled = probe_agent(), [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
    )
    for mesh in (ONE, EIGHT, FOUR_TIMES_TWO):
        env, batch, state = begin(Probe(16, length=2), ProbeBatch(), probe_params(), config, mesh)
        iterate = make_iteration(env, agent, config, 4)
        state, _, _ = iterate(state, batch)
        count = len(compiled)
        for _ in range(2):
            state, metrics, _ = iterate(state, batch)
        assert len(compiled) == count, "the second iteration compiled again"
        ends.append((state, metrics))
    for end in ends[1:]:
        assert_close(ends[0], end, rtol=1e-5)
    state = ends[2][0]
    assert state.params.actor["w"].sharding.shard_shape((2, 3)) == (1, 3)
    assert state.env.goal.sharding.shard_shape((16,)) == (2,)
    key, scene = jax.random.key(3), jnp.arange(16) % 3
    starts = [
        jax.jit(shard_env(Probe(16), mesh).reset_to)(ProbeBatch(), key, scene)
        for mesh in (ONE, EIGHT)
    ]
    assert_close(*starts, rtol=0.0)
    checkpoints(ends[0][0], ends[2][0])


def checkpoints(one, many) -> None:
    """A checkpoint from two-part parameters fits one device and the other way round, to the bit."""
    for saved, wanted in ((many, one), (one, many)):
        with tempfile.TemporaryDirectory() as run:
            save_checkpoint(Path(run), 3, saved.params, saved)
            _, params, state = load_checkpoint(Path(run), wanted.params, wanted)
        for loaded, expected, place in (
            (params, saved.params, wanted.params),
            (state, saved, wanted),
        ):
            a, b = flatten(loaded), flatten(expected)
            assert all((a[name] == b[name]).all() for name in b)
            same = jax.tree.map(lambda x, y: x.sharding == y.sharding, loaded, place)
            assert all(jax.tree.leaves(same))


def real() -> None:
    """One iteration of a tiny world, what crosses devices in it, and a mesh that does not fit."""
    jax.config.update("jax_disable_most_optimizations", True)
    config = PPOConfig(epochs=1, minibatches=2, critic_epochs=1, value_warmup=0)
    world, batch, policy, _ = make_world(num_envs=8)
    agent, ends = make_agent(policy.config), []
    alone, _, start = begin(world, batch, policy.params, config, ONE)
    spread = shard_env(world, FOUR_TIMES_TWO)
    everywhere = put(batch, same_everywhere(batch, spread.mesh))
    for env, scenes, state in (
        (alone, batch, jax.tree.map(lambda x: x.copy(), start)),  # the iteration takes it over
        (spread, everywhere, put(start, state_shardings(start, spread))),
    ):
        program = make_iteration(env, agent, config, 2).lower(state, scenes).compile()  # type: ignore[attr-defined]
        new, metrics, _ = program(state, scenes)
        ends.append((new, metrics))
    # Adam's first step is as large as its rate whatever the gradient: rounding can turn its sign.
    assert_close(ends[0], ends[1], rtol=5e-4)
    cut = [x for x in jax.tree.leaves(ends[1][0].params) if not x.is_fully_replicated]
    assert len(cut) > 10
    moved = re.findall(
        r"= (\S+) (?:all-gather|all-to-all|collective-permute)\S*\(", program.as_text()
    )
    assert moved, "parameters must have been gathered"
    assert not [shape for shape in moved if "u8" in shape], moved
    with pytest.raises(ValueError, match="8 environments do not divide among 3 devices"):
        shard_env(world, MeshConfig(data=3))


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)
    {"probe": probe, "real": real}[sys.argv[1]]()
    print("same")
