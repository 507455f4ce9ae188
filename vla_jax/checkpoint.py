"""Run folders: configuration, metrics and Orbax checkpoints that resume exactly.

Layout of a run: `config.json`, `metrics.jsonl`, `checkpoints/<step>/` with `<step>.json` beside it,
and `frozen/<mark>/` with `<mark>.json`.

A checkpoint holds two items, `params` (the policy alone) and `train` (optimizer, environments,
keys), each a flat dictionary from the leaf's path to its array, so that a checkpoint of another
shape is told apart leaf by leaf. Frozen parameters can be gigabytes and never change: they are
written once, under a mark of their content, and checkpoints refer to them. The file beside a folder
lists the checksums of its files and is written last: a folder without it is unfinished, one that
does not match it is damaged.

Arrays are written from the devices that they lie on and read back to them; all processes of a run
take part, on one file system.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from orbax.checkpoint import v1 as ocp

from vla_jax.distributed import barrier, from_first, is_first, to_host
from vla_jax.leaves import check_fit, raw_leaves, raw_shapes, rebuild

KEEP = 2
# Leaves of `Params.frozen`, and what a checkpoint's list calls the mark of theirs.
_FROZEN = "frozen"
# Instead of a checkpoint's step.
_NONE, _ALL_DAMAGED = -1, -2


# Files --------------------------------------------------------------------------------------------


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file so that a reader sees the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(data, indent=1))
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Read a JSON file; ValueError names it if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: is {path.parent} the folder of a run?") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}): restore it or start the run anew") from None


def _list(folder: Path) -> Path:
    """The file of a folder's checksums."""
    return folder.with_name(folder.name + ".json")


def _remove(folder: Path) -> None:
    _list(folder).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


def _checksums(folder: Path) -> dict[str, str]:
    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor() as pool:
        sums = pool.map(digest, paths)
        return {str(path.relative_to(folder)): one for path, one in zip(paths, sums, strict=True)}


def _is_sound(folder: Path) -> bool:
    """Whether a folder, and the frozen parameters that it refers to, are as they were written."""
    try:
        listed = read_json(_list(folder))
    except ValueError:
        return False
    mark = listed.pop(_FROZEN, None)
    return listed == _checksums(folder) and (
        mark is None or _is_sound(_frozen_folder(folder, mark))
    )


def _frozen_folder(checkpoint: Path, mark: str) -> Path:
    return checkpoint.parent.parent / _FROZEN / mark


def _write(folder: Path, items: dict[str, dict[str, Any]], extra: dict[str, str]) -> None:
    """Write items and, when they are complete, the list of checksums with `extra` entries."""
    if is_first():
        _remove(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
    barrier(f"room for {folder.name}")
    ocp.save_checkpointables(str(folder), items)
    if is_first():
        write_json(_list(folder), _checksums(folder) | extra)
    barrier(f"written {folder.name}")


# Checkpoints --------------------------------------------------------------------------------------


def save_checkpoint(run: Path, step: int, params: Any, train: Any = None) -> Path:
    """Write checkpoint `step` of a run atomically and drop all but the newest two.

    Args:
        run: folder of the run.
        step: later checkpoints than this are dropped too: their steps will be made again.
        params: the policy; leaves below `frozen` are written only if the run has not got them.
        train: what else a run needs to go on exactly.
    """
    root = Path(run).absolute()
    folder = root / "checkpoints" / str(step)
    parts = raw_leaves(params)
    frozen = {name: leaf for name, leaf in parts.items() if _is_frozen(name)}
    items = {"params": {name: leaf for name, leaf in parts.items() if name not in frozen}}
    if train is not None:
        items["train"] = raw_leaves(train)
    extra = {_FROZEN: _save_frozen(root, frozen)} if frozen else {}
    _write(folder, items, extra)
    if is_first():
        _tidy(root, step)
    return folder


def _is_frozen(name: str) -> bool:
    return name.startswith(_FROZEN + ".")


def _save_frozen(root: Path, frozen: dict[str, jax.Array]) -> str:
    """Write frozen parameters unless the run has them already; returns their mark."""
    mark = _fingerprint(frozen)
    folder = root / _FROZEN / mark
    if not from_first(_list(folder).exists):
        _write(folder, {_FROZEN: frozen}, {})
    return mark


def _fingerprint(arrays: dict[str, jax.Array]) -> str:
    """A mark of the content, the same on any number of devices."""
    sums = jax.tree.map(to_host, _sums(arrays))
    facts = [(name, x.shape, str(x.dtype), sums[name].tolist()) for name, x in arrays.items()]
    return hashlib.sha256(json.dumps(sorted(facts)).encode()).hexdigest()[:16]


@jax.jit
def _sums(arrays: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Weighted sums u32[2] of every array's bits; modulo 2^32 their order does not matter."""

    def one(x: jax.Array) -> jax.Array:
        bits = jax.lax.bitcast_convert_type(x, f"uint{8 * x.dtype.itemsize}").astype(jnp.uint32)
        number = jnp.zeros(x.shape, jnp.uint32)
        for axis, size in enumerate(x.shape):
            number = number * size + jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
        weight = (number ^ (number >> 15)) * jnp.uint32(0x846CA68B)
        return jnp.stack([jnp.sum(bits * (weight | 1)), jnp.sum(bits * ((weight >> 7) | 1))])

    return jax.tree.map(one, arrays)


def _tidy(root: Path, step: int) -> None:
    """Remove what no checkpoint up to `step` that is kept needs, and what a kill left behind."""
    folder = root / "checkpoints"
    kept = [str(s) for s in checkpoint_steps(root) if s <= step][-KEEP:]
    lists = [read_json(folder / f"{name}.json") for name in kept]
    marks = {listed[_FROZEN] for listed in lists if _FROZEN in listed}
    for place, names in ((folder, set(kept)), (root / _FROZEN, marks)):
        for path in place.iterdir() if place.is_dir() else ():
            if path.name not in names and path.name.removesuffix(".json") not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def checkpoint_steps(run: Path) -> list[int]:
    """Steps with a finished checkpoint, oldest first."""
    folder = Path(run) / "checkpoints"
    if not folder.is_dir():
        return []
    return sorted(int(p.stem) for p in folder.glob("*.json") if p.stem.isdigit())


def load_checkpoint(run: Path, params: Any, train: Any = None) -> tuple[int, Any, Any]:
    """The newest checkpoint that can be read, falling back to the one before it.

    Args:
        run: folder of the run.
        params: policy parameters of the expected shapes (arrays or shape structs); those with a
            place on a mesh are read to it.
        train: training state likewise, or None to load the policy alone.

    Returns:
        step, params, train (None if not asked for).

    Raises:
        ValueError: if the run has no checkpoint, none can be read, or the shapes are others.
    """
    root = Path(run).absolute() / "checkpoints"
    step = from_first(lambda: _newest_sound(root))
    if step == _NONE:
        raise ValueError(f"{run} has no checkpoint: pretrain or train into it first")
    if step == _ALL_DAMAGED:
        steps = checkpoint_steps(run)
        raise ValueError(f"every checkpoint of {run} is damaged: steps {steps}. Start the run anew")
    return step, *_load(root / str(step), params, train)


def _newest_sound(root: Path) -> int:
    """Step of the newest checkpoint that is as it was written, or why there is none."""
    steps = checkpoint_steps(root.parent)
    for step in reversed(steps):
        if _is_sound(root / str(step)):
            return step
        print(
            f"warning: checkpoint {root / str(step)} is damaged; trying an older one",
            file=sys.stderr,
        )
    return _ALL_DAMAGED if steps else _NONE


def _load(folder: Path, params: Any, train: Any) -> tuple[Any, Any]:
    what, found = f"checkpoint {folder}", _shapes(folder)
    if train is not None and "train" not in found:
        raise ValueError(f"{what} has no training state: it can start a run, not resume one")
    mark = read_json(_list(folder)).get(_FROZEN)
    frozen = {} if mark is None else _shapes(_frozen_folder(folder, mark))[_FROZEN]
    check_fit(params, found["params"] | frozen, what)
    wanted = raw_shapes(params)
    items = {"params": {name: wanted[name] for name in found["params"]}}
    if train is not None:
        check_fit(train, found["train"], what)
        items["train"] = raw_shapes(train)
    loaded = _read(folder, items)
    if mark is not None:
        below = {_FROZEN: {name: wanted[name] for name in frozen}}
        loaded["params"] |= _read(_frozen_folder(folder, mark), below)[_FROZEN]
    state = None if train is None else rebuild(train, loaded["train"])
    return rebuild(params, loaded["params"]), state


def _shapes(folder: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of the arrays of every item, by name."""
    items = ocp.checkpointables_metadata(str(folder)).metadata
    return {item: {name: x.shape for name, x in found.items()} for item, found in items.items()}


def _read(folder: Path, wanted: dict[str, dict[str, jax.ShapeDtypeStruct]]) -> dict[str, Any]:
    """Arrays by item and name: to their place on a mesh, or to the host."""

    def target(x: jax.ShapeDtypeStruct) -> Any:
        return np.empty(x.shape, x.dtype) if x.sharding is None else x

    return ocp.load_checkpointables(str(folder), jax.tree.map(target, wanted))
