"""A real HTTP server on this machine that answers like a chat service, or as badly as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from generation.llm.client import ChatClient, chat_client
from generation.services.fetch import Limits

KEY = "sk-very-secret-0123456789"
QUICK = Limits(total_s=5.0, silence_s=0.25, tries=3, backoff_s=0.01, max_bytes=1 << 18)

Answer = Callable[["Handler"], None]


def reply(
    body: str | bytes | dict, status: int = 200, kind: str = "application/json", **headers: str
) -> Answer:
    """An answer with this body; header names have underscores for hyphens."""
    data = json.dumps(body) if isinstance(body, dict) else body
    data = data.encode() if isinstance(data, str) else data

    def send(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return send


def completion(content: Any, finish: str = "stop", **message: Any) -> Answer:
    """A chat completion that says `content`, a string or an object."""
    text = content if isinstance(content, str | None) else json.dumps(content)
    choice = {"index": 0, "finish_reason": finish, "message": {"content": text, **message}}
    usage = {"prompt_tokens": 1000, "completion_tokens": 200}
    return reply({"choices": [choice], "usage": usage})


def tool_call(arguments: Any) -> Answer:
    """A chat completion that calls the tool it was given."""
    call = {"id": "1", "type": "function", "function": {"name": "answer", "arguments": arguments}}
    return completion(None, "tool_calls", tool_calls=[call])


def objection(words: str, status: int = 400) -> Answer:
    """The request is turned down."""
    return reply({"error": {"message": words}}, status)


def silence(seconds: float) -> Answer:
    """Nothing at all for a while."""
    return lambda handler: time.sleep(seconds)


def half(handler: Handler) -> None:
    """The connection is cut in the middle of the body."""
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"message": {"content": "')


def endless(handler: Handler) -> None:
    """A body that does not end by itself."""
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        while True:
            handler.wfile.write(b'{"choices": ' + b" " * 65536)


class Handler(BaseHTTPRequestHandler):
    """Gives the server's answers one after the other, the last one again and again."""

    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(json.loads(body))
        self.server.keys.append(self.headers.get("Authorization"))
        self.server.paths.append(self.path)
        answers = self.server.answers
        with suppress(BrokenPipeError, ConnectionResetError):
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """Keeps what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def serving(*answers: Answer) -> Iterator[Server]:
    """A server with these answers, for as long as the block lasts."""
    server = Server(list(answers))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the key is set."""
    for name in ("MODEL", "URL", "PRICES"):
        monkeypatch.delenv(f"VLA_JAX_LLM_{name}", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("VLA_JAX_LLM_KEY", KEY)


def client_of(url: str, **options: Any) -> ChatClient:
    """A client of a server here."""
    return chat_client("tester", url, limits=options.pop("limits", QUICK), **options)
