"""Language models behind any OpenAI-compatible address: one conversation, until an answer is good.

    client = chat_client("qwen3", "http://localhost:11434/v1", cache=Path("answers"))
    client.converse(messages, schema, seed=0, accept=check)

The key is sent to the address and goes nowhere else: not into errors, records or bills.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from generation.llm.cache import AnswerCache, Question, Record, Try
from generation.llm.endpoint import Endpoint, Reply
from generation.llm.tolerant_json import read_object
from generation.llm.usage import Bill, Prices, Usage
from generation.services.fetch import Limits

T = TypeVar("T")

TRIES = 3  # answers asked for before giving up
LIMITS = Limits(total_s=300.0, silence_s=120.0, tries=4, backoff_s=1.0, max_bytes=1 << 18)

_MODEL, _URL, _KEY = "VLA_JAX_LLM_MODEL", "VLA_JAX_LLM_URL", "VLA_JAX_LLM_KEY"
_EXAMPLES = "https://api.openai.com/v1 or http://localhost:11434/v1"
_QUOTED = 4000  # characters of an answer that are shown to the model again


@dataclass(frozen=True)
class ChatClient:
    """A model, how it is reached, and what it has said. Can be pickled; make it by `chat_client`.

    Attributes:
        model: as the server calls it.
        endpoint: address, key and limits; None if answers are only replayed.
        cache: where good answers are kept, None for nowhere.
        bill: what it has cost so far.
    """

    model: str
    endpoint: Endpoint | None
    cache: AnswerCache | None = None
    bill: Bill = field(default_factory=Bill)

    @property
    def usage(self) -> Usage:
        """Requests, tokens and cost so far."""
        return self.bill.usage

    def converse(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: dict[str, Any],
        seed: int,
        accept: Callable[[dict[str, Any]], T],
        probe: Callable[[T], None] | None = None,
    ) -> T:
        """Asks until `accept` takes the answer, and returns what `accept` makes of it.

        Args:
            messages: the conversation so far, {"role": ..., "content": ...}.
            schema: JSON schema of the answer, an object.
            seed: for the sampling of the answer; part of what identifies the question.
            accept: raises ValueError with what is wrong, which the model is told.
            probe: the same for what costs more to find out; recorded answers have passed it.

        Raises:
            ValueError: no usable answer in `TRIES` tries, with the fault of each; or none recorded.
            ProviderError: the server could not be reached or turned the request down.
        """
        question = Question(
            model=self.model,
            messages=tuple(dict(message) for message in messages),
            answer_schema=schema,
            seed=seed,
        )
        if self.endpoint is None:
            return self._replay(question, accept)
        if (recorded := self._recorded(question, accept)) is not None:
            return recorded[0]
        return self._ask(question, accept, probe, self.endpoint)

    def _replay(self, question: Question, accept: Callable[[dict[str, Any]], T]) -> T:
        if self.cache is None:
            raise ValueError("replay needs the folder of recorded answers: pass a cache")
        record = self.cache.get(question)
        said = " ".join(question.messages[-1]["content"].split())[:200]
        if record is None:
            raise ValueError(
                f"no recorded answer of {self.model!r} to {said} (seed {question.seed}, "
                f"{self.cache.path(question)}): record it without replay first"
            )
        try:
            answer = accept(record.answer)
        except ValueError as error:
            raise ValueError(
                f"{self.cache.path(question)}: the recorded answer to {said} can no longer be "
                f"used ({error}): record it anew"
            ) from None
        self.bill.replayed()
        return answer

    def _recorded(
        self, question: Question, accept: Callable[[dict[str, Any]], T]
    ) -> tuple[T] | None:
        """What an earlier run was answered; a record that is not usable is asked for anew."""
        try:
            record = self.cache.get(question) if self.cache else None
            answer = (accept(record.answer),) if record else None
        except ValueError:
            return None
        if answer:
            self.bill.replayed()
        return answer

    def _ask(
        self,
        question: Question,
        accept: Callable[[dict[str, Any]], T],
        probe: Callable[[T], None] | None,
        endpoint: Endpoint,
    ) -> T:
        messages, tries = [dict(m) for m in question.messages], []
        for number in range(TRIES):
            # Another seed each time: servers that sample by it would repeat themselves.
            reply = endpoint.ask(
                self.model, messages, question.answer_schema, question.seed + number
            )
            self.bill.add(reply.tokens)
            try:
                value = _object_of(reply)
                answer = accept(value)
                if probe:
                    probe(answer)
            except ValueError as error:
                tries.append(Try(text=_storable(reply.text), fault=_storable(str(error))))
                messages += _feedback(tries[-1])
                continue
            if self.cache:
                tries.append(Try(text=_storable(reply.text)))
                self.cache.put(Record(question=question, tries=tuple(tries), answer=value))
            return answer
        faults = "; ".join(f"{n}) {t.fault}" for n, t in enumerate(tries, start=1))
        raise ValueError(f"{self.model!r} gave no usable answer in {TRIES} tries: {faults}")


def chat_client(
    model: str | None = None,
    base_url: str | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    replay: bool = False,
    prices: Prices | None = None,
    limits: Limits = LIMITS,
    ledger: Path | None = None,
) -> ChatClient:
    """A client for an OpenAI-compatible server.

    Args:
        model: as the server calls it; default VLA_JAX_LLM_MODEL.
        base_url: the address up to /v1; default VLA_JAX_LLM_URL.
        cache: folder in which good answers are kept.
        replay: answer from `cache` alone, never from the network; needs no address.
        prices: of a million tokens; default VLA_JAX_LLM_PRICES, else the cost is unknown.
        limits: time and size of one answer, retries included.
        ledger: existing file that gathers the usage of copies in other processes.

    The key is that of the environment: VLA_JAX_LLM_KEY, or OPENAI_API_KEY for api.openai.com.

    Raises:
        ValueError: something is missing or not possible; names the variable to set.
    """
    model = model or os.environ.get(_MODEL, "")
    if not model:
        raise ValueError(f"which language model? Name one (--llm-model) or set {_MODEL}")
    if replay and cache is None:
        raise ValueError("replay needs the folder of recorded answers: name it (--llm-cache)")
    endpoint = None
    if not replay:
        base_url = base_url or os.environ.get(_URL, "")
        if not base_url:
            raise ValueError(
                f"where is the language model? Give its address (--llm-url) or set {_URL}, such "
                f"as {_EXAMPLES}"
            )
        endpoint = Endpoint(_checked_url(base_url), key=_key(base_url), limits=limits)
    bill = Bill(prices or Prices.from_environment(), ledger)
    return ChatClient(model, endpoint, AnswerCache(Path(cache)) if cache else None, bill)


def _checked_url(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"the language model's address is not a URL: {error}") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        # Such an address could hold a secret: it is not repeated here.
        raise ValueError(
            f"the language model's address must end with its path: put a key into {_KEY} instead"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"language model's address {url!r}: write one such as {_EXAMPLES}")
    return url.rstrip("/").removesuffix("/chat/completions")


def _key(url: str) -> str:
    """The key for an address; OpenAI's is sent to nobody else."""
    key = os.environ.get(_KEY, "")
    if not key and urllib.parse.urlsplit(url).hostname == "api.openai.com":
        key = os.environ.get("OPENAI_API_KEY", "")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError(f"the key in {_KEY} has spaces or signs that no key has: copy it again")
    return key


def _object_of(reply: Reply) -> dict[str, Any]:
    if reply.refused:
        raise ValueError(f"the model refused: {' '.join(reply.text.split())[:200]!r}")
    if reply.cut:
        raise ValueError("the answer was cut off before its end: answer more briefly")
    # Only what can be written down and read again: no lone surrogates, no infinities.
    text = json.dumps(read_object(reply.text), ensure_ascii=False, allow_nan=False)
    return json.loads(_storable(text))


def _storable(text: str) -> str:
    """The text without lone surrogates, which cannot be written or sent."""
    return text.encode("utf-8", "replace").decode()


def _feedback(last: Try) -> list[dict[str, str]]:
    again = (
        f"That answer cannot be used: {last.fault}. Answer again with one complete, corrected JSON "
        "object and nothing else."
    )
    said = {"role": "assistant", "content": last.text[:_QUOTED] or "(nothing)"}
    return [said, {"role": "user", "content": again}]
