"""PPO fine-tuning: the only impure loop. Everything it repeats is one compiled call."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sim.env import Env
from sim.scene_batch import SceneBatch
from vla_jax.checkpoint import checkpoint_steps, load_checkpoint, save_checkpoint
from vla_jax.rl.iteration import TrainState, init_train_state, make_iteration
from vla_jax.rl.ppo import PPOConfig
from vla_jax.run import Policy, RunConfig

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

    def __post_init__(self) -> None:
        for name in ("iterations", "num_envs", "length", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.num_envs * self.length % self.ppo.minibatches:
            raise ValueError(
                f"num_envs {self.num_envs} x length {self.length} samples do not divide into "
                f"{self.ppo.minibatches} minibatches"
            )


def fine_tune(
    env: Env,
    batch: SceneBatch,
    policy: Policy,
    out: Path,
    settings: TrainConfig,
    seed: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Fine-tune a policy on a batch of scenes; continues where `out` left off, to the bit.

    Args:
        env, batch: training environments and scenes.
        policy: where to start.
        out: folder of the run; its checkpoints and metrics are continued if it has any.
        settings: of the run; the same as before when continuing.
        seed: everything random descends from it.
        progress: called with (iteration, iterations, note).

    Returns:
        iterations, env_steps, success_rate (of the last iterations' sampled episodes), sps, wall_s.
    """
    out = Path(out)
    iterate = make_iteration(env, policy.agent, settings.ppo, settings.length, settings.focus)
    state = init_train_state(policy.params, env, batch, policy.agent, settings.ppo, seed)
    start = 0
    if checkpoint_steps(out):
        start, params, rest = load_checkpoint(out, state.params, _without_params(state))
        state = replace(rest, params=params)
    else:
        RunConfig(policy.config, policy.words, env.config, seed, asdict(settings)).save(out)
    history = _read_metrics(out / "metrics.jsonl", start)
    _rewrite_metrics(out / "metrics.jsonl", history)
    before = history[-1]["wall_s"] if history else 0.0
    began = time.perf_counter()
    steps_each = settings.num_envs * settings.length * env.config.chunk
    for i in range(start, settings.iterations):
        tick = time.perf_counter()
        state, metrics = iterate(state, batch)
        row = {name: float(value) for name, value in jax.device_get(metrics).items()}
        now = time.perf_counter()
        row = {
            "iteration": i + 1,
            "env_steps": (i + 1) * steps_each,
            "wall_s": round(before + now - began, 3),
            "sps": steps_each / (now - tick),
        } | row
        history.append(row)
        with (out / "metrics.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        last = i + 1 == settings.iterations
        if last or (i + 1) % settings.save_every == 0:
            save_checkpoint(out, i + 1, state.params, _without_params(state))
        progress(i + 1, settings.iterations, f"success {recent_success(history):.0%}")
    return {
        "iterations": settings.iterations,
        "env_steps": settings.iterations * steps_each,
        "success_rate": recent_success(history),
        "sps": float(np.median([row["sps"] for row in history])),
        "wall_s": history[-1]["wall_s"],
    }


def recent_success(history: list[dict[str, float]], window: int = 10) -> float:
    """Success rate of the sampled episodes of the last iterations."""
    episodes = sum(row["episodes"] for row in history[-window:])
    return sum(row["successes"] for row in history[-window:]) / max(episodes, 1)


def _without_params(state: TrainState) -> TrainState:
    return replace(state, params=None)


def _read_metrics(path: Path, iterations: int) -> list[dict[str, float]]:
    """Rows of the iterations that the checkpoint holds; later ones will be made again."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break  # a line cut off by a kill is the last one
        if row["iteration"] <= iterations:
            rows.append(row)
    return rows


def _rewrite_metrics(path: Path, rows: list[dict[str, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    temporary.replace(path)
