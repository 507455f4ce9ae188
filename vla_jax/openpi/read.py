"""Leaves of foreign checkpoints, read piece by piece into their place; see `place` for memory."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import tensorstore as ts

# index of slices → that part of the leaf
Reader = Callable[[tuple[slice, ...]], np.ndarray]
# Bytes read at a time.
_PIECE = 1 << 26
# Names shown of what does not fit.
_SHOWN = 20


@dataclass(frozen=True)
class Leaf:
    """One array of a checkpoint, not read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], Reader]


def orbax_leaves(folder: Path) -> dict[str, Leaf]:
    """The arrays of an Orbax PyTree checkpoint by name ("/" between keys).

    Works on the stored arrays themselves (zarr, with or without OCDBT), so it depends on no Orbax
    version's interface: 0.11 and 0.12 write them alike. The root key "params" and the last key
    "value", which openpi's training adds, are dropped where every array has them.

    Raises:
        ValueError: if the folder is no such checkpoint or is damaged.
    """
    home = _find_arrays(Path(folder).absolute())
    ocdbt = (home / "manifest.ocdbt").is_file()
    sparse = not _stores_zeros(home)

    def store(path: str) -> dict[str, Any]:
        if ocdbt:
            base = {"driver": "file", "path": f"{home}/"}
            return {"driver": "ocdbt", "base": base, "path": path}
        return {"driver": "file", "path": f"{home}/{path}"}

    try:
        keys = ts.KvStore.open(store("")).result().list().result()
    except ValueError as error:
        raise ValueError(f"checkpoint {home} is damaged: {error}") from None
    leaves = {}
    for key in sorted(key.decode() for key in keys):
        for end, driver in (("/.zarray", "zarr"), ("/zarr.json", "zarr3")):
            if key.endswith(end):
                name = key.removesuffix(end)
                spec = {"driver": driver, "kvstore": store(f"{name}/")}
                spec["fill_missing_data_reads"] = sparse
                leaves[name.replace(".", "/")] = _tensorstore_leaf(spec, name, home)
    if not leaves:
        raise ValueError(f"checkpoint {home} holds no arrays")
    return _strip(leaves)


def _find_arrays(folder: Path) -> Path:
    # openpi's step folder, the params folder itself, and where Orbax's newer interface puts a tree.
    for home in (folder / "params", folder):
        for inner in (home, home / "state", home / "pytree"):
            if (inner / "manifest.ocdbt").is_file() or (inner / "_METADATA").is_file():
                return inner
    raise ValueError(
        f"{folder} is no openpi checkpoint: neither it nor its folder params holds manifest.ocdbt "
        "or _METADATA"
    )


def _stores_zeros(home: Path) -> bool:
    """Whether chunks of nothing but zeros are stored too, so that a missing one is damage.

    Orbax says so since it does: in older checkpoints a missing chunk holds zeros.
    """
    path = home / "_METADATA"
    if not path.is_file():
        return False
    try:
        return bool(json.loads(path.read_text()).get("store_array_data_equal_to_fill_value"))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _tensorstore_leaf(spec: dict[str, Any], name: str, home: Path) -> Leaf:
    def open_array(cached: int) -> ts.TensorStore:
        context = ts.Context({"cache_pool": {"total_bytes_limit": cached}})
        try:
            return ts.open(spec, read=True, open=True, context=context).result()
        except ValueError as error:
            raise ValueError(f"array {name} of {home} is damaged: {error}") from None

    def open_() -> Reader:
        # Chunks are only ever decoded whole, and the next piece often lies in the same ones.
        array = open_array(_band(shown) + _PIECE)

        def read(index: tuple[slice, ...]) -> np.ndarray:
            try:
                return np.asarray(array[index].read().result())
            except ValueError as error:
                raise ValueError(f"array {name} of {home} is damaged: {error}") from None

        return read

    shown = open_array(0)
    return Leaf(tuple(shown.shape), shown.dtype.numpy_dtype, open_)


def _band(array: ts.TensorStore) -> int:
    """Bytes of the chunks that hold one row of the first axis, decoded."""
    chunk = array.chunk_layout.read_chunk_template.shape
    whole = [-(-size // part) * part for size, part in zip(array.shape, chunk, strict=True)]
    return math.prod([*chunk[:1], *whole[1:]]) * array.dtype.numpy_dtype.itemsize


def _strip(leaves: dict[str, Leaf]) -> dict[str, Leaf]:
    if all(name.startswith("params/") for name in leaves):
        leaves = {name.removeprefix("params/"): leaf for name, leaf in leaves.items()}
    if all(name.endswith("/value") for name in leaves):
        leaves = {name.removesuffix("/value"): leaf for name, leaf in leaves.items()}
    return leaves


def npz_leaves(path: Path) -> dict[str, Leaf]:
    """The arrays of a PaliGemma file (.npz) by name, without the leading "params/".

    Only headers are read here; nothing is ever unpickled.

    Raises:
        ValueError: if the file is missing, no .npz, or holds something else than plain arrays.
    """
    path = Path(path)
    leaves = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = member.removesuffix(".npy").removeprefix("params/")
                leaves[name] = _npz_leaf(archive, path, member)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except zipfile.BadZipFile:
        raise ValueError(f"{path} is no .npz file, or is cut short") from None
    return leaves


def _npz_leaf(archive: zipfile.ZipFile, path: Path, member: str) -> Leaf:
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(file)
        except ValueError as error:
            raise ValueError(f"{member} of {path} is no plain array: {error}") from None
    if dtype.hasobject:
        raise ValueError(f"{member} of {path} holds Python objects, which are never loaded")
    # NumPy knows no bfloat16: big_vision's files store it as two opaque bytes.
    raw = dtype.kind == "V" and dtype.itemsize == 2
    kind = np.dtype(ml_dtypes.bfloat16) if raw else dtype

    def open_() -> Reader:
        with np.load(path, allow_pickle=False) as archive:
            whole = archive[member.removesuffix(".npy")]
        return lambda index: whole.view(kind)[index]

    return Leaf(shape, kind, open_)


def with_lora(leaf: Leaf, a: Leaf, b: Leaf, scale: float, *, over_heads: bool = False) -> Leaf:
    """The kernel with its low-rank update added, in float32, as it is read.

    Args:
        leaf: kernel w [..., I, O].
        a: [..., I, r].
        b: [..., r, O].
        scale: of the product a b.
        over_heads: for the kernel [..., N, I, O] that joins N heads. openpi applies a and b one
            after the other, each in the kernel's own equation, and both sum over the heads: a
            head's update is its a times the sum of every head's b.
    """

    def open_() -> Reader:
        read_w, read_a, read_b = leaf.open(), a.open(), b.open()

        def read(index: tuple[slice, ...]) -> np.ndarray:
            every = slice(None)
            left = read_a((*index[:-1], every)).astype(np.float32)
            heads = (every,) if over_heads else index[-3:-2]
            right = read_b((*index[:-3], *heads, every, index[-1])).astype(np.float32)
            if over_heads:
                right = right.sum(-3, keepdims=True)
            return read_w(index).astype(np.float32) + scale * (left @ right)

        return read

    return Leaf(leaf.shape, np.dtype(np.float32), open_)


def place(leaf: Leaf, dtype: Any, sharding: jax.sharding.Sharding | None) -> jax.Array:
    """Read a leaf into its destination: each device gets its part, in pieces of some 64 MB.

    Beside that part the host holds a piece and the decoded chunks that it lies in. Whoever saved
    the checkpoint chose the chunks: often each is all that one device had of the leaf, which on a
    single device is the leaf. PaliGemma's files have no chunks: the leaf is held whole.
    """
    read = leaf.open()

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        index = index or (slice(None),) * len(leaf.shape)
        bounds = [s.indices(size) for s, size in zip(index, leaf.shape, strict=True)]
        out = np.empty([stop - start for start, stop, _ in bounds], dtype)
        row = max(1, out[:1].size * leaf.dtype.itemsize)
        step = max(1, _PIECE // row)
        first = bounds[0][0]
        for start in range(0, len(out), step):
            stop = min(start + step, len(out))
            piece = (slice(first + start, first + stop), *index[1:])
            out[start:stop] = read(piece)
        return out

    where = sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.make_array_from_callback(leaf.shape, where, part)


def check_leaves(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, Leaf], what: str
) -> None:
    """Compare names, shapes and kinds of numbers before anything is read.

    Raises:
        ValueError: naming every leaf that is missing, unexpected, of another shape, or no floating
            number (the first 20, and how many more).
    """
    problems = [f"lacks {name} {shape}" for name, shape in expected.items() if name not in found]
    problems += [
        f"has unexpected {name} {x.shape}" for name, x in found.items() if name not in expected
    ]
    for name, shape in expected.items():
        leaf = found.get(name)
        if leaf is not None and leaf.shape != shape:
            problems.append(f"{name} is {leaf.shape}, expected {shape}")
        elif leaf is not None and not jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating):
            problems.append(f"{name} is {leaf.dtype}, expected floating numbers")
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ValueError(f"{what} does not fit this policy: {'; '.join(problems[:_SHOWN])}{more}")
