"""Run by test_sharding.py in two processes: a run, and the same run stopped and resumed.

python hosts_program.py HOST:PORT INDEX FOLDER
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax

from vla_jax.distributed import join


def main(index: int, folder: Path) -> None:
    from tiny_world import SETTINGS, make_world, plain_pictures, timeless

    from vla_jax.checkpoint import load_checkpoint
    from vla_jax.leaves import flatten
    from vla_jax.rl.iteration import state_shapes
    from vla_jax.sharding import MeshConfig, shard_env
    from vla_jax.train import fine_tune

    assert jax.device_count() == 2 and jax.process_index() == index
    plain_pictures()
    env, batch, policy, _ = make_world()
    settings = replace(SETTINGS, mesh=MeshConfig(fsdp=2, fsdp_threshold=0))
    told: list[int] = []

    def run(name: str, iterations: int) -> None:
        shorter = replace(settings, iterations=iterations)
        progress = lambda done, total, note: told.append(done)  # noqa: E731
        fine_tune(env, batch, policy, folder / name, shorter, 5, progress)

    run("whole", 4)
    run("parts", 2)
    run("parts", 4)
    shapes = state_shapes(policy.params, shard_env(env, settings.mesh), batch, settings.ppo, 5)
    ends, rows = [], []
    for name in ("whole", "parts"):
        rest = replace(shapes, params=None)
        step, params, state = load_checkpoint(folder / name, shapes.params, rest)
        assert step == 4
        assert any(not x.is_fully_addressable for x in jax.tree.leaves(params))
        ends.append(flatten((params, state)))
        lines = (folder / name / "metrics.jsonl").read_text().splitlines()
        rows.append([timeless(json.loads(line)) for line in lines])
    same = all((ends[0][name] == ends[1][name]).all() for name in ends[0])
    print(json.dumps({"same": same and rows[0] == rows[1], "progress": told, "rows": rows[0]}))


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    join(sys.argv[1], 2, int(sys.argv[2]))
    main(int(sys.argv[2]), Path(sys.argv[3]))
