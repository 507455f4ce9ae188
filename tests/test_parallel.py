"""Many scenes: the same bytes however they are made, and nothing lost when a run is cut short."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from generation_scenes import moved

from generation import SceneSpec, design, load_scenes, save_scenes
from generation.language.grammar_designer import Proposal, grammar_designer
from generation.production.parallel import Failure, Job, Settings, alike, design_many, make_scene
from generation.production.partial import kept_scenes
from generation.production.workers import on_processes
from generation.spec import Provenance

PROMPTS = ["put the red block on the white plate", "put the banana in the blue bowl"]
BAD = "put the unicorn on the plate"

# Run in a process of its own, so that it can be killed.
SCRIPT = """
import sys
from generation.language.grammar_designer import Proposal, grammar_designer
from generation.production.parallel import design_many
if __name__ == "__main__":
    folder, processes = sys.argv[1], int(sys.argv[2])
    design_many(sys.argv[3:], 60, 5, folder, processes=processes)
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(test, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# The same scenes


def test_parallel_runs_give_the_bytes_of_serial_ones(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    serial = design_many(
        PROMPTS, 6, 3, tmp_path / "a", processes=1, progress=lambda *x: told.append(x)
    )
    parallel = design_many(PROMPTS, 6, 3, tmp_path / "b", processes=2)
    assert serial == parallel == design(PROMPTS, 6, 3)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert load_scenes(tmp_path / "a") == serial
    assert told == [(k, 6) for k in range(7)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("kill", "processes"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGINT, 2)]
)
def test_a_run_that_was_killed_continues(kill: int, processes: int, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    folder, partial = tmp_path / "out", tmp_path / "out.partial"
    command = [sys.executable, str(script), str(folder), str(processes), *PROMPTS]
    path = os.pathsep.join(["."] + sys.path)
    run = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: kept_scenes(folder) >= 2)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert len(children) >= (processes if processes > 1 else 0)
    run.send_signal(kill)
    assert run.wait(60) != 0
    wait_for(lambda: not any(is_running(int(child)) for child in children), 60.0)
    kept = {name: data for name, data in tree(partial).items() if name[0].isdigit()}
    assert not folder.exists() and 2 <= len(kept) < 60

    # Fewer scenes than the first run wanted: they depend on their number alone.
    made: list[int] = []
    count = len(kept) + 2
    scenes = design_many(PROMPTS, count, 5, folder, progress=lambda done, n: made.append(done))
    whole = [name for name in sorted(kept) if int(name[:6]) < count and name.endswith(".json")]
    assert made[0] == len(whole) and made[-1] == count
    assert scenes == design(PROMPTS, count, 5)
    assert not partial.exists()


def test_a_damaged_leftover_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(ValueError, match="failed, the finished ones are in"):
        design_many([PROMPTS[0], BAD], 4, 0, folder, processes=1)
    leftover = sorted((tmp_path / "out.partial").glob("0*.json"))
    assert [path.name for path in leftover] == ["000000.json", "000002.json"]
    good = leftover[0].read_bytes()
    leftover[0].write_bytes(good[:100])
    with pytest.raises(ValueError, match="2 of 4 scenes failed"):
        design_many([PROMPTS[0], BAD], 4, 0, folder, processes=1)
    assert leftover[0].read_bytes() == good


def test_designers_of_ones_own(tmp_path: Path) -> None:
    asked: list[str] = []

    def own(prompt, rng, difficulty, split, families) -> Proposal:
        asked.append(prompt)
        return grammar_designer(PROMPTS[1], rng, difficulty, split, families)

    scenes = design_many("anything", 2, 0, tmp_path / "out", processes=1, designer=own)
    assert set(asked) == {"anything"}
    assert [scene.objects[0].family for scene in scenes] == ["banana", "banana"]


# What goes wrong


def test_scenes_that_fail_are_named_or_left_out(tmp_path: Path) -> None:
    folder, prompts = tmp_path / "out", [*PROMPTS, BAD]
    with pytest.raises(ValueError, match=r"1 of 4 .*: scene 2 \('put the unicorn on the plate'\):"):
        design_many(prompts, 4, 0, folder, processes=1)
    assert not folder.exists() and kept_scenes(folder) == 3
    failed: list[Failure] = []
    scenes = design_many(prompts, 4, 0, folder, processes=1, failed=failed)
    assert [(f.index, f.prompt) for f in failed] == [(2, BAD)] and "unicorn" in failed[0].reason
    assert load_scenes(folder) == scenes and len(scenes) == 3
    assert not (tmp_path / "out.partial").exists()


def test_a_run_without_any_success_stops_early_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of 900 scenes could be made: scene 0 .*unicorn"):
        design_many(BAD, 900, 0, tmp_path / "out", processes=1)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_other_arguments_are_not_mixed_in(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(ValueError, match="finished ones are in"):
        design_many([PROMPTS[0], BAD], 2, 0, folder)
    for prompts, seed in (([PROMPTS[0], BAD], 1), ([PROMPTS[1], BAD], 0)):
        with pytest.raises(ValueError, match="out.partial belongs to a run with other arguments"):
            design_many(prompts, 2, seed, folder)
    assert kept_scenes(folder) == 1


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    partial = tmp_path / "out.partial"
    partial.mkdir()
    with (partial / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match=r"another run is working in .*out.partial"):
            design_many(PROMPTS, 2, 0, tmp_path / "out")
    assert len(design_many(PROMPTS, 2, 0, tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": []}, "no prompt"),
        ({"n": 0}, "n=0 scenes: ask for 1 to"),
        ({"seed": -1}, "seed=-1"),
        ({"processes": 0}, "processes=0: use 1 or more"),
        ({"executor": "threads"}, "unknown executor 'threads': use processes or ray"),
    ],
)
def test_bad_arguments(change: dict, message: str, tmp_path: Path) -> None:
    arguments = {"prompts": PROMPTS, "n": 2, "seed": 0, "folder": tmp_path / "out", **change}
    with pytest.raises(ValueError, match=message):
        design_many(**arguments)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "note").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty: choose a new folder"):
        design_many(PROMPTS, 2, 0, tmp_path)


def test_workers_report_errors_and_death() -> None:
    assert sorted(on_processes(abs, [-1, -2, 3], 2)) == [(0, 1), (1, 2), (2, 3)]
    with pytest.raises(RuntimeError, match=r"job 0 failed in a worker:(.|\n)*invalid literal"):
        list(on_processes(int, ["x"], 2))
    with pytest.raises(RuntimeError, match="ended with status 3 during job 0"):
        list(on_processes(os._exit, [3], 2))


# Scenes that are not good enough


def test_what_the_check_finds_fault_with_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    job, first = Job(0, PROMPTS[0]), design(PROMPTS, 1, 0)[0]
    assert make_scene(Settings(0), job).text == first.to_json()

    def problems(scene: SceneSpec) -> tuple[str, ...]:
        return ("block_0 overlaps",) if scene.id == first.id else ()

    monkeypatch.setattr("generation.production.parallel._problems", problems)
    made = make_scene(Settings(0), job)
    assert made.text and made.text != first.to_json()
    assert make_scene(Settings(0, check=False), job).text == first.to_json()
    monkeypatch.setattr(
        "generation.production.parallel._problems", lambda scene: ("block_0 overlaps",)
    )
    assert make_scene(Settings(0), job).reason == "block_0 overlaps (4 layouts tried)"


def test_no_two_scenes_of_a_set_are_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from generation.designer import design_scene

    def repeating(prompt: str, index: int, seed: int, **options) -> SceneSpec:
        return design_scene(prompt, 0 if index in (1, 2) else index, seed, **options)

    monkeypatch.setattr("generation.production.parallel.design_scene", repeating)
    scenes = design_many(PROMPTS[0], 4, 0, tmp_path / "out", processes=1)
    assert len({scene.id for scene in scenes}) == 4
    assert [scenes[k] for k in (0, 3)] == [design(PROMPTS[0], 4, 0)[k] for k in (0, 3)]


def test_scenes_are_alike_if_a_glance_cannot_tell_them_apart() -> None:
    scene = design(PROMPTS, 1, 0)[0]
    x, y, z = scene.objects[2].pos
    assert alike(scene, moved(scene, 2, pos=(x + 0.015, y, z)))
    assert not alike(scene, moved(scene, 2, pos=(x + 0.025, y, z)))
    assert not alike(scene, moved(scene, 2, colour="mauve"))
    assert not alike(scene, scene.model_copy(update={"objects": scene.objects[:2]}))


# What the folder says about imported assets


def test_the_index_lists_where_imported_assets_are_from(tmp_path: Path) -> None:
    scene = design(PROMPTS, 1, 0)[0]
    source = Provenance(
        asset="0123456789abcdef", source="shelf/mug.glb", licence="CC-BY-4.0", training="forbidden"
    )
    twice = moved(moved(scene, 0, provenance=source), 2, provenance=source)
    folder = save_scenes([scene, twice], tmp_path / "out", extras={"preview.png": b"picture"})
    index = json.loads((folder / "index.json").read_text())
    assert index["assets"] == [
        {"asset": "0123456789abcdef", "source": "shelf/mug.glb", "licence": "CC-BY-4.0",
         "training": "forbidden", "objects": 2}
    ]  # fmt: skip
    assert (folder / "preview.png").read_bytes() == b"picture"
    assert load_scenes(folder) == [scene, twice]


def test_files_that_are_no_scenes_cost_no_time_or_memory(tmp_path: Path) -> None:
    scene = design(PROMPTS, 1, 0)[0]
    path = save_scenes([scene], tmp_path / "out") / f"0000_{scene.id}.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match=f"{path.name} is damaged: it is larger than 16 MiB"):
        load_scenes(path.parent)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=f"{path.name} is damaged: it is no regular file"):
        load_scenes(path.parent)


# A cluster


@pytest.mark.slow
def test_ray_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    design_many(PROMPTS, 4, 3, tmp_path / "a", processes=1)
    design_many(PROMPTS, 4, 3, tmp_path / "b", processes=2, executor="ray")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
