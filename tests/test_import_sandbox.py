"""Imports in processes of their own: limits, crashes, interruptions, continuation, the command."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from generation.assets.importing.asset import AssetError
from generation.assets.intake.importer import doctor_line, import_sources
from generation.assets.intake.sandbox import Bounds, Job, run_jobs
from generation.assets.intake.sources import Memory, find_sources
from generation.assets.store import AssetLibrary
from generation.designer import design
from generation.quality import inspect_scenes
from tests.asset_samples import write_embodiedgen_task

ROOT = Path(__file__).resolve().parent.parent
# An import chain that does what the file says, put in place of the real one in the process.
CHAIN = """
import ctypes, os, sys, time
if "generation.assets.intake.sandbox_process" in sys.orig_argv:
    import generation.assets.importing.chain as chain
    from generation.assets.importing.asset import AssetError
    from tests.asset_samples import sample_asset

    def import_mesh(path, **options):
        word = path.read_text().split()[0]
        if word == "loop":
            while True:
                pass
        if word == "sleep":
            time.sleep(60)
        if word == "allocate":
            keep = [bytes(1 << 26) for _ in range(1000)]  # address space alone
        if word == "crash":
            ctypes.string_at(0)
        if word == "write":
            with open("big", "wb") as file:
                for _ in range(100):
                    file.write(bytes(1 << 20))
        if word == "raise":
            raise RuntimeError("a fault of ours")
        if word == "refuse":
            raise AssetError("no triangles in the file")
        if word == "environment":
            raise AssetError(" ".join(sorted(os.environ)))
        if word == "garble":
            open("result.json", "w").write("{")
            os._exit(0)
        if word == "lie":
            open("result.json", "w").write('{"asset": "0123456789abcdef"}')
            os._exit(0)
        side = float(path.read_text().split()[1])
        return sample_asset(options.get("noun") or "gramophone", side=side)

    chain.import_mesh = import_mesh
"""


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """The stand-in chain is in place; returns a writer of files for it."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CHAIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "st aging"))
    (tmp_path / "st aging").mkdir()
    (tmp_path / "in").mkdir()

    def write(name: str, text: str) -> Path:
        path = tmp_path / "in" / name
        path.write_text(text)
        return path

    return write


SMALL = Bounds(cpu_s=1, wall_s=30, memory=1 << 30, file_size=8 << 20)


def test_limits_and_crashes_cost_their_own_file_only(chain, tmp_path):
    reasons = {
        "loop": "took more than 1 s of processor time",
        "allocate": "needs more than 1.0 GiB of memory",
        "crash": r"crashed the import \(SIGSEGV\)",
        "write": r"crashed the import \(SIGXFSZ\)|File too large",
        "raise": "the import failed .*a fault of ours",
        "refuse": "^no triangles in the file$",
        "garble": "left a broken result",
        "lie": "left no sound asset",
    }
    jobs = [Job("mesh", chain(f"{word}.glb", word)) for word in reasons]
    jobs.insert(3, Job("mesh", chain("good.glb", "good 0.02")))
    results = {r.job.path.stem: r for r in run_jobs(jobs, processes=3, bounds=SMALL)}
    assert set(results) == {*reasons, "good"}
    asset = results.pop("good").asset
    assert asset is not None and asset.noun == "gramophone"
    for word, result in results.items():
        assert result.asset is None and "\n" not in result.reason
        assert re.search(reasons[word], result.reason), (word, result.reason)
    assert not list((tmp_path / "st aging").iterdir())


def test_the_clock_limits_what_sleeps(chain):
    bounds = Bounds(cpu_s=1, wall_s=1, memory=1 << 30)
    (result,) = run_jobs([Job("mesh", chain("sleep.glb", "sleep"))], bounds=bounds)
    assert "stopped after 1 s" in result.reason and result.seconds < 8


def test_the_sandbox_does_not_see_the_keys_of_its_caller(chain, monkeypatch):
    monkeypatch.setenv("VLA_JAX_LLM_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (result,) = run_jobs([Job("mesh", chain("a.glb", "environment"))])
    assert "PATH" in result.reason and "KEY" not in result.reason


def test_closing_the_run_ends_its_processes(chain, tmp_path):
    jobs = [Job("mesh", chain("a.glb", "good 0.02")), Job("mesh", chain("b.glb", "sleep"))]
    run = run_jobs(jobs, processes=2)
    assert next(run).asset is not None
    run.close()
    assert not list((tmp_path / "st aging").iterdir())
    assert not _alive(str(tmp_path / "st aging"))


def test_a_sandbox_that_dies_is_replaced(chain):
    bounds = Bounds(wall_s=60)
    jobs = [Job("mesh", chain("a.glb", "sleep")), Job("mesh", chain("b.glb", "good 0.02"))]
    jobs.append(Job("mesh", chain("c.glb", "good 0.03")))
    run = run_jobs(jobs, processes=2, bounds=bounds)
    first = next(run)
    assert first.asset is not None
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            line = (path.parent / "cmdline").read_bytes()
            if parent == os.getpid() and b"sandbox_process" in line:
                os.kill(int(path.parent.name), signal.SIGKILL)
    rest = {result.job.path.name: result for result in run}
    assert "ended unexpectedly" in rest["a.glb"].reason
    assert len(rest) == 2 and (rest["c.glb"].asset or "unexpectedly" in rest["c.glb"].reason)


def test_a_sandbox_that_cannot_run_rejects_every_file_and_says_why(chain, tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module named numpy >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    jobs = [Job("mesh", chain(f"{k}.glb", "good 0.02")) for k in range(3)]
    results = list(run_jobs(jobs, processes=2))
    assert len(results) == 3
    assert all("ended unexpectedly (no module named numpy)" in r.reason for r in results)


def _alive(word: str) -> list[str]:
    """Command lines of processes that contain `word`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if word in line and "generation.assets.intake.sandbox" in line:
            found.append(line)
    return found


def test_an_import_goes_on_and_remembers(chain, tmp_path):
    folder = tmp_path / "in"
    for name, text in (("a.glb", "good 0.02"), ("b.glb", "refuse"), ("c.stl", "good 0.03")):
        chain(name, text)
    library, reports = AssetLibrary(tmp_path / "lib"), []
    first = import_sources([folder], library, report=lambda *state: reports.append(state))
    assert [item.path.name for item in first.imported] == ["a.glb", "c.stl"]
    assert [(r.path.name, r.reason) for r in first.rejected] == [
        ("b.glb", "no triangles in the file")
    ]
    assert [state[:2] for state in reports] == [(1, 3), (2, 3), (3, 3)]
    (gone,) = (item.asset for item in first.imported if item.path.name == "c.stl")
    (library.root / "assets" / gone / "asset.json").write_text("{}")
    chain("b.glb", "good 0.02")  # now with the content of a.glb
    again = import_sources([folder], library)
    assert [item.known for item in again.imported] == [True, False, False]
    assert again.imported[0].asset == again.imported[1].asset and not again.rejected
    assert library.get(gone) and len(library.ids()) == 2
    with pytest.raises(ValueError, match="nothing to import in"):
        import_sources([tmp_path / "st aging"], AssetLibrary(tmp_path / "x"))


def test_a_source_is_known_by_content_options_and_what_lies_beside_it(tmp_path):
    memory, path = Memory(AssetLibrary(tmp_path / "lib")), tmp_path / "a.obj"
    path.write_text("v 0 0 0")
    (source,) = find_sources([path])
    key = memory.key(source, {"noun": "cup"})
    assert key == memory.key(source, {"noun": "cup"}) != memory.key(source, {"noun": "mug"})
    (tmp_path / "a.mtl").write_text("newmtl x")
    assert key != Memory(memory.library).key(source, {"noun": "cup"})
    path.unlink()
    os.mkfifo(path)  # would block whoever opens it
    with pytest.raises(AssetError, match="no file"):
        memory.key(source, {})
    with (tmp_path / "b.glb").open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(AssetError, match="larger than 256 MiB"):
        memory.key(find_sources([tmp_path / "b.glb"])[0], {})


def test_a_damaged_asset_is_healed_by_importing_its_source_again(chain, tmp_path):
    chain("a.glb", "good 0.02")
    chain("b.glb", "good 0.03")
    library = AssetLibrary(tmp_path / "lib")
    first = import_sources([tmp_path / "in"], library)
    damaged = first.imported[0].asset
    with (library.root / "assets" / damaged / "visual.glb").open("ab") as file:
        file.write(b"xx")
    assert "is damaged" in doctor_line(library, damaged)
    again = import_sources([tmp_path / "in"], library)
    assert [item.known for item in again.imported] == [False, True]
    assert again.imported[0].asset == damaged and library.get(damaged)


def test_an_import_does_not_find_its_own_library(chain, tmp_path):
    chain("a.glb", "good 0.02")
    chain("b.obj", "good 0.03")
    inside = tmp_path / "in" / "lib"
    for known in (False, True):
        harvest = import_sources([tmp_path / "in"], AssetLibrary(inside))
        assert [item.path.name for item in harvest.imported] == ["a.glb", "b.obj"]
        assert [item.known for item in harvest.imported] == [known] * 2
        (inside / "preview.png").write_bytes(b"x")
    assert [s.path.name for s in find_sources([inside.parent / "lib"])] == []


def test_only_the_meshes_that_a_urdf_names_are_its_parts(tmp_path):
    mix = tmp_path / "mix"
    for name in ("r.urdf", "cup.glb", "body.obj", "sub/vase.glb", "sub/body.obj", "parts/arm.stl",
                 "meshes/hand.stl", "other/hand.stl"):  # fmt: skip
        (mix / name).parent.mkdir(parents=True, exist_ok=True)
        (mix / name).write_text("")
    names = ("body.obj", "./sub/../parts/arm.stl", "package://arm/meshes/hand.stl")
    (mix / "r.urdf").write_text("".join(f"<mesh filename='{name}'/>" for name in names))
    found = [str(source.path.relative_to(mix)) for source in find_sources([mix])]
    assert found == ["r.urdf", "cup.glb", "other/hand.stl", "sub/body.obj", "sub/vase.glb"]


def test_a_folder_that_gives_the_noun_is_remembered_with_it(tmp_path):
    memory, keys = Memory(AssetLibrary(tmp_path / "lib")), []
    for name in ("mug", "bowl"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "model.glb"
        path.write_text("the same")
        (source,) = find_sources([path])
        keys += [memory.key(source, {"noun": noun}) for noun in ("", "cup")]
    assert keys[0] != keys[2] and keys[1] == keys[3]


def test_a_killed_import_leaves_whole_assets_and_continues(chain, tmp_path):
    for k in range(4):
        chain(f"{k}.glb", f"good 0.02{k}")
    chain("z.glb", "sleep")
    code = (
        "import sys; from generation.assets.intake.importer import import_sources;"
        "from generation.assets.store import AssetLibrary;"
        "import_sources([sys.argv[1]], AssetLibrary(sys.argv[2]))"
    )
    library = AssetLibrary(tmp_path / "lib")
    environment = {**os.environ, "TMPDIR": str(tmp_path / "st aging")}
    running = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "in"), str(library.root)],
        cwd=ROOT,
        env=environment,
    )
    end = time.monotonic() + 60
    while len(library.ids()) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    there = library.ids()
    assert len(there) >= 2 and all(library.get(asset) for asset in there)
    (tmp_path / "in" / "z.glb").unlink()
    done = import_sources([tmp_path / "in"], library)
    assert len(done.imported) == 4 and not done.rejected
    assert sum(item.known for item in done.imported) >= 1


def test_the_command_imports_the_good_and_explains_the_bad(chain, tmp_path, capsys, monkeypatch):
    from vla_jax import cli

    monkeypatch.setattr("vla_jax.cache.enable_compile_cache", lambda: None)
    for name, text in (("a.glb", "good 0.02"), ("b.glb", "refuse"), ("c.stl", "crash")):
        chain(name, text)
    words = ["import", str(tmp_path / "in"), "-o", str(tmp_path / "lib"), "--processes", "2"]
    words += ["--noun", "sextant", "--licence", "tencent-hunyuan3d"]
    assert cli.main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data["imported"] == 1 and data["training_forbidden"] in (0, 1)
    assert {Path(r["path"]).name for r in data["rejected"]} == {"b.glb", "c.stl"}
    assert data["rejected"][0]["reason"] == "no triangles in the file"
    assert data["assets"][0]["noun"] == "sextant" and data["success_rate"] == pytest.approx(1 / 3)
    assert AssetLibrary(tmp_path / "lib").ids() == [data["assets"][0]["id"]]
    assert Path(data["preview"]).stat().st_size > 0
    words[1] += "/a.glb"
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "a.glb (known): sextant" in text and "100.0 %" in text
    words = ["import", str(tmp_path / "in" / "a.glb"), "-o", str(tmp_path / "new lib")]
    assert cli.main([*words, "--noun", "duck"]) == 0
    *_, last = capsys.readouterr().out.strip().splitlines()
    assert last.startswith('next: vla-jax design "put the duck in the bowl" --library ')
    _, _, _, prompt, _, library, *_ = shlex.split(last)
    (scene,) = design(prompt, 1, 0, library=library)
    assert scene.objects[0].provenance and scene.objects[0].noun == "duck"
    assert cli.main([*words, "--size", "1.5"]) == 2
    assert "no length from 0.005 to 1 metres" in capsys.readouterr().err
    assert cli.main(["import", str(tmp_path / "nothing"), "-o", str(tmp_path / "lib")]) == 2


def test_an_embodiedgen_task_becomes_assets_and_a_scene(tmp_path):
    """The real chain: two tasks of which one lacks its target."""
    tasks = tmp_path / "layouts"
    write_embodiedgen_task(tasks / "task_0000", distance=0.6, turn=1.0, picture=True)
    broken = write_embodiedgen_task(tasks / "task_0001", distractors=())
    (broken / "asset3d/red_apple/result/mesh/red_apple.obj").write_text("v 0 0 nan")
    shutil.rmtree(broken / "asset3d/blue_tray")
    library = AssetLibrary(tmp_path / "lib")
    harvest = import_sources([tasks], library, processes=2, options={"licence": "Apache-2.0"})
    assert [item.path.stem for item in harvest.imported] == ["blue_tray", "green_cup", "red_apple"]
    refused = {r.path.name: r.reason for r in harvest.rejected}
    assert set(refused) == {"blue_tray", "red_apple.urdf", "task_0001"}
    assert "is missing" in refused["blue_tray"] and "is missing" in refused["task_0001"]
    (made,) = harvest.scenes
    scene = made.scene
    assert scene.task.instruction == "put the red apple on the blue tray"
    assert "moved by" in " ".join(made.notes)
    assert [thing.noun for thing in scene.objects] == ["apple", "tray", "cup"]
    assert all(thing.provenance and thing.provenance.licence == "Apache-2.0" and
               thing.provenance.asset in library for thing in scene.objects)  # fmt: skip
    apple, tray, _ = scene.objects
    assert apple.pos[1] - tray.pos[1] == pytest.approx(-0.17, abs=0.005)  # as arranged there
    assert scene.background.picture
    assert inspect_scenes([scene])["stable_fraction"] == 1.0
    asset = library.get(apple.provenance.asset if apple.provenance else "")
    assert asset.report["numbers"]["mass_kg"] == pytest.approx(0.1, rel=0.01)
    assert "placeholder" in doctor_line(library, asset.id)
