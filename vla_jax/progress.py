"""Progress on stderr: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

_INTERVAL_S = 10.0  # between lines where there is no terminal
_interrupted = threading.Event()


def catch_interrupts() -> None:
    """Remember a Ctrl-C until the next report of progress.

    Python raises KeyboardInterrupt wherever the main thread happens to be, and what is raised
    within a garbage collection callback (JAX has one) is printed and forgotten.
    """

    def interrupt(number: int, frame: object) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    _interrupted.clear()
    main = threading.current_thread() is threading.main_thread()
    # A background job of a shell ignores Ctrl-C, and goes on doing so.
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


class Stage:
    """One stage of a longer job; call it as `stage(done, note)`.

    The time left follows the rate since the first call, so that neither compilation nor what an
    earlier, interrupted run had done counts.
    """

    def __init__(self, owner: Progress, name: str, total: int, now: float) -> None:
        self._owner = owner
        self.name, self.total = name, max(int(total), 0)
        self.done, self.note = 0, ""
        self.began = now
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, note: str = "") -> None:
        """Reports that `done` of the total is done; a note stays until the next one."""
        if _interrupted.is_set():
            raise KeyboardInterrupt
        now = self._owner.clock()
        if self._first is None:
            self._first = (now, done)
        self.done, self.note = done, note or self.note
        self._owner.changed(self, now)

    def callback(self, done: int, total: int, note: str = "") -> None:
        """The same for functions that report (done, total) or (done, total, note)."""
        self.total = total
        self(done, note)

    def seconds_left(self, now: float) -> float | None:
        """Estimate of the remaining seconds; None before there is a rate."""
        if self._first is None or self.done <= self._first[1] or not self.total:
            return None
        began, before = self._first
        return max(self.total - self.done, 0) * (now - began) / (self.done - before)

    def describe(self, now: float) -> str:
        """State in words: amount, time left, note."""
        words = []
        if self.total and self._first is not None:
            words.append(f"{self.done:,}/{self.total:,}")
        left = self.seconds_left(now)
        if left is None:
            words.append("starting" if self._first is None else "estimating")
        elif self.done < self.total:
            words.append(f"{clock_text(left)} left")
        if self.note:
            words.append(self.note)
        return " · ".join(words)


class Progress:
    """Shows the stages of a command, one after the other; a context manager.

    Args:
        stream: where to write; stderr by default.
        clock: seconds, for tests.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self.clock = clock
        self._stage: Stage | None = None
        self._last_line = 0.0
        self._live: Any = None

    def stage(self, name: str, total: int = 0) -> Stage:
        """Ends the present stage and begins another of `total` units (0: unknown)."""
        self._finish()
        now = self.clock()
        self._stage = Stage(self, name, total, now)
        self._last_line = now
        if self.stream.isatty():
            self._start_live(self._stage)
        else:
            self._write(f"{name} …")
        return self._stage

    def say(self, text: str) -> None:
        """Writes a line that stays."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            self._write(text)

    def changed(self, stage: Stage, now: float) -> None:
        """Shows a stage's new state; called by the stage itself."""
        if stage is not self._stage:
            return
        if self._live is not None:
            task = self._live.task_ids[0]
            self._live.update(
                task,
                completed=stage.done,
                total=stage.total or None,
                words=stage.describe(now),
            )
        elif now - self._last_line >= _INTERVAL_S and stage.done < stage.total:
            self._last_line = now
            share = f"{stage.done / stage.total:4.0%} " if stage.total else ""
            self._write(f"  {share}{stage.name} · {stage.describe(now)}")

    def close(self) -> None:
        """Ends the present stage."""
        self._finish()

    def abandon(self) -> None:
        """Takes the bar away without calling the stage done."""
        self._stop_live()
        self._stage = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _finish(self) -> None:
        stage, self._stage = self._stage, None
        if stage is None:
            return
        self._stop_live()
        took = clock_text(self.clock() - stage.began)
        self._write(f"{stage.name}: done in {took}" + (f" · {stage.note}" if stage.note else ""))

    def _write(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def _start_live(self, stage: Stage) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bars

        self._live = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}", style="dim"),
            console=Console(file=self.stream),
            transient=True,
            refresh_per_second=4,
        )
        self._live.add_task(
            stage.name, total=stage.total or None, words=stage.describe(stage.began)
        )
        self._live.start()

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def clock_text(seconds: float) -> str:
    """A duration as people read it: "4.2 s", "3:07", "1:02:09"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{secs:02d}"
    return f"{minutes}:{secs:02d}" if minutes else f"{secs} s"
