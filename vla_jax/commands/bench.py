"""`vla-jax bench`: steps per second, compile time apart."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from vla_jax.commands.common import Outcome
from vla_jax.progress import Progress

NAME = "bench"
SUMMARY = "steps per second of physics, renderer, environment and training"
DESCRIPTION = """\
Measures on this machine, from a checkout of the repository. Compile time is reported apart.

  vla-jax bench physics --quick
  vla-jax bench physics render env ppo"""
AGAIN = "run the same command again to start over"

SUBJECTS = ("physics", "render", "env", "ppo", "generation", "expert", "scaling", "peers")
_CHECKOUT = Path(__file__).resolve().parent.parent.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument(
        "subjects",
        nargs="+",
        choices=SUBJECTS,
        metavar="SUBJECT",
        help=f"what to measure: {', '.join(SUBJECTS)}",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, rough numbers")


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Measures one subject after the other."""
    import jax

    # Compile times are part of what is measured.
    jax.config.update("jax_enable_compilation_cache", False)
    found = [(name, _module(name)) for name in args.subjects]
    rows: list[dict[str, Any]] = []
    for name, module in found:
        progress.stage(f"measuring {name}")
        rows += module.rows(quick=args.quick)
    return Outcome({"rows": rows}, "\n".join(_line(row) for row in rows))


def _module(name: str) -> Any:
    path = _CHECKOUT / "benchmarks" / f"{name}.py"
    if not path.is_file():
        raise FileNotFoundError(
            f"no benchmark {path}: benchmarks come with the repository, not with the installed "
            "package; clone it and run `make bench` there"
        )
    if str(_CHECKOUT) not in sys.path:
        sys.path.insert(0, str(_CHECKOUT))
    return importlib.import_module(f"benchmarks.{name}")


def _line(row: dict[str, Any]) -> str:
    compiled = row.get("compile_s")
    if row["value"] is None:
        return f"{row['name']:20s} not measured: {row['reason']}"
    value = f"{row['value']:,.0f}" if row["value"] >= 100 else f"{row['value']:.4g}"
    text = f"{row['name']:20s} {value:>14} {row['unit']}"
    return text if compiled is None else f"{text}  (compiled in {compiled:.1f} s)"
