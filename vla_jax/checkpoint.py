"""Run folders: configuration, metrics and Orbax checkpoints that resume exactly.

Layout of a run: `config.json`, `metrics.jsonl`, `checkpoints/<step>/` with `<step>.json` beside it.
A checkpoint holds two items, `params` (the policy alone) and `train` (optimizer, environments,
keys), each a flat dictionary from the leaf's path to its array, so that a checkpoint of another
shape is told apart leaf by leaf. The file beside it lists the checksums of its files and is written
last: a checkpoint without it is unfinished, one that does not match it is damaged.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from orbax.checkpoint import v1 as ocp

KEEP = 2


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """A pytree's leaves by path; random keys become their raw words."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(path): _raw(leaf) for path, leaf in leaves}


def unflatten(template: Any, flat: dict[str, np.ndarray], what: str) -> Any:
    """Rebuild a pytree shaped like `template` from `flatten`'s dictionary.

    Raises:
        ValueError: naming every leaf that is missing, unexpected or of another shape.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    expected = {_name(path): leaf for path, leaf in leaves}
    problems = [f"lacks {name}" for name in expected if name not in flat]
    problems += [f"has unexpected {name}" for name in flat if name not in expected]
    for name, leaf in expected.items():
        shape = jax.eval_shape(_raw_device, leaf).shape
        if name in flat and flat[name].shape != shape:
            problems.append(f"{name} is {flat[name].shape}, expected {shape}")
    if problems:
        shown = "; ".join(problems[:6]) + (f"; and {len(problems) - 6} more" * (len(problems) > 6))
        raise ValueError(f"{what} does not fit this policy: {shown}. Use the run that made it")
    values = [_restore(leaf, flat[name]) for name, leaf in expected.items()]
    return jax.tree_util.tree_unflatten(structure, values)


def _name(path: tuple) -> str:
    parts = (str(getattr(p, "key", getattr(p, "name", getattr(p, "idx", p)))) for p in path)
    return ".".join(part.strip(".") for part in parts if part != "value")


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _raw_device(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else jnp.asarray(leaf)


def _raw(leaf: Any) -> np.ndarray:
    return np.asarray(_raw_device(leaf))


def _restore(template: Any, value: np.ndarray) -> jax.Array:
    if _is_key(template):
        return jax.random.wrap_key_data(jnp.asarray(value))
    return jnp.asarray(value, template.dtype)


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


def save_checkpoint(run: Path, step: int, params: Any, train: Any = None) -> Path:
    """Write checkpoint `step` of a run atomically and drop all but the newest two."""
    folder = Path(run).absolute() / "checkpoints" / str(step)
    items = {"params": flatten(params)}
    if train is not None:
        items["train"] = flatten(train)
    _remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    ocp.save_checkpointables(str(folder), items)
    write_json(_manifest(folder), _checksums(folder))
    for old in checkpoint_steps(run)[:-KEEP]:
        _remove(folder.parent / str(old))
    return folder


def _manifest(folder: Path) -> Path:
    return folder.with_name(folder.name + ".json")


def _remove(folder: Path) -> None:
    _manifest(folder).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


def _checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


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
        params: policy parameters of the expected shapes (arrays or shape structs).
        train: training state of the expected shapes, or None to load the policy alone.

    Returns:
        step, params, train (None if not asked for).

    Raises:
        ValueError: if the run has no checkpoint, none can be read, or the shapes are others.
    """
    steps = checkpoint_steps(run)
    if not steps:
        raise ValueError(f"{run} has no checkpoint: pretrain or train into it first")
    for step in reversed(steps):
        folder = Path(run).absolute() / "checkpoints" / str(step)
        if _checksums(folder) != read_json(_manifest(folder)):
            print(f"warning: checkpoint {folder} is damaged; trying an older one", file=sys.stderr)
            continue
        wanted = {"params": None} if train is None else {"params": None, "train": None}
        try:
            items = ocp.load_checkpointables(str(folder), wanted)
        except KeyError:
            raise ValueError(
                f"checkpoint {folder} has no training state: it can start a run, not resume one"
            ) from None
        loaded = unflatten(params, _numpy(items["params"]), f"checkpoint {folder}")
        state = None
        if train is not None:
            state = unflatten(train, _numpy(items["train"]), f"checkpoint {folder}")
        return step, loaded, state
    raise ValueError(f"every checkpoint of {run} is damaged: steps {steps}. Start the run anew")


def _numpy(items: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in items.items()}
