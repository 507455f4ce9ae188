"""Charts of the paper's experiment; needs matplotlib."""

from __future__ import annotations

import json
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Row = dict[str, Any]
_NAMES = {
    "train": "training scenes",
    "unseen_scenes": "unseen scenes",
    "unseen_objects": "unseen objects and wordings",
}
_COLOURS = {"train": "#8a8f98", "unseen_scenes": "#1f77b4", "unseen_objects": "#d9642c"}


def draw(results: Path, experiment: Path, folder: Path, size: str, seed: int) -> list[Path]:
    """Draw every chart for which the newest rows are there.

    Args:
        results: JSON lines of `benchmarks.paper`; of equal rows the last counts.
        experiment: folder of the experiment, for its learning curve.
        folder: where the PNG files go.
        size, seed: of the experiment; other rows are left out.

    Returns:
        the files written.
    """
    rows = [
        row
        for row in newest(results).values()
        if row["size"] == size and row["experiment_seed"] == seed
    ]
    made = [
        _save(_before_after(rows), folder / "paper_before_after.png"),
        _save(_diversity(rows), folder / "paper_diversity.png"),
        _save(_transfer(rows), folder / "paper_transfer.png"),
        _save(
            _learning(experiment / "runs" / "main" / "metrics.jsonl"), folder / "paper_curve.png"
        ),
    ]
    return [path for path in made if path is not None]


def newest(results: Path) -> dict[tuple, Row]:
    """The last row of each kind, by what tells rows apart."""
    keys = (
        "name",
        "size",
        "experiment_seed",
        "scenes",
        "seed",
        "test_set",
        "randomization",
        "domain",
        "what",
    )
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    return {tuple(row.get(key) for key in keys): row for row in rows}


def _save(figure, path: Path) -> Path | None:
    if figure is None:
        return None
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _axes(title: str, width: float = 6.4):
    figure, axes = plt.subplots(figsize=(width, 3.8))
    axes.set_title(title, fontsize=11)
    axes.set_ylabel("success, %")
    axes.set_ylim(0, 100)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _error(row: Row) -> list[list[float]]:
    low, high = row["ci95"]
    return [[100 * (row["value"] - low)], [100 * (high - row["value"])]]


def _before_after(rows: list[Row]):
    rows = [row for row in rows if row["name"] == "paper.main"]
    if not rows:
        return None
    figure, axes = _axes("Before and after fine-tuning by PPO (95 % intervals)")
    for i, row in enumerate(rows):
        was = {"value": row["before"], "ci95": row["before_ci95"]}
        for shift, shown, colour in ((-0.2, was, "#b9bec7"), (0.2, row, _COLOURS[row["test_set"]])):
            height = 100 * shown["value"]
            axes.bar(i + shift, height, 0.36, color=colour, yerr=_error(shown), capsize=3)
            axes.annotate(f"{height:.0f}", (i + shift, height + 4), ha="center", fontsize=9)
    axes.set_xticks(range(len(rows)), [_NAMES[row["test_set"]] for row in rows])
    return figure


def _diversity(rows: list[Row]):
    start = {row["test_set"]: row["before"] for row in rows if row["name"] == "paper.main"}
    rows = [row for row in rows if row["name"] == "paper.diversity"]
    if not rows:
        return None
    figure, axes = _axes("Zero-shot success by the number of training scenes")
    for test_set, colour in _COLOURS.items():
        by_count = defaultdict(list)
        for row in rows:
            if row["test_set"] == test_set:
                by_count[row["scenes"]].append(100 * row["value"])
                axes.plot(row["scenes"], 100 * row["value"], ".", color=colour, alpha=0.5)
        counts = sorted(by_count)
        means = [sum(by_count[n]) / len(by_count[n]) for n in counts]
        name = f"all {max(counts)} training scenes" if test_set == "train" else _NAMES[test_set]
        axes.plot(counts, means, "-", color=colour, label=name)
    for test_set, before in start.items():
        axes.axhline(100 * before, color=_COLOURS[test_set], ls=":", lw=1)
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.minorticks_off()
    axes.set_xlabel("training scenes, same budget; dots are single seeds, dotted: before")
    axes.legend(frameon=False, fontsize=9)
    return figure


def _transfer(rows: list[Row]):
    rows = [r for r in rows if r["name"] == "paper.transfer" and r["test_set"] == "unseen_scenes"]
    if not rows:
        return None
    figure, axes = _axes("Unseen scenes, by what training randomized", 9.6)
    kinds = list(dict.fromkeys(row["randomization"] for row in rows))
    for domain, shift, colour in (("train", -0.2, "#8a8f98"), ("transfer", 0.2, "#d9642c")):
        for i, kind in enumerate(kinds):
            found = [r for r in rows if r["domain"] == domain and r["randomization"] == kind]
            for row in found:
                label = f"{domain} domain" if i == 0 else None
                height = 100 * row["value"]
                axes.bar(
                    i + shift, height, 0.36, color=colour, yerr=_error(row), capsize=3, label=label
                )
    axes.set_xticks(range(len(kinds)), [textwrap.fill(kind, 13) for kind in kinds], fontsize=9)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


def _learning(metrics: Path, window: int = 10):
    if not metrics.exists():
        return None
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    figure, axes = _axes("The main run: success of sampled episodes")
    steps, rates = [], []
    for i in range(len(rows)):
        near = rows[max(0, i - window + 1) : i + 1]
        episodes = sum(row["episodes"] for row in near)
        steps.append(rows[i]["env_steps"] / 1e6)
        rates.append(100 * sum(row["successes"] for row in near) / max(episodes, 1))
    axes.plot(steps, rates, color="#1f77b4")
    axes.set_xlabel("control steps, millions")
    hours = rows[-1]["wall_s"] / 3600 / steps[-1]
    above = axes.secondary_xaxis("top", functions=(lambda x: x * hours, lambda x: x / hours))
    above.set_xlabel("hours")
    return figure
