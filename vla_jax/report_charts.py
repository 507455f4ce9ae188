"""Charts of the report as inline SVG.

Positions across are percentages and text has a fixed size, so that a chart fills a phone and a wide
screen alike and stays readable. Colours come from the report's style sheet through classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from html import escape


@dataclass(frozen=True)
class Bar:
    """A success rate with its 95 % interval, all in [0, 1]."""

    name: str
    kind: str  # "before" or "after": the colour
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class CurvePoint:
    """One training iteration: where it ended, and its sampled episodes."""

    env_steps: float
    wall_s: float
    episodes: float
    successes: float


def percent(rate: float, digits: int = 0) -> str:
    """A rate in percent, halves rounded up; only exact rates become 0 % and 100 %."""
    value = Decimal(str(rate)) * 100
    text = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    if digits < 3 and ((text == 0) != (value == 0) or (text == 100) != (value == 100)):
        return percent(rate, digits + 1)
    return f"{text} %"


def compact(count: float) -> str:
    """A count in short: 950, 12k, 1.5M."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{sign}"
    return f"{count:.0f}"


def success_bars(bars: Sequence[Bar]) -> str:
    """Horizontal bars from 0 to 100 % with whiskers over their intervals."""
    row, bottom = 62, 62 * len(bars) + 4
    parts = []
    for tick in (0, 25, 50, 75, 100):
        parts.append(_line("grid", tick, 0, tick, bottom))
        parts.append(_text(f"{tick} %", tick, bottom + 18, anchor=_anchor(tick)))
    for i, bar in enumerate(bars):
        y = i * row + 26
        span = f"95 % interval {percent(bar.low, 1)} to {percent(bar.high, 1)}"
        parts.append(
            f'<text x="0" y="{y - 8}"><tspan class="strong">{escape(bar.name)}</tspan>'
            f'<tspan dx="8">{percent(bar.rate, 1)}</tspan></text>'
        )
        parts.append(
            f'<rect class="bar-{bar.kind}" x="0" y="{y}" width="{_pct(bar.rate)}" height="22" '
            f'rx="3"><title>{escape(bar.name)}: {percent(bar.rate, 1)}, {span}</title></rect>'
        )
        low, high = 100 * bar.low, 100 * bar.high
        parts.append(_line("whisker", low, y + 11, high, y + 11))
        parts.extend(_line("whisker", end, y + 5, end, y + 17) for end in (low, high))
    return _svg("Success rates with 95 % intervals", bottom + 26, parts)


def learning_curve(points: Sequence[CurvePoint], half_window: int) -> str:
    """Success of the sampled episodes against environment steps, with minutes below them.

    Args:
        points: the iterations in order; at least one has episodes.
        half_window: iterations on either side over which the thick line pools episodes.
    """
    height, last = 240, max(points[-1].env_steps, 1.0)
    parts = []
    for tick in (0, 25, 50, 75, 100):
        y = height * (1 - tick / 100)
        parts.append(_line("grid", 0, y, 100, y))
        parts.append(f'<text x="-8" y="{y + 4:.1f}" text-anchor="end">{tick} %</text>')
    for steps in nice_ticks(last):
        x = 100 * steps / last
        anchor = "end" if x > 95 else "middle"
        parts.append(_line("grid", x, height, x, height + 5))
        parts.append(_text(compact(steps), x, height + 20, anchor=anchor))
        minutes = minutes_at(points, steps)
        parts.append(_text(f"{minutes:.3g} min", x, height + 37, anchor=anchor))
    parts.append(f'<svg width="100%" height="{height}" viewBox="0 0 1000 1000" ')
    parts[-1] += 'preserveAspectRatio="none">'
    raw = [(p.env_steps, p.successes / p.episodes) for p in points if p.episodes]
    for kind, line in (("raw", raw), ("smooth", smoothed(points, half_window))):
        places = " ".join(f"{1000 * x / last:.1f},{1000 * (1 - y):.1f}" for x, y in line)
        parts.append(f'<polyline class="{kind}" points="{places}"/>')
    parts.append("</svg>")
    parts.append(_text("environment steps, and minutes of training", 50, height + 60, "middle"))
    return _svg("Success of sampled episodes during fine-tuning", height + 68, parts)


def smoothed(points: Sequence[CurvePoint], half_window: int) -> list[tuple[float, float]]:
    """(environment steps, success rate) with the episodes of neighbouring iterations pooled."""
    line = []
    for i, point in enumerate(points):
        near = points[max(0, i - half_window) : i + half_window + 1]
        episodes = sum(p.episodes for p in near)
        if episodes:
            line.append((point.env_steps, sum(p.successes for p in near) / episodes))
    return line


def minutes_at(points: Sequence[CurvePoint], env_steps: float) -> float:
    """Minutes of training at a number of environment steps, between iterations in proportion."""
    before_steps, before_s = 0.0, 0.0
    for p in points:
        if env_steps <= p.env_steps:
            share = (env_steps - before_steps) / max(p.env_steps - before_steps, 1e-9)
            return (before_s + share * (p.wall_s - before_s)) / 60
        before_steps, before_s = p.env_steps, p.wall_s
    return before_s / 60


def nice_ticks(last: float) -> list[float]:
    """Round numbers from 0 to `last`, three to six of them."""
    rough = last / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough * 0.999)
    return [i * step for i in range(math.floor(last / step + 1e-9) + 1)]


def dumbbell(before: float, after: float) -> str:
    """Two rates on a line from 0 to 1, joined; the left and right ends are 0 and 1."""
    spot = lambda rate: 6 + 88 * rate  # noqa: E731 - whole dots at both ends
    parts = [_line("grid", 6, 9, 94, 9)]
    if before != after:
        kind = "link-up" if after > before else "link-down"
        parts.append(_line(kind, spot(before), 9, spot(after), 9))
    for kind, rate, radius in (("before", before, 5.5), ("after", after, 4)):
        parts.append(f'<circle class="dot-{kind}" cx="{spot(rate):.2f}%" cy="9" r="{radius}"/>')
    return _svg(f"{percent(before)} before, {percent(after)} after", 18, parts)


def stacked_bar(shares: Sequence[tuple[str, str, int]]) -> str:
    """One bar divided among (class, name, count); counts that are zero take no room."""
    total = sum(count for _, _, count in shares)
    parts, start = [], 0
    for kind, name, count in shares:
        if count:
            parts.append(
                f'<rect class="{kind}" x="{_pct(start / total)}" y="0" '
                f'width="{_pct(count / total)}" height="26">'
                f"<title>{escape(name)}: {count}</title></rect>"
            )
        start += count
    label = ", ".join(f"{name}: {count}" for _, name, count in shares)
    return _svg(label, 26, parts)


def _svg(label: str, height: float, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return f'<svg role="img" aria-label="{escape(label)}" height="{height:g}">{inside}</svg>'


def _pct(share: float) -> str:
    return f"{100 * share:.2f}%"


def _anchor(tick: float) -> str:
    return "start" if tick == 0 else "end" if tick == 100 else "middle"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.2f}%" y1="{y1:g}" x2="{x2:.2f}%" y2="{y2:g}"/>'


def _text(text: str, x: float, y: float, anchor: str = "start") -> str:
    return f'<text x="{x:.2f}%" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
