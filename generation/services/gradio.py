"""Client of Gradio apps that make 3D models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from generation.services.fetch import Limits, ProviderError, Session, brief
from generation.services.model3d import Model, check_glb

_MAX_EVENT = 1 << 20  # bytes
# Placeholders in the inputs of a Gradio endpoint.
PROMPT, IMAGE, SEED = "{prompt}", "{image}", "{seed}"


@dataclass(frozen=True)
class GradioProvider:
    """Client of an endpoint of a Gradio app (version 4 or newer), such as a TRELLIS demo.

    Attributes:
        url: of the app.
        endpoint: its name, as "Use via API" on the page shows it, such as "/generate".
        inputs: its arguments in order; the strings "{prompt}", "{image}" and "{seed}" stand for
            what is asked for.
        licence: of the outputs of the model behind it.
        prefix: of the app's own addresses; "" for Gradio 4.
    """

    url: str
    endpoint: str
    inputs: Sequence[Any] = (PROMPT,)
    licence: str = "unknown"
    prefix: str = "/gradio_api"
    token: str = field(default="", repr=False)
    limits: Limits = Limits()

    def __call__(
        self, noun: str, description: str = "", image: bytes | None = None, *, seed: int = 0
    ) -> Iterator[Model]:
        """The models among the endpoint's outputs; see `AssetProvider`."""
        session = Session(self.url, self.limits, token=self.token)
        values: dict[str, Any] = {PROMPT: description or noun, SEED: seed}
        if IMAGE in self.inputs:
            if image is None:
                raise ProviderError(f"{self.url}{self.endpoint} needs a picture: pass image")
            values[IMAGE] = self._upload(session, image)
        data = [values.get(v, v) if isinstance(v, str) else v for v in self.inputs]
        paths = sorted(set(_glb_paths(self._call(session, data))))
        if not paths:
            raise ProviderError(
                f"{session.base}{self.endpoint} delivered no GLB file: is it the right endpoint?"
            )
        for path in paths:
            # By path on this server, never by the address in the answer: that could be anywhere.
            address = f"{self.prefix}/file={quote(path, safe='/:')}"
            glb = session.request("GET", address, check_glb)
            yield Model(glb, f"{session.base}{self.endpoint} seed {seed}")

    def _upload(self, session: Session, image: bytes) -> dict[str, Any]:
        kind = "png" if image.startswith(b"\x89PNG") else "jpg"
        files = {"files": (f"input.{kind}", image)}
        paths = session.json("POST", f"{self.prefix}/upload", files=files)
        if not (isinstance(paths, list) and paths and isinstance(paths[0], str)):
            raise ProviderError(f"{session.base}{self.prefix}/upload took no picture")
        return {"path": paths[0], "meta": {"_type": "gradio.FileData"}}

    def _call(self, session: Session, data: list[Any]) -> Any:
        """The endpoint's outputs: one request starts the job, another follows its events."""
        path = f"{self.prefix}/call/{quote(self.endpoint.strip('/'))}"
        answer = session.json("POST", path, json={"data": data})
        event = answer.get("event_id") if isinstance(answer, dict) else None
        if not isinstance(event, str) or not event:
            raise ProviderError(f"{session.base}{path} gave no event_id but {str(answer)[:80]!r}")
        follow = f"{path}/{quote(event, safe='')}"
        # Not repeated on faults: the events of a job can be read only once.
        with session.stream("GET", follow) as pieces:
            for name, body in _events(pieces):
                if name == "complete":
                    return session.parse_json(follow, body)
                if name == "error":
                    raise ProviderError(
                        f"{session.base}{self.endpoint} failed: {brief(body)}; its log says more"
                    )
        raise ProviderError(f"{session.base}{self.endpoint} ended without a result: try again")


def _events(pieces: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
    """(event, data) of a stream of server-sent events."""
    rest, name, data = b"", "message", []
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _MAX_EVENT:
            raise ProviderError(f"an event of more than {_MAX_EVENT >> 20} MiB: not a Gradio app?")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"event:"):
                name = line[6:].strip().decode("utf-8", "replace")
            elif line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line:
                if data:
                    yield name, b"\n".join(data)
                name, data = "message", []
    if data:
        yield name, b"\n".join(data)


def _glb_paths(value: Any, depth: int = 8) -> Iterator[str]:
    """Server paths of GLB files anywhere in an endpoint's outputs."""
    if depth and isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str) and path.lower().endswith(".glb"):
            yield path
        else:
            for item in value.values():
                yield from _glb_paths(item, depth - 1)
    elif depth and isinstance(value, list):
        for item in value:
            yield from _glb_paths(item, depth - 1)
