"""Metrics of a run: JSON lines always, TensorBoard and Weights & Biases if asked."""

from __future__ import annotations

import importlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Sink = Callable[[int, Mapping[str, float]], None]


class MetricsLog:
    """`metrics.jsonl` of a run, one row an iteration, and where else the rows go."""

    def __init__(
        self, run: Path, iterations: int, sinks: Sequence[Sink] = (), *, write: bool = True
    ):
        """Keep the rows of the first `iterations`; later ones will be made again.

        Without `write` rows are only kept in memory, in a process that is not the run's first.
        """
        self.path = Path(run) / "metrics.jsonl"
        self.rows = _read(self.path, iterations)
        self.sinks, self.write = tuple(sinks), write
        if not write:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        partial.replace(self.path)

    def append(self, row: dict[str, float]) -> None:
        """Add a row; it is on disk when this returns."""
        self.rows.append(row)
        if self.write:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        for sink in self.sinks:
            sink(int(row["iteration"]), row)


def _read(path: Path, iterations: int) -> list[dict[str, float]]:
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break  # a line cut off by a kill is the last one
        if row["iteration"] <= iterations:
            rows.append(row)
    return rows


def tensorboard(run: Path) -> Sink:
    """Scalars for TensorBoard in the run's folder `tensorboard/`."""
    module = importlib.import_module("tensorboardX")
    writer = module.SummaryWriter(str(run / "tensorboard"))

    def write(iteration: int, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, iteration)
        writer.flush()

    return write


def wandb(run: Path) -> Sink:
    """Scalars for Weights & Biases; a resumed run continues its own there."""
    module = importlib.import_module("wandb")
    file, name = Path(run) / "wandb_id", Path(run).absolute().name
    if not file.exists():  # the folder's name may be that of other runs too
        file.write_text(secrets.token_hex(8))
    mark = file.read_text().strip()
    session = module.init(project="vla-jax", name=name, id=mark, resume="allow", dir=str(run))
    return lambda iteration, row: session.log(dict(row), step=iteration)


SINKS: dict[str, Callable[[Path], Sink]] = {"tensorboard": tensorboard, "wandb": wandb}
_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}


def check_sinks(names: Sequence[str]) -> None:
    """ValueError for an unknown name or a package that is missing; opens nothing."""
    for name in names:
        if name not in SINKS:
            raise ValueError(f"unknown log {name!r}: choose from {sorted(SINKS)}")
        package = _PACKAGES[name]
        try:
            importlib.import_module(package)
        except ImportError:
            raise ValueError(
                f"logs to {name} need the package {package}: pip install {package}"
            ) from None


def open_sinks(names: Sequence[str], run: Path) -> list[Sink]:
    """The sinks of these names; see `check_sinks`."""
    check_sinks(names)
    return [SINKS[name](Path(run)) for name in names]
