"""The training runs of the paper's experiment, and their settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from benchmarks.paper_world import Size
from vla_jax.rl.ppo import PPOConfig
from vla_jax.train import TrainConfig


@dataclass(frozen=True)
class Variant:
    """A training run: what differs from the usual one."""

    name: str
    scenes: int
    iterations: int
    seed: int = 0
    # The set whose first scenes it trains on.
    pool: str = "train"
    domain: str = "paper"
    # Domain of the imitation before it.
    start: str = "paper"
    # Fields of PolicyConfig, of PPOConfig, and the chunk if the baseline must have another one.
    policy: tuple[tuple[str, Any], ...] = ()
    ppo: tuple[tuple[str, Any], ...] = ()
    chunk: int = 0


# What imitation made; they are not fine-tuned.
BASELINE = Variant("baseline", scenes=0, iterations=0)
BASELINE_FULL = Variant("baseline_full", scenes=0, iterations=0, start="full")


def whole(size: Size) -> Variant:
    """The main run."""
    return Variant("main", size.train_scenes, size.iterations)


def short(size: Size, name: str, **fields: Any) -> Variant:
    """A run of the shorter budget, on all training scenes unless said otherwise."""
    given = {"scenes": size.train_scenes, "iterations": size.short, **fields}
    return Variant(name, **given)


def diverse(size: Size, count: int, seed: int) -> Variant:
    """A run of the shorter budget on some scenes."""
    return short(size, f"scenes{count}_seed{seed}", scenes=count, seed=seed)


def usual(size: Size) -> Variant:
    """The run of the shorter budget that the others differ from."""
    return diverse(size, size.train_scenes, size.seeds[0])


def randomized(size: Size) -> dict[str, Variant]:
    """Policies by what their training randomized."""
    both = dataclasses.replace(whole(size), name="full", domain="full", start="full")
    many = {"name": "full_many", "pool": "many", "scenes": size.many_scenes}
    return {
        "baseline": BASELINE,
        "main": whole(size),
        "none": short(size, "domain_none", domain="none"),
        "paper": usual(size),
        "full": short(size, "domain_full", domain="full"),
        "full in imitation": BASELINE_FULL,
        "full in both": both,
        "full in both, ten times the scenes": dataclasses.replace(both, **many),
    }


def ablated(size: Size) -> dict[str, Variant]:
    """One thing changed at a time."""
    low = (("noise_min", 0.04), ("noise_max", 0.08))
    high = (("noise_min", 0.16), ("noise_max", 0.32))
    return {
        "usual: K 1, s 0.2, chunk 4, noise 0.08-0.16, discount 0.95": usual(size),
        "K 4": short(size, "k4", policy=(("flow_steps", 4),)),
        "ratio power 0.05": short(size, "power005", ppo=(("power", 0.05),)),
        "ratio power 1": short(size, "power1", ppo=(("power", 1.0),)),
        "chunk 2": short(size, "chunk2", chunk=2),
        "chunk 8": short(size, "chunk8", chunk=8),
        "noise 0.04-0.08": short(size, "noise_low", policy=low),
        "noise 0.16-0.32": short(size, "noise_high", policy=high),
        "discount 0.9": short(size, "discount09", ppo=(("discount", 0.9),)),
        "frozen vision": short(size, "frozen", policy=(("freeze", "vision"),)),
        "no localization loss": short(size, "no_ground", ppo=(("ground_weight", 0.0),)),
        "imitation only": BASELINE,
    }


def train_config(size: Size, variant: Variant, chunk: int, usual: int) -> TrainConfig:
    """Settings of a variant's run.

    With another chunk than usual, an iteration has as many control steps, and discount and λ, which
    are per chunk, are as large in a second.
    """
    longer = chunk / usual
    usually = PPOConfig(minibatches=size.minibatches, decay_iterations=variant.iterations)
    ppo = dataclasses.replace(usually, discount=usually.discount**longer, lam=usually.lam**longer)
    ppo = dataclasses.replace(ppo, **dict(variant.ppo))
    length = size.length * usual // chunk
    return TrainConfig(variant.iterations, size.num_envs, length, save_every=10, ppo=ppo)
