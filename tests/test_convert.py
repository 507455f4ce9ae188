"""Checkpoints of openpi and PaliGemma: round trips, sharding, memory, and what is refused."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
import tensorstore as ts
from flax import nnx
from orbax.checkpoint import PyTreeCheckpointer
from orbax.checkpoint import v1 as ocp
from pi0_samples import TINY, TINY05, random_params

from vla_jax.convert import (
    join,
    list_assets,
    load_openpi,
    load_paligemma,
    read_norm_stats,
    save_openpi,
)
from vla_jax.models.config import PolicyConfig
from vla_jax.models.lora import merge_lora
from vla_jax.models.pi0 import abstract_params, fresh_params
from vla_jax.models.pi0_config import PI0_TINY, LoraConfig, NormStats
from vla_jax.models.pi0_data import normalize
from vla_jax.openpi import read as convert_read
from vla_jax.openpi.names import openpi_names, paligemma_names
from vla_jax.openpi.read import place

pytestmark = pytest.mark.usefixtures("quick_compilation")

TUNED = replace(
    TINY, pi0=replace(PI0_TINY, lora=LoraConfig(rank=3, kinds=("attention",)), freeze="paper")
)
GATING = "PaliGemma/llm/layers/mlp/gating_einsum"
QUERY = "PaliGemma/llm/layers/attn/q_einsum/w"
JOIN = "PaliGemma/llm/layers/attn/attn_vec_einsum/w"


def flatten(params: nnx.State) -> dict[str, np.ndarray]:
    return {join(path): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(params)}


def named(config: PolicyConfig, params: nnx.State) -> dict[str, np.ndarray]:
    """By openpi's names."""
    flat = flatten(params)
    return {theirs: flat[ours] for ours, theirs in openpi_names(config.pi0).items()}


def nest(flat: dict, *end: str) -> dict:
    tree: dict = {}
    for name, value in flat.items():
        *nodes, last = [*name.split("/"), *end]
        inner = tree
        for node in nodes:
            inner = inner.setdefault(node, {})
        inner[last] = value
    return tree


def write(folder: Path, tree: dict, **options) -> Path:
    with PyTreeCheckpointer(**options) as writer:
        writer.save(folder, tree)
    return folder


def assert_same(got: dict, want: dict) -> None:
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name, strict=True)


@pytest.mark.parametrize("config", [TINY, TINY05], ids=["pi0", "pi05"])
def test_round_trip(config, tmp_path):
    """What openpi's reader sees, and what ours reads back, is what was written, to the bit."""
    params = random_params(config)
    (tmp_path / "out").mkdir()
    folder = save_openpi(params, config, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with PyTreeCheckpointer() as reader:
        tree = reader.restore(folder / "params")
    assert set(tree) == {"params"}
    want = named(config, params)
    leaves = jax.tree_util.tree_flatten_with_path(tree["params"])[0]
    theirs = {"/".join(key.key for key in path): np.asarray(x) for path, x in leaves}
    assert set(theirs) == set(want)
    assert_same(theirs, want)
    assert_same(named(config, load_openpi(folder, config)), want)
    with pytest.raises(ValueError, match="exists already"):
        save_openpi(params, config, folder)


def test_every_layout_reads_alike(tmp_path):
    """Saved by openpi's training, released, without the root key, plain zarr, Orbax's new names."""
    params = random_params(TINY)
    want = named(TINY, params)
    trained = write(tmp_path / "trained" / "params", {"params": nest(want, "value")}).parent
    plain = write(tmp_path / "plain", {"params": nest(want)}, use_ocdbt=False)
    rootless = write(tmp_path / "rootless", nest(want))
    ocp.save_checkpointables(str(tmp_path / "new"), {"params": nest(want)})
    for folder in (trained, plain, rootless, tmp_path / "new"):
        leaves = convert_read.orbax_leaves(folder)
        got = {name: np.asarray(place(leaf, leaf.dtype, None)) for name, leaf in leaves.items()}
        assert set(got) == set(want)
        assert_same(got, want)


def test_what_openpi_lacks_is_fresh(tmp_path):
    """Heads and LoRA come from the seed; frozen kernels take their own precision."""
    folder = save_openpi(random_params(TINY), TINY, tmp_path / "out")
    config = replace(TUNED, pi0=replace(TUNED.pi0, frozen_dtype="bfloat16"))
    got = flatten(load_openpi(folder, config, seed=3))
    every = [path for path, _ in nnx.to_flat_state(abstract_params(config))]
    own = [path for path in every if join(path) not in openpi_names(config.pi0)]
    fresh = flatten(fresh_params(config, 3, own))
    assert {"noise/layers/0/kernel", "language/layers/q/a"} <= set(fresh)
    assert set(got) == {join(path) for path in every}
    assert_same(got, fresh)
    assert got["language/layers/q/w"].dtype == ml_dtypes.bfloat16
    assert got["expert/layers/q/w"].dtype == np.float32
    source = named(TINY, random_params(TINY))[QUERY]
    np.testing.assert_array_equal(got["language/layers/q/w"], source.astype(ml_dtypes.bfloat16))


def test_lora_is_merged_on_the_way_out(tmp_path):
    params = random_params(TUNED)
    folder = save_openpi(params, TUNED, tmp_path / "out")
    plain = replace(TINY, pi0=TUNED.pi0.without_lora())
    want = named(plain, merge_lora(params, TUNED.pi0))
    assert_same(named(plain, load_openpi(folder, plain)), want)


def test_openpis_lora_is_merged_on_the_way_in(tmp_path):
    """Attention updates times alpha / rank, those of the MLP unscaled, as openpi computes them."""
    want = named(TINY, random_params(TINY))
    rng = np.random.default_rng(1)

    def update(name: str, rank: int) -> tuple[np.ndarray, np.ndarray]:
        *before, inputs, outputs = want[name].shape
        sizes = (*before, inputs, rank), (*before, rank, outputs)
        a, b = (rng.standard_normal(size).astype(np.float32) for size in sizes)
        return a, b

    a, b = update(QUERY, 2)
    c, d = update(GATING, 3)
    e, f = update(JOIN, 2)
    lora = {}
    for name, pair in ((QUERY, (a, b)), (JOIN, (e, f))):
        lora |= {f"{name.removesuffix('w')}lora_{x}": y for x, y in zip("ab", pair, strict=True)}
    lora |= {f"{GATING}_lora_a": c, f"{GATING}_lora_b": d}
    folder = write(tmp_path / "lora", {"params": nest(want | lora, "value")})
    got = named(TINY, load_openpi(folder, TINY, lora_scale=0.5))
    np.testing.assert_allclose(got[QUERY], want[QUERY] + 0.5 * (a @ b), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got[GATING], want[GATING] + c @ d, rtol=1e-5, atol=1e-5)
    # openpi's equations for BTNH,NHD->BTD, of every layer l.
    heads = rng.standard_normal((2, 5, *want[JOIN].shape[1:3])).astype(np.float32)
    low = np.einsum("btnh,lnhr->lbtr", heads, e)
    changed = np.einsum("btnh,lnhd->lbtd", heads, want[JOIN])
    changed += 0.5 * np.einsum("lbtr,lnrd->lbtd", low, f)
    joined = np.einsum("btnh,lnhd->lbtd", heads, got[JOIN])
    np.testing.assert_allclose(joined, changed, rtol=1e-4, atol=1e-4)
    assert_same(got, {name: x for name, x in want.items() if name not in (QUERY, GATING, JOIN)})
    lora[f"{GATING}_lora_b"] = d[..., :-1]
    folder = write(tmp_path / "bent", {"params": nest(want | lora)})
    with pytest.raises(ValueError, match="low-rank update of .*gating_einsum"):
        load_openpi(folder, TINY)
    del lora[f"{GATING}_lora_b"]
    folder = write(tmp_path / "half", {"params": nest(want | lora)})
    with pytest.raises(ValueError, match="has unexpected .*gating_einsum_lora_a"):
        load_openpi(folder, TINY)


def test_every_leaf_that_does_not_fit_is_named(tmp_path):
    flat = named(TINY, random_params(TINY))
    flat.pop("state_proj/bias")
    flat["action_in_proj/kernel"] = np.zeros((31, 12), np.float32)
    flat["action_in_proj/bias"] = np.zeros(12, np.int32)
    flat["surprise/kernel"] = np.zeros(2, np.float32)
    folder = write(tmp_path / "bad", {"params": nest(flat)})
    with pytest.raises(ValueError, match="does not fit this policy") as error:
        load_openpi(folder, TINY)
    for text in (
        "lacks state_proj/bias (12,)",
        "has unexpected surprise/kernel (2,)",
        "action_in_proj/kernel is (31, 12), expected (32, 12)",
        "action_in_proj/bias is int32",
    ):
        assert text in str(error.value)
    # π0 read as π0.5: two dozen leaves differ, twenty are listed and the rest counted.
    with pytest.raises(ValueError, match=r"; and \d+ more$"):
        load_openpi(folder, replace(TINY05, pi0=replace(TINY05.pi0, vocabulary=9, action_dim=16)))


def test_damage_is_named(tmp_path):
    with pytest.raises(ValueError, match="is no openpi checkpoint"):
        load_openpi(tmp_path, TINY)
    folder = write(tmp_path / "ok", {"params": nest(named(TINY, random_params(TINY)))})
    (folder / "manifest.ocdbt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is damaged"):
        load_openpi(folder, TINY)


def test_a_missing_chunk_is_damage_unless_zeros_were_left_out(tmp_path):
    flat = named(TINY, random_params(TINY))
    folder = write(tmp_path / "plain", {"params": nest(flat)}, use_ocdbt=False)
    (folder / f"params.{QUERY.replace('/', '.')}" / "0.0.0.0").unlink()
    with pytest.raises(ValueError, match=r"q_einsum\.w of .* is damaged"):
        load_openpi(folder, TINY)
    # Older versions of Orbax stored no chunks of zeros, and did not say that they did.
    notes = json.loads((folder / "_METADATA").read_text())
    del notes["store_array_data_equal_to_fill_value"]
    (folder / "_METADATA").write_text(json.dumps(notes))
    assert not named(TINY, load_openpi(folder, TINY))[QUERY].any()
    (folder / "_METADATA").write_text("{")
    with pytest.raises(ValueError, match="_METADATA is damaged"):
        load_openpi(folder, TINY)


def test_leaves_are_read_in_pieces_straight_into_place(tmp_path, monkeypatch):
    """Pieces of a leaf, never the leaf; one leaf at a time; each device only its part."""
    flat = named(TINY, random_params(TINY))
    folder = write(tmp_path / "ok", {"params": nest(flat)})
    monkeypatch.setattr(convert_read, "_PIECE", 2048)
    reads: list[tuple[str, int]] = []
    opened = convert_read._tensorstore_leaf

    def spy(spec, name, home):
        leaf = opened(spec, name, home)

        def open_():
            inner = leaf.open()

            def read(index):
                part = inner(index)
                reads.append((name, part.nbytes))
                return part

            return read

        return replace(leaf, open=open_)

    monkeypatch.setattr(convert_read, "_tensorstore_leaf", spy)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("fsdp",))
    asked: dict[tuple, tuple] = {}

    def sharding(path, shape):
        asked[path] = shape
        return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("fsdp"))

    params = load_openpi(folder, TINY, sharding=sharding)
    assert_same(named(TINY, params), flat)
    rows = {f"params.{name.replace('/', '.')}": x[0].nbytes for name, x in flat.items()}
    assert all(size <= max(2048, rows[name]) for name, size in reads)
    assert sum(size for _, size in reads) == sum(x.nbytes for x in flat.values())
    assert len([*itertools.groupby(name for name, _ in reads)]) == len(flat)
    state = dict(nnx.to_flat_state(params))
    assert {path: x.shape for path, x in state.items()} == asked
    assert all(leaf[...].sharding.mesh is mesh for leaf in state.values())


def test_every_chunk_is_fetched_once(tmp_path, monkeypatch):
    """However many pieces it is read in: here both chunks of a row of them are needed for each."""
    monkeypatch.setattr(convert_read, "_PIECE", 1024)
    value = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32)
    folder = write(tmp_path / "chunks", {"x": np.zeros(1)}, use_ocdbt=False)
    store = {"driver": "file", "path": f"{folder}/y/"}
    metadata = {"shape": [200, 64], "chunks": [100, 32], "dtype": "<f4", "compressor": None}
    spec = {"driver": "zarr", "kvstore": store, "metadata": metadata}
    ts.open(spec, create=True).result()[...].write(value).result()
    leaf = convert_read.orbax_leaves(folder)["y"]

    def fetched() -> int:
        metric = "/tensorstore/kvstore/file/bytes_read"
        (found,) = ts.experimental_collect_matching_metrics(metric)
        return found["values"][0]["value"]

    before = fetched()
    np.testing.assert_array_equal(place(leaf, np.float32, None), value)
    assert value.nbytes <= fetched() - before < 1.1 * value.nbytes


def test_paligemma_file(tmp_path):
    """Images and language from the file, bfloat16 as opaque bytes; all else as freshly made."""
    flat = flatten(random_params(TINY))
    names = paligemma_names()
    arrays = {f"params/{theirs}": flat[ours] for ours, theirs in names.items()}
    table = "params/llm/embedder/input_embedding"
    arrays[table] = arrays[table].astype(ml_dtypes.bfloat16).view("V2")
    path = tmp_path / "pt.npz"
    np.savez(path, **arrays)
    got = flatten(load_paligemma(path, TINY, seed=5))
    rounded = flat["language/embedding"].astype(ml_dtypes.bfloat16).astype(np.float32)
    assert_same(got, {ours: flat[ours] for ours in names} | {"language/embedding": rounded})
    every = [path for path, _ in nnx.to_flat_state(abstract_params(TINY))]
    fresh = flatten(fresh_params(TINY, 5, [path for path in every if join(path) not in names]))
    assert set(got) == set(names) | set(fresh)
    assert_same(got, fresh)
    arrays.pop("params/img/head/bias")
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"pt\.npz does not fit this policy: lacks img/head/bias"):
        load_paligemma(path, TINY)
    np.savez(path, **{"params/img/head/bias": np.array([{}], object)})
    with pytest.raises(ValueError, match="Python objects"):
        load_paligemma(path, TINY)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"is no \.npz file"):
        load_paligemma(path, TINY)
    with pytest.raises(ValueError, match="does not exist"):
        load_paligemma(tmp_path / "none.npz", TINY)


def test_a_policy_without_statistics_gets_some_that_change_nothing(tmp_path):
    """openpi loads no checkpoint without; both of its normalizations must leave numbers alone."""
    folder = save_openpi(random_params(TINY), TINY, tmp_path / "out")
    for name, size in (("state", TINY.proprio), ("actions", TINY.action)):
        norm = read_norm_stats(folder)[name]
        x = np.linspace(-3.0, 3.0, size, dtype=np.float32)
        for quantiles in (False, True):
            np.testing.assert_allclose(normalize(x, norm, quantiles), x, atol=1e-5)


def test_an_interrupted_export_can_be_repeated(tmp_path, monkeypatch):
    """Nothing is at the place asked for before all is, and what a kill left is no hindrance."""
    (tmp_path / "out.partial" / "params").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(PyTreeCheckpointer, "save", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            save_openpi(random_params(TINY), TINY, tmp_path / "out")
    assert not any(tmp_path.iterdir())
    save_openpi(random_params(TINY), TINY, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def raise_interrupt(*args, **kwargs) -> None:
    raise KeyboardInterrupt


def test_norm_stats(tmp_path):
    """Written with the parameters, read back; several robots are told apart; damage is named."""
    state = NormStats((0.1, 0.2), (1.0, 2.0), (-1.0, -2.0), (1.0, 2.0))
    action = NormStats((0.5,), (1.5,))
    config = replace(TINY, pi0=replace(PI0_TINY, state_norm=state, action_norm=action))
    folder = save_openpi(random_params(config), config, tmp_path / "out", asset="lab/arm")
    assert read_norm_stats(folder) == {"state": state, "actions": action}
    stats = {"norm_stats": {"state": asdict(state)}}
    other = folder / "assets" / "droid"
    other.mkdir()
    (other / "norm_stats.json").write_text(json.dumps(stats))
    assert read_norm_stats(folder, "droid") == {"state": state}
    assert list_assets(folder) == ["droid", "lab/arm"]
    with pytest.raises(ValueError, match=r"\['droid', 'lab/arm'\]: choose one"):
        read_norm_stats(folder)
    for text, complaint in (
        ("{", "is damaged"),
        ("{}", "is damaged"),
        ('{"norm_stats": {"state": {"mean": [0], "std": [1, 2]}}}', "one number a dimension"),
        ('{"norm_stats": {"state": {"mean": [NaN], "std": [1]}}}', "not finite"),
    ):
        (other / "norm_stats.json").write_text(text)
        with pytest.raises(ValueError, match=complaint):
            read_norm_stats(folder, "droid")
    with pytest.raises(ValueError, match="has statistics for"):
        read_norm_stats(tmp_path)
