"""`vla-jax design`: pictures as surroundings, things made by a provider, what a run says."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from generation import design, load_scenes
from generation.assets.library import FAMILIES
from generation.assets.store import AssetLibrary
from generation.background import with_picture
from generation.designer import known_families
from generation.llm.client import chat_client
from generation.llm.designer import llm_designer
from generation.production import supply as module
from generation.production.parallel import design_many
from generation.production.supply import NamedFiles, supply
from generation.production.wanted import Wanted, wanted
from generation.providers import HunyuanProvider, Model
from generation.rooms import panorama, read_picture
from generation.services.fetch import Limits, ProviderError
from tests.asset_samples import glb, sample_asset
from tests.model_server import serving
from vla_jax import cli
from vla_jax.commands import common
from vla_jax.commands import design as design_command

PROMPT = "put the banana in the blue bowl"
STRANGE = "put the gramophone on the plate"
QUICK = Limits(total_s=5.0, silence_s=2.0, tries=1, backoff_s=0.01)


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """No compilation, no proxies."""

    def blank(scenes):
        return np.zeros((min(len(scenes), common.PICTURES), 32, 32, 3), np.uint8)

    monkeypatch.setattr(design_command, "scene_pictures", blank)
    monkeypatch.setattr("vla_jax.cache.enable_compile_cache", lambda: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def run(capsys, *argv: object) -> tuple[int, str, str]:
    status = cli.main([str(word) for word in argv])
    return status, *capsys.readouterr()


def refuse(capsys, *argv: object) -> str:
    status, out, err = run(capsys, *argv)
    assert status == 2 and out == "", err
    return err.splitlines()[-1]


def save_panorama(path: Path, above: tuple[int, int, int]) -> Path:
    pixels = np.full((64, 128, 3), 90, np.uint8)
    pixels[:32] = above
    Image.fromarray(pixels).save(path)
    return path


def save_model(folder: Path, name: str = "gramophone.glb", side: float = 0.05) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(glb(trimesh.creation.box((side, side * 0.8, side))))
    return path


# Surroundings


def test_a_picture_surrounds_a_finished_scene(tmp_path):
    scene = design("put the banana in the bowl, in a kitchen", 1, 0)[0]
    assert scene.background.room is not None
    picture = read_picture(save_panorama(tmp_path / "sky.png", (20, 80, 220)))
    changed = with_picture(scene, picture)
    assert changed.background.room is None and changed.background.picture == picture
    assert changed.objects == scene.objects and changed.id != scene.id
    r, g, b = changed.background.top
    assert b > 0.7 > g > r and np.ptp(changed.background.floor) < 0.05
    assert type(changed).from_json(changed.to_json()) == changed
    pixels = panorama(changed.background)
    assert pixels is not None and np.allclose(pixels[10].mean(0), (20, 80, 220), atol=8)
    with pytest.raises(ValueError, match="read_picture"):
        with_picture(scene, base64.b64encode(b"no picture").decode())


def test_pictures_take_turns_and_belong_to_the_run(capsys, tmp_path):
    files = [save_panorama(tmp_path / f"{k}.png", (60 * k, 0, 0)) for k in range(2)]
    out = tmp_path / "out"
    argv = ["design", f"{PROMPT}, in a kitchen", "-n", 3, "-o", out, "--background", *files]
    assert run(capsys, *argv)[0] == 0
    pictures = [scene.background.picture for scene in load_scenes(out)]
    assert pictures == [read_picture(files[k]) for k in (0, 1, 0)]
    with Image.open(out / "preview.png") as sheet:
        assert sheet.width > 32

    again, bad = tmp_path / "again", "put the unicorn on the plate"
    with pytest.raises(ValueError, match="pass --skip-failed"):
        design_many([PROMPT, bad], 2, 0, again, backgrounds=files)
    save_panorama(files[0], (0, 200, 0))
    with pytest.raises(ValueError, match="other arguments"):
        design_many([PROMPT, bad], 2, 0, again, backgrounds=files)
    assert "no.png" in refuse(
        capsys, "design", PROMPT, "-o", tmp_path / "x", "--background", tmp_path / "no.png"
    )


# What a run depends on


def test_a_library_that_grew_is_another_run(tmp_path):
    library = AssetLibrary(tmp_path / "library")
    library.add(sample_asset("gramophone"))
    prompts = [STRANGE, "put the unicorn on the plate"]
    settings = {"library": library.root, "processes": 1}
    with pytest.raises(ValueError, match="1 of 2 scenes failed"):
        design_many(prompts, 2, 0, tmp_path / "out", **settings)
    library.add(sample_asset("gramophone", colour="blue", side=0.015))  # the same family names
    with pytest.raises(ValueError, match="other arguments"):
        design_many(prompts, 2, 0, tmp_path / "out", **settings)
    # What was added is seen at once, also by the process that has read the library before.
    red, blue = (
        design_many(f"put the {c} gramophone on the plate", 1, 0, tmp_path / c, **settings)
        for c in ("red", "blue")
    )
    assert red[0].objects[0].provenance != blue[0].objects[0].provenance


def test_imported_assets_are_the_same_in_other_processes(tmp_path):
    library = AssetLibrary(tmp_path / "library")
    library.add(sample_asset("gramophone"))
    one, two = (
        design_many(STRANGE, 4, 0, tmp_path / str(k), library=library.root, processes=k)
        for k in (1, 2)
    )
    assert one == two and one[0].objects[0].provenance is not None


def test_another_model_is_another_run(tmp_path, monkeypatch):
    from generation.production.parallel import Settings, _arguments, _with_model

    def told(model: str) -> dict:
        designer = llm_designer(chat_client(model, "http://127.0.0.1:9/v1"))
        return _arguments([PROMPT], Settings(0, designer))

    assert told("a") == told("a") != told("b")
    monkeypatch.setenv("VLA_JAX_LLM_MODEL", "a")
    monkeypatch.setenv("VLA_JAX_LLM_URL", "http://127.0.0.1:9/v1")
    assert _arguments([PROMPT], Settings(0, _with_model("llm"))) == told("a")


def test_the_folder_one_is_in(capsys, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    status, _, err = run(capsys, "design", PROMPT, "-n", 1, "-o", ".")
    monkeypatch.chdir(tmp_path)
    assert status == 0, err
    assert len(load_scenes(tmp_path / "here")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--llm-model x", "--llm-model without --designer llm"),
        ("--llm-replay --llm-cache c", "--llm-cache, --llm-replay without --designer llm"),
        ("--provider folder=x", "--provider needs --library"),
        ("--provider-licence MIT", "--provider-licence needs --provider"),
        ("--library L --provider magic=x", "use one of hunyuan=URL, gradio=URL, folder=DIR"),
        ("--library L --provider hunyuan=localhost", "must begin with http://"),
        ("--library L --provider hunyuan=http://localhost:1", "forbids training"),
    ],
)
def test_options_that_do_not_go_together(words, hint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hint in refuse(capsys, "design", PROMPT, "-o", "out", *words.split())
    assert not any(tmp_path.iterdir())


# What is not what the sentence says


def test_what_is_drawn_as_something_else_is_said_once(capsys, tmp_path):
    argv = ["design", "put the fork on the quilt", "-n", 2, "-o", tmp_path / "out"]
    status, out, _ = run(capsys, *argv)
    assert status == 0 and out.count("'quilt' is drawn as a mat (0.5") == 1
    _, out, _ = run(capsys, *argv[:-1], tmp_path / "two", "--json")
    (note,) = json.loads(out)["notes"]
    assert note.startswith("'quilt'")


# Things that are made


@pytest.mark.parametrize(
    ("prompt", "things"),
    [
        (PROMPT, []),
        (STRANGE, ["gramophone"]),
        ("put the blue gramophone in the box, with a trophy", ["blue gramophone", "trophy"]),
        ("put the red and blue gargoyles on the plate", ["red gargoyle", "blue gargoyle"]),
        ("put the fork on a quilt", ["quilt"]),
        ("put the bannana in the bowl", []),
        ("a messy breakfast table with a samovar", ["samovar"]),
        ("a cozy office for late work", []),
        ("a birthday party", []),
        ("put the fork on the plate in a moment for dinner", []),
        ("dance on the table", []),
        ("", []),
    ],
)  # fmt: skip
def test_what_a_prompt_wants(prompt, things):
    assert [str(thing) for thing in wanted([prompt, prompt], FAMILIES)] == things


def test_what_a_library_has_is_not_wanted(tmp_path):
    library = AssetLibrary(tmp_path)
    library.add(sample_asset("gramophone"))
    families = known_families(tmp_path)
    assert wanted([STRANGE, "put the trophy on the plate"], families) == (Wanted("trophy"),)


def test_a_provider_makes_what_is_missing(capsys, tmp_path):
    library, out = tmp_path / "library", tmp_path / "out"
    terms = ["--provider-licence", "MIT", "--json"]
    with serving() as server:
        argv = ["design", STRANGE, "-n", 2, "--library", library]
        argv += ["--provider", f"hunyuan={server.url}", *terms]
        status, text, err = run(capsys, *argv, "-o", out)
        assert status == 0, err
        data = json.loads(text)
        (made,) = data["made"]
        assert made["noun"] == "gramophone" and made["licence"] == "MIT"
        assert made["training"] == "allowed" and made["source"].startswith(server.url)
        assert data["notes"] == [] and len(server.seen) == 1
        assert server.seen[0][2]["text"] == "gramophone"
        (index,) = json.loads((out / "index.json").read_text())["assets"]
        assert index["asset"] == made["id"] and index["licence"] == "MIT"
        things = [scene.objects[0] for scene in load_scenes(out)]
        assert {t.noun for t in things} == {"gramophone"} and all(t.provenance for t in things)

        # What the library has is not asked for again, and the scenes are the same.
        status, text, _ = run(capsys, *argv, "-o", tmp_path / "two")
        assert status == 0 and json.loads(text)["made"] == [] and len(server.seen) == 1
        assert load_scenes(tmp_path / "two") == load_scenes(out)


def test_without_a_model_the_nearest_known_thing_stands_in(capsys, tmp_path):
    with serving() as server:
        server.faults.extend([404] * 2)
        argv = ["--library", tmp_path / "library", "--provider", f"hunyuan={server.url}"]
        argv += ["--provider-licence", "MIT", "-n", 1]
        out = tmp_path / "out"
        status, text, err = run(capsys, "design", "put the fork on the quilt", *argv, "-o", out)
        assert status == 0 and "quilt: not made" in err and "404" in err
        assert "'quilt' is drawn as a mat" in text
        assert "unknown object 'gramophone'" in refuse(
            capsys, "design", STRANGE, *argv, "-o", tmp_path / "none"
        )
    assert not (tmp_path / "none").exists() and not (tmp_path / "library").exists()


def test_models_that_cannot_play_their_part_are_not_kept(tmp_path, monkeypatch):
    library = AssetLibrary(tmp_path / "library")

    def make(noun, provider, draft, **options):
        asset = sample_asset(noun, graspable=noun != "anvil", receptacle=())
        return draft.add(asset)

    monkeypatch.setattr(module, "generate_asset", make)
    provider = HunyuanProvider("http://127.0.0.1:9", licence="MIT", limits=QUICK)
    told: list[tuple[int, int, str]] = []
    prompts = [
        "put the anvil on the plate",  # nothing can be done with it
        "put the fork on the quilt",  # holds nothing, a mat would
        "put the blue trophy on the plate",  # red, but there is nothing better
    ]
    found = supply(prompts, provider, library, report=lambda *x: told.append(x))
    assert [record.thing.noun for record in found.made] == ["trophy"]
    reasons = dict(found.failed)
    assert "of no use: the gripper cannot lift it" in reasons["anvil"]
    assert "cannot play its part in 'put the fork on the quilt'" in reasons["quilt"]
    assert told == [(0, 3, "anvil"), (1, 3, "quilt"), (2, 3, "trophy"), (3, 3, "")]
    assert library.ids() == [found.made[0].id]


def test_what_is_too_large_to_grip_is_made_as_a_toy(tmp_path):
    library = AssetLibrary(tmp_path / "library")
    asked: list[str] = []

    class Provider:
        licence = "MIT"

        def __call__(self, noun, description="", image=None, *, seed=0):
            asked.append(description)
            yield Model(glb(trimesh.creation.cylinder(0.5, 1.0)), "test")

    found = supply(["put the samovar in the bowl"], Provider(), library)
    (record,) = found.made
    assert record.graspable and record.thing.height < 0.08 and asked == ["samovar"]


def test_files_named_after_things(tmp_path):
    folder = tmp_path / "models"
    for k, name in enumerate(("samovar.glb", "gramophone_2.glb", "Gramophones.glb")):
        save_model(folder, name, 0.04 + 0.01 * k)
    files = NamedFiles(folder, "MIT", timeout_s=1.5)
    found = files("gramophone")
    assert [next(found).source for _ in range(2)] == ["Gramophones.glb", "gramophone_2.glb"]
    with pytest.raises(ProviderError, match="no new GLB file"):
        next(found)
