"""The memory plan against XLA's own account: `python -m benchmarks.memory [--json] [--save]`.

For several sizes the whole PPO iteration is compiled, and its peak (arguments + temporaries +
results − what shares memory) is compared with what `vla_jax.memory` says without compiling. The
value of a row is planned / compiled; 1 is perfect. Nothing is run.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax

import vla_jax as vj
from benchmarks import common
from vla_jax.api import build_batch, build_env
from vla_jax.demo import TRAIN_SENTENCES
from vla_jax.memory import MemoryPlan, plan_memory
from vla_jax.models.agent import make_agent, param_shapes
from vla_jax.models.config import get_config
from vla_jax.pipeline import ENV
from vla_jax.rl.iteration import make_iteration, state_shapes
from vla_jax.rl.ppo import PPOConfig
from vla_jax.sharding import MeshConfig
from vla_jax.tokenizers import WordTokenizer
from vla_jax.train import TrainConfig

# Preset, environments, chunks each, minibatches.
SIZES = (
    ("tiny", 16, 4, 1),
    ("tiny", 64, 24, 4),
    ("tiny", 256, 12, 3),
    ("small", 16, 4, 2),
    ("small", 128, 12, 3),
)
QUICK = (("tiny", 16, 4, 1),)
SCENES = 8


def compare(preset: str, num_envs: int, length: int, minibatches: int) -> common.Row:
    """The row of one size."""
    scenes = vj.design(list(TRAIN_SENTENCES), n=SCENES, seed=0, split="train")
    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    policy = dataclasses.replace(get_config(preset), vocabulary=tokenizer.size)
    settings = TrainConfig(
        num_envs=num_envs,
        length=length,
        ppo=PPOConfig(minibatches=minibatches),
        mesh=MeshConfig(1, 1),
    )
    sizes = {"image_size": policy.image_size, "wrist_size": policy.wrist_size}
    env = build_env(num_envs, dataclasses.replace(ENV, **sizes))
    batch = build_batch(scenes, tokenizer)
    agent = make_agent(policy)
    params = param_shapes(policy)
    begin = time.perf_counter()
    plan = plan_memory(agent, params, env, batch, settings)
    plan_s = time.perf_counter() - begin
    state = state_shapes(params, env, batch, settings.ppo, 0)
    iterate = make_iteration(env, agent, settings.ppo, length, settings.focus)
    program, compile_s = common.compiled(iterate, state, batch)
    return _row(plan, xla_peak(program), compile_s) | {
        "preset": preset,
        "num_envs": num_envs,
        "chunks": length,
        "minibatches": minibatches,
        "num_scenes": SCENES,
        "plan_s": round(plan_s, 2),
    }


def xla_peak(program: Any) -> int:
    """Bytes of a compiled program by XLA's own account."""
    used = program.memory_analysis()
    return (
        used.argument_size_in_bytes
        + used.temp_size_in_bytes
        + used.output_size_in_bytes
        - used.alias_size_in_bytes
    )


def _row(plan: MemoryPlan, compiled: int, compile_s: float) -> common.Row:
    return {
        "name": "memory",
        "value": round(plan.total / compiled, 4),
        "unit": "planned / XLA",
        "planned_bytes": plan.total,
        "xla_bytes": compiled,
        "parts": plan.parts,
        "phase": plan.phase,
        "compile_s": round(compile_s, 2),
        "device": jax.devices()[0].device_kind,
        **common.machine(),
    }


def rows(quick: bool = False) -> list[common.Row]:
    """A row `memory` for every size."""
    return [
        compare(*size) | {"size": " ".join(map(str, size))} for size in (QUICK if quick else SIZES)
    ]


if __name__ == "__main__":
    common.main("memory", rows, (__doc__ or "").splitlines()[0])
