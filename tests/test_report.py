"""The report: complete, self-contained, honest about rounding; films and their frames."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vla_jax.evaluation import EvalResult, wilson_interval
from vla_jax.pictures import SOLVED, contact_sheet, film_frames, save_gif, save_png
from vla_jax.report import write_report
from vla_jax.report_charts import (
    Bar,
    CurvePoint,
    dumbbell,
    learning_curve,
    minutes_at,
    nice_ticks,
    percent,
    smoothed,
    stacked_bar,
    success_bars,
)

NASTY = 'put <b>"the red"</b> cup & saucer on a plate'
SCENES = 6


def evaluation(rate: float, seed: int, episodes: int = 24) -> dict:
    solved = np.random.default_rng(seed).random(episodes) < rate
    scene = np.arange(episodes) % SCENES
    names = [NASTY, *(f"put the apple in bowl {i}" for i in range(1, SCENES))]
    result = EvalResult(
        success_rate=float(solved.mean()),
        ci95=wilson_interval(int(solved.sum()), episodes),
        episodes=episodes,
        mean_time_to_success_s=3.26 if solved.any() else None,
        broken=0,
        per_scene=[
            {
                "scene": f"s{i}",
                "instruction": names[i],
                "episodes": int((scene == i).sum()),
                "successes": int(solved[scene == i].sum()),
            }
            for i in range(SCENES)
        ],
        solved=[bool(x) for x in solved],
        steps=[16] * episodes,
    )
    return result.to_json()


def write(path: Path, data) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


@pytest.fixture
def demo(tmp_path):
    """Folder and summary of a demo that never ran."""
    before, after = evaluation(0.2, 1), evaluation(0.8, 2)
    write(tmp_path / "eval_baseline.json", before)
    write(tmp_path / "eval_finetuned.json", after)
    write(tmp_path / "config.json", {"seed": 3, "config": {"train": {"num_envs": 256}, "x": "<i>"}})
    pretrained = {"demos": 310, "expert_success": 0.9, "loss": 0.21, "ground_error_dm": 0.123}
    write(tmp_path / "baseline" / "pretrain.json", pretrained | {"log": []})
    rows = [
        {"iteration": i, "env_steps": i * 1000, "wall_s": i * 6.0, "episodes": e, "successes": s}
        for i, e, s in [(1, 0, 0), (2, 10, 2), (3, 10, 4), (4, 20, 16)]
    ]
    (tmp_path / "policy").mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "policy" / "metrics.jsonl").write_text(lines)
    summary = {
        "episodes": 24,
        "wall_s": 1500.4,
        "stages_s": {"design": 2.04, "pretrain": 300.0, "train": 1198.4},
    }
    for name, result in (("baseline", before), ("finetuned", after)):
        summary[f"{name}_success"] = result["success_rate"]
        summary[f"{name}_ci95"] = result["ci95"]
        summary[f"{name}_time_to_success_s"] = result["mean_time_to_success_s"]
    return tmp_path, summary


def test_report_needs_nothing_but_itself(demo):
    folder, summary = demo
    images = np.zeros((2, 16, 16, 3), np.uint8)
    save_png(contact_sheet(images, ["a", "b"]), folder / "scenes_train.png")
    for name in ("before", "after"):
        save_gif(images, folder / f"{name}.gif")
    path = write_report(folder, summary)
    page = path.read_text()
    assert path == folder / "report.html"
    assert not re.search(r"https?://|<script|<link|@import|url\(|javascript:", page)
    sources = re.findall(r'\b(?:src|href)="([^"]*)"', page)
    assert len(sources) == 3 and all(s.startswith("data:image/") for s in sources)
    assert not list(folder.glob("*.partial"))


def test_report_shows_the_figures(demo):
    folder, summary = demo
    page = write_report(folder, summary).read_text()
    low, high = summary["baseline_ci95"]
    pairs = list(zip(evaluation(0.2, 1)["solved"], evaluation(0.8, 2)["solved"], strict=True))
    for text in (
        f"{percent(summary['baseline_success'])} → {percent(summary['finetuned_success'])}",
        f"95 % interval {percent(low, 1)} to {percent(high, 1)}",
        "3.3 s to success",
        "25 min",
        "2.0 s",
        "within 1.2 cm",
        f"<b>{pairs.count((False, True))}</b> solved only after",
        f"<b>{pairs.count((True, True))}</b> solved by both",
        "config.train.num_envs",
    ):
        assert text in page, text


def test_report_escapes_what_it_shows(demo):
    page = write_report(*demo).read_text()
    assert "put &lt;b&gt;&quot;the red&quot;&lt;/b&gt; cup &amp; saucer on a plate" in page
    assert '<b>"the red"' not in page and "<i>" not in page.replace("<i></i>", "")


def test_report_does_without_pictures_but_says_when_nothing_was_solved(demo):
    folder, summary = demo
    page = write_report(folder, summary | {"baseline_time_to_success_s": None}).read_text()
    assert "no episode solved" in page
    assert "<figure>" not in page and "The policies at work" not in page


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "eval_baseline.json",
        "eval_finetuned.json",
        "baseline/pretrain.json",
        "policy/metrics.jsonl",
    ],
)
def test_missing_or_damaged_file_is_named(demo, name):
    folder, summary = demo
    (folder / name).write_text("{")
    with pytest.raises(ValueError, match=f"{Path(name).name} is damaged"):
        write_report(folder, summary)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{Path(name).name} is missing"):
        write_report(folder, summary)
    assert not (folder / "report.html").exists()


def test_unpaired_evaluations_are_refused(demo):
    folder, summary = demo
    write(folder / "eval_baseline.json", evaluation(0.2, 1, episodes=12))
    with pytest.raises(ValueError, match="12 and 24 episodes"):
        write_report(folder, summary)


@pytest.mark.parametrize(
    ("rate", "digits", "text"),
    [
        (0.125, 0, "13 %"),
        (0.0, 0, "0 %"),
        (1.0, 1, "100.0 %"),
        (255 / 256, 0, "99.6 %"),
        (1 / 256, 0, "0.4 %"),
        (0.0625, 1, "6.3 %"),
    ],
)
def test_percent_rounds_half_up_and_never_onto_the_ends(rate, digits, text):
    assert percent(rate, digits) == text


def numbers(svg: str, tag: str, kind: str, attribute: str) -> list[float]:
    found = re.findall(rf'<{tag} class="{kind}"[^>]*?\b{attribute}="([\d.]+)%?"', svg)
    return [float(x) for x in found]


def test_bars_and_intervals_keep_order():
    rates = [0.0, 0.1, 0.5, 0.93, 1.0]
    spans = [wilson_interval(round(100 * rate), 100) for rate in rates]
    svg = success_bars([Bar("x", "after", r, *s) for r, s in zip(rates, spans, strict=True)])
    widths = numbers(svg, "rect", "bar-after", "width")
    assert widths == pytest.approx([100 * rate for rate in rates])
    left, right = (numbers(svg, "line", "whisker", a)[::3] for a in ("x1", "x2"))
    assert left == sorted(left) and right == sorted(right)
    assert left == pytest.approx([100 * low for low, _ in spans], abs=0.01)
    for low, mid, high in zip(left, widths, right, strict=True):
        assert 0 <= low <= mid + 0.01 and mid - 0.01 <= high <= 100


def test_shares_of_the_stacked_bar_touch_and_fill_it():
    svg = stacked_bar([("a", "a", 3), ("b", "b", 0), ("c", "c", 1)])
    places = re.findall(r'x="([\d.]+)%" y="0" width="([\d.]+)%"', svg)
    assert places == [("0.00", "75.00"), ("75.00", "25.00")]


def test_dumbbell_moves_right_with_success():
    before, after = re.findall(r'cx="([\d.]+)%"', dumbbell(0.25, 0.75))
    assert float(before) < float(after)
    assert "link-up" in dumbbell(0, 1) and "link-down" in dumbbell(1, 0)
    assert "link" not in dumbbell(0.5, 0.5)


def test_learning_curve_pools_episodes_and_skips_empty_iterations():
    points = [CurvePoint(10, 60, 0, 0), CurvePoint(20, 120, 10, 0), CurvePoint(30, 180, 30, 30)]
    assert smoothed(points, 1) == [(10, 0.0), (20, 0.75), (30, 0.75)]
    svg = learning_curve(points, 1)
    (raw,) = re.findall(r'class="raw" points="([^"]*)"', svg)
    assert raw == "666.7,1000.0 1000.0,0.0"
    assert minutes_at(points, 15) == pytest.approx(1.5)


@pytest.mark.parametrize("last", [1.0, 7.0, 48_000.0, 1_474_560.0, 3e9])
def test_ticks_are_few_and_inside(last):
    ticks = nice_ticks(last)
    assert ticks[0] == 0 and 3 <= len(ticks) <= 6 and ticks[-1] <= last * (1 + 1e-9)


def test_film_freezes_each_episode_at_its_end_and_marks_the_outcome(tmp_path):
    videos = np.zeros((4, 2, 32, 32, 3), np.uint8)
    videos[:] = np.arange(4, dtype=np.uint8)[:, None, None, None, None] * 60
    frames = film_frames(videos, ["a", "b"], [1, 3], [True, False], columns=2)
    first, second = (8 + 16, 8 + 16), (8 + 32 + 8 + 16, 8 + 16)
    assert [frame.getpixel(first)[0] for frame in frames] == [0, 60, 60, 60]
    assert [frame.getpixel(second)[0] for frame in frames] == [0, 60, 120, 180]
    assert [frame.getpixel((8, 8)) == SOLVED for frame in frames] == [False, True, True, True]
    with Image.open(save_gif(frames, tmp_path / "a.gif", 5)) as film:
        assert getattr(film, "n_frames", 1) >= 3 and film.size == frames[0].size


def test_films_refuse_what_does_not_fit(tmp_path):
    videos = np.zeros((3, 1, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="one of each per episode"):
        film_frames(videos, ["a", "b"], [2], [True])
    with pytest.raises(ValueError, match="at least one"):
        save_gif([], tmp_path / "a.gif")
