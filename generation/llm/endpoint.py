"""One request to `/chat/completions`, on the surest way to JSON that the server knows.

The ways, in this order: a JSON schema as response format, a forced tool call, the prompt alone. A
server that turns one down with a word about it is asked on the next; what works is remembered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from generation.llm.usage import Tokens
from generation.services.fetch import Limits, Passing, ProviderError, Session, brief

if TYPE_CHECKING:
    import httpx

WAYS = ("response format", "tool call", "prompt")
_NAME = "answer"
_MAX_TOKENS = 4096
_TEMPERATURE = 0.8
# Left out when the server objects to them by name.
_OPTIONAL = ("seed", "temperature", "max_tokens")
_TURNED_DOWN = frozenset({400, 404, 415, 422, 501})
# Words by which servers say that they do not know a way to JSON.
_ABOUT = (
    re.compile(r"response.?format|json.?schema|schema|structured|grammar|guided", re.IGNORECASE),
    re.compile(r"tool|function", re.IGNORECASE),
)
_UNSPECIFIC = re.compile(r"unsupported|not supported|unknown|unrecogni[sz]ed|extra", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """What a model said: `text` is its JSON, its refusal or its prose."""

    text: str
    refused: bool = False
    cut: bool = False  # it ran out of tokens
    tokens: Tokens = Tokens()


class TurnedDown(ProviderError):
    """The server understood the request and will not do it; `words` are its reasons."""

    def __init__(self, text: str, words: str) -> None:
        super().__init__(text)
        self.words = words


@dataclass(frozen=True)
class Endpoint:
    """An address with its key; opens a connection for each request, so it can be pickled.

    Attributes:
        url: up to `/chat/completions`.
        key: sent as bearer token, "" for none.
        limits: of one `ask`, retries included.
    """

    url: str
    key: str = field(default="", repr=False)
    limits: Limits = Limits()
    _left_out: dict[str, set[str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def ask(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        seed: int,
    ) -> Reply:
        """One answer to a conversation.

        Raises:
            ProviderError: the server cannot be reached, is not one, or turns the request down.
        """
        left_out = self._left_out.setdefault(model, set())
        session = _Session(self.url, self.limits, token=self.key)
        # Each round leaves something more out, so this ends.
        for _ in range(len(_OPTIONAL) + len(WAYS)):
            content = _content(model, messages, schema, seed, left_out)
            try:
                return session.request(
                    "POST", "/chat/completions", lambda body: _reply(self.url, body), json=content
                )
            except TurnedDown as error:
                objection = _objection(error.words, content)
                if objection is None:
                    raise ProviderError(self._without_key(str(error))) from None
                left_out.add(objection)
            except ProviderError as error:
                raise ProviderError(self._without_key(str(error))) from None
        raise AssertionError("unreachable: there is nothing more to leave out")

    def way(self, model: str) -> str:
        """How the model is asked for JSON, as far as it is known."""
        return _way(self._left_out.get(model, set()))

    def _without_key(self, text: str) -> str:
        """An error in which the server may have repeated the key, or the beginning of it."""
        for length in range(len(self.key), 7, -1):
            text = text.replace(self.key[:length], "[key]")
        return text


def _way(left_out: set[str]) -> str:
    return next(way for way in WAYS if way not in left_out)


def _content(
    model: str,
    messages: Sequence[Mapping[str, str]],
    schema: Mapping[str, Any],
    seed: int,
    left_out: set[str],
) -> dict[str, Any]:
    options = {"seed": seed, "temperature": _TEMPERATURE, "max_tokens": _MAX_TOKENS}
    kept = {name: value for name, value in options.items() if name not in left_out}
    content = {"model": model, "messages": [dict(m) for m in messages], **kept}
    way = _way(left_out)
    if way == "response format":
        answer = {"name": _NAME, "strict": True, "schema": schema}
        content["response_format"] = {"type": "json_schema", "json_schema": answer}
    elif way == "tool call":
        tool = {"name": _NAME, "description": "Gives the answer.", "parameters": schema}
        content["tools"] = [{"type": "function", "function": tool}]
        content["tool_choice"] = {"type": "function", "function": {"name": _NAME}}
    return content


def _objection(words: str, content: Mapping[str, Any]) -> str | None:
    """What the server does not want: an option or a way to JSON; None if it is something else."""
    for name in _OPTIONAL:
        if name in content and re.search(rf"\b{name}\b", words, re.IGNORECASE):
            return name
    way = 0 if "response_format" in content else 1 if "tools" in content else None
    if way is None:
        return None
    if not words or _ABOUT[way].search(words) or _UNSPECIFIC.search(words):
        return WAYS[way]
    return None


class _Session(Session):
    """Keeps the words of a refusal, and says what a refused key means."""

    def _check_status(self, url: str, response: httpx.Response) -> None:
        status = response.status_code
        if status in (401, 403):
            raise ProviderError(
                f"{url} answered {status}: it does not accept the key; look at VLA_JAX_LLM_KEY"
            )
        if status not in _TURNED_DOWN:
            super()._check_status(url, response)
            return
        body = b"".join(self._pieces(url, response))
        words = " ".join(body[:4000].decode("utf-8", "replace").split())
        raise TurnedDown(f"{url} answered {status} ({brief(body)})", words)


def _reply(url: str, body: bytes) -> Reply:
    """Reads a chat completion.

    Raises:
        Passing: it is the server's report of a passing fault.
        ProviderError: it is no chat completion.
    """
    try:
        data = json.loads(body)
        _raise_reported(url, data)
        return _message(data["choices"][0], _tokens(data.get("usage")))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise ProviderError(
            f"{url} answered no chat completion but {brief(body)}: the address should end where "
            "/chat/completions begins, mostly with /v1"
        ) from None


def _raise_reported(url: str, data: Any) -> None:
    """Some gateways answer 200 and report the fault in the body."""
    if not (isinstance(data, dict) and data.get("error")) or data.get("choices"):
        return
    error = data["error"]
    text = f"{url} reports {brief(json.dumps(error).encode())}"
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and (code == 429 or code >= 500):
        raise Passing(text)
    raise ProviderError(text)


def _message(choice: Mapping[str, Any], tokens: Tokens) -> Reply:
    message, why = choice["message"], choice.get("finish_reason")
    if refusal := message.get("refusal"):
        return Reply(str(refusal), refused=True, tokens=tokens)
    calls = message.get("tool_calls") or []
    said = calls[0]["function"]["arguments"] if calls else _text(message.get("content"))
    text = said if isinstance(said, str) else json.dumps(said)
    if why == "content_filter":
        return Reply(text or "stopped by the content filter", refused=True, tokens=tokens)
    return Reply(text, cut=why == "length", tokens=tokens)


def _text(content: Any) -> str:
    """The content of a message: a string, parts of text, or nothing."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    if content is None or isinstance(content, str):
        return content or ""
    raise TypeError("content is neither text nor parts")


def _tokens(usage: Any) -> Tokens:
    if not isinstance(usage, dict):
        return Tokens()
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    read, written = (c if type(c) is int and 0 <= c < 1 << 40 else None for c in counts)
    return Tokens(read, written)
