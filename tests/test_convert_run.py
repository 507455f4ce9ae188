"""An openpi checkpoint becomes a run, sees and acts in a scene, is fine-tuned, and goes back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from pi0_samples import TINY, random_params
from tiny_world import SETTINGS

import vla_jax as vj
from vla_jax.cli import main
from vla_jax.commands.convert import _statistics
from vla_jax.convert import load_openpi, save_openpi
from vla_jax.models.pi0_config import NormStats
from vla_jax.openpi import runs
from vla_jax.openpi.runs import _choose_stats, checkpoint_from_run, run_from_checkpoint
from vla_jax.run import load_policy
from vla_jax.train import fine_tune

pytest.importorskip("sentencepiece")
from test_sentencepiece import train

pytestmark = pytest.mark.usefixtures("quick_compilation")

NORM = {
    name: NormStats((0.1,) * size, (0.5,) * size, (-1.0,) * size, (1.0,) * size)
    for name, size in (("state_norm", 12), ("action_norm", 7))
}
SMALL = replace(
    TINY,
    image_size=16,
    wrist_size=16,
    instruction_length=48,
    pi0=replace(TINY.pi0, vocabulary=256, max_tokens=48),
)
WITH_STATS = replace(SMALL, pi0=replace(SMALL.pi0, **NORM))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pi0")
    pieces = train(folder / "small.model")
    save_openpi(random_params(WITH_STATS, 0.1), WITH_STATS, folder / "openpi")
    told = run_from_checkpoint(folder / "openpi", folder / "run", SMALL, pieces)
    assert told["asset"] == "vla_jax" and told["assets"] == ["vla_jax"]
    return folder / "run"


def test_the_run_holds_the_checkpoint(run, tmp_path):
    """Parameters come back to the bit, with the statistics that were beside them."""
    policy = load_policy(run)
    assert policy.config.pi0 == WITH_STATS.pi0
    checkpoint_from_run(run, tmp_path / "back")
    there = load_openpi(run.parent / "openpi", WITH_STATS)
    back = load_openpi(tmp_path / "back", WITH_STATS)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), there, back)
    heads = ("noise", "value_layers")
    assert all(jax.tree.leaves({k: v for k, v in dict(same).items() if k not in heads}))


def test_statistics_are_chosen_by_their_sizes(run, tmp_path):
    """Of several robots' those that fit; none fits, several do, or another is asked for."""
    assets = tmp_path / "assets"
    for name, state, action in (("bimanual", 14, 14), ("ours", 12, 7), ("stateless", 0, 7)):
        norms = {"state": state, "actions": action}
        stats = {key: {"mean": [0.5] * n, "std": [2.0] * n} for key, n in norms.items() if n}
        (assets / name).mkdir(parents=True)
        (assets / name / "norm_stats.json").write_text(json.dumps({"norm_stats": stats}))
    chosen, norms = _choose_stats(SMALL, tmp_path, None)
    assert chosen == "ours" and len(norms["state_norm"].mean) == 12
    with pytest.raises(ValueError, match="for 14 states and 14 actions, this policy has 12 and 7"):
        _choose_stats(SMALL, tmp_path, "bimanual")
    assert _choose_stats(replace(SMALL, proprio=8), tmp_path, None) == (None, {})
    shutil.copytree(assets / "ours", assets / "twin")
    with pytest.raises(ValueError, match=r"\['ours', 'twin'\] fit this policy: choose one"):
        _choose_stats(SMALL, tmp_path, None)
    assert _choose_stats(SMALL, tmp_path, "twin")[0] == "twin"
    told = {"asset": None, "assets": ["bimanual", "stateless"]}
    assert "none of 2 statistics are for 12 states and 7 actions" in _statistics(told, SMALL)
    assert "statistics of ours" in _statistics(told | {"asset": "ours"}, SMALL)


def test_an_interrupted_conversion_can_be_repeated(run, tmp_path, monkeypatch):
    def interrupted(*args) -> None:
        raise KeyboardInterrupt

    source, pieces = run.parent / "openpi", run / "tokenizer.model"
    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_checkpoint", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_from_checkpoint(source, tmp_path / "run", SMALL, pieces)
    assert not any(tmp_path.iterdir())
    run_from_checkpoint(source, tmp_path / "run", SMALL, pieces)
    assert load_policy(tmp_path / "run").pieces == tmp_path / "run" / "tokenizer.model"


@pytest.mark.slow
def test_it_is_fine_tuned_like_any_policy(run, tmp_path):
    """PPO trains π0 in generated scenes; the first ratio is 1, and every part of it moves."""
    policy = load_policy(run)
    env, batch = vj.make_env(
        vj.design("put something in a container", n=2, seed=1),
        num_envs=4,
        backend="native",
        image_size=16,
        wrist_size=16,
        episode_steps=8,
        reward="shaped",
        tokenizer=policy.tokenizer,
    )
    ppo = replace(SETTINGS.ppo, value_warmup=0, warmup_updates=1)
    settings = replace(SETTINGS, iterations=1, ppo=ppo)
    fine_tune(env, batch, policy, tmp_path / "tuned", settings, seed=0)
    row = json.loads((tmp_path / "tuned" / "metrics.jsonl").read_text())
    assert row["first_ratio_error"] < 1e-4 and row["skipped_updates"] == 0
    tuned = load_policy(tmp_path / "tuned")
    assert tuned.pieces == tmp_path / "tuned" / "tokenizer.model"
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), policy.params.actor, tuned.params.actor)
    for part in ("vision", "language", "expert", "action_in", "time_in", "action_out", "noise"):
        assert any(jax.tree.leaves(moved[part])), part
    _, obs = env.reset(batch, jax.random.key(0))
    assert np.isfinite(np.asarray(tuned.act(obs, jax.random.key(1)))).all()


def test_complaints(run, tmp_path, capsys):
    """What cannot be converted is told in a line, with exit status 2."""
    out = str(tmp_path / "new")
    assert main(["convert", str(run.parent / "openpi"), "-o", out]) == 2
    assert "pass --tokenizer" in capsys.readouterr().err
    pieces = ["--tokenizer", str(run / "tokenizer.model")]
    assert main(["convert", str(run.parent / "openpi"), "-o", out, *pieces]) == 2
    assert "does not fit this policy: " in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "nothing"), "-o", out, *pieces]) == 2
    assert "nothing" in capsys.readouterr().err
