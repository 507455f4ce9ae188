"""The far side of the sandbox: a process that forks a limited one for each import.

It reads orders from stdin, a line each: "run FOLDER", or "kill FOLDER". It answers "end FOLDER
STATUS" (negative: the signal) when an import is through. What all imports need is loaded once,
before the first fork. When stdin closes, because the caller is done or dead, everything ends and
the staging folders go.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

NO_MEMORY = 77  # exit status
_REAP_S = 0.01
_GRACE_S = 5.0  # after which a process that nobody stopped ends itself


def serve() -> None:
    """Works on orders until stdin closes."""
    import generation.assets.formats.urdf_import  # noqa: F401  what all imports need

    children: dict[str, int] = {}
    folders: list[str] = []
    rest = b""
    os.set_blocking(0, False)
    try:
        while True:
            ready, _, _ = select.select([0], [], [], _REAP_S if children else None)
            if ready:
                data = os.read(0, 1 << 16)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    verb, _, folder = line.decode().partition(" ")
                    if verb == "run":
                        folders.append(folder)
                        children[folder] = _fork(folder)
                    elif folder in children:
                        _kill(children[folder])
            _reap(children)
    finally:
        for child in children.values():
            _kill(child)
        for folder in folders:  # a caller that was killed could not remove them
            shutil.rmtree(folder, ignore_errors=True)


def _reap(children: dict[str, int]) -> None:
    for folder, child in list(children.items()):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            del children[folder]
            _kill_group(child)  # whatever the import started ends with it
            os.write(1, f"end {folder} {os.waitstatus_to_exitcode(status)}\n".encode())


def _kill(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _kill_group(child)


def _kill_group(child: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _fork(folder: str) -> int:
    child = os.fork()
    if child == 0:
        _run(folder)
    return child


def _run(folder: str) -> NoReturn:
    """In the fork: one import, and nothing after it."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, number)
        code = work(Path(folder))
        sys.stdout.flush()
    except BaseException as error:  # even SystemExit must not lead back into the loop
        with suppress(BaseException):
            os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def work(folder: Path) -> int:
    """Does what job.json in `folder` says, within its bounds, and writes result.json."""
    order = json.loads((folder / "job.json").read_text())
    _limit(order["bounds"])
    try:
        try:
            answer = _answer(order, folder)
        except ValueError as error:
            answer = {"reason": " ".join(str(error).split())}
        except OSError as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            answer = {"reason": f"cannot be read ({what[:300]})"}
        partial = folder / "result.part"
        partial.write_text(json.dumps(answer))
        partial.rename(folder / "result.json")
    except MemoryError:
        return NO_MEMORY
    return 0


def _limit(bounds: dict[str, int]) -> None:
    """Sets the limits of this process, before it opens anything that is not trusted."""
    for what, value in (
        (resource.RLIMIT_CPU, bounds["cpu_s"]),
        (resource.RLIMIT_AS, bounds["memory"]),
        (resource.RLIMIT_FSIZE, bounds["file_size"]),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # The hard limit of processor time comes later: it kills without saying why.
        spare = 2 if what == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
        resource.setrlimit(what, (limit, limit + spare))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(bounds["wall_s"] + _GRACE_S))


def _answer(order: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Does a job; returns what result.json will hold."""
    from generation.assets.store import AssetLibrary

    path, options = Path(order["path"]), dict(order["options"])
    if order["kind"] == "scene":
        from generation.assets.formats.embodiedgen_scene import import_task

        scene, notes = import_task(path, **options)
        return {"scene": scene.to_json(), "notes": list(notes)}
    if order["kind"] == "urdf":
        from generation.assets.formats.urdf_import import import_urdf as load
    else:
        from generation.assets.importing.chain import import_mesh as load

    asset = load(path, **options)
    return {"asset": AssetLibrary(folder / "library").add(asset)}


if __name__ == "__main__":
    serve()
