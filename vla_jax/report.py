"""The demo's report: one HTML file with everything in it, for reading offline and passing on."""

from __future__ import annotations

import base64
import json
import os
import platform
from collections.abc import Iterator
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from vla_jax.pictures import write_whole
from vla_jax.report_charts import (
    Bar,
    compact,
    dumbbell,
    learning_curve,
    percent,
    stacked_bar,
    success_bars,
)
from vla_jax.report_data import DemoFiles, read_demo
from vla_jax.report_style import STYLE

_PACKAGES = ("vla-jax", "jax", "jaxlib", "flax", "mujoco", "mujoco-mjx", "numpy")
_STAGES = {
    "design": "Scenes designed from sentences",
    "pretrain": "Expert recorded and imitated",
    "train": "Fine-tuned by PPO",
    "evaluate": "Both policies evaluated",
    "film": "Both policies filmed",
    "report": "Films and report",
}


def write_report(demo_dir: str | os.PathLike[str], summary: dict[str, Any]) -> Path:
    """Write `report.html` into a finished demo's folder, whole or not at all.

    The file needs no other file, no network and no scripts. Pictures and films that the folder does
    not hold are left out.

    Args:
        demo_dir: folder of the demo, see `vla_jax.demo`.
        summary: the demo's result: success rates, intervals, times.

    Returns:
        The report's path.

    Raises:
        ValueError: a file that the report needs is missing or damaged; names the file.
    """
    demo = read_demo(Path(demo_dir), summary)
    sections = (_head, _curve, _films, _pairs, _scene_table, _pictures, _making, _settings)
    body = "\n".join(section(demo) for section in sections)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>vla-jax demo report</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    path = demo.folder / "report.html"
    write_whole(path, page.encode())
    return path


def _head(demo: DemoFiles) -> str:
    s, scenes = demo.summary, len(demo.after["per_scene"])
    before, after = s["baseline_success"], s["finetuned_success"]
    bars = []
    for kind, name in (("before", "baseline"), ("after", "finetuned")):
        title = f"{kind.capitalize()} fine-tuning"
        bars.append(Bar(title, kind, s[f"{name}_success"], *s[f"{name}_ci95"]))
    return f"""<header>
<p class="kicker">vla-jax demo report</p>
<h1>Unseen-scene success: {percent(before)} → {percent(after)}</h1>
<p class="lead">{escape(_in_words(s, scenes))}</p>
<div class="hero">
{_number("before", "Before: imitation only", before, s["baseline_time_to_success_s"])}
{_number("after", "After: PPO fine-tuning", after, s["finetuned_time_to_success_s"])}
</div>
</header>
<section>
<h2>Success on unseen scenes</h2>
<p class="note">{s["episodes"]} episodes each, on {scenes} held-out scenes, acting without \
exploration noise. Whiskers are 95 % Wilson intervals.</p>
{success_bars(bars)}
</section>"""


def _in_words(s: dict[str, Any], scenes: int) -> str:
    before, after = s["baseline_success"], s["finetuned_success"]
    change = "up from" if after > before else "down from" if after < before else "the same as"
    text = (
        f"On {scenes} scenes that neither training stage has seen, the fine-tuned policy solves "
        f"{percent(after)} of {s['episodes']} episodes, {change} {percent(before)} before "
        "fine-tuning."
    )
    (low, high), (other_low, other_high) = s["baseline_ci95"], s["finetuned_ci95"]
    if low <= other_high and other_low <= high:
        text += " The two 95 % intervals overlap."
    return text


def _number(kind: str, name: str, rate: float, seconds: float | None) -> str:
    time = "no episode solved" if seconds is None else f"{seconds:.1f} s to success on average"
    return (
        f'<div class="{kind}"><span class="name">{name}</span><b>{percent(rate)}</b>'
        f"<span>{time}</span></div>"
    )


def _curve(demo: DemoFiles) -> str:
    half = max(1, len(demo.curve) // 30)
    end = demo.curve[-1]
    return f"""<section>
<h2>Learning curve</h2>
<p class="note">Success of the episodes sampled in training scenes, with exploration noise: each \
iteration (thin) and {2 * half + 1} iterations pooled (thick). {compact(end.env_steps)} \
environment steps in {_duration(end.wall_s)}.</p>
<div class="curve">{learning_curve(demo.curve, half)}</div>
</section>"""


def _films(demo: DemoFiles) -> str:
    figures = _figures(
        demo.folder,
        ("before.gif", "Before fine-tuning", "Film of the policy before fine-tuning"),
        ("after.gif", "After fine-tuning", "Film of the policy after fine-tuning"),
    )
    if not figures:
        return ""
    return f"""<section>
<h2>The policies at work</h2>
<p class="note">The same held-out scenes from the same starts. A green border marks a solved \
episode, a grey one an unsolved.</p>
<div class="pair">{figures}</div>
</section>"""


def _figures(folder: Path, *pictures: tuple[str, str, str]) -> str:
    parts = []
    for name, caption, alt in pictures:
        path = folder / name
        if path.is_file():
            data = base64.b64encode(path.read_bytes()).decode()
            parts.append(
                f'<figure><img alt="{escape(alt)}" '
                f'src="data:image/{path.suffix[1:]};base64,{data}">'
                f"<figcaption>{escape(caption)}</figcaption></figure>"
            )
    return "\n".join(parts)


def _pairs(demo: DemoFiles) -> str:
    pairs = list(zip(demo.before["solved"], demo.after["solved"], strict=True))
    shares = [
        ("bar-before", "both", "solved by both", pairs.count((True, True))),
        ("bar-after", "gained", "solved only after", pairs.count((False, True))),
        ("bar-worse", "lost", "solved only before", pairs.count((True, False))),
        ("bar-none", "neither", "solved by neither", pairs.count((False, False))),
    ]
    legend = "".join(
        f'<li class="{kind}"><i></i><b>{count}</b> {name}</li>' for _, kind, name, count in shares
    )
    return f"""<section>
<h2>Episode by episode</h2>
<p class="note">Both policies met the same {len(pairs)} starts, so their episodes can be paired.</p>
{stacked_bar([(bar, name, count) for bar, _, name, count in shares])}
<ul class="legend">{legend}</ul>
</section>"""


def _scene_table(demo: DemoFiles) -> str:
    earlier = {row["scene"]: row for row in demo.before["per_scene"]}
    played = [row for row in demo.after["per_scene"] if row["episodes"] and row["scene"] in earlier]
    rows = [(earlier[row["scene"]], row) for row in played]
    rows.sort(key=lambda pair: (-_rate(pair[1]), -_rate(pair[0]), pair[1]["instruction"]))
    changes = [_rate(after) - _rate(before) for before, after in rows]
    items = "\n".join(
        f'<li title="scene {escape(str(after["scene"]))}"><span>{escape(after["instruction"])}'
        f"</span>{dumbbell(_rate(before), _rate(after))}"
        f'<span class="count">{before["successes"]} → {after["successes"]} of {after["episodes"]}'
        "</span></li>"
        for before, after in rows
    )
    return f"""<section>
<h2>Scene by scene</h2>
<p class="note">{sum(c > 0 for c in changes)} scenes better, {sum(c == 0 for c in changes)} alike, \
{sum(c < 0 for c in changes)} worse. Each line runs from 0 to 100 % of a held-out scene's \
episodes.</p>
<ul class="legend dots"><li class="before"><i></i>before</li><li class="gained"><i></i>after</li>\
</ul>
<ul class="scenes">
{items}
</ul>
</section>"""


def _rate(row: dict[str, Any]) -> float:
    return row["successes"] / max(row["episodes"], 1)


def _pictures(demo: DemoFiles) -> str:
    names = {"train": "Training scenes", "heldout": "Held-out scenes"}
    captions = {}
    for name, title in names.items():
        count, texts = len(demo.scenes[name]), {s["instruction"] for s in demo.scenes[name]}
        captions[name] = title
        if count:
            captions[name] += f": some of {count}, with {len(texts)} different instructions"
    figures = _figures(
        demo.folder, *((f"scenes_{k}.png", captions[k], f"Pictures of {k} scenes") for k in names)
    )
    if not figures:
        return ""
    train, heldout = ({s["id"] for s in demo.scenes[name]} for name in names)
    shared = len(train & heldout)
    note = f"{shared or 'No'} scene{'s are' if shared > 1 else ' is'} in both sets."
    return f"""<section>
<h2>The scenes</h2>
<p class="note">{note if train and heldout else ""}</p>
<div class="pair">{figures}</div>
</section>"""


def _making(demo: DemoFiles) -> str:
    p, stages = demo.pretrained, demo.summary.get("stages_s", {})
    rows = "".join(
        f'<tr><th scope="row">{escape(_STAGES.get(name) or name)}</th>'
        f'<td class="number">{_duration(seconds)}</td></tr>'
        for name, seconds in stages.items()
    )
    total = _duration(demo.summary["wall_s"])
    rows += f'<tr class="total"><th scope="row">Total</th><td class="number">{total}</td></tr>'
    text = (
        f"The baseline imitates {p['demos']} recorded episodes of a scripted expert, which solved "
        f"{percent(p['expert_success'])} of its own. It ended with a flow-matching loss of "
        f"{p['loss']:.3g} and localizes the objects within {10 * p['ground_error_dm']:.1f} cm "
        "on average."
    )
    versions = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{escape(value)}</td></tr>'
        for name, value in _versions()
    )
    return f"""<section>
<h2>How it was made</h2>
<p>{escape(text)}</p>
<div class="pair"><div><table>{rows}</table></div><div><table>{versions}</table></div></div>
</section>"""


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
    kinds = sorted({device.device_kind for device in jax.devices()})
    yield "device", f"{len(jax.devices())} × {', '.join(kinds)}, {os.cpu_count()} CPU cores"


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _settings(demo: DemoFiles) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in _flat(demo.config)
    )
    return f"""<section>
<details><summary>Settings</summary><table>{rows}</table></details>
</section>"""


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)
