"""Runs each import of an untrusted file in a process of its own, with limits.

A file that needs too much memory or time, or crashes a native library, costs that process and
nothing else. Orders go in and results come out as JSON and as an asset library in a staging
folder, which the caller reads with the same checks as any other: never as pickles.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from generation.assets.importing.asset import AssetError, ImportedAsset
from generation.assets.intake.sandbox_process import NO_MEMORY
from generation.assets.store import AssetLibrary

_HOME = Path(__file__).resolve().parents[3]
_POLL_S = 0.02
_MAX_RESULT = 8 << 20  # bytes of a result.json
_GRACE_S = 5.0  # for the sandbox to end by itself
_NEEDED = frozenset(
    "PATH HOME LANG LANGUAGE TZ TMPDIR LD_LIBRARY_PATH VIRTUAL_ENV MUJOCO_GL".split()
)
_NEEDED_PREFIXES = ("LC_", "PYTHON")
_LOST = 1000  # stands for the exit status that nobody reported


@dataclass(frozen=True)
class Bounds:
    """What one import may use.

    Attributes:
        cpu_s: processor time.
        wall_s: time on the clock.
        memory: bytes of address space.
        file_size: bytes of the largest file written.
    """

    cpu_s: int = 240
    wall_s: int = 600
    memory: int = 4 << 30
    file_size: int = 256 << 20


@dataclass(frozen=True)
class Job:
    """One import.

    Attributes:
        kind: "mesh" and "urdf" make an asset of a file, "scene" a scene of an EmbodiedGen task.
        path: the source.
        options: keyword arguments of the importer, plain JSON values.
    """

    kind: Literal["mesh", "urdf", "scene"]
    path: Path
    options: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Result:
    """What became of a job: an asset, a scene as JSON, or the reason for neither."""

    job: Job
    seconds: float
    asset: ImportedAsset | None = None
    scene: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""


def run_jobs(
    jobs: Iterable[Job], *, processes: int = 1, bounds: Bounds | None = None
) -> Generator[Result, None, None]:
    """Runs jobs, `processes` at a time; results come as they are ready.

    Closing the iterator, or an exception such as KeyboardInterrupt in it, ends what still runs.
    """
    if processes < 1:
        raise ValueError(f"processes={processes}: use at least 1")
    bounds = bounds or Bounds()
    waiting, running = deque(jobs), list[_Run]()
    keeper = _Keeper()
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                running.append(_Run(waiting.popleft(), bounds, keeper))
            keeper.listen(_POLL_S)
            for run in [run for run in running if run.ended()]:
                result = run.result()
                running.remove(run)
                run.close()
                yield result
    finally:
        keeper.close()
        for run in running:
            run.close()


class _Keeper:
    """The process that forks the imports; a new one takes over if it should die."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}  # folder -> exit status
        self.last_words = ""  # of one that died
        self.life = 0  # how many there were
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._rest = b""

    def tell(self, verb: str, folder: Path) -> None:
        """Sends an order."""
        if self._process is None:
            self._start()
        pipe = self._process.stdin if self._process else None
        assert pipe is not None
        try:
            pipe.write(f"{verb} {folder}\n".encode())
            pipe.flush()
        except BrokenPipeError:
            self.close()
            if verb == "run":
                self.ends[str(folder)] = _LOST

    def listen(self, seconds: float) -> None:
        """Takes in what ended, waiting at most so long for something."""
        pipe = self._process.stdout if self._process else None
        if pipe is None:
            return
        ready, _, _ = select.select([pipe], [], [], seconds)
        if not ready:
            return
        data = os.read(pipe.fileno(), 1 << 16)
        if not data:
            self.close()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            folder, _, status = line.decode().removeprefix("end ").rpartition(" ")
            self.ends[folder] = int(status)

    @property
    def alive(self) -> bool:
        """Whether it can still report."""
        return self._process is not None

    def _start(self) -> None:
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        path = os.pathsep.join([str(_HOME), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._rest, self.life = b"", self.life + 1
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "generation.assets.intake.sandbox_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**_environment(), **dict.fromkeys(threads, "1"), "PYTHONPATH": path},
            start_new_session=True,  # a Ctrl-C is for the caller, which then closes this
        )

    def close(self) -> None:
        """Ends it, and with it every import that still runs."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._log is not None:
            self.last_words = _last_line(self._log)
            self._log.close()
            self._log = None


class _Run:
    """One job at work, and its staging folder."""

    def __init__(self, job: Job, bounds: Bounds, keeper: _Keeper) -> None:
        self.job, self.bounds, self.keeper = job, bounds, keeper
        self.folder = Path(tempfile.mkdtemp(prefix="vla-jax-import-"))
        order = {
            "kind": job.kind,
            "path": str(job.path.absolute()),
            "options": job.options,
            "bounds": asdict(bounds),
        }
        (self.folder / "job.json").write_text(json.dumps(order))
        self.began, self.late = time.monotonic(), False
        keeper.tell("run", self.folder)
        self.life = keeper.life

    def ended(self) -> bool:
        """Whether the process is through; one that is late is killed."""
        if str(self.folder) in self.keeper.ends:
            return True
        if self.life != self.keeper.life or not self.keeper.alive:
            return True  # it ended with the sandbox in which it ran
        over = time.monotonic() - self.began - self.bounds.wall_s
        if over > 0 and not self.late:
            self.late = True
            self.keeper.tell("kill", self.folder)
        elif over > 2 * _GRACE_S:  # the sandbox itself does not answer
            self.keeper.close()
            return True
        return False

    def result(self) -> Result:
        """What the process left behind, checked."""
        took = time.monotonic() - self.began
        try:
            answer = self._answer()
        except AssetError as error:
            return Result(self.job, took, reason=str(error))
        notes = tuple(str(note)[:300] for note in answer.get("notes", ())[:100])
        if reason := answer.get("reason"):
            return Result(self.job, took, notes=notes, reason=str(reason)[:400])
        if self.job.kind == "scene":
            return Result(self.job, took, scene=str(answer.get("scene", "")), notes=notes)
        try:
            asset = AssetLibrary(self.folder / "library").get(str(answer.get("asset", "")))
        except (AssetError, KeyError) as error:
            return Result(self.job, took, reason=f"the import left no sound asset: {error}")
        return Result(self.job, took, asset, notes=notes)

    def _answer(self) -> dict[str, Any]:
        code = self.keeper.ends.pop(str(self.folder), _LOST)
        path = self.folder / "result.json"
        if code != 0 or not path.is_file() or path.stat().st_size > _MAX_RESULT:
            raise AssetError(_why(code, self.bounds, self._said()))
        try:
            answer = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            raise AssetError("the import left a broken result") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("notes", []), list):
            raise AssetError("the import left a broken result")
        return answer

    def _said(self) -> str:
        """The last line that the process, or else the sandbox, printed."""
        try:
            with (self.folder / "log.txt").open("rb") as log:
                return _last_line(log) or self.keeper.last_words
        except OSError:
            return self.keeper.last_words

    def close(self) -> None:
        """Removes its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    """What an import needs of the environment: no keys and tokens of the caller."""
    return {k: v for k, v in os.environ.items() if k in _NEEDED or k.startswith(_NEEDED_PREFIXES)}


def _last_line(log: IO[bytes]) -> str:
    """The last line of a file that has something in it."""
    log.seek(max(0, os.fstat(log.fileno()).st_size - 2000))
    lines = log.read().decode("utf-8", "replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def _why(code: int, bounds: Bounds, log: str) -> str:
    """Why a process left no result."""
    if code == _LOST:
        return f"the sandbox ended unexpectedly ({log or 'is the machine short of memory?'})"
    if code == -signal.SIGXCPU:
        return f"took more than {bounds.cpu_s} s of processor time"
    if code in (-signal.SIGKILL, -signal.SIGALRM):
        return f"stopped after {bounds.wall_s} s, or for want of memory"
    if code == NO_MEMORY or "MemoryError" in log or "bad_alloc" in log:
        return f"needs more than {bounds.memory / 2**30:.1f} GiB of memory"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"crashed the import ({name})"
    return f"the import failed ({log or f'exit status {code}'})"
