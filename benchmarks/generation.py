"""Scenes a second, and how sound they are: `python -m benchmarks.generation [--quick] [--save]`.

Rows `generation` give the scenes that are designed, compiled, settled and checked (three seconds
of simulation, overlaps, reach, grip, relations) in a second, on one core and on all of them; with
more than one, starting the processes counts too. `per_cpu_second` counts the seconds that the
processor gave to the benchmark, which other load on the machine hardly changes.

The row `generation.quality` is about 500 scenes from 20 sentences: `value` is the share without any
fault, where a scene that the scripted expert does not solve in one try is one with a fault; the
other fields say what was looked at.
`passed_before_redraws` is the share that the check finds no fault with at first sight; the others
are drawn again. `reproducible` says that a second run, with another number of processes, gave the
same bytes.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import common
from generation.layout import Difficulty
from generation.production.parallel import Failure, design_many
from generation.production.workers import cores
from generation.quality import inspect_scenes
from generation.spec import SceneSpec

SENTENCES = (
    "put the banana in the blue bowl",
    "place the red block on the white plate",
    "stack the small green block on the large yellow block",
    "move the lemon next to the mug",
    "put the apple to the left of the plate",
    "put the wooden cross behind the basket",
    "set the can down in front of the green bowl",
    "move the tomato to the right of the cutting board",
    "take the carrot out of the bowl and put it on the plate",
    "put the pear on the tray with two mushrooms and a can",
    "drop the marker into the crate next to three blocks",
    "put the small orange sponge on the large dish with a battery on the plate",
    "put the clementine in the saucepan",
    "bring the goblet to the platter",
    "put the metal can on the wooden board in a kitchen",
    "put one of the two eggs in the brown basket",
    "put something in a container",
    "a messy breakfast table",
    "a child's play table with some toys",
    "tidy up the desk in the office",
)
SCENES, SEED = 500, 0
UNIT = "scenes/s"


def rate(difficulty: Difficulty, n: int, processes: int, runs: int) -> common.Row:
    """Row of design, compile and check; different scenes in every run."""
    seconds, used = [], []
    for run in range(-1, runs):
        with tempfile.TemporaryDirectory() as folder:
            begin, cpu = time.perf_counter(), time.process_time()
            # The first run warms up: word vectors are loaded, rooms are painted.
            count = n if run >= 0 else len(SENTENCES)
            made = _make(count, SEED + 1 + run, Path(folder), difficulty, processes, [])
            scale = count / len(made)
            seconds.append((time.perf_counter() - begin) * scale)
            used.append((time.process_time() - cpu) * scale)
    own = {"per_cpu_second": common.tidy(n * runs / sum(used[1:]))} if processes == 1 else {}
    return common.make_row(
        "generation",
        UNIT,
        n,
        common.Timing(tuple(seconds[1:])),
        compile_s=0.0,
        num_envs=n,
        device="cpu",
        processes=processes,
        difficulty=difficulty,
        checked=True,
        **own,
    )


def quality(n: int, difficulty: Difficulty = "full", processes: int = 1) -> common.Row:
    """Row of the scenes' soundness and variety."""
    from sim.solve import solve_scenes

    failed: list[Failure] = []
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a", Path(folder) / "b"
        scenes = _make(n, SEED, first, difficulty, processes, failed)
        wall_s = time.perf_counter() - begin
        _make(n, SEED, second, difficulty, max(1, processes - 1), [])
        same = _bytes(first) == _bytes(second)
        raw = _make(n, SEED, Path(folder) / "c", difficulty, processes, [], check=False)
    begin = time.perf_counter()
    solved = solve_scenes(scenes)
    solve_s = time.perf_counter() - begin
    report = inspect_scenes(scenes, solved)
    spread = report["diversity"]
    return {
        "name": "generation.quality",
        "value": round(report["sound_fraction"], 4),
        "unit": "scenes without fault",
        "compile_s": 0.0,
        "device": "cpu",
        "num_envs": len(scenes),
        "difficulty": difficulty,
        "sentences": len(SENTENCES),
        "scenes": len(scenes),
        "failed": [str(failure) for failure in failed[:10]],
        **{k: round(v, 4) for k, v in sorted(report.items()) if k.endswith("_fraction")},
        "passed_before_redraws": round(inspect_scenes(raw)["sound_fraction"], 4),
        "objects_per_scene": round(report["objects_per_scene"], 2),
        "unique_objects_per_scene": round(report["unique_objects_per_scene"], 2),
        "families": spread["objects"]["families"],
        "alike_pairs": spread["scenes"]["alike_pairs"],
        "instructions": len({scene.task.instruction for scene in scenes}),
        "reproducible": same,
        "problems": report["problems"][:20],
        "design_s": round(wall_s, 1),
        "solve_s": round(solve_s, 1),
        **common.machine(),
    }


def _make(
    n: int,
    seed: int,
    folder: Path,
    difficulty: Difficulty,
    processes: int,
    failed: list[Failure],
    check: bool = True,
) -> list[SceneSpec]:
    return design_many(
        SENTENCES, n, seed, folder / "scenes", processes=processes, difficulty=difficulty,
        failed=failed, check=check,
    )  # fmt: skip


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("scenes/*"))}


def rows(quick: bool = False) -> list[common.Row]:
    """Rows `generation`, one core and all, easy and full, and `generation.quality`."""
    every = cores()
    if quick:
        return [rate("full", 20, 1, 1), quality(20)]
    result: list[dict[str, Any]] = []
    for difficulty in ("easy", "full"):
        result.append(rate(difficulty, 100, 1, 3))
        if every > 1:
            result.append(rate(difficulty, 200 * every, every, 3))
    return [*result, quality(SCENES, processes=every)]


if __name__ == "__main__":
    common.main("generation", rows, (__doc__ or "").splitlines()[0])
