"""PPO fine-tuning: the only impure loop. Everything it repeats is one compiled call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sim.env import Env
from sim.scene_batch import SceneBatch
from vla_jax.checkpoint import checkpoint_steps, load_checkpoint, save_checkpoint
from vla_jax.distributed import from_first, is_first
from vla_jax.guard import dump_bad_batch
from vla_jax.logs import MetricsLog, open_sinks
from vla_jax.models.agent import make_agent
from vla_jax.rl.agent import Params
from vla_jax.rl.flow import FlowConfig
from vla_jax.rl.iteration import TrainState, init_train_state, make_iteration, state_shapes
from vla_jax.rl.ppo import PPOConfig
from vla_jax.rl.update import check_minibatches
from vla_jax.run import Policy, RunConfig
from vla_jax.sharding import (
    MeshConfig,
    ShardedEnv,
    param_shardings,
    put,
    same_everywhere,
    shard_env,
)

Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, note: str) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a fine-tuning run."""

    iterations: int = 150
    num_envs: int = 256
    # Action chunks per environment and iteration.
    length: int = 12
    # Strength of the success-weighted choice of scenes; 0 draws them uniformly.
    focus: float = 3.0
    # Iterations between checkpoints.
    save_every: int = 5
    ppo: PPOConfig = PPOConfig()
    flow: FlowConfig = FlowConfig()
    # The devices that share the work. Another mesh gives the same run up to rounding.
    mesh: MeshConfig = MeshConfig()
    # What to do about an update whose gradient is not finite. It is never applied, and its
    # minibatch is written to `bad/`. "skip": go on; "stop": save and raise.
    on_nan: str = "skip"

    def __post_init__(self) -> None:
        for name in ("iterations", "num_envs", "length", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.on_nan not in ("skip", "stop"):
            raise ValueError(f"on_nan is {self.on_nan!r}: choose skip or stop")
        check_minibatches(self.length, self.ppo.minibatches)


def fine_tune(
    env: Env,
    batch: SceneBatch,
    policy: Policy,
    out: Path,
    settings: TrainConfig,
    seed: int,
    progress: Progress = silent,
    *,
    scene_ids: Sequence[str] = (),
    logs: Sequence[str] = (),
) -> dict[str, Any]:
    """Fine-tune a policy on a batch of scenes; continues where `out` left off, to the bit.

    In a run of several processes (see `vla_jax.distributed`) all of them call this alike.

    Args:
        env, batch: training environments and scenes.
        policy: where to start.
        out: folder of the run; its checkpoints and metrics are continued if it has any.
        settings: of the run; the same as before when continuing.
        seed: everything random descends from it.
        progress: called with (iteration, iterations, note).
        scene_ids: names of the scenes, for the record of a bad update.
        logs: where metrics go beside `metrics.jsonl`: "tensorboard", "wandb".

    Returns:
        iterations, env_steps, success_rate (of the last iterations' sampled episodes), sps, wall_s,
        skipped_updates.

    Raises:
        ValueError: the environments do not divide among the devices of `settings.mesh`.
        FloatingPointError: an update was not finite and `settings.on_nan` is "stop"; the run is
            saved as it was after that iteration, without the update.
    """
    out = Path(out)
    agent = make_agent(policy.config, settings.flow)
    env = shard_env(env, settings.mesh)
    params, batch = _place(policy.params, batch, env)
    iterate = make_iteration(env, agent, settings.ppo, settings.length, settings.focus)
    begin = (params, env, batch, settings.ppo, seed)
    start = 0
    # The first process decides: a shared file system may show the others less as yet.
    if from_first(lambda: len(checkpoint_steps(out))):
        shapes = state_shapes(*begin)
        start, params, rest = load_checkpoint(out, shapes.params, _without_params(shapes))
        state = replace(rest, params=params)
    else:
        state = init_train_state(*begin)
        if is_first():
            RunConfig(
                policy=policy.config,
                words=policy.words,
                env=env.config,
                seed=seed,
                settings=asdict(settings),
                pieces=policy.pieces,
                scenes=tuple(scene_ids),
            ).save(out)
    log = MetricsLog(out, start, open_sinks(logs, out) if is_first() else (), write=is_first())
    progress = progress if is_first() else silent
    before = log.rows[-1]["wall_s"] if log.rows else 0.0
    began = time.perf_counter()
    steps_each = settings.num_envs * settings.length * env.config.chunk
    for i in range(start, settings.iterations):
        tick = time.perf_counter()
        state, metrics, bad = iterate(state, batch)
        row = {name: float(value) for name, value in jax.device_get(metrics).items()}
        now = time.perf_counter()
        row = {
            "iteration": i + 1,
            "env_steps": (i + 1) * steps_each,
            "wall_s": round(before + now - began, 3),
            "sps": steps_each / (now - tick),
        } | row
        log.append(row)
        note = f"success {recent_success(log.rows):.0%}"
        stop = False
        if skipped := row["skipped_updates"] + row["skipped_critic_updates"]:
            folder = dump_bad_batch(out, i + 1, bad, state.params, scene_ids)
            note = f"{skipped:.0f} bad updates skipped, see {folder}"
            stop = settings.on_nan == "stop"
        if stop or i + 1 == settings.iterations or (i + 1) % settings.save_every == 0:
            save_checkpoint(out, i + 1, state.params, _without_params(state))
        progress(i + 1, settings.iterations, note)
        if stop:
            raise FloatingPointError(f"iteration {i + 1}: {note}")
    return {
        "iterations": settings.iterations,
        "env_steps": settings.iterations * steps_each,
        "success_rate": recent_success(log.rows),
        "sps": float(np.median([row["sps"] for row in log.rows])),
        "wall_s": log.rows[-1]["wall_s"],
        "skipped_updates": sum(
            row["skipped_updates"] + row["skipped_critic_updates"] for row in log.rows
        ),
    }


def _place(params: Params, batch: SceneBatch, env: Any) -> tuple[Params, SceneBatch]:
    """Parameters and scenes where the environment's mesh wants them."""
    if not isinstance(env, ShardedEnv):
        return params, batch
    shardings = param_shardings(params, env.mesh, env.fsdp_threshold)
    return put(params, shardings), put(batch, same_everywhere(batch, env.mesh))


def recent_success(rows: Sequence[dict[str, float]], window: int = 10) -> float:
    """Success rate of the sampled episodes of the last iterations."""
    episodes = sum(row["episodes"] for row in rows[-window:])
    return sum(row["successes"] for row in rows[-window:]) / max(episodes, 1)


def _without_params(state: TrainState) -> TrainState:
    return replace(state, params=None)
