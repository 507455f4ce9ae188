"""A real HTTP server that makes "3D models" the way the services do, and their faults."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.asset_samples import glb

BOX = glb()


class ModelServer(ThreadingHTTPServer):
    """Answers like Hunyuan3D's api_server.py and like a Gradio app.

    `faults` are used up one per request: 429, 500 and such, "silence", "truncated", "cut",
    "endless", "html", "json", "drop", "bomb". Requests are kept in `seen` as (method, path, body).
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults: deque[Any] = deque()
        self.seen: list[tuple[str, str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.polls = 2  # answers of /status that say "processing"
        self.events: list[tuple[str, str]] = []  # what a Gradio job says before it completes
        self.outputs: Any = [{"path": "/tmp/gradio/a b/model.glb", "url": "http://evil.test/x.glb"}]
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what the tests are about."""


@contextmanager
def serving() -> Iterator[ModelServer]:
    """A running server."""
    server = ModelServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw
        self.server.seen.append((method, self.path, body))
        self.server.headers_seen.append(dict(self.headers))
        fault = self.server.faults.popleft() if self.server.faults else None
        if fault is not None:
            self._fail(fault)
        elif self.path == "/generate":
            self._send(BOX, "application/octet-stream")
        elif self.path == "/send":
            self._json({"uid": "a-b-c"})
        elif self.path.startswith("/status/"):
            self.server.polls -= 1
            done = {"status": "completed", "model_base64": base64.b64encode(BOX).decode()}
            self._json({"status": "processing"} if self.server.polls >= 0 else done)
        elif self.path == "/gradio_api/upload":
            self._json(["/tmp/gradio/input.png"])
        elif self.path.startswith("/gradio_api/call/") and method == "POST":
            self._json({"event_id": "e1"})
        elif self.path.startswith("/gradio_api/call/"):
            events = [*self.server.events, ("complete", json.dumps(self.server.outputs))]
            text = "".join(f"event: {name}\ndata: {data}\n\n" for name, data in events)
            self._send(text.encode(), "text/event-stream")
        elif self.path.startswith("/gradio_api/file="):
            self._send(BOX, "model/gltf-binary")
        else:
            self._send(b"no such page", "text/plain", status=404)

    def _fail(self, fault: Any) -> None:
        if isinstance(fault, tuple):  # status and Retry-After
            self._send(b"busy", "text/plain", status=fault[0], retry=str(fault[1]))
        elif isinstance(fault, int):
            self._send(b"something broke", "text/plain", status=fault)
        elif fault == "silence":
            self.server.closing.wait(10)
        elif fault == "truncated":  # the connection ends before the promised length
            self._send(BOX[: len(BOX) // 2], "model/gltf-binary", promised=len(BOX))
        elif fault == "cut":  # a shorter file, and no sign of it but in the file itself
            self._send(BOX[: len(BOX) // 2], "model/gltf-binary")
        elif fault == "html":
            self._send(b"<html><body>Please log in</body></html>", "text/html")
        elif fault == "json":
            self._json({"text": "NETWORK ERROR DUE TO HIGH TRAFFIC", "error_code": 1})
        elif fault == "broken json":
            self._send(b'{"uid": ', "application/json")
        elif fault == "bomb":
            self._send(b"\x1f\x8b" + bytes(100), "model/gltf-binary", encoding="gzip")
        elif fault == "drop":
            self.connection.close()
        elif fault == "dripping headers":
            for sign in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 400:
                self.wfile.write(bytes([sign]))
                if self.server.closing.wait(0.05):
                    return
        elif fault in ("endless", "drip"):
            self.send_response(200)
            self.end_headers()
            while not self.server.closing.is_set():
                self.wfile.write(bytes(1 << 16) if fault == "endless" else b"x")
                if fault == "drip":
                    time.sleep(0.05)

    def _json(self, value: Any) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _send(
        self,
        body: bytes,
        kind: str,
        *,
        status: int = 200,
        retry: str = "",
        promised: int | None = None,
        encoding: str = "",
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        if retry:
            self.send_header("Retry-After", retry)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(body)
