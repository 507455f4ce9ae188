"""The command line: help, JSON, and what happens on bad input."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import mujoco
import numpy as np
import pytest

from vla_jax import cli
from vla_jax.commands import COMMANDS, common, evaluate, inspect
from vla_jax.commands import design as design_command
from vla_jax.imitation import ImitationConfig
from vla_jax.pipeline import ENV
from vla_jax.train import TrainConfig

PROMPT = "put the banana in the blue bowl"
NAMES = "demo design import inspect pretrain train eval render convert bench doctor".split()


@pytest.fixture(scope="module", autouse=True)
def no_shared_cache():
    """Tests leave the compilation cache of the process as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vla_jax.cache.enable_compile_cache", lambda: None)
        yield


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A folder of two scenes."""
    from generation.designer import design
    from generation.store import save_scenes

    return save_scenes(design(PROMPT, n=2, seed=0), tmp_path_factory.mktemp("cli") / "scenes")


@pytest.fixture
def blank_pictures(monkeypatch):
    """Saves compiling the ray caster where the picture does not matter."""

    def blank(scenes):
        return np.zeros((min(len(scenes), common.PICTURES), 32, 32, 3), np.uint8)

    for module in (design_command, inspect):
        monkeypatch.setattr(module, "scene_pictures", blank)


def run(capsys, *argv: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command."""
    status = cli.main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return status, out, err


def refuse(capsys, *argv: object) -> str:
    """The one line with which a command refuses its input."""
    status, out, err = run(capsys, *argv)
    lines = [line for line in err.splitlines() if "error" in line]
    assert status == 2, err
    assert out == "" and "Traceback" not in err
    assert len(lines) == 1 and lines[0].startswith("vla-jax: error: ")
    assert err.splitlines()[-1] == lines[0]
    return lines[0]


def tree(folder: Path) -> dict[str, bytes]:
    """Everything in a folder."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --------------------------------------------------------------------- help


@pytest.mark.parametrize("name", NAMES)
def test_help_of_every_command(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert f"usage: vla-jax {name}" in out and "--seed" in out and "--json" in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_commands_are_the_documented_ones():
    assert [command.NAME for command in COMMANDS] == NAMES


def test_help_is_fast_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom vla_jax.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('jax', 'mujoco', 'numpy', 'flax') if m in sys.modules])"
    )
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took = time.perf_counter() - begin
    assert done.stdout.splitlines()[-1] == "[]"
    assert took < 2.0  # 0.15 s on an idle machine


def test_defaults_are_those_of_the_library():
    parser = cli.make_parser()
    args = parser.parse_args(["train", "--scenes", "s", "--init", "i"])
    train = TrainConfig()
    for name in ("iterations", "num_envs", "length"):
        assert getattr(args, name) == getattr(train, name)
    assert args.minibatches == train.ppo.minibatches
    args = parser.parse_args(["pretrain", "--scenes", "s", "-o", "o"])
    known = {field.name for field in dataclasses.fields(ImitationConfig)}
    for name in {"chunks", "steps", "num_envs"} & known:
        assert getattr(args, name) == getattr(ImitationConfig(), name)
    assert args.episode_steps == ENV.episode_steps


# --------------------------------------------------------------------- results


@pytest.mark.usefixtures("blank_pictures")
def test_design_and_inspect(capsys, tmp_path):
    out = tmp_path / "made"
    status, text, err = run(capsys, "design", PROMPT, "-n", 2, "-o", out, "--seed", 3, "--json")
    assert status == 0 and err
    data = json.loads(text.splitlines()[-1])
    assert data["scenes"] == 2 and data["unique_objects"] >= 2 and data["dir"] == str(out)
    assert (out / "preview.png").stat().st_size > 0

    status, text, _ = run(capsys, "inspect", out, "--json")
    data = json.loads(text.splitlines()[-1])
    keys = "scenes stable_fraction collision_free_fraction reachable_fraction"
    keys += " relations_satisfied_fraction unique_objects problems contact_sheet"
    assert status == 0 and set(keys.split()) <= set(data)
    assert data["stable_fraction"] == 1.0 and data["problems"] == []
    assert Path(data["contact_sheet"]) == out / "contact_sheet.png"

    status, text, _ = run(capsys, "inspect", out)
    assert status == 0 and "100.0 % stand still" in text


@pytest.mark.usefixtures("blank_pictures")
def test_design_repeats_itself(capsys, tmp_path):
    for name in ("a", "b"):
        assert run(capsys, "design", PROMPT, "-n", 2, "-o", tmp_path / name, "--seed", 5)[0] == 0
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert list(first.values()) == list(second.values())


@pytest.mark.slow
def test_render_draws_the_scenes(capsys, scenes, tmp_path):
    from PIL import Image

    out, mjcf = tmp_path / "grid.png", tmp_path / "mjcf"
    status, text, _ = run(capsys, "render", scenes, "-o", out, "--mjcf", mjcf, "--json")
    data = json.loads(text.splitlines()[-1])
    assert status == 0 and (data["path"], data["replay"]) == (str(out), str(mjcf))
    models = [mujoco.MjModel.from_xml_path(str(path)) for path in mjcf.iterdir()]
    assert len(models) == 2 and all(model.nbody > 10 for model in models)
    colours = Image.open(out).convert("RGB").getcolors(1 << 24)
    assert colours is not None and len(colours) > 100


@pytest.mark.slow
def test_render_films_a_policy(capsys, scenes, tmp_path, monkeypatch):
    """The film and, beside it, the same episodes for MuJoCo's viewer."""
    import jax
    from PIL import Image
    from test_policy import CONFIG

    from generation.store import load_scenes
    from sim.env import EnvConfig
    from sim.recording import load_recording
    from vla_jax.models.agent import init_params
    from vla_jax.run import Policy
    from vla_jax.tokenizers import WordTokenizer

    specs = load_scenes(scenes)
    tokenizer = WordTokenizer.from_phrases(p for s in specs for p in s.task.paraphrases)
    config = dataclasses.replace(CONFIG, vocabulary=tokenizer.size)
    env = EnvConfig(image_size=32, wrist_size=16, episode_steps=8)
    policy = Policy(config, tokenizer.words, env, init_params(config, 0))
    monkeypatch.setattr("vla_jax.api.load_policy", lambda path: policy)
    folder = tmp_path / "run"
    folder.mkdir()
    quick = "jax_disable_most_optimizations"  # compiling would take most of the time
    before = jax.config.read(quick)
    jax.config.update(quick, True)
    try:
        status, text, err = run(capsys, "render", folder, "--scenes", scenes, "--json")
    finally:
        jax.config.update(quick, before)
    assert status == 0, err
    data = json.loads(text.splitlines()[-1])
    film, replay = folder / "film.gif", folder / "film_replay"
    assert (data["path"], data["replay"]) == (str(film), str(replay))
    assert data["episodes"] == 2 and data["successes"] in (0, 1, 2)
    episodes = sorted(path for path in replay.iterdir() if path.is_dir())
    lengths = []
    for episode, spec in zip(episodes, specs, strict=True):
        model, trajectory = load_recording(episode)
        assert trajectory.instruction in spec.task.paraphrases
        assert trajectory.time[1] == pytest.approx(0.2) and len(trajectory.time) <= 9
        assert np.isfinite(trajectory.qpos).all() and np.ptp(trajectory.qpos[:, :6]) > 0.01
        np.testing.assert_allclose(model.key_qpos[0], trajectory.qpos[0], atol=1e-5)
        lengths.append(len(trajectory.time))
    assert Image.open(film).n_frames >= max(lengths)
    assert "python -m vla_jax.replay" in (replay / "README.txt").read_text()
    film.unlink()
    assert "--mjcf" in refuse(capsys, "render", folder, "--scenes", scenes)
    assert not film.exists()


def test_doctor(capsys):
    status, text, _ = run(capsys, "doctor", "--json")
    data = json.loads(text.splitlines()[-1])
    assert status == 0 and data["ok"] is True
    names = {check["name"] for check in data["checks"]}
    assert {"python", "packages", "devices", "memory", "native", "mjx", "cache"} <= names
    assert all(set(check) == {"name", "status", "found", "fix"} for check in data["checks"])
    assert all(check["fix"] for check in data["checks"] if check["status"] != "ok")


def test_doctor_survives_a_broken_part(monkeypatch):
    from vla_jax import doctor

    def broken():
        raise RuntimeError("no\nphysics")

    monkeypatch.setitem(doctor._CHECKS, "native", broken)
    (found,) = [check for check in doctor.examine() if check.name == "native"]
    assert found.status == "missing" and found.found == "RuntimeError: no physics" and found.fix


# --------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("", "COMMAND"),
        ("fly", "'fly'"),
        ("design", "PROMPT"),
        ("design x -n 0 -o OUT", "at least 1"),
        ("design x -n many -o OUT", "'many'"),
        ("design x -o OUT --seed -1", "at least 0"),
        ("design x -o OUT --designer llm", "VLA_JAX_LLM_MODEL"),
        ("design x -o OUT --difficulty hard", "'hard'"),
        ("inspect NOWHERE", "NOWHERE"),
        ("inspect EMPTY", "index.json"),
        ("pretrain --scenes NOWHERE -o OUT", "NOWHERE"),
        ("pretrain --scenes EMPTY -o OUT", "EMPTY"),
        ("pretrain --scenes SCENES -o OUT --preset huge", "'huge'"),
        ("pretrain --scenes SCENES -o OUT --num-envs 0", "--num-envs"),
        ("pretrain --scenes SCENES -o OUT --episode-steps 7", "no multiple of chunk"),
        ("train --scenes SCENES --init EMPTY -o OUT", "config.json"),
        ("train --scenes SCENES --init EMPTY", "-o"),
        ("train --scenes SCENES --init EMPTY --plan", "config.json"),
        ("train --scenes SCENES --init EMPTY -o OUT --num-envs 0", "--num-envs"),
        ("train --scenes SCENES --init EMPTY -o OUT --num-envs 1 --length 1", "minibatches"),
        ("train --scenes SCENES --init EMPTY -o OUT --resume", "no run to resume"),
        ("train --scenes SCENES --init EMPTY -o OUT --mesh-fsdp 0", "--mesh-fsdp"),
        ("eval EMPTY --scenes SCENES", "config.json"),
        ("eval EMPTY --scenes SCENES --episodes 0", "--episodes"),
        ("eval EMPTY --scenes SCENES --domain transfer --backend mjx", "mjx"),
        ("eval EMPTY --scenes SCENES --backend warp", "'warp'"),
        ("render NOWHERE", "NOWHERE"),
        ("render EMPTY", "--scenes"),
        ("render EMPTY --scenes SCENES -o OUT/film.mp4", ".gif"),
        ("render SCENES -o OUT/grid.gif", ".png"),
        ("bench", "SUBJECT"),
        ("bench luck", "'luck'"),
    ],
)
def test_bad_input(words, hint, capsys, scenes, tmp_path):
    (tmp_path / "EMPTY").mkdir()
    places = {name: tmp_path / name for name in ("OUT", "EMPTY", "NOWHERE")} | {"SCENES": scenes}
    before = tree(scenes)
    argv = []
    for word in words.split():
        head, *rest = word.split("/")
        argv.append(Path(places[head], *rest) if head in places else word)
    assert hint in refuse(capsys, *argv)
    assert [p.name for p in tmp_path.iterdir()] == ["EMPTY"]
    assert not any((tmp_path / "EMPTY").iterdir()) and tree(scenes) == before


@pytest.mark.parametrize(
    ("prompt", "hint"),
    [
        ("put the unicorn in the bowl", "unicorn"),
        ("dance on the table", "dance"),
        ("put the bowl in the banana", "banana"),
        ("", "prompt"),
    ],
)
def test_impossible_sentence(prompt, hint, capsys, tmp_path):
    assert hint in refuse(capsys, "design", prompt, "-o", tmp_path / "out")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        "design something -o",
        "pretrain --scenes SCENES -o",
        "train --scenes SCENES --init SCENES -o",
        "demo --out",
    ],
)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_existing_output_is_left_alone(words, kind, capsys, scenes, tmp_path):
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "precious.txt").write_text("mine")
    else:
        out.write_text("mine")
    argv = [scenes if word == "SCENES" else word for word in words.split()]
    before = tree(tmp_path)
    assert str(out) in refuse(capsys, *argv, out)
    assert tree(tmp_path) == before


def test_existing_file_is_left_alone(capsys, scenes, tmp_path):
    out = tmp_path / "grid.png"
    out.write_text("mine")
    assert "grid.png exists" in refuse(capsys, "render", scenes, "-o", out)
    assert out.read_text() == "mine"


def test_existing_run_points_to_resume(capsys, scenes, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    argv = ["train", "--scenes", scenes, "--init", scenes, "-o", tmp_path / "run"]
    assert "--resume" in refuse(capsys, *argv)


def test_damaged_scene_is_named(capsys, scenes, tmp_path):
    import shutil

    folder = shutil.copytree(scenes, tmp_path / "damaged")
    victim = max(p for p in folder.glob("*.json") if p.name != "index.json")
    victim.write_bytes(victim.read_bytes()[:-40])
    assert victim.name in refuse(capsys, "inspect", folder)
    assert not (folder / "contact_sheet.png").exists()
    assert victim.name in refuse(capsys, "pretrain", "--scenes", folder, "-o", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_missing_checkpoint_is_named(capsys, scenes, tmp_path):
    from test_policy import CONFIG

    from sim.env import EnvConfig
    from vla_jax.run import RunConfig

    run = tmp_path / "run"
    RunConfig(CONFIG, ("put",), EnvConfig(), 0, {}).save(run)
    assert "no checkpoint" in refuse(capsys, "eval", run, "--scenes", scenes)


def test_demo_of_another_seed_is_left_alone(capsys, tmp_path):
    (tmp_path / "demo.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"seed": 3}')
    assert "seed 3" in refuse(capsys, "demo", "--out", tmp_path, "--seed", 1)


def test_bench_outside_a_checkout(capsys, monkeypatch, tmp_path):
    from vla_jax.commands import bench

    monkeypatch.setattr(bench, "_CHECKOUT", tmp_path)
    assert "clone" in refuse(capsys, "bench", "physics")


# --------------------------------------------------------------------- other ends


def stand_in(monkeypatch, error: BaseException) -> None:
    """Makes `vla-jax design` end in an error."""

    def fail(*args, **settings):
        raise error

    monkeypatch.setattr("generation.production.parallel.design_many", fail)


def test_interrupt(capsys, monkeypatch, tmp_path):
    stand_in(monkeypatch, KeyboardInterrupt())
    status, out, err = run(capsys, "design", "x", "-o", tmp_path / "out")
    assert status == 130 and out == "" and "Traceback" not in err
    assert err.splitlines()[-1].startswith("stopped; ")
    assert not any(tmp_path.iterdir())


def test_interrupted_demo_says_how_to_continue(capsys, monkeypatch, tmp_path):
    def stop(*args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("vla_jax.demo.run_demo", stop)
    status, _, err = run(capsys, "demo", "--out", tmp_path / "demo")
    assert (status, err) == (130, "stopped; run the same command again to continue\n")


def test_swallowed_interrupt_still_stops(capsys, monkeypatch, tmp_path):
    """A Ctrl-C that a garbage collection callback forgot ends the next report of progress."""

    def forget(*args, **settings):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        settings["stage"]("working", 2)(1, "")
        raise AssertionError("went on")

    monkeypatch.setattr("vla_jax.demo.run_demo", forget)
    status, _, err = run(capsys, "demo", "--out", tmp_path / "demo")
    assert status == 130 and err.endswith("stopped; run the same command again to continue\n")


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_of_ours(debug, capsys, monkeypatch, tmp_path):
    stand_in(monkeypatch, RuntimeError("two\nlines"))
    argv = ["design", "x", "-o", tmp_path / "out", *(["--debug"] if debug else [])]
    status, out, err = run(capsys, *argv)
    assert status == 1 and out == ""
    last = err.splitlines()[-1]
    assert last.startswith("vla-jax: failed: RuntimeError: two lines")
    assert ("Traceback" in err) is debug and ("--debug" in last) is not debug


def test_value_errors_of_other_libraries_are_no_bad_input(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "generation.production.parallel.design_many", lambda *a, **k: json.loads("{")
    )
    assert run(capsys, "design", "x", "-o", tmp_path / "out")[0] == 1


def test_json_stays_json(capsys, monkeypatch, tmp_path):
    """A number that is not finite becomes null, which every reader understands."""
    data = {"rate": float("nan"), "low": [float("inf"), 1.5], "path": Path("a")}
    monkeypatch.setattr(evaluate, "run", lambda *a: common.Outcome(data, ""))
    status, out, _ = run(capsys, "eval", "RUN", "--scenes", "DIR", "--json")
    assert (status, json.loads(out)) == (0, {"rate": None, "low": [None, 1.5], "path": "a"})
