"""What the report is made of: the files of a finished demo, read and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_jax.report_charts import CurvePoint


@dataclass(frozen=True)
class DemoFiles:
    """A finished demo."""

    folder: Path
    summary: dict[str, Any]
    config: dict[str, Any]
    pretrained: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    curve: list[CurvePoint]
    scenes: dict[str, list[dict[str, str]]]  # of train and heldout: id and instruction


def read_demo(folder: Path, summary: dict[str, Any]) -> DemoFiles:
    """Read what the report needs from a demo's folder.

    Raises:
        ValueError: a needed file is missing or damaged, or the evaluations do not match.
    """
    before = _json(folder / "eval_baseline.json")
    after = _json(folder / "eval_finetuned.json")
    if len(before["solved"]) != len(after["solved"]):
        raise ValueError(
            f"{folder / 'eval_baseline.json'} and eval_finetuned.json hold {len(before['solved'])} "
            f"and {len(after['solved'])} episodes: evaluate both policies alike"
        )
    if "stages_s" not in summary and (folder / "wall.json").exists():
        summary = summary | {"stages_s": _json(folder / "wall.json")}
    return DemoFiles(
        folder=folder,
        summary=summary,
        config=_json(folder / "config.json"),
        pretrained=_json(folder / "baseline" / "pretrain.json"),
        before=before,
        after=after,
        curve=_metrics(folder / "policy" / "metrics.jsonl"),
        scenes={name: _scene_index(folder / "scenes" / name) for name in ("train", "heldout")},
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error}): run that stage again") from None


def _text(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path} is missing: the report needs it; run the demo again")
    return path.read_text()


def _metrics(path: Path) -> list[CurvePoint]:
    names = ("env_steps", "wall_s", "episodes", "successes")
    try:
        rows = [json.loads(line) for line in _text(path).splitlines()]
        points = [CurvePoint(*(float(row[name]) for name in names)) for row in rows]
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): run the fine-tuning again") from None
    if not any(p.episodes for p in points):
        raise ValueError(f"{path} holds no finished episode: run the fine-tuning again")
    return points


def _scene_index(folder: Path) -> list[dict[str, str]]:
    path = folder / "index.json"
    return _json(path)["scenes"] if path.exists() else []
