"""Runs: exact resume, damaged checkpoints, evaluation arithmetic, bad folders."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_policy import CONFIG
from tiny_world import SETTINGS, make_world, timeless

from sim.buckets import make_room
from sim.state import EnvConfig
from vla_jax.checkpoint import load_checkpoint, save_checkpoint
from vla_jax.evaluation import run_evaluation, wilson_interval
from vla_jax.models.agent import init_params, param_shapes
from vla_jax.models.pi0_config import PI0_TINY
from vla_jax.pipeline import changed, check_resume
from vla_jax.run import Policy, RunConfig, load_policy
from vla_jax.sharding import MeshConfig
from vla_jax.train import fine_tune

pytestmark = pytest.mark.usefixtures("quick_compilation", "plain_pictures")


@pytest.fixture(scope="module")
def world():
    return make_world()


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    env, batch, policy, _ = world
    out = tmp_path_factory.mktemp("runs") / "whole"
    fine_tune(env, batch, policy, out, SETTINGS, seed=5)
    return out


def test_resume_continues_to_the_bit(world, finished, tmp_path):
    """A run stopped after two iterations and continued ends like the uninterrupted one."""
    env, batch, policy, _ = world
    half = tmp_path / "half"
    fine_tune(env, batch, policy, half, replace(SETTINGS, iterations=2), seed=5)
    fine_tune(env, batch, policy, half, SETTINGS, seed=5)
    shapes = init_params(policy.config, 0)
    _, whole, _ = load_checkpoint(finished, shapes)
    step, resumed, _ = load_checkpoint(half, shapes)
    assert step == 4
    same = jax.tree.map(lambda a, b: bool((a == b).all()), whole, resumed)
    assert all(jax.tree.leaves(same))
    rows = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (finished, half)
    ]
    assert [timeless(r) for r in rows[0]] == [timeless(r) for r in rows[1]]
    assert [r["iteration"] for r in rows[1]] == [1, 2, 3, 4]


def test_first_ratio_of_a_real_run(finished):
    first = json.loads((finished / "metrics.jsonl").read_text().splitlines()[1])
    assert first["first_ratio_error"] < 1e-5


def test_damaged_newest_checkpoint_falls_back(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    victim = max(
        (p for p in (run / "checkpoints" / "4").rglob("*") if p.is_file()),
        key=lambda p: p.stat().st_size,
    )
    victim.write_bytes(victim.read_bytes()[:-7])
    policy = load_policy(run)
    assert "checkpoints/4 is damaged" in capsys.readouterr().err
    step, _, _ = load_checkpoint(run, init_params(policy.config, 0))
    assert step == 2
    shutil.rmtree(run / "checkpoints" / "2")
    with pytest.raises(ValueError, match="damaged"):
        load_policy(run)


def test_unfinished_checkpoint_is_not_seen(finished, tmp_path):
    """A kill between data and manifest leaves a folder without its manifest: it does not count."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "checkpoints" / "4.json").unlink()
    assert load_checkpoint(run, init_params(load_policy(run).config, 0))[0] == 2


def test_checkpoint_of_another_shape_is_named(tmp_path):
    save_checkpoint(tmp_path, 1, {"a": jnp.zeros(3), "b": jnp.zeros(2), "old": jnp.zeros(1)})
    with pytest.raises(ValueError) as error:
        load_checkpoint(tmp_path, {"a": jnp.zeros(4), "b": jnp.zeros(2), "new": jnp.zeros(1)})
    for fact in ("a is (3,), expected (4,)", "lacks new", "unexpected old"):
        assert fact in str(error.value)


def test_what_may_change_when_a_run_is_resumed(tmp_path):
    """More iterations and another mesh; a run killed before its first checkpoint starts over."""
    policy = Policy(CONFIG, ("put",), EnvConfig(), init_params(CONFIG, 0))
    with pytest.raises(ValueError, match="config.json is missing"):
        check_resume(tmp_path, policy, SETTINGS, 5, [])
    RunConfig(CONFIG, ("put",), EnvConfig(), 5, asdict(SETTINGS), scenes=("a", "b")).save(tmp_path)
    longer = replace(SETTINGS, iterations=9, mesh=MeshConfig(fsdp=2))
    same = {"policy": policy, "settings": longer, "seed": 5, "scene_ids": ["a", "b"]}
    check_resume(tmp_path, **same)
    for change, complaint in (
        ({"settings": replace(longer, length=4)}, "other settings:"),
        ({"seed": 6}, "other seed:"),
        ({"scene_ids": ["a", "c"]}, "other scenes:"),
        ({"policy": replace(policy, words=("take",)), "seed": 6}, "other seed and policy:"),
        ({"policy": replace(policy, env=EnvConfig(episode_steps=8))}, "other environment:"),
    ):
        with pytest.raises(ValueError, match=complaint):
            check_resume(tmp_path, **(same | change))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("chunk=2", "policy.chunk=2: its environment takes chunks of"),
        ("head_width=24", "would need other parameters"),
        ("frieze=vision", "there is no 'frieze'; did you mean freeze"),
    ],
)
def test_settings_that_a_trained_policy_cannot_take(change, complaint):
    env = replace(EnvConfig(), chunk=CONFIG.chunk)
    policy = Policy(CONFIG, ("put",), env, init_params(CONFIG, 0))
    assert set(changed(policy, ["freeze=vision"]).params.frozen) > set(policy.params.frozen)
    with pytest.raises(ValueError, match=complaint):
        changed(policy, [change])


def test_pi0_has_its_own_rule_of_what_is_frozen():
    config = replace(CONFIG, pi0=PI0_TINY)
    policy = Policy(
        config, ("put",), replace(EnvConfig(), chunk=config.chunk), param_shapes(config)
    )
    with pytest.raises(ValueError, match="freeze=vision is of the small policies: set pi0.freeze"):
        changed(policy, ["freeze=vision"])


def test_bad_run_folders(tmp_path):
    with pytest.raises(ValueError, match="config.json is missing"):
        load_policy(tmp_path / "nothing")
    (tmp_path / "config.json").write_text('{"format": 1, ')
    with pytest.raises(ValueError, match="is damaged"):
        load_policy(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="not a run configuration"):
        RunConfig.load(tmp_path)


def test_evaluation_is_repeatable_and_adds_up(world):
    env, batch, policy, scenes = world
    first = run_evaluation(env, policy.agent, policy.params, batch, scenes, 6, 3)
    again = run_evaluation(env, policy.agent, policy.params, batch, scenes, 6, 3)
    assert first == again
    assert first.episodes == 6 == sum(s["episodes"] for s in first.per_scene)
    assert sum(first.solved) == sum(s["successes"] for s in first.per_scene)
    assert all(1 <= n <= env.config.episode_steps for n in first.steps)
    roomy = make_room(batch, 5)  # rows beyond the scenes are not played
    assert run_evaluation(env, policy.agent, policy.params, roomy, scenes, 6, 3) == first


def test_wilson_interval():
    """Against the closed form worked by hand for 0/10, and the textbook 80/100."""
    low, high = wilson_interval(0, 10)
    assert low == 0.0 and high == pytest.approx(1.96**2 / (10 + 1.96**2), abs=1e-3)
    np.testing.assert_allclose(wilson_interval(80, 100), (0.7112, 0.8666), atol=1e-4)
