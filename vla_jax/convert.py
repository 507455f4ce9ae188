"""π0 checkpoints of openpi and PaliGemma's, in and out.

    config = replace(PolicyConfig(), pi0=PI0)
    params = load_openpi("pi0_base", config)             # openpi: <ckpt>/params, <ckpt>/assets
    stats = read_norm_stats("pi0_base", "trossen")       # → Pi0Config.state_norm, .action_norm
    params = load_paligemma("pt_224.npz", config)        # images and language only
    save_openpi(params, config, "mine")                  # openpi can serve or train it

openpi's low-rank updates are added to their kernels while reading: openpi starts them at random
rather than at nothing and leaves those of the MLPs unscaled, so they are no start for ours.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from orbax.checkpoint import PyTreeCheckpointer

from vla_jax.models.config import PolicyConfig
from vla_jax.models.lora import merge_lora
from vla_jax.models.pi0 import Sharding, abstract_params, check, fresh_params
from vla_jax.models.pi0_config import NormStats
from vla_jax.openpi.names import lora_names, openpi_names, paligemma_names
from vla_jax.openpi.read import Leaf, check_leaves, npz_leaves, orbax_leaves, place, with_lora

# Bytes of norm_stats.json; real ones have a few thousand.
_LARGEST_STATS = 1 << 24


def load_openpi(
    folder: str | Path,
    config: PolicyConfig,
    *,
    seed: int = 0,
    sharding: Sharding | None = None,
    lora_scale: float = 1.0,
) -> nnx.State:
    """Parameters of π0 or π0.5 from an openpi checkpoint.

    Args:
        folder: the checkpoint of a step, with `params` in it, or that folder itself.
        config: `config.pi0` must have the checkpoint's sizes.
        seed: for what openpi does not have: noise head, value head and LoRA.
        sharding: where each leaf lives; by default on the first device. Each leaf is read straight
            into its place and its precision, one at a time.
        lora_scale: alpha / rank of the checkpoint's attention updates if it has any; 1 in every
            configuration that openpi ships.

    Raises:
        ValueError: if it is no such checkpoint, or naming each leaf that does not fit.
    """
    names = openpi_names(check(config))
    found = orbax_leaves(Path(folder))
    for name in names.values():
        if (pair := lora_names(name)) and all(x in found for x in pair):
            a, b = (found.pop(x) for x in pair)
            if name in found:
                # openpi scales the updates of attention kernels only.
                scale = lora_scale if name.endswith("/w") else 1.0
                _check_lora(found[name], a, b, name)
                joins = "attn_vec_einsum" in name
                found[name] = with_lora(found[name], a, b, scale, over_heads=joins)
    return _fill(names, found, config, seed, sharding, f"checkpoint {folder}")


def load_paligemma(
    path: str | Path, config: PolicyConfig, *, seed: int = 0, sharding: Sharding | None = None
) -> nnx.State:
    """Parameters whose image encoder and language model come from a PaliGemma file (.npz).

    The action expert, the projections, the heads and LoRA are fresh, drawn from `seed`.

    Raises:
        ValueError: if it is no such file, or naming each leaf that does not fit.
    """
    check(config)
    found = npz_leaves(Path(path))
    return _fill(paligemma_names(), found, config, seed, sharding, f"checkpoint {path}")


def save_openpi(
    params: nnx.State, config: PolicyConfig, folder: str | Path, asset: str = "vla_jax"
) -> Path:
    """Write a checkpoint that openpi reads: `folder/params` and `folder/assets/ASSET/norm_stats`.

    LoRA is added to its kernels; noise and value heads, which openpi does not have, are left out.
    Kernels keep their precision. A policy without statistics gets some that change no number, as
    openpi loads no checkpoint without.

    Raises:
        ValueError: if the folder holds something already.
    """
    folder, pi0 = Path(folder).absolute(), check(config)
    if pi0.lora.rank:
        params = merge_lora(params, pi0)
    flat = {join(path): leaf[...] for path, leaf in nnx.to_flat_state(params)}
    tree: dict[str, Any] = {}
    for ours, theirs in openpi_names(pi0).items():
        *nodes, last = theirs.split("/")
        inner = tree
        for node in nodes:
            inner = inner.setdefault(node, {})
        inner[last] = flat[ours]
    stats = {
        "state": asdict(pi0.state_norm or _no_change(config.proprio)),
        "actions": asdict(pi0.action_norm or _no_change(config.action)),
    }
    with complete_folder(folder) as begun:
        home = begun / "assets" / asset
        home.mkdir(parents=True)
        (home / "norm_stats.json").write_text(json.dumps({"norm_stats": stats}, indent=2))
        with PyTreeCheckpointer() as writer:
            writer.save(begun / "params", {"params": tree})
    return folder


def _no_change(size: int) -> NormStats:
    """Statistics by which both of openpi's normalizations leave the numbers as they are."""
    return NormStats((0.0,) * size, (1.0,) * size, (-1.0,) * size, (1.0,) * size)


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to write into; it becomes `folder` when all is written.

    So what an interruption leaves behind is never taken for the whole, and does not hinder another
    try.

    Raises:
        ValueError: if `folder` holds something already.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} exists already: choose another folder")
    begun = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    try:
        yield begun
        os.replace(begun, folder)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def list_assets(folder: str | Path) -> list[str]:
    """The robots whose statistics are beside an openpi checkpoint; see `read_norm_stats`."""
    return sorted(_stats_files(Path(folder)))


def _stats_files(folder: Path) -> dict[str, Path]:
    home = folder / "assets"
    return {str(path.parent.relative_to(home)): path for path in home.rglob("norm_stats.json")}


def read_norm_stats(folder: str | Path, asset: str | None = None) -> dict[str, NormStats]:
    """Statistics beside an openpi checkpoint: "state" and "actions", for Pi0Config.

    Args:
        folder: the checkpoint of a step, with `assets` in it.
        asset: which robot's, the path below `assets`; None if there is only one.

    Raises:
        ValueError: if there are none, several and none chosen, or the file is damaged.
    """
    files = _stats_files(Path(folder))
    if asset is None and len(files) == 1:
        asset = next(iter(files))
    if asset not in files:
        raise ValueError(
            f"{Path(folder) / 'assets'} has statistics for {sorted(files)}: choose one of them as "
            "asset"
        )
    path = files[asset]
    if path.stat().st_size > _LARGEST_STATS:
        raise ValueError(f"{path} is too large for statistics")
    try:
        stats = json.loads(path.read_text())["norm_stats"]
        return {name: _norm_stats(values) for name, values in stats.items()}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _norm_stats(values: dict) -> NormStats:
    def numbers(name: str) -> tuple[float, ...] | None:
        if values.get(name) is None:
            return None
        return tuple(float(x) for x in values[name])

    fields = {name: numbers(name) for name in ("mean", "std", "q01", "q99")}
    given = [x for x in fields.values() if x is not None]
    if fields["mean"] is None or fields["std"] is None or len({len(x) for x in given}) != 1:
        raise ValueError("mean, std, q01 and q99 must have one number a dimension")
    if not all(math.isfinite(x) for row in given for x in row):
        raise ValueError("a number is not finite")
    return NormStats(**fields)  # type: ignore[arg-type]


def join(path: tuple) -> str:
    """A parameter's path as a name."""
    return "/".join(str(part) for part in path)


def _check_lora(w: Leaf, a: Leaf, b: Leaf, name: str) -> None:
    rank = a.shape[-1]
    if a.shape != (*w.shape[:-1], rank) or b.shape != (*w.shape[:-2], rank, w.shape[-1]):
        raise ValueError(f"low-rank update of {name} {w.shape} has shapes {a.shape} and {b.shape}")


def _fill(
    names: dict[str, str],
    found: dict[str, Leaf],
    config: PolicyConfig,
    seed: int,
    sharding: Sharding | None,
    what: str,
) -> nnx.State:
    """The module's parameters: those in `names` (ours → theirs) from `found`, the others fresh."""
    template = dict(nnx.to_flat_state(abstract_params(config)))
    loaded = {path: names[join(path)] for path in template if join(path) in names}
    check_leaves({theirs: template[path].shape for path, theirs in loaded.items()}, found, what)
    fresh = fresh_params(config, seed, set(template) - set(loaded), sharding)
    params = dict(nnx.to_flat_state(fresh))
    for path, theirs in loaded.items():
        leaf = found.pop(theirs)
        where = sharding(path, leaf.shape) if sharding else None
        params[path] = nnx.Param(place(leaf, np.dtype(template[path].dtype), where))
    return nnx.from_flat_state({path: params[path] for path in template})
