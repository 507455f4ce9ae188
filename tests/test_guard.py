"""Bad updates: never applied, written down for replay, told; and where metrics go."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_world import SETTINGS, make_world

from vla_jax.checkpoint import load_checkpoint
from vla_jax.guard import MOST_DUMPS, dump_bad_batch, load_bad_batch
from vla_jax.logs import MetricsLog, open_sinks
from vla_jax.models.agent import make_agent
from vla_jax.rl.agent import Params
from vla_jax.rl.ppo import PPOConfig, Transitions, policy_loss
from vla_jax.rl.rollout import collect
from vla_jax.rl.update import BadBatch, minibatch
from vla_jax.train import fine_tune

pytestmark = pytest.mark.usefixtures("quick_compilation", "plain_pictures")

# An exponent that turns the rounding of a log-likelihood into infinity.
BAD = PPOConfig(epochs=1, minibatches=1, value_warmup=0, power=1e38)


@pytest.fixture(scope="module")
def world():
    return make_world()


@pytest.fixture(scope="module")
def stopped(world, tmp_path_factory):
    env, batch, policy, scenes = world
    out = tmp_path_factory.mktemp("runs") / "bad"
    settings = replace(SETTINGS, ppo=BAD, on_nan="stop")
    with pytest.raises(FloatingPointError, match="iteration 1: .* bad updates skipped, see .*bad"):
        fine_tune(env, batch, policy, out, settings, seed=5, scene_ids=[s.id for s in scenes])
    return out


def test_a_bad_update_is_not_applied(world, stopped):
    """The saved policy is the one that training started from."""
    start = world[2].params
    step, saved, _ = load_checkpoint(stopped, start)
    assert step == 1
    assert all(map(np.array_equal, jax.tree.leaves(saved.actor), jax.tree.leaves(start.actor)))
    row = json.loads((stopped / "metrics.jsonl").read_text())
    assert row["skipped_updates"] == 1.0


def test_a_bad_update_can_be_replayed(world, stopped):
    """Loss and gradient of the dumped minibatch are as bad as they were; its scenes are named."""
    env, batch, policy, scenes = world
    agent = make_agent(policy.config)

    def shapes():
        key = jax.random.key(0)
        state, obs = env.reset(batch, key)
        data = collect(policy.params, agent, env, batch, state, obs, key, SETTINGS.length, BAD)[2]
        rows = jnp.zeros((SETTINGS.length, SETTINGS.num_envs), jnp.int32)
        return minibatch(data, rows)

    folder = stopped / "bad" / "1"
    bad, params = load_bad_batch(folder, jax.eval_shape(shapes), policy.params)
    grads = jax.jit(jax.grad(lambda p: policy_loss(p, agent, bad, BAD)[0]))(params)
    assert not np.isfinite(sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(grads.actor)))
    told = json.loads((folder / "bad.json").read_text())
    assert told["scenes"] and set(told["scenes"]) <= {s.id for s in scenes}
    assert told["not_finite"] == []  # the samples are sound, the exponent is not
    with pytest.raises(ValueError, match="lacks"):
        load_bad_batch(folder, {"more": jnp.zeros(3)}, policy.params)


def test_dumps_keep_bfloat16_and_leave_out_what_never_changes(tmp_path):
    """And after `MOST_DUMPS` no more are written."""
    low = jnp.array([1.5, jnp.nan], jnp.bfloat16)
    one = jnp.ones(2)
    batch = Transitions(None, one, one, None, one, low, one, one, one, jnp.array([1, 0]))
    params = Params({"w": low}, {"v": one}, {"big": jnp.zeros(3)})
    bad = BadBatch(jnp.bool_(True), batch)
    for i in range(MOST_DUMPS + 2):
        folder = dump_bad_batch(tmp_path, i, bad, params, ["a", "b"])
    assert folder == tmp_path / "bad" and len(list(folder.iterdir())) == MOST_DUMPS
    told = json.loads((folder / "0" / "bad.json").read_text())
    assert told == {"iteration": 0, "scenes": ["a", "b"], "not_finite": ["value"]}
    assert "frozen.big" not in np.load(folder / "0" / "params.npz")
    found, weights = load_bad_batch(folder / "0", batch, params)
    assert weights.actor["w"].dtype == found.value.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found.value.astype(np.float32), low.astype(np.float32))
    assert weights.frozen is params.frozen


def test_a_resumed_run_goes_on_in_the_same_place_and_another_elsewhere(tmp_path, monkeypatch):
    asked = []
    module = types.SimpleNamespace(init=lambda **given: asked.append(given["id"]))
    monkeypatch.setitem(sys.modules, "wandb", module)
    for run in ("a/run", "a/run", "b/run"):
        (tmp_path / run).mkdir(parents=True, exist_ok=True)
        open_sinks(["wandb"], tmp_path / run)
    assert asked[0] == asked[1] != asked[2]


def test_metrics_go_where_asked(tmp_path, monkeypatch):
    """TensorBoard's writer gets every number with its iteration; JSON lines are kept anyway."""
    written = []

    class Writer:
        def __init__(self, folder):
            assert folder == str(tmp_path / "tensorboard")

        def add_scalar(self, name, value, iteration):
            written.append((name, value, iteration))

        def flush(self):
            pass

    module = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    log = MetricsLog(tmp_path, 0, open_sinks(["tensorboard"], tmp_path))
    log.append({"iteration": 3, "reward": 0.5})
    assert written == [("iteration", 3, 3), ("reward", 0.5, 3)]
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"iteration": 3, "reward": 0.5}


def test_a_missing_log_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="logs to wandb need the package wandb: pip"):
        open_sinks(["wandb"], tmp_path)
    with pytest.raises(ValueError, match="unknown log 'tensorbord'"):
        open_sinks(["tensorbord"], tmp_path)


def test_a_cut_off_line_is_dropped(tmp_path):
    """Rows of iterations that will be made again, and a line that a kill cut off, are dropped."""
    rows = "".join(json.dumps({"iteration": i, "x": 1.0}) + "\n" for i in (1, 2, 3))
    (tmp_path / "metrics.jsonl").write_text(rows + '{"iteration": 4, "x"')
    log = MetricsLog(tmp_path, 2)
    assert [row["iteration"] for row in log.rows] == [1, 2]
    assert (tmp_path / "metrics.jsonl").read_text() == rows[: rows.index('{"iteration": 3')]
