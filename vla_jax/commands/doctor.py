"""`vla-jax doctor`: what this machine has, what is missing and how to get it."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from vla_jax.commands.common import Outcome
from vla_jax.progress import Progress

NAME = "doctor"
SUMMARY = "versions, devices, what is missing and how to get it"
DESCRIPTION = """\
Looks at versions, devices, memory and the cache folder, and steps the physics once.
The exit status is 0 even if something is missing; `ok` in --json tells."""
AGAIN = "run the same command again to start over"

_SIGNS = {"ok": "ok  ", "advice": "note", "missing": "MISS"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments: none."""


def run(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Examines the machine."""
    from vla_jax.doctor import examine

    progress.stage("examining this machine")
    checks = examine()
    ok = all(check.status != "missing" for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{_SIGNS[check.status]} {check.name:12s} {check.found}")
        if check.fix:
            lines.append(f"{'':18s}→ {check.fix}")
    lines.append("everything needed is there" if ok else "something needed is missing, see above")
    return Outcome({"ok": ok, "checks": [asdict(check) for check in checks]}, "\n".join(lines))
