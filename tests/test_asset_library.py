"""The asset library: content ids, parallel writers, killed writers, damage, licences, families."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generation.assets.importing.asset import AssetError
from generation.assets.library import FAMILIES
from generation.assets.licences import training_use
from generation.assets.portrait import portrait
from generation.assets.record import binaries, content_id, unpack
from generation.assets.store import AssetLibrary
from generation.designer import design, known_families
from generation.spec import Part
from tests.asset_samples import sample_asset

ROOT = Path(__file__).resolve().parent.parent


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --------------------------------------------------------------------- store


def test_an_asset_returns_as_it_was_under_the_hash_of_its_content(tmp_path):
    library, asset = AssetLibrary(tmp_path / "lib"), sample_asset(receptacle=("on",))
    assert library.ids() == []
    name = library.add(asset)
    back = library.get(name)
    assert name == back.id == content_id(asset) == content_id(back)
    assert back.draft.provenance == back.provenance
    assert back.provenance.asset == name and back.provenance.training == "allowed"
    assert back.visual == asset.visual and back.rests == asset.rests
    np.testing.assert_array_equal(back.hulls[0], asset.hulls[0])
    assert replace(back.draft, provenance=None) == asset.draft
    assert (back.noun, back.receptacle, back.report) == ("gramophone", ("on",), asset.report)
    assert library.ids() == [name] and name in library and "0" * 16 not in library


def test_equal_content_is_one_asset_and_a_second_add_changes_nothing(tmp_path):
    library = AssetLibrary(tmp_path)
    first = library.add(sample_asset(source="a.glb"))
    before = everything(tmp_path)
    assert library.add(sample_asset(source="b.glb")) == first
    assert everything(tmp_path) == before
    others = [sample_asset(side=0.021), sample_asset(licence="CC0"), sample_asset(noun="sextant")]
    assert len({first, *map(library.add, others)}) == 4


def _add_all(root: str, start: float) -> None:
    while time.time() < start:
        pass
    library = AssetLibrary(root)
    for side in (0.02, 0.021, 0.022):
        library.add(sample_asset(side=side))


def test_writers_in_parallel(tmp_path):
    context = multiprocessing.get_context("fork")
    start = time.time() + 0.2
    writers = [context.Process(target=_add_all, args=(str(tmp_path), start)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    library = AssetLibrary(tmp_path)
    assert len(library.ids()) == 3
    assert [library.get(name).id for name in library.ids()] == library.ids()
    assert not list((tmp_path / "assets").glob(".*"))


@pytest.mark.parametrize("dies_at", ["os.fsync", "os.rename"])
def test_a_writer_that_is_killed_leaves_nothing_that_counts(tmp_path, dies_at):
    """Killed before its files are on the disk, or after: the asset is not there, or is whole."""
    code = f"""
import os, signal, sys
from generation.assets.store import AssetLibrary
from generation.designer import design, known_families
from generation.spec import Part
from tests.asset_samples import sample_asset
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
{dies_at} = die
AssetLibrary(sys.argv[1]).add(sample_asset())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    library = AssetLibrary(tmp_path)
    (leftover,) = (tmp_path / "assets").iterdir()
    assert leftover.name.startswith(".new-")
    assert library.ids() == [] and library.families() == {}
    name = library.add(sample_asset())
    assert library.get(name) and leftover.exists()  # it could belong to a writer that is at work
    os.utime(leftover, (1, 1))
    library.add(sample_asset(side=0.03))
    assert not leftover.exists() and name in library


@pytest.mark.parametrize("name", ["asset.json", "visual.glb", "hulls.npz", "report.json"])
@pytest.mark.parametrize("harm", ["alter", "empty", "remove", "grow"])
def test_damage_is_found_and_named_and_healed_by_adding_again(tmp_path, name, harm):
    library = AssetLibrary(tmp_path)
    asset = library.add(sample_asset())
    path = tmp_path / "assets" / asset / name
    content = path.read_bytes()
    if harm == "alter":
        path.write_bytes(content.replace(b"a", b"b", 1) if name == "report.json" else b"x")
        if name == "report.json":
            path.write_bytes(b"{" + content)
    elif harm == "remove":
        path.unlink()
    elif harm == "grow":
        with path.open("ab") as file:
            file.truncate(1 << 30)  # sparse
    else:
        path.write_bytes(b"")
    with pytest.raises(AssetError, match="is damaged") as caught:
        library.get(asset)
    assert asset in str(caught.value) and "\n" not in str(caught.value)
    assert library.add(sample_asset()) == asset
    assert library.get(asset).id == asset


def test_a_record_with_other_content_is_refused_even_if_it_is_valid(tmp_path):
    library = AssetLibrary(tmp_path)
    asset = library.add(sample_asset(licence="tencent-hunyuan3d"))
    path = tmp_path / "assets" / asset / "asset.json"
    record = json.loads(path.read_text())
    assert record["training"] == "forbidden"
    path.write_text(json.dumps({**record, "training": "allowed"}))
    with pytest.raises(AssetError, match="its content has id"):
        library.record(asset)
    with pytest.warns(UserWarning, match="left out"):
        assert library.families() == {}


def test_unknown_ids_and_strange_names_are_no_assets(tmp_path):
    library = AssetLibrary(tmp_path)
    library.add(sample_asset())
    (tmp_path / "assets" / "notes").mkdir()
    assert len(library.ids()) == 1
    for name in ("0" * 16, "../../etc", "", "notes"):
        with pytest.raises(KeyError):
            library.get(name)


def test_what_no_library_holds_is_refused_before_anything_is_written(tmp_path):
    library = AssetLibrary(tmp_path / "lib")
    with pytest.raises(AssetError, match="visual.glb would have"):
        library.add(replace(sample_asset(), visual=bytes(65 << 20)))
    with pytest.raises(AssetError, match="300 hulls"):
        library.add(replace(sample_asset(), hulls=(np.zeros((4, 3)),) * 300))
    with pytest.raises(AssetError, match="noun"):
        library.add(replace(sample_asset(), noun="Ünï <b>"))
    assert not (tmp_path / "lib").exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_mutated_hulls_are_hulls_or_a_value_error(data):
    whole = _packed()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    for mutated in (bytes(content), cut):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                hulls = unpack(mutated)
        except ValueError:
            continue
        assert all(hull.shape[1:] == (3,) and np.isfinite(hull).all() for hull in hulls)


def _packed() -> bytes:
    return binaries(sample_asset())["hulls.npz"]


def test_hulls_with_pickles_or_endless_arrays_are_refused():
    buffer = io.BytesIO()
    np.savez(buffer, points=np.array([object()], dtype=object), counts=np.array([4]))
    with pytest.raises(ValueError):
        unpack(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, points=np.zeros((2_000_000, 3)), counts=np.array([4]))
    with pytest.raises(ValueError, match="unpacks to more"):
        unpack(buffer.getvalue())


# --------------------------------------------------------------------- licences


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        ("CC-BY-4.0", "allowed"), ("MIT", "allowed"), ("Apache-2.0", "allowed"), ("CC0", "allowed"),
        ("CC BY-NC 4.0", "unknown"), ("CC-BY-ND-4.0", "unknown"), ("unknown", "unknown"),
        ("SAM License", "unknown"), ("tencent-hunyuan3d-2.1", "forbidden"),
        ("Hunyuan3D community licence", "forbidden"), ("CC-BY-4.0, NoAI", "forbidden"),
        ("All Rights Reserved", "forbidden"), ("permit", "unknown"), ("not MIT", "unknown"),
        ("Do not use for AI training", "forbidden"), ("No generative AI", "forbidden"),
        ("MIT, don't train models", "forbidden"), ("CC-BY-4.0 (AI use prohibited)", "forbidden"),
        ("not licensed under Apache-2.0", "unknown"), ("CC0 (no rights reserved)", "allowed"),
        ("no attribution required, AI training allowed, CC0", "allowed"),
    ],
)  # fmt: skip
def test_what_licences_say_about_training(licence, verdict):
    assert training_use(licence) == verdict


# --------------------------------------------------------------------- portraits


@pytest.mark.parametrize("shape", ["box", "sphere", "capsule", "cylinder", "ellipsoid", "convex"])
def test_a_portrait_shows_the_shape_where_it_is(shape):
    half = {"sphere": (0.02, 0, 0), "capsule": (0.02, 0.02, 0), "cylinder": (0.02, 0.02, 0)}
    size = half.get(shape, (0.02, 0.02, 0.02))
    corners = [[x, y, z] for x in (-0.02, 0.02) for y in (-0.02, 0.02) for z in (-0.02, 0.02)]
    vertices: Any = tuple(map(tuple, corners)) if shape == "convex" else ()
    part = Part(shape=shape, size=size, vertices=vertices, rgba=(1, 0, 0, 1), collide=False)
    small = part.model_copy(update={"pos": (0.2, 0.0, 0.0), "rgba": (0.0, 0.0, 1.0, 1.0)})
    alone = portrait([part], 64).astype(int)
    assert alone.shape == (64, 64, 3)
    red = alone[..., 0] - alone[..., 2] > 60
    assert red[32, 32] and 0.3 < red.mean() < 0.9 and not red[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    both = portrait([part, small], 64).astype(int)
    left, right = both[..., 0] - both[..., 2] > 60, both[..., 2] - both[..., 0] > 60
    # From the front on the left, +x is to the right.
    assert np.nonzero(left)[1].max() < np.nonzero(right)[1].min()
    hidden = part.model_copy(update={"visible": False, "size": size, "pos": (0.0, -0.2, 0.0)})
    np.testing.assert_array_equal(portrait([part, hidden], 64), alone)


# --------------------------------------------------------------------- families


def test_assets_become_families_that_return_them_as_they_are(tmp_path):
    library = AssetLibrary(tmp_path)
    ids = [library.add(sample_asset(colour=c, side=s)) for c, s in (("red", 0.02), ("blue", 0.03))]
    (family,) = library.families().values()
    assert family.nouns == ("gramophone",) and family.graspable and not family.receptacle
    assert set(family.colours) == {"red", "blue"} and family.tags[0] == "imported"
    drafts = {asset: library.get(asset).draft for asset in ids}
    rng = np.random.default_rng(0)
    assert family.build(rng, colour="red") == drafts[ids[0]]
    assert family.build(rng, "small", "blue", "wood", compact=True) == drafts[ids[1]]
    seen = [family.build(rng) for _ in range(20)]
    assert all(draft in seen for draft in drafts.values())
    again = np.random.default_rng(5)
    one = family.build(again)
    assert one == pickle.loads(pickle.dumps(family)).build(np.random.default_rng(5))
    with pytest.raises(ValueError, match="no imported gramophone is green: the library has it in"):
        family.build(rng, colour="green")


def test_assets_take_the_noun_of_a_procedural_family(tmp_path):
    library = AssetLibrary(tmp_path)
    for noun in ("mug", "lime", "bowl", "object"):
        library.add(sample_asset(noun))
    families = library.families()
    nouns = {name: family.nouns for name, family in families.items()}
    assert nouns == {
        "mug": ("mug", "cup"),  # its canonical noun: the assets stand in for the family
        "asset_lime": ("lime",),
        "lemon": ("lemon",),
        "asset_imported_bowl": ("imported bowl",),  # it holds nothing
        "asset_imported_object": ("imported object",),
    }
    assert families["mug"].split == FAMILIES["mug"].split and "drink" in families["mug"].tags
    every = [noun for family in known_families(tmp_path).values() for noun in family.nouns]
    assert len(every) == len(set(every))
    assert list(families) == list(AssetLibrary(tmp_path).families())
    rng = np.random.default_rng(0)
    assert families["mug"].build(rng).provenance is not None
    for colour, material in (("green", ""), ("", "metal")):  # the asset is red, of no such material
        assert families["mug"].build(rng, "", colour, material).provenance is None


@pytest.mark.parametrize("noun", ["block", "duck", "cube", "gramophone"])
@pytest.mark.parametrize("difficulty", ["easy", "full"])
def test_a_prompt_with_the_noun_of_an_asset_is_about_the_asset(tmp_path, noun, difficulty):
    library = AssetLibrary(tmp_path)
    asset = library.add(sample_asset(noun))
    library.add(sample_asset("block", side=0.018, colour="blue", graspable=False))  # of no use
    for scene in design(
        f"put the {noun} in the bowl", 3, 0, difficulty=difficulty, library=tmp_path
    ):
        target, *others = scene.objects
        assert target.noun == noun and target.provenance and target.provenance.asset == asset
        assert noun in scene.task.instruction
        assert all(other.noun != noun for other in others)


def test_purposes_of_assets_with_one_noun_are_told_apart(tmp_path):
    library = AssetLibrary(tmp_path)
    library.add(sample_asset("gramophone"))
    library.add(sample_asset("gramophone", side=0.05, graspable=False, receptacle=("on", "in")))
    library.add(sample_asset("gramophone", side=0.06))
    library.add(sample_asset("ballista", graspable=False))
    library.add(sample_asset("astrolabe", tags=("flat", "heavy")))
    families = {family.nouns[0]: family for family in library.families().values()}
    assert set(families) == {
        "gramophone",
        "other gramophone",
        "astrolabe",
    }  # the anvil is of no use
    other = families["other gramophone"]
    assert other.receptacle and other.relations == ("on", "in") and not other.graspable
    assert families["astrolabe"].tags == ("imported", "flat", "heavy")


def test_training_leaves_out_what_a_licence_forbids_and_says_so(tmp_path):
    library = AssetLibrary(tmp_path)
    library.add(sample_asset("gramophone", licence="tencent-hunyuan3d-2.1"))
    library.add(sample_asset("sextant"))
    assert len(library.families()) == 2
    with pytest.warns(UserWarning, match=r"left out 1 assets.*gramophone, tencent-hunyuan3d-2.1"):
        families = library.families(training=True)
    assert [family.nouns for family in families.values()] == [("sextant",)]
