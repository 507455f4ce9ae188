"""Runs one function over many jobs, side by side: on processes of this machine or a Ray cluster.

Both executors yield results as they come, with the index of their job, and stop at once when the
caller does, also on Ctrl-C.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_GUARD = (
    '; in a script of your own, start the work below `if __name__ == "__main__":`, '
    "or use processes=1"
)


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_turn(
    work: Callable[[Job], Result], jobs: Sequence[Job]
) -> Generator[tuple[int, Result], None, None]:
    """In this process, one job after the other."""
    for index, job in enumerate(jobs):
        yield index, work(job)


def on_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], processes: int
) -> Generator[tuple[int, Result], None, None]:
    """On processes of this machine; `work`, jobs and results must be picklable.

    Raises:
        RuntimeError: a process ended before its time (killed, out of memory), or `work` failed
            with anything at all; carries the traceback.
    """
    # Fresh processes: forked ones would inherit the locks of threads that they do not have.
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, Any] = {}
    running: dict[Connection, int] = {}
    waiting = iter(range(len(jobs)))
    try:
        for _ in range(min(processes, len(jobs))):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_serve, args=(theirs, work), daemon=True)
            with _deaf_to_interrupts():
                worker.start()
            theirs.close()  # so that the death of the worker ends the pipe
            workers[ours] = worker
            _give(ours, jobs, waiting, running)
        while running:
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                try:
                    result, failure = pipe.recv()
                except (EOFError, ConnectionResetError):
                    raise _died(workers[pipe], running[pipe]) from None
                if failure:
                    raise RuntimeError(f"job {running[pipe]} failed in a worker:\n{failure}")
                done = running.pop(pipe)
                _give(pipe, jobs, waiting, running)
                yield done, result
    finally:
        for pipe, worker in workers.items():
            worker.terminate()
            pipe.close()
        for worker in workers.values():
            worker.join()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started here ignores Ctrl-C from its first moment: the parent gets it and ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _give(
    pipe: Connection, jobs: Sequence[Any], waiting: Iterator[int], running: dict[Connection, int]
) -> None:
    """Hands the next job, if there is one, to the worker behind `pipe`."""
    index = next(waiting, None)
    if index is None:
        return
    running[pipe] = index
    with contextlib.suppress(BrokenPipeError):  # the worker is gone: reading from it says so
        pipe.send(jobs[index])


def _died(worker: Any, index: int) -> RuntimeError:
    worker.join(5.0)
    guard = _GUARD if worker.exitcode == 1 else ""
    return RuntimeError(
        f"a worker process ended with status {worker.exitcode} during job {index}"
        f"{' (out of memory?)' if worker.exitcode == -signal.SIGKILL else ''}{guard}"
    )


def _serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    """Body of a worker: job in, (result, traceback) out, until the parent closes or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            answer = (work(job), "")
        except Exception:
            answer = (None, traceback.format_exc())
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return


def on_ray(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    processes: int,
    address: str | None = None,
) -> Generator[tuple[int, Result], None, None]:
    """On a Ray cluster; without an address on one that is started here for the time.

    Args:
        work: picklable.
        jobs: picklable.
        processes: cores of a cluster that is started here; twice as many jobs are under way.
        address: of a running cluster, such as "auto" or "ray://head:10001".

    Raises:
        ImportError: Ray is not installed; names the extra.
    """
    try:
        ray: Any = importlib.import_module("ray")  # optional, so unknown to type checkers
    except ImportError:
        raise ImportError(
            'the executor "ray" needs the optional extra: pip install "vla-jax[ray]"'
        ) from None
    ours = not ray.is_initialized()
    if ours and address is None:
        ray.init(num_cpus=processes, include_dashboard=False, log_to_driver=False)
    elif ours:
        ray.init(address=address, log_to_driver=False)
    pending: dict[Any, int] = {}
    try:
        shared = ray.put(work)
        remote = ray.remote(max_retries=3)(_call)
        room = 2 * max(processes, int(ray.cluster_resources().get("CPU", processes)))
        waiting = iter(range(len(jobs)))
        while True:
            while len(pending) < room and (index := next(waiting, None)) is not None:
                pending[remote.remote(shared, jobs[index])] = index
            if not pending:
                return
            (ready, *_), _ = ray.wait(list(pending), num_returns=1)
            result = ray.get(ready)
            yield pending.pop(ready), result
    finally:
        for task in pending:
            ray.cancel(task, force=True)
        if ours:
            ray.shutdown()


def _call(work: Callable[[Any], Any], job: Any) -> Any:
    return work(job)
