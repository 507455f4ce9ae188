"""The paper's experiment as it is planned, without running it; and its charts."""

from __future__ import annotations

import dataclasses
import json

import pytest

from benchmarks.paper_charts import draw
from benchmarks.paper_runs import ablated, diverse, randomized, train_config, whole
from benchmarks.paper_world import DOMAINS, GAPS, SIZES
from sim.transfer import TransferConfig
from vla_jax.models.config import get_config
from vla_jax.rl.ppo import PPOConfig


def variants(size):
    made = [whole(size), *randomized(size).values(), *ablated(size).values()]
    made += [diverse(size, count, seed) for count in size.counts for seed in size.seeds]
    return [variant for variant in made if variant.iterations]


@pytest.mark.parametrize("name", SIZES)
def test_every_variant_can_be_run(name):
    """Rollouts divide into minibatches, episodes into chunks, and no two runs share a name."""
    size = SIZES[name]
    usual = get_config(size.preset).chunk
    pools = {"train": size.train_scenes, "many": size.many_scenes}
    for variant in variants(size):
        chunk = variant.chunk or usual
        settings = train_config(size, variant, chunk, usual)
        assert settings.length * chunk == size.length * usual
        assert size.episode_steps % chunk == 0
        assert variant.domain in DOMAINS and variant.scenes <= pools[variant.pool]
    assert len({v.name for v in variants(size)}) == len(set(variants(size)))


def test_other_chunks_look_as_far_ahead():
    """Discount and λ are per chunk: a second is discounted alike whatever the chunk."""
    size = SIZES["cpu"]
    for chunk in (2, 4, 8):
        ppo = train_config(size, ablated(size)["chunk 2"], chunk, 4).ppo
        assert ppo.discount ** (8 / chunk) == pytest.approx(PPOConfig().discount ** 2)
        assert ppo.lam ** (8 / chunk) == pytest.approx(PPOConfig().lam ** 2)


def test_the_gaps_together_are_the_transfer_domain():
    none, whole = TransferConfig.none(), TransferConfig()
    for field in dataclasses.fields(whole):
        name = field.name
        opened = [gap for gap, c in GAPS.items() if getattr(c, name) != getattr(none, name)]
        assert len(opened) == 2 and opened[1] == "all", name


def row(name, value, **fields):
    ci95 = [value - 0.03, value + 0.03]
    common = {"size": "cpu", "experiment_seed": 0, "test_set": "unseen_scenes"}
    return {"name": name, "value": value, "ci95": ci95, **common, **fields}


def test_charts_are_of_one_experiment(tmp_path):
    """Rows of another size are not drawn; without rows or curve there is no chart."""
    other = row("paper.diversity", 0.5, size="smoke", scenes=1, seed=0)
    main = row("paper.main", 0.8, before=0.1, before_ci95=[0.08, 0.12])
    results = tmp_path / "paper.jsonl"
    results.write_text("\n".join(map(json.dumps, (main, other))))
    made = draw(results, tmp_path, tmp_path, "cpu", 0)
    assert [path.name for path in made] == ["paper_before_after.png"]
    assert made[0].stat().st_size > 1000
    assert not draw(results, tmp_path, tmp_path, "cpu", 1)
