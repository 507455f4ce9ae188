"""Imports files and folders into a library: found, read in a sandbox, checked, remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generation.assets.formats import embodiedgen
from generation.assets.importing.asset import AssetError
from generation.assets.intake.sandbox import Bounds, Job, Result, run_jobs
from generation.assets.intake.sources import Memory, Source, find_sources
from generation.assets.store import AssetLibrary
from generation.assets.stored import unusable
from generation.spec import SceneSpec

Report = Callable[[int, int, str], None]  # done, total, note


@dataclass(frozen=True)
class Imported:
    """A source that is in the library: the file, its asset, and whether it was there before."""

    path: Path
    asset: str
    known: bool = False


@dataclass(frozen=True)
class Rejected:
    """A source that was refused, with the reason in one line."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Scene:
    """An EmbodiedGen task that became a scene, and what was changed on the way."""

    path: Path
    scene: SceneSpec
    notes: tuple[str, ...]


@dataclass
class Harvest:
    """What an import brought in, each list in the order of the sources."""

    imported: list[Imported] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)


def import_sources(
    paths: Iterable[str | Path],
    library: AssetLibrary,
    *,
    options: dict[str, Any] | None = None,
    processes: int = 1,
    bounds: Bounds | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> Harvest:
    """Imports every mesh, URDF and EmbodiedGen task among `paths`; bad ones do not stop the rest.

    Each file is read in a process of its own within `bounds`. A source that the library has from
    an earlier run, with the same options, is not read again: an interrupted import continues.

    Args:
        paths: files and folders.
        library: gets the assets.
        options: keyword arguments of `import_mesh`, plain values, for all sources.
        processes: imports at a time.
        bounds: of one import.
        seed: of the convex decompositions and of new layouts.
        report: called after each source.

    Raises:
        FileNotFoundError: a path that does not exist.
        ValueError: nothing to import.
    """
    paths = [Path(path) for path in paths]
    sources = find_sources(paths)
    if not sources:
        raise ValueError(
            f"nothing to import in {', '.join(map(str, paths))}: no mesh (.glb .gltf .obj .stl "
            ".ply .off), URDF or EmbodiedGen task"
        )
    return _Import(sources, library, dict(options or {}), processes, bounds, seed, report).run()


@dataclass(frozen=True)
class _Order:
    """A file to read for an asset; of a task, with the node it stands for."""

    source: Source
    options: dict[str, Any]
    task: Source | None = None
    node: str = ""


class _Import:
    def __init__(
        self,
        sources: list[Source],
        library: AssetLibrary,
        options: dict[str, Any],
        processes: int,
        bounds: Bounds | None,
        seed: int,
        report: Report | None,
    ) -> None:
        self.library, self.memory = library, Memory(library)
        self.options = {**options, "seed": seed}
        self.processes, self.bounds, self.seed = processes, bounds, seed
        self.report = report or (lambda done, total, note: None)
        self.sources = sources
        self.done = self.total = 0
        self.assets: dict[Path, Imported] = {}
        self.refused: dict[Path, Rejected] = {}
        self.scenes: dict[Path, Scene] = {}

    def run(self) -> Harvest:
        """Assets first, then the scenes that need them."""
        orders = [order for source in self.sources for order in self._orders(source)]
        tasks = [s for s in self.sources if s.kind == "task" and s.path not in self.refused]
        self.total = len(orders) + len(tasks)
        self._read(orders)
        self._compose(tasks, orders)
        return Harvest(
            [self.assets[path] for path in sorted(self.assets)],
            [self.refused[path] for path in sorted(self.refused)],
            [self.scenes[path] for path in sorted(self.scenes)],
        )

    def _orders(self, source: Source) -> list[_Order]:
        if source.kind == "mesh":
            return [_Order(source, self.options)]
        if source.kind == "urdf":
            return [_Order(source, {**self.options, "root": str(source.root.absolute())})]
        try:
            layout = embodiedgen.read_layout(source.path)
        except AssetError as error:
            self.refused[source.path] = Rejected(source.path, str(error))
            return []
        orders = []
        for node in layout.nodes:
            noun, _ = embodiedgen.describe(node)
            options = {**self.options, "root": str(source.path.absolute()), "noun": noun}
            try:
                urdf = embodiedgen.asset_urdf(source.path, layout, node)
            except AssetError as error:
                # Named by where it should be, for there is no file.
                path = source.path / node.replace(" ", "_").replace("/", "_")
                self.refused[path] = Rejected(path, str(error))
                continue
            orders.append(_Order(Source("urdf", urdf, source.path), options, source, node))
        return orders

    def _read(self, orders: list[_Order]) -> None:
        """Fills `assets` and `refused`."""
        jobs: dict[Path, tuple[Job, str]] = {}
        for order in orders:
            path = order.source.path
            try:
                key = self.memory.key(order.source, order.options)
            except AssetError as error:
                self._refuse(path, str(error))
                continue
            if path in jobs or path in self.assets:
                self._step(path)
            elif (asset := self.memory.recall(key)) is not None:
                self.assets[path] = Imported(path, asset, known=True)
                self._step(path)
            else:
                kind = "urdf" if order.source.kind == "urdf" else "mesh"
                jobs[path] = (Job(kind, path, order.options), key)
        queue = [job for job, _ in jobs.values()]
        # Closed at once on an interruption, so that no process outlives it.
        with closing(run_jobs(queue, processes=self.processes, bounds=self.bounds)) as results:
            for result in results:
                self._take(result, jobs[result.job.path][1])

    def _take(self, result: Result, key: str) -> None:
        path = result.job.path
        if result.asset is None:
            self._refuse(path, result.reason)
            return
        try:
            asset = self.library.add(result.asset)
        except AssetError as error:
            self._refuse(path, str(error))
            return
        self.memory.store(key, asset)
        self.assets[path] = Imported(path, asset)
        self._step(path)

    def _refuse(self, path: Path, reason: str) -> None:
        self.refused[path] = Rejected(path, reason)
        self._step(path)

    def _step(self, path: Path) -> None:
        self.done += 1
        self.report(self.done, self.total, path.name)

    def _compose(self, tasks: list[Source], orders: list[_Order]) -> None:
        """Fills `scenes`, and `refused` with the tasks of which none could be made."""
        jobs = []
        for task in tasks:
            layout = embodiedgen.read_layout(task.path)
            assets, missing = {}, dict.fromkeys(layout.nodes, "its files are missing")
            for order in (o for o in orders if o.task == task):
                path = order.source.path
                if path in self.assets:
                    assets[order.node] = self.assets[path].asset
                    del missing[order.node]
                elif path in self.refused:
                    missing[order.node] = self.refused[path].reason
            options = {
                "library": str(self.library.root.absolute()),
                "assets": assets,
                "missing": missing,
                "seed": self.seed,
            }
            jobs.append(Job("scene", task.path, options))
        with closing(run_jobs(jobs, processes=self.processes, bounds=self.bounds)) as results:
            for result in results:
                self._keep(result)

    def _keep(self, result: Result) -> None:
        """Takes in a scene, or why there is none."""
        path = result.job.path
        try:
            if not result.scene:
                raise AssetError(result.reason or "the import left no scene")
            scene = SceneSpec.from_json(result.scene)
        except ValueError as error:
            self._refuse(path, str(error))
            return
        self.scenes[path] = Scene(path, scene, result.notes)
        self._step(path)


def doctor_line(library: AssetLibrary, asset: str) -> str:
    """One line on what an import found and repaired, and what the asset is good for."""
    try:
        record = library.record(asset)
        report = library.get(asset).report
    except AssetError as error:  # another process has altered it since
        return str(error)
    thing = record.thing
    uses = ["lifted"] if record.graspable else []
    uses += [f"things go {' and '.join(record.receptacle)} it"] if record.receptacle else []
    words = [
        f"{thing.noun}, {record.colour or 'no colour'}, {len(thing.parts)} parts, "
        f"{thing.height * 100:.1f} cm high",
        unusable(record) or ", ".join(uses),
    ]
    if record.training == "forbidden":
        words.append(f"licence {record.licence} FORBIDS TRAINING")
    for key in ("found", "repaired", "warnings"):
        if isinstance(lines := report.get(key), list) and lines:
            words.append(f"{key}: {'; '.join(str(line) for line in lines)[:200]}")
    return " · ".join(words)
