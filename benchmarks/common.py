"""What the benchmarks share: timing, rows, and a small command line."""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
RUNS = 7  # timed calls of a measurement, after one that warms up
QUICK_RUNS = 5
_PACKAGES = ("jax", "jaxlib", "mujoco", "mujoco-mjx", "numpy", "flax", "gymnasium")


class Rows(Protocol):
    """A benchmark: measures and returns its rows."""

    def __call__(self, quick: bool = False) -> list[Row]: ...


@dataclass(frozen=True)
class Timing:
    """Wall times of equal calls, seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The time that rows state."""
        return statistics.median(self.seconds)

    def rates(self, amount: float) -> Row:
        """`value` (median) and the slowest and fastest call, in `amount` per second."""
        return {
            "value": tidy(amount / self.median),
            "worst": tidy(amount / max(self.seconds)),
            "best": tidy(amount / min(self.seconds)),
            "runs": len(self.seconds),
        }


def tidy(value: float) -> float:
    """Four significant digits; whole numbers from 1,000 on."""
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def compiled(function: Callable, *arguments: Any, **options: Any) -> tuple[Callable, float]:
    """The jitted function compiled for these arguments, and the seconds that took.

    Args:
        function: pure; may be jitted already.
        *arguments: examples of what it will be called with.
        **options: for `jax.jit`, if it is not jitted yet.
    """
    jitted = function if hasattr(function, "lower") else jax.jit(function, **options)
    begin = time.perf_counter()
    program = jitted.lower(*arguments).compile()
    return program, time.perf_counter() - begin


def measure(call: Callable[[], Any], runs: int = RUNS) -> Timing:
    """Time `call` after one warm-up; the arrays that it returns are waited for."""
    return measure_all([call], runs)[0]


def measure_all(calls: list[Callable[[], Any]], runs: int = RUNS) -> list[Timing]:
    """Time calls in alternation, so that other load on the machine hits all of them alike."""
    taken: list[list[float]] = [[] for _ in calls]
    for call in calls:
        jax.block_until_ready(call())
    for _ in range(runs):
        for call, times in zip(calls, taken, strict=True):
            begin = time.perf_counter()
            jax.block_until_ready(call())
            times.append(time.perf_counter() - begin)
    return [Timing(tuple(times)) for times in taken]


@functools.cache
def peak_flops() -> float:
    """Multiplications and additions a second in float32: the best of several matrix products."""
    side = 1024 if jax.default_backend() == "cpu" else 8192
    a = jnp.ones((side, side), jnp.float32)
    product = jax.jit(lambda a: jax.lax.dot(a, a, precision=jax.lax.Precision.HIGHEST))
    return 2 * side**3 / min(measure(lambda: product(a), 10).seconds)


def make_row(
    name: str,
    unit: str,
    amount: float,
    timing: Timing,
    *,
    compile_s: float,
    num_envs: int,
    device: str | None = None,
    **more: Any,
) -> Row:
    """One row of a benchmark.

    Args:
        name: as design.md lists them.
        unit: of `value`, something per second.
        amount: units that one timed call handles.
        timing: of the calls.
        compile_s: seconds of compilation, not part of the timing.
        num_envs: environments (or pictures) that a call handles side by side.
        device: by default the one that JAX computes on.
        **more: further fields.
    """
    return {
        "name": name,
        **timing.rates(amount),
        "unit": unit,
        "compile_s": round(compile_s, 2),
        "device": device or jax.devices()[0].device_kind,
        "num_envs": num_envs,
        **more,
        **machine(),
    }


def missing_row(name: str, unit: str, reason: str, *, num_envs: int, **more: Any) -> Row:
    """A row for what this machine cannot measure: `value` is None and `reason` says why."""
    return {
        "name": name,
        "value": None,
        "unit": unit,
        "compile_s": 0.0,
        "device": "none",
        "num_envs": num_envs,
        "reason": reason,
        **more,
        **machine(),
    }


def machine() -> Row:
    """Versions, processor and date: what a number depends on besides the code."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    now = datetime.datetime.now(datetime.UTC)
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "versions": versions,
        "date": now.isoformat(timespec="seconds"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def save(name: str, rows: list[Row]) -> Path:
    """Append rows to the results of a benchmark, one JSON object a line; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.jsonl"
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def table(rows: list[Row]) -> str:
    """Rows as lines for a terminal; understands rows without the optional fields."""
    lines = []
    for row in rows:
        if row["value"] is None:
            lines.append(f"{row['name']:18s} not measured: {row['reason']}")
            continue
        worst = f"  worst {row['worst']:,}" if "worst" in row else ""
        sizes = f"  size {row['size']}" if "size" in row else ""
        lines.append(
            f"{row['name']:18s} {row['value']:>10,} {row['unit']:18s}{worst}{sizes}"
            f"  compile {row['compile_s']} s"
        )
    return "\n".join(lines)


def main(name: str, rows: Rows, about: str) -> None:
    """Command line of a benchmark: `[--quick] [--json] [--save]`."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run at all")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    args = parser.parse_args()
    result = rows(quick=args.quick)
    if args.save:
        save(name, result)
    print(json.dumps({"rows": result}) if args.json else table(result))
