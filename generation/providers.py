"""Services and folders that make 3D models of things, behind one protocol.

    provider = HunyuanProvider("http://localhost:8081")
    generate_asset("teapot", provider, AssetLibrary("library"), size=0.15)

Generated models have no scale and unknown quality: they go through the same import chain, in the
same sandbox, as any file from elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from generation.assets.importing.asset import AssetError
from generation.assets.intake.sandbox import Bounds, Job, run_jobs
from generation.assets.store import AssetLibrary
from generation.services.fetch import Limits, ProviderError, Session
from generation.services.gradio import IMAGE, PROMPT, SEED, GradioProvider
from generation.services.model3d import AssetProvider, Model, check_glb

__all__ = [
    "AssetProvider",
    "GradioProvider",
    "HunyuanProvider",
    "Limits",
    "Model",
    "ProviderError",
    "WatchedFolder",
    "IMAGE",
    "PROMPT",
    "SEED",
    "check_glb",
    "generate_asset",
]

_CANDIDATES = 4  # models of one provider that are tried for an asset


def generate_asset(
    noun: str,
    provider: AssetProvider,
    library: AssetLibrary,
    *,
    description: str = "",
    image: bytes | None = None,
    seed: int = 0,
    bounds: Bounds | None = None,
    **options: Any,
) -> str:
    """Has a provider make a model and imports the first one that can be used.

    Args:
        noun: what it is; also gives the usual size of such things.
        provider: a client from this module, or any other `AssetProvider`.
        library: gets the asset, with the provider's licence.
        description: prompt for the service; "" uses the noun.
        image: a picture of it for the service.
        seed: of the service and of the import.
        bounds: of the import.
        options: further arguments of `import_mesh`, such as size.

    Returns:
        The id of the asset in the library.

    Raises:
        ProviderError: the service gave no model.
        AssetError: it did, but none can be used; says why.
    """
    reasons: list[str] = []
    try:
        for model in islice(provider(noun, description, image, seed=seed), _CANDIDATES):
            known = {"noun": noun, "licence": provider.licence, "source": model.source[:200]}
            with TemporaryDirectory(prefix="vla-jax-model-") as folder:
                path = Path(folder) / "model.glb"
                path.write_bytes(model.glb)
                job = Job("mesh", path, {"seed": seed, **known, **options})
                (result,) = run_jobs([job], bounds=bounds)
            if result.asset is not None:
                return library.add(result.asset)
            reasons.append(result.reason)
    except ProviderError as error:
        if not reasons:
            raise
        reasons.append(str(error))
    raise AssetError(f"no usable model of a {noun}: {'; '.join(reasons) or 'none was delivered'}")


@dataclass(frozen=True)
class HunyuanProvider:
    """Client of Hunyuan3D's `api_server.py` and of servers that speak like it.

    As published, that server takes pictures only, and texts where its text-to-image model is
    switched on.

    Attributes:
        url: such as "http://localhost:8081".
        licence: Tencent's licence forbids training other models with the outputs; a server with
            another model behind the same interface has another licence.
        texture: ask for a texture, which takes longer.
        face_count, octree_resolution: of the model.
        queued: send the job and ask for its state every `poll_s` seconds, instead of one long
            request that proxies may cut.
        limits: of each call.
    """

    url: str
    licence: str = "tencent-hunyuan3d"
    texture: bool = True
    face_count: int = 10_000
    octree_resolution: int = 256
    queued: bool = False
    poll_s: float = 2.0
    token: str = field(default="", repr=False)
    limits: Limits = Limits()

    def __call__(
        self, noun: str, description: str = "", image: bytes | None = None, *, seed: int = 0
    ) -> Iterator[Model]:
        """One model; see `AssetProvider`."""
        job: dict[str, Any] = {
            "seed": seed,
            "texture": self.texture,
            "face_count": self.face_count,
            "octree_resolution": self.octree_resolution,
            "type": "glb",
        }
        if image is not None:
            job["image"] = base64.b64encode(image).decode()
        else:
            job["text"] = description or noun
        session = Session(self.url, self.limits, token=self.token)
        make = self._queued if self.queued else self._direct
        yield Model(make(session, job), f"{session.base} seed {seed}")

    def _direct(self, session: Session, job: dict[str, Any]) -> bytes:
        return session.request("POST", "/generate", check_glb, json=job)

    def _queued(self, session: Session, job: dict[str, Any]) -> bytes:
        answer = session.json("POST", "/send", json=job)
        uid = answer.get("uid") if isinstance(answer, dict) else None
        if not isinstance(uid, str) or not uid:
            raise ProviderError(f"{session.base}/send gave no uid but {str(answer)[:80]!r}")
        # The server says "processing" even of a job that failed: the deadline ends the wait.
        while True:
            state = session.json("GET", f"/status/{quote(uid, safe='')}")
            status = state.get("status") if isinstance(state, dict) else None
            if status == "completed":
                return check_glb(_decoded(state.get("model_base64"), session.base))
            if status not in ("processing", "queued", "pending"):
                raise ProviderError(f"{session.base}: the job ended as {str(state)[:80]!r}")
            session.wait(self.poll_s)


def _decoded(text: Any, base: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ProviderError(f"{base}: the finished job holds no model in base64") from None


@dataclass
class WatchedFolder:
    """Takes GLB files that some other program, or a person, drops into a folder.

    A file counts once its length is the one that its own header states and has stayed the same
    for `settle_s`; files that are still growing are waited for. Each content is delivered once.

    Attributes:
        folder: it may not exist yet.
        licence: of the files.
        timeout_s: longest wait for the next file.
    """

    folder: Path
    licence: str = "unknown"
    timeout_s: float = 60.0
    settle_s: float = 1.0
    poll_s: float = 0.25
    max_bytes: int = 64 << 20
    _seen: set[tuple[str, int, int]] = field(default_factory=set, init=False, repr=False)
    _given: set[bytes] = field(default_factory=set, init=False, repr=False)

    def __call__(
        self, noun: str, description: str = "", image: bytes | None = None, *, seed: int = 0
    ) -> Iterator[Model]:
        """Complete files as they appear, by name; ends with `ProviderError` at the time limit."""
        folder, waiting = Path(self.folder), {}
        end = time.monotonic() + self.timeout_s
        while time.monotonic() < end:
            now = time.monotonic()
            for path, state in _present(folder):
                if state in self._seen:
                    continue
                first = waiting.setdefault(state, now)
                if now - first < self.settle_s or (glb := self._complete(path)) is None:
                    continue
                self._seen.add(state)
                content = hashlib.sha256(glb).digest()
                if content in self._given:  # a copy, or touched
                    continue
                self._given.add(content)
                yield Model(glb, path.name)
                end = time.monotonic() + self.timeout_s
            time.sleep(min(self.poll_s, max(0.0, end - time.monotonic())))
        unfinished = sorted({name for name, _, _ in waiting.keys() - self._seen})
        also = f"; not complete or no GLB: {', '.join(unfinished[:5])}" if unfinished else ""
        raise ProviderError(
            f"no new GLB file in {folder} for {noun!r} within {self.timeout_s:g} s{also}"
        )

    def _complete(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                data = file.read(self.max_bytes + 1)
            return check_glb(data) if len(data) <= self.max_bytes else None
        except (OSError, ProviderError):
            return None


def _present(folder: Path) -> list[tuple[Path, tuple[str, int, int]]]:
    """Visible GLB files of a folder with (name, size, time of change)."""
    found = []
    for path in sorted(folder.glob("*.[gG][lL][bB]")):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file() and not path.name.startswith("."):
            found.append((path, (path.name, stat.st_size, stat.st_mtime_ns)))
    return found
