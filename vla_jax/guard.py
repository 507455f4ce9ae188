"""What is left of an update that went wrong, for a closer look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vla_jax.checkpoint import write_json
from vla_jax.distributed import is_first
from vla_jax.leaves import flatten, unflatten
from vla_jax.rl.update import BadBatch


def dump_bad_batch(
    run: Path, iteration: int, bad: BadBatch, params: Any, scene_ids: Sequence[str]
) -> Path:
    """Write the minibatch whose gradient was not finite, and what is needed to replay it.

    Writes `bad/<iteration>/` in the run's folder: `batch.npz` and `params.npz` (arrays by path;
    the parameters are those after the iteration) and `bad.json` (the scenes of the minibatch and
    which of its arrays hold values that are not finite). All processes of a run call this.
    """
    folder = Path(run) / "bad" / str(iteration)
    arrays, weights = flatten(bad.batch), flatten(params)
    if not is_first():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "batch.npz", arrays)
    _save(folder / "params.npz", weights)
    scenes = sorted({int(i) for i in arrays["scene"]})
    broken = [k for k, x in arrays.items() if x.dtype.kind == "f" and not np.isfinite(x).all()]
    write_json(
        folder / "bad.json",
        {
            "iteration": iteration,
            "scenes": [scene_ids[i] for i in scenes if i < len(scene_ids)],
            "not_finite": broken,
        },
    )
    return folder


def _save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


def load_bad_batch(folder: Path, batch: Any, params: Any) -> tuple[Any, Any]:
    """A dumped minibatch and the parameters beside it.

    Args:
        folder: `bad/<iteration>/` of a run.
        batch, params: pytrees of the expected structure and shapes.

    Raises:
        ValueError: naming every array that is missing or of another shape.
    """
    parts = []
    for name, template in (("batch", batch), ("params", params)):
        path = Path(folder) / f"{name}.npz"
        with np.load(path, allow_pickle=False) as file:
            parts.append(unflatten(template, dict(file), str(path)))
    return jax.tree.map(jax.numpy.asarray, parts[0]), parts[1]
