"""Killed at any moment, a run resumes to the bits of one that was never stopped."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from test_sharding import finish, start
from tiny_world import timeless

from vla_jax.checkpoint import checkpoint_steps, load_checkpoint, save_checkpoint
from vla_jax.leaves import flatten
from vla_jax.rl.agent import Params

ITERATIONS = 5


def names(run: Path) -> list[str]:
    """What lies in the folder of checkpoints."""
    folder = run / "checkpoints"
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def kill_when(run: Path, moment: Callable[[], bool], delay: float = 0.0) -> None:
    """Start or continue a run and kill it (SIGKILL) at a moment, or a little later."""
    process = start("resume_program.py", run, ITERATIONS, cache=run.parent / "compiled")
    while not moment():
        assert process.poll() is None, process.communicate()[1][-4000:]
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_run_ends_as_if_it_was_not(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    again = {"cache": tmp_path / "compiled"}
    uninterrupted = start("resume_program.py", whole, ITERATIONS, **again)
    # While the first checkpoint is written: nothing of it counts.
    kill_when(killed, lambda: any(name.startswith("1") for name in names(killed)))
    # Between the second one's arrays and its list of checksums.
    kill_when(killed, lambda: "2" in names(killed))
    # Anywhere in an iteration or a checkpoint.
    delay = random.Random(0).uniform(0.0, 0.3)
    kill_when(killed, lambda: any(step >= 3 for step in checkpoint_steps(killed)), delay)
    for process in (uninterrupted, start("resume_program.py", killed, ITERATIONS, **again)):
        assert finish(process).strip() == "done"
    rows = [
        [timeless(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (whole, killed)
    ]
    assert [row["iteration"] for row in rows[0]] == list(range(1, ITERATIONS + 1))
    assert rows[0] == rows[1]
    assert sorted(names(killed)) == ["4", "4.json", "5", "5.json"]
    for item in ("params", "train"):
        ends = [stored(run / "checkpoints" / str(ITERATIONS), item) for run in (whole, killed)]
        assert ends[0].keys() == ends[1].keys()
        assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])


def stored(folder: Path, item: str) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint as they are on disk."""
    from orbax.checkpoint import v1 as ocp

    found = ocp.load_checkpointables(str(folder), {item: None})[item]
    return {name: np.asarray(value) for name, value in found.items()}


# Frozen parameters --------------------------------------------------------------------------------


def policy(seed: float, frozen: float = 1.0) -> Params:
    fill = lambda value, shape=(3, 2): jax.numpy.full(shape, value)  # noqa: E731
    big = {"eye": fill(frozen), "word": fill(frozen, (5,)).astype("bfloat16")}
    return Params({"w": fill(seed)}, {"v": fill(seed)}, big)


def test_frozen_parameters_are_written_once(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, policy(step))
    folders = [path for path in (tmp_path / "frozen").iterdir() if path.is_dir()]
    assert len(folders) == 1
    inside = {name for step in "23" for name in stored(tmp_path / "checkpoints" / step, "params")}
    assert inside == {"actor.w", "critic.v"}
    step, params, _ = load_checkpoint(tmp_path, policy(0.0, 0.0))
    assert step == 3
    expected = flatten(policy(3.0))
    for name, value in flatten(params).items():
        np.testing.assert_array_equal(value, expected[name])
        assert value.dtype == expected[name].dtype


def test_other_frozen_parameters_are_written_anew(tmp_path):
    """Equal sums do not make equal arrays: swapping two numbers changes the mark."""
    first = policy(1.0)
    first.frozen["eye"] = first.frozen["eye"].at[0, 0].set(2.0)
    second = policy(1.0)
    second.frozen["eye"] = second.frozen["eye"].at[2, 1].set(2.0)
    save_checkpoint(tmp_path, 1, first)
    save_checkpoint(tmp_path, 2, second)
    _, params, _ = load_checkpoint(tmp_path, first)
    np.testing.assert_array_equal(params.frozen["eye"], second.frozen["eye"])
    save_checkpoint(tmp_path, 3, second)  # nothing refers to the first ones any more
    assert len([path for path in (tmp_path / "frozen").iterdir() if path.is_dir()]) == 1


def test_damaged_frozen_parameters_are_noticed(tmp_path):
    save_checkpoint(tmp_path, 1, policy(1.0))
    victim = max(
        (path for path in (tmp_path / "frozen").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(ValueError, match="every checkpoint of .* is damaged"):
        load_checkpoint(tmp_path, policy(0.0))


def test_frozen_parameters_of_another_shape_are_named(tmp_path):
    save_checkpoint(tmp_path, 1, policy(1.0))
    other = policy(1.0)
    other.frozen["eye"] = jax.numpy.zeros((4, 2))
    del other.frozen["word"]
    with pytest.raises(ValueError) as error:
        load_checkpoint(tmp_path, other)
    for fact in ("frozen.eye is (3, 2), expected (4, 2)", "unexpected frozen.word"):
        assert fact in str(error.value)


def test_what_comes_after_a_resumed_step_is_forgotten(tmp_path):
    """A damaged newest checkpoint does not outlive the ones that are made again."""
    for step in (1, 2, 9):
        save_checkpoint(tmp_path, step, policy(step))
    save_checkpoint(tmp_path, 3, policy(3.0))
    assert checkpoint_steps(tmp_path) == [2, 3]
