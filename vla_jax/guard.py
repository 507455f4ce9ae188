"""What is left of an update that went wrong, for a closer look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vla_jax.checkpoint import write_json
from vla_jax.distributed import from_first, is_first
from vla_jax.leaves import flatten, raw_shapes, unflatten
from vla_jax.rl.agent import Params
from vla_jax.rl.update import BadBatch

# Dumps that a run keeps, the first ones: a run that goes wrong for good would fill the disk.
MOST_DUMPS = 8
_BFLOAT16 = np.dtype(jax.numpy.bfloat16)


def dump_bad_batch(
    run: Path, iteration: int, bad: BadBatch, params: Params, scene_ids: Sequence[str]
) -> Path:
    """Write the minibatch whose gradient was not finite, and what is needed to replay it.

    Writes `bad/<iteration>/` in the run's folder: `batch.npz` and `params.npz` (arrays by path;
    the parameters are those after the iteration, without the frozen ones, which never change) and
    `bad.json` (the scenes of the minibatch and which of its arrays hold values that are not
    finite). All processes of a run call this.

    Returns:
        the folder, or `bad/` if that holds `MOST_DUMPS` already, and no more are written.
    """
    folder = Path(run) / "bad" / str(iteration)
    if from_first(lambda: _is_full(folder)):
        return folder.parent
    arrays, weights = flatten(bad.batch), flatten(params._replace(frozen=None))
    if not is_first():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "batch.npz", arrays)
    _save(folder / "params.npz", weights)
    scenes = sorted({int(i) for i in arrays["scene"]})
    inexact = {k: x for k, x in arrays.items() if x.dtype.kind == "f" or x.dtype == _BFLOAT16}
    broken = [k for k, x in inexact.items() if not np.isfinite(x.astype(np.float32)).all()]
    write_json(
        folder / "bad.json",
        {
            "iteration": iteration,
            "scenes": [scene_ids[i] for i in scenes if i < len(scene_ids)],
            "not_finite": broken,
        },
    )
    return folder


def _is_full(folder: Path) -> bool:
    """Whether there are enough dumps beside this one; it may itself be there of an earlier try."""
    others = folder.parent.iterdir() if folder.parent.is_dir() else ()
    return len([path for path in others if path != folder]) >= MOST_DUMPS


def _save(path: Path, arrays: dict[str, Any]) -> None:
    # NumPy's files do not know bfloat16: its bits are kept as whole numbers.
    bits = {k: x.view(np.uint16) if x.dtype == _BFLOAT16 else x for k, x in arrays.items()}
    np.savez(path, **bits)


def _load(path: Path, template: Any) -> Any:
    types = {name: shape.dtype for name, shape in raw_shapes(template).items()}
    with np.load(path, allow_pickle=False) as file:
        arrays = {k: x.view(_BFLOAT16) if types.get(k) == _BFLOAT16 else x for k, x in file.items()}
    return unflatten(template, arrays, str(path))


def load_bad_batch(folder: Path, batch: Any, params: Params) -> tuple[Any, Params]:
    """A dumped minibatch and the parameters beside it.

    Args:
        folder: `bad/<iteration>/` of a run.
        batch, params: pytrees of the expected structure and shapes; the frozen parameters are
            those of `params`.

    Raises:
        ValueError: naming every array that is missing or of another shape.
    """
    trained = _load(Path(folder) / "params.npz", params._replace(frozen=None))
    return _load(Path(folder) / "batch.npz", batch), trained._replace(frozen=params.frozen)
