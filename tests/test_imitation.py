"""Imitation: statistics, varied pictures, averages, what is held out, and exact resumption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_policy import CONFIG as POLICY

from sim.env import EnvConfig
from sim.types import Observation
from vla_jax import imitation, imitation_step, pipeline
from vla_jax.checkpoint import load_checkpoint, save_checkpoint
from vla_jax.cli import make_parser
from vla_jax.commands import pretrain as command
from vla_jax.data import demonstrations
from vla_jax.data.augment import USUAL, Augmentation, augment, jitter_colours, shift_pictures
from vla_jax.data.demonstrations import Demonstrations, fingerprint
from vla_jax.data.samples import demonstration_set, heldout_rows, pools, split_heldout
from vla_jax.data.stats import RunningStats, save_norm_stats
from vla_jax.imitation import ImitationConfig, imitate
from vla_jax.models.agent import init_params
from vla_jax.models.config import get_config
from vla_jax.run import RunConfig

pytestmark = pytest.mark.usefixtures("quick_compilation")

# As small as the policy gets: compiling it takes most of the time.
CONFIG = replace(POLICY, depth=1, queries=3, wrist_queries=2, heads=1)
SETTINGS = ImitationConfig(
    steps=6,
    demo_rows=4,
    save_every=2,
    heldout=0.2,
    ema=0.9,
    augment=Augmentation(brightness=0.1, shift=1),
)


def make_samples(count: int = 40, seed: int = 0, side: int = 32) -> Demonstrations:
    """Random samples, four to an episode and eight to a scene."""
    rng = np.random.default_rng(seed)

    def pictures(side: int) -> np.ndarray:
        return rng.integers(0, 256, (count, side, side, 3)).astype(np.uint8)

    obs = {
        "image": pictures(side),
        "wrist": pictures(side // 2),
        "proprio": rng.normal(size=(count, 12)).astype(np.float32),
        "instruction": rng.integers(2, 20, (count, 12)).astype(np.int32),
    }
    number = np.arange(count, dtype=np.int32)
    return Demonstrations(
        Observation(**obs),
        rng.uniform(-1.0, 1.0, (count, 4, 7)).astype(np.float32),
        rng.uniform(-0.9, 0.9, (count, 16)).astype(np.float32),
        np.ones(count, np.float32),
        np.stack([number // 8, number // 4], 1),
    )


# --------------------------------------------------------------------- statistics


def test_stats_are_numpys():
    """In batches of any size, with later batches far outside the first one's range."""
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [
            rng.normal(5.0, 0.1, (7, 3)),
            rng.normal(0.0, 2.0, (4000, 3)),
            rng.gamma(1.0, 9.0, (900, 3)),
        ]
    ) * [1.0, 1e-4, 1e4]
    running = RunningStats(3)
    for part in np.split(rows, [1, 7, 500, 4100]):
        running.update(part)
    stats = running.finish()
    assert running.count == len(rows)
    np.testing.assert_allclose(stats.mean, rows.mean(0), rtol=1e-9)
    np.testing.assert_allclose(stats.std, rows.std(0), rtol=1e-9)
    np.testing.assert_array_equal(stats.min, rows.min(0))
    np.testing.assert_array_equal(stats.max, rows.max(0))
    reach = np.ptp(rows, axis=0)
    for q, found in ((0.01, stats.q01), (0.99, stats.q99)):
        assert (np.abs(found - np.quantile(rows, q, axis=0)) < reach / 1000).all()


def test_stats_of_constants_and_of_nonsense():
    running = RunningStats(2)
    running.update(np.array([[3.0, 0.0]] * 5, np.float32))
    stats = running.finish()
    for value in (stats.mean, stats.q01, stats.q99):
        np.testing.assert_array_equal(value, [3.0, 0.0])
    for rows, hint in ((np.ones((2, 3)), "2 numbers"), (np.full((1, 2), np.nan), "NaN")):
        with pytest.raises(ValueError, match=hint):
            running.update(rows)
    with pytest.raises(ValueError, match="no rows"):
        RunningStats(2).finish()


def test_norm_stats_file(tmp_path):
    """The shape of openpi's file."""
    path = tmp_path / "norm_stats.json"
    running = RunningStats(2)
    running.update(np.array([[0.0, 1.0], [2.0, 5.0]]))
    save_norm_stats(path, {"state": running.finish(), "actions": running.finish()})
    data = json.loads(path.read_text())["norm_stats"]
    assert set(data) == {"state", "actions"}
    assert set(data["state"]) >= {"mean", "std", "q01", "q99"}
    assert data["state"]["mean"] == [1.0, 3.0] and data["actions"]["max"] == [2.0, 5.0]


# --------------------------------------------------------------------- varied pictures


def test_no_augmentation_is_the_identity():
    data = make_samples(4)
    obs, located = augment(data.obs, jnp.asarray(data.located), jax.random.key(0), Augmentation())
    assert obs.image is data.obs.image and obs.wrist is data.obs.wrist
    np.testing.assert_array_equal(located, data.located)


def test_points_move_with_the_pictures():
    """A white dot is drawn where a point says; after the shift it is where the point says then."""
    sides = {"image": 64, "wrist": 32}
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(8, 24, (2, 32))
    located = np.full((32, 16), 9.0, np.float32)
    drawn = {}
    for (name, side), first in zip(sides.items(), (6, 12), strict=True):
        picture = np.zeros((32, side, side, 3), np.uint8)
        picture[np.arange(32), rows, columns] = 255
        drawn[name] = picture
        located[:, first] = (columns + 0.5) * 2.0 / side - 1.0
        located[:, first + 1] = (rows + 0.5) * 2.0 / side - 1.0
    obs = Observation(**drawn, proprio=np.zeros((32, 12)), instruction=np.zeros((32, 12)))  # type: ignore[arg-type]
    settings = Augmentation(shift=6)
    moved, places = augment(obs, jnp.asarray(located), jax.random.key(3), settings)
    for (name, side), first, most in zip(sides.items(), (6, 12), (6, 3), strict=True):
        picture, before = np.asarray(getattr(moved, name)), drawn[name]
        way = []
        for i in range(32):
            row, column = np.argwhere(picture[i, ..., 0])[0]
            point = [(column + 0.5) * 2.0 / side - 1.0, (row + 0.5) * 2.0 / side - 1.0]
            np.testing.assert_allclose(places[i, first : first + 2], point, atol=1e-6)
            way.append((column - columns[i], row - rows[i]))
        assert picture.sum() == before.sum()
        assert np.abs(way).max() == most and len(set(way)) > 10
    # The other places are out of the picture, and stay so.
    np.testing.assert_array_equal(places[:, 8:12], 9.0)
    np.testing.assert_array_equal(places[:, :6], 9.0)


def test_a_point_just_outside_is_not_pulled_in():
    located = np.full((8, 16), 1.02, np.float32)
    _, places = augment(
        make_samples(8).obs, jnp.asarray(located), jax.random.key(0), Augmentation(shift=4)
    )
    np.testing.assert_array_equal(places, located)


def test_shift_repeats_the_border():
    picture = jnp.arange(12, dtype=jnp.uint8).reshape(1, 2, 2, 3)
    moved = shift_pictures(picture, jnp.array([[1, 0]]), 1)
    np.testing.assert_array_equal(moved[0, :, 0], picture[0, :, 0])
    np.testing.assert_array_equal(moved[0, :, 1], picture[0, :, 0])


def test_colours_by_hand():
    """Brightness alone adds the same to every byte; without colour every channel is the grey."""
    picture = jnp.full((64, 2, 2, 3), jnp.array([100, 120, 140], jnp.uint8))
    bright = np.asarray(
        jitter_colours(picture, jax.random.key(0), Augmentation(brightness=0.2))
    ).astype(int)
    change = bright - np.asarray(picture)
    assert (np.ptp(change.reshape(64, -1), axis=1) == 0).all()
    assert change.min() < -40 and change.max() > 40 and np.abs(change).max() <= 51
    pale = np.asarray(jitter_colours(picture, jax.random.key(0), Augmentation(saturation=0.9)))
    grey = pale.astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey, 0.299 * 100 + 0.587 * 120 + 0.114 * 140, atol=1.0)
    assert np.ptp(pale[:, 0, 0].astype(int), axis=1).min() < 10
    flat = jitter_colours(picture, jax.random.key(0), Augmentation(contrast=0.5))
    np.testing.assert_allclose(np.asarray(flat) @ [0.299, 0.587, 0.114], grey, atol=1.0)
    for name, value in (("tint", 1.0), ("shift", -1)):
        with pytest.raises(ValueError, match=name):
            Augmentation(**{name: value})


# --------------------------------------------------------------------- averages and losses


def test_moving_average_by_hand():
    """At first the decay is (1 + step) / (10 + step), in the end the one asked for."""
    average = imitation_step.moving_average({"a": jnp.array(1.0)}, {"a": jnp.array(11.0)}, 0, 0.9)
    np.testing.assert_allclose(average["a"], 0.1 * 1.0 + 0.9 * 11.0)
    average = imitation_step.moving_average(average, {"a": jnp.array(0.0)}, 1000, 0.9)
    np.testing.assert_allclose(average["a"], 0.9 * 10.0, rtol=1e-6)


def test_losses_of_rows_without_places():
    """Rows of a dataset count in the flow loss by their weight, never in the localization loss."""

    def stand_in(params, obs, action, located, has_action, key):
        flow = (action.mean((1, 2)) * has_action).sum() / (has_action.sum() + 1e-6)
        return flow, located.mean(), 10.0 * located.mean()

    data = make_samples(6)._replace(has_action=np.array([1, 0, 1, 1, 0.5, 1], np.float32))
    data = data._replace(located=np.array([2.0, 4.0] + [9.0] * 4)[:, None] * np.ones((6, 16)))
    params = None
    flow, ground, error = imitation_step._losses(stand_in, params, data, jax.random.key(0), 2)  # type: ignore[arg-type]
    mean = data.action.mean((1, 2))
    expected = (mean * data.has_action).sum() / data.has_action.sum()
    np.testing.assert_allclose(flow, expected, rtol=1e-4)
    assert (float(ground), float(error)) == (3.0, 30.0)
    flow, ground, _ = imitation_step._losses(stand_in, params, data, jax.random.key(0), 0)  # type: ignore[arg-type]
    np.testing.assert_allclose(flow, expected, rtol=1e-4)
    assert float(ground) == 0.0


# --------------------------------------------------------------------- what is held out


def test_heldout_is_whole_scenes_or_episodes():
    source = make_samples(80).source  # 10 scenes of two episodes of four samples
    mask, scenes = split_heldout(source, 0.2, 0)
    assert len(scenes) == 2 and mask.sum() == 16
    assert not set(source[mask, 0]) & set(source[~mask, 0])
    mask, scenes = split_heldout(source, 0.04, 0)  # not one scene of ten: an episode of twenty
    assert len(scenes) == 0 and mask.sum() == 4
    assert not set(source[mask, 1]) & set(source[~mask, 1])
    assert not split_heldout(source, 0.0, 0)[0].any()
    again, other = split_heldout(source, 0.2, 0)[0], split_heldout(source, 0.2, 1)[0]
    assert (again == split_heldout(source, 0.2, 0)[0]).all() and (again != other).any()
    mask, _ = split_heldout(source, 0.99, 0)
    assert (~mask).sum() > 0
    with pytest.raises(ValueError, match="one episode"):
        split_heldout(source[:4], 0.1, 0)


def test_pools_are_disjoint_and_numbered_through():
    first, _ = demonstration_set(make_samples(40), 4, 0.2, 0)
    second, _ = demonstration_set(make_samples(24), 4, 0.4, 0, placed=False)
    trained, heldout = pools([first, second]), heldout_rows([first, second])
    assert trained[0].max() < 40 <= trained[1].min()
    assert sorted([*trained[0], *trained[1], *heldout]) == list(range(64))
    with pytest.raises(ValueError, match="no samples to train on"):
        pools([first._replace(train=np.zeros(40, bool))])


def test_recording_knows_its_episodes(monkeypatch):
    """Two environments whose episodes last two and three chunks; the third one of each fails."""
    steps = iter(range(100))

    class World:
        num_envs = 2

        @staticmethod
        def reset(batch, key):
            return 0, 0

    def make_recorder(env, settings):
        def record(batch, state, obs, key):
            t = next(steps)
            ends = np.array([t % 2 == 1, t % 3 == 2])
            solved = ends & (np.array([t // 2, t // 3]) != 2)
            sample = Demonstrations(
                np.array([t, t]),
                np.zeros((2, 4, 7)),
                np.zeros((2, 16)),
                np.ones(2),
                np.array([7, 8], np.int32),
            )
            return state, obs, sample, ends, solved

        return record

    monkeypatch.setattr(demonstrations, "make_recorder", make_recorder)
    data, found = demonstrations.collect_demonstrations(
        World(),  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        0,
        ImitationConfig(chunks=16),
    )
    assert data.source.dtype == np.int32
    episodes = {}
    for t, (scene, episode) in zip(np.asarray(data.obs), data.source, strict=True):
        episodes.setdefault(int(episode), []).append((int(scene), int(t)))
    times = sorted(sorted(rows) for rows in episodes.values())
    assert times[:3] == [[(7, 0), (7, 1)], [(7, 2), (7, 3)], [(7, 6), (7, 7)]]
    assert [(8, 0), (8, 1), (8, 2)] in times and [(8, 3), (8, 4), (8, 5)] in times
    assert not {(7, 4), (7, 5)} & {row for rows in times for row in rows}
    assert 0.0 < found["expert_success"] < 1.0


# --------------------------------------------------------------------- runs


class Stop(Exception):
    """An interruption."""


def train(
    out: Path,
    data: Demonstrations,
    settings=SETTINGS,
    stop: int | None = None,
    init: Path | None = None,
):
    """Imitate tiny samples; stop after so many minibatches."""

    def stage(name: str, total: int):
        def update(done: int, note: str) -> None:
            if done == stop:
                raise Stop

        return update

    part, _ = demonstration_set(data, settings.demo_rows, settings.heldout, 0)
    env = EnvConfig(image_size=32, wrist_size=16)
    found = {"episodes": 10, "expert_success": 0.5}
    return imitate([part], found, env, CONFIG, ("put",), settings, 3, out, stage, init)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imitation, "_CALL", 2)
        patch.setattr(imitation, "_LOOK", 4)
        out = tmp_path_factory.mktemp("imitation") / "whole"
        yield out, train(out, make_samples())


def test_results(finished):
    out, summary = finished
    assert set(summary) == {"demos", "expert_success", "loss", "ground_error_dm", "heldout_loss"}
    assert summary["demos"] == 10 and np.isfinite(summary["heldout_loss"])
    log = json.loads((out / "pretrain.json").read_text())["log"]
    assert [row["step"] for row in log] == [2, 4, 6]
    assert all("heldout_loss" in row for row in log)
    stats = json.loads((out / "norm_stats.json").read_text())["norm_stats"]
    assert len(stats["actions"]["mean"]) == 7 and len(stats["state"]["q99"]) == 12
    assert not (out / "pretrain_log.json").exists()
    assert train(out, make_samples()) == summary  # there is nothing left to do


def test_resume_continues_to_the_bit(finished, tmp_path, monkeypatch):
    """Stopped after four of six minibatches, once right after a checkpoint, once before one."""
    whole, summary = finished
    half = tmp_path / "half"
    for stop in (2, 4):
        with pytest.raises(Stop):
            train(half, make_samples(), stop=stop)
        # Nothing is made only to be replaced by what the checkpoint holds.
        monkeypatch.setattr(imitation_step, "init_params", None)
    monkeypatch.undo()
    assert not (half / "pretrain.json").exists()
    assert train(half, make_samples()) == summary
    assert (half / "pretrain.json").read_text() == (whole / "pretrain.json").read_text()
    shapes = init_params(CONFIG, 0)
    (_, first, _), (step, second, _) = (load_checkpoint(run, shapes) for run in (whole, half))
    assert step == 6
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), first, second)))


def test_resume_refuses_other_samples_and_settings(finished, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(run, make_samples(), stop=2)
    with pytest.raises(ValueError, match="other samples"):
        train(run, make_samples(seed=1))
    with pytest.raises(ValueError, match="other settings"):
        train(run, make_samples(), replace(SETTINGS, steps=8))


def test_the_average_is_what_is_saved(finished):
    """The checkpoint's policy is the average of what was trained, which is beside it."""
    trainer = imitation_step.make_pretrainer(CONFIG, SETTINGS)
    fresh = trainer.init(3, None)
    _, policy, rest = load_checkpoint(finished[0], fresh.policy, imitation._rest(fresh, 0))
    gap = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), policy.actor, rest["actor"])
    assert 0.0 < max(jax.tree.leaves(gap)) < 0.1
    assert int(rest["step"]) == 6 and int(rest["samples"]) == fingerprint(make_samples())


def test_it_starts_from_the_policy_of_a_run(finished, tmp_path):
    start, first = init_params(CONFIG, 99), tmp_path / "first"
    RunConfig(CONFIG, ("put",), EnvConfig(), 0, {}).save(first)
    with pytest.raises(ValueError, match="has no checkpoint"):
        train(tmp_path / "second", make_samples(), init=first)
    save_checkpoint(first, 0, start)
    with pytest.raises(Stop):
        train(tmp_path / "second", make_samples(), stop=2, init=first)
    _, found, _ = load_checkpoint(tmp_path / "second", start)

    def gap(params) -> float:
        gaps = jax.tree.map(lambda a, b: float(abs(a - b).max()), found.actor, params.actor)
        return max(jax.tree.leaves(gaps))

    assert gap(start) < 0.01 < gap(init_params(CONFIG, 3))


def test_words_are_varied_only_where_there_is_an_unknown_one(tmp_path, monkeypatch):
    """In SentencePiece's tokens its id is the end of the text."""
    seen = []

    def catch(sample, key, settings):
        seen.append((settings.word_dropout, settings.word_insertion))
        return sample

    monkeypatch.setattr(imitation_step, "vary", catch)
    data, settings = make_samples(8), replace(SETTINGS, steps=5)
    for words_vary in (True, False):
        trainer = imitation_step.make_pretrainer(CONFIG, settings, None, words_vary)
        state = jax.eval_shape(lambda t=trainer: t.init(0, None))
        jax.eval_shape(trainer.run, state, data, np.zeros((2, 4), np.int32), jax.random.key(0))
    assert seen == [(settings.word_dropout, settings.word_insertion), (0.0, 0.0)]

    def stop(config, settings, placed, words_vary):
        seen.append(words_vary)
        raise Stop

    monkeypatch.setattr(imitation, "make_pretrainer", stop)
    for pieces in (None, tmp_path / "tokenizer.model"):
        config = RunConfig(CONFIG, (), EnvConfig(), 0, {}, pieces)
        monkeypatch.setattr(imitation, "load_config", lambda run, config=config: config)
        with pytest.raises(Stop):
            train(tmp_path / "run", data, settings, init=tmp_path)
    assert seen[2:] == [True, False]


def test_settings_of_the_command():
    """What suits the policy, then the options, then --set."""

    def settings(preset: str, *words: str) -> ImitationConfig:
        parser = make_parser()
        args = parser.parse_args(["pretrain", "--scenes", "s", "-o", "o", *words])
        return command._settings(args, get_config(preset))

    assert settings("tiny") == ImitationConfig(heldout=0.05, learning_rate=5e-3)
    assert settings("small") == ImitationConfig(heldout=0.05)
    assert (settings("pi0").stills, settings("pi0").learning_rate) == (0, 1e-3)
    assert settings("pi0", "--init", "run").learning_rate == 2.5e-5
    assert settings("pi0", "--stills", "5").stills == 5
    given = settings("pi0", "--augment", "--set", "augment.shift=2", "--set", "learning_rate=1e-4")
    assert (given.augment, given.learning_rate) == (replace(USUAL, shift=2), 1e-4)
    with pytest.raises(ValueError, match="did you mean learning_rate"):
        settings("tiny", "--set", "learning_rat=1")


def test_settings_out_of_range():
    for name, value in (("heldout", 1.0), ("ema", -0.1), ("steps", 0), ("chunks", 0)):
        with pytest.raises(ValueError, match=name):
            ImitationConfig(**{name: value})


# --------------------------------------------------------------------- datasets


def test_pretrain_on_a_dataset(tmp_path, monkeypatch):
    """A dataset alone gives the policy its sizes; what does not fit scenes is refused."""
    pytest.importorskip("pyarrow")
    from test_lerobot import make_episodes

    from vla_jax.data.lerobot_write import write_lerobot

    write_lerobot(tmp_path / "set", make_episodes(), 5, video=False)
    caught = {}

    def catch(sets, found, deploy, policy, words, *rest):
        caught.update(sets=sets, found=found, deploy=deploy, policy=policy, words=words)
        return {"loss": 0.0}

    monkeypatch.setattr(pipeline, "imitate", catch)
    stage = lambda name, total: lambda done, note: None  # noqa: E731
    pipeline.pretrain_on(
        [], tmp_path / "run", CONFIG, SETTINGS, 0, dataset=tmp_path / "set", stage=stage
    )
    (part,), policy = caught["sets"], caught["policy"]
    assert not part.placed and part.heldout.sum() in (3, 5, 6, 7)
    assert (policy.proprio, policy.vocabulary) == (5, len(caught["words"]) + 2)
    assert {"cup", "bowl", "lift"} <= set(caught["words"])
    assert caught["deploy"].control_hz == 5.0 and caught["deploy"].image_size == 32
    assert caught["found"] == {"episodes": 4, "expert_success": None}
    from vla_jax import design

    scenes = design("put the banana in the blue bowl", n=1, seed=0)
    with pytest.raises(ValueError, match="states of 5 numbers"):
        pipeline.pretrain_on(
            scenes, tmp_path / "run", CONFIG, SETTINGS, 0, dataset=tmp_path / "set", stage=stage
        )
    with pytest.raises(ValueError, match="nothing to learn from"):
        pipeline.pretrain_on([], tmp_path / "run", CONFIG, SETTINGS, 0, stage=stage)
    with pytest.raises(ValueError, match="no run to resume"):
        pipeline.pretrain_on(
            scenes, tmp_path / "run", CONFIG, SETTINGS, 0, resume=True, stage=stage
        )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("", "--dataset DIR"),
        ("--dataset NOWHERE", "meta/info.json is missing"),
        ("--dataset NOWHERE --heldout 1", "[0, 1)"),
        ("--dataset NOWHERE --ema much", "'much'"),
        ("--dataset NOWHERE --resume", "no run to resume"),
    ],
)
def test_bad_commands(words, hint, capsys, tmp_path):
    from vla_jax import cli

    argv = [str(tmp_path / word) if word == "NOWHERE" else word for word in words.split()]
    assert cli.main(["pretrain", *argv, "-o", str(tmp_path / "out")]) == 2
    assert hint in capsys.readouterr().err.splitlines()[-1]
    assert not any(tmp_path.iterdir())
