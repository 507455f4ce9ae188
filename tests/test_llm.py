"""The language model's client against a real HTTP server with all its faults."""

from __future__ import annotations

import json
import pickle
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from chat_server import (
    KEY,
    Answer,
    clean_environment,
    client_of,
    completion,
    endless,
    half,
    objection,
    reply,
    serving,
    silence,
    tool_call,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.llm.client import ChatClient, chat_client
from generation.llm.tolerant_json import read_object
from generation.llm.usage import Prices
from generation.services.fetch import ProviderError

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
ASKED = [{"role": "user", "content": "a number please"}]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_environment(monkeypatch)


def number(value: dict[str, Any]) -> int:
    if not isinstance(value.get("n"), int):
        raise ValueError("n must be a whole number")
    return value["n"]


def ask(client: ChatClient, seed: int = 0) -> int:
    return client.converse(ASKED, SCHEMA, seed, number)


# --- requests ---------------------------------------------------------------------------------


def test_a_request_carries_key_schema_and_seed() -> None:
    with serving(completion({"n": 5})) as server:
        assert ask(client_of(server.url), seed=7) == 5
    (request,) = server.requests
    assert server.keys == [f"Bearer {KEY}"] and server.paths == ["/v1/chat/completions"]
    assert request["seed"] == 7 and request["model"] == "tester"
    assert request["response_format"]["json_schema"]["schema"] == SCHEMA
    assert request["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    "arguments", ['{"n": 3}', {"n": 3}, '{"n": 3,}'], ids=["text", "object", "almost"]
)
def test_an_unsupported_format_leads_down_the_ladder_and_is_remembered(arguments: Any) -> None:
    answers = objection("'response_format' json_schema is not supported"), tool_call(arguments)
    with serving(*answers) as server:
        client = client_of(server.url)
        assert ask(client) == 3 and ask(client, seed=1) == 3
        assert ask(pickle.loads(pickle.dumps(client)), seed=2) == 3  # it knows, too
    assert ["tools" in request for request in server.requests] == [False, True, True, True]
    assert all("response_format" not in request for request in server.requests[1:])
    chosen = server.requests[1]["tool_choice"]["function"]["name"]
    assert chosen == server.requests[1]["tools"][0]["function"]["name"]


def test_without_formats_and_tools_the_prompt_must_do() -> None:
    answers = (
        objection("json_schema unknown", 422),
        objection("this model has no tool support", 404),
        completion('Sure! Here you are:\n```json\n{"n": 4,}\n```\nEnjoy {it}.'),
    )
    with serving(*answers) as server:
        client = client_of(server.url)
        assert ask(client) == 4
        assert client.endpoint is not None and client.endpoint.way("tester") == "prompt"
    assert len(server.requests) == 3
    assert not {"tools", "tool_choice", "response_format"} & set(server.requests[-1])


def test_options_that_the_server_does_not_know_are_left_out() -> None:
    answers = (
        objection("Unsupported parameter: 'max_tokens', use 'max_completion_tokens'"),
        objection("temperature does not support 0.8 with this model"),
        completion({"n": 1}),
    )
    with serving(*answers) as server:
        client = client_of(server.url)
        assert ask(client) == 1 and ask(client, 1) == 1
    assert [set(r) & {"max_tokens", "temperature"} for r in server.requests] == [
        {"max_tokens", "temperature"}, {"temperature"}, set(), set()
    ]  # fmt: skip
    assert all("response_format" in request for request in server.requests)


# --- faults of the server ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        reply("overloaded", 500),
        reply("busy", 503),
        half,
        silence(0.6),
        reply({"error": {"code": 502, "message": "upstream"}}),
    ],
    ids=["500", "503", "half an answer", "silence", "reported in the body"],
)
def test_passing_faults_are_tried_again(fault: Answer) -> None:
    with serving(fault, completion({"n": 2})) as server:
        assert ask(client_of(server.url)) == 2
        assert len(server.requests) == 2


def test_a_full_server_is_given_the_time_that_it_asks_for() -> None:
    with serving(reply("slow down", 429, Retry_After="0.3"), completion({"n": 2})) as server:
        start = time.monotonic()
        assert ask(client_of(server.url)) == 2
        assert time.monotonic() - start >= 0.3
        assert len(server.requests) == 2


def test_nobody_waits_longer_than_the_limit() -> None:
    with serving(reply("slow down", 429, Retry_After="3600")) as server:
        start = time.monotonic()
        with pytest.raises(ProviderError, match="429.*wait 3600 s"):
            ask(client_of(server.url))
        assert time.monotonic() - start < 600.0 and len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "said", "requests"),
    [
        (reply("overloaded", 500), "answered 500.*3 tries", 3),
        (half, "3 tries", 3),
        (silence(0.6), "silent for 0.25 s", 3),
        (endless, "more than 256 KiB", 1),
        (reply("<html>hello</html>", kind="text/html"), "no chat completion but '<html>", 1),
        (reply("[]"), "no chat completion", 1),
        (reply({"choices": []}), "no chat completion", 1),
        (reply({"choices": [{"message": {"content": 5}}]}), "no chat completion", 1),
        (reply("[" * 100_000), "no chat completion", 1),
        (reply(b"\x80\x81"), "no chat completion", 1),
        (reply("{}", 302, Location="http://localhost:1/"), "answered 302", 1),
        (reply({"error": "no credit"}), "no credit", 1),
        (objection(f"Incorrect API key {KEY}", 401), "VLA_JAX_LLM_KEY", 1),
        (objection(f"your key {KEY} owes us money"), "your key .key. owes us money", 1),
        (objection("the model 'tester' does not exist", 404), "does not exist", 1),
        (objection("unsupported"), "answered 400", 3),
    ],
)
def test_lasting_faults_say_what_happened(fault: Answer, said: str, requests: int) -> None:
    with serving(fault) as server:
        with pytest.raises(ProviderError, match=said) as caught:
            ask(client_of(server.url))
        assert len(server.requests) == requests
    assert KEY not in str(caught.value) and KEY[:12] not in str(caught.value)


def test_nobody_there() -> None:
    with serving(silence(0)) as server:
        url = server.url
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1.*3 tries"):
        ask(client_of(url))


# --- bad answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (completion("I am sorry, I cannot do that."), "words instead of a JSON object"),
        (completion(None, refusal="not allowed"), "the model refused: 'not allowed'"),
        (completion("", finish="content_filter"), "refused: 'stopped by the content filter'"),
        (completion('{"n": 1', finish="length"), "cut off"),
        (completion('{"n" 1: }{'), "broken JSON|n must be"),
        (completion({"m": 1}), "n must be a whole number"),
        (completion('{"n": NaN}'), "JSON compliant"),
        (completion(None), "words instead"),
    ],
)
def test_the_model_is_told_what_was_wrong(bad: Answer, fault: str) -> None:
    with serving(bad, completion({"n": 9})) as server:
        assert ask(client_of(server.url)) == 9
    first, second = server.requests
    assert second["messages"][: len(ASKED)] == first["messages"] == ASKED
    said, correction = second["messages"][len(ASKED) :]
    assert said["role"] == "assistant" and correction["role"] == "user"
    assert re.search(fault, correction["content"])
    assert second["seed"] != first["seed"]


def test_after_three_bad_answers_all_faults_are_named() -> None:
    answers = completion("no"), completion({"n": "x"}), completion(None, refusal="never")
    with serving(*answers) as server:
        said = "3 tries: 1\\) words.*'no'; 2\\) n must be a whole number; 3\\) .*refused: 'never'"
        with pytest.raises(ValueError, match=said):
            ask(client_of(server.url))
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1}',
        '\n\n {"n": 1}\n',
        '```\n{"n": 1}\n```',
        'So:\n```json\n{"n": 1,}\n```',
        'The answer is {"n": 1}. Good luck!',
        'Given {this}, I say {"n": 1, "s": "}\\"{,]"}',
        '<think>maybe {"n": 2}?</think>{"n": 1}',
        '{"n": 1, "list": [1, 2, ], }',
    ],
)
def test_json_is_found_in_what_models_write(text: str) -> None:
    assert read_object(text)["n"] == 1


def test_commas_in_strings_are_kept() -> None:
    assert read_object('{"s": "a,}", "t": "b,]",}') == {"s": "a,}", "t": "b,]"}


@pytest.mark.parametrize(
    "text",
    ["", "no", "[1]", "[" * 50_000, '{"a":' * 50_000, "{" * 50_000, '{"a": ' + '\\"' * 50_000],
)
def test_no_json_is_said_quickly(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match="JSON"):
        read_object(text)
    assert time.process_time() - start < 5.0


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet='{}[]",:\\n `a1', max_size=60))
def test_any_text_is_an_object_or_an_error(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(read_object(text), dict)


# --- what a client is made of -----------------------------------------------------------------


def test_a_client_needs_a_model_and_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="VLA_JAX_LLM_MODEL"):
        chat_client()
    with pytest.raises(ValueError, match="VLA_JAX_LLM_URL"):
        chat_client("m")
    with pytest.raises(ValueError, match="replay needs the folder"):
        chat_client("m", replay=True)
    monkeypatch.setenv("VLA_JAX_LLM_MODEL", "from-environment")
    monkeypatch.setenv("VLA_JAX_LLM_URL", "http://localhost:1/v1/")
    client = chat_client()
    assert client.model == "from-environment"
    assert client.endpoint is not None and client.endpoint.url == "http://localhost:1/v1"
    assert KEY not in repr(client) and client.endpoint.key == KEY


@pytest.mark.parametrize(
    "url",
    ["ftp://x/v1", "localhost:1", "http://", "http://[", f"http://me:{KEY}@x/v1", "http://x?k=1"],
)
def test_bad_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        chat_client("m", url)
    assert KEY not in str(caught.value)


def test_openais_key_goes_to_openai_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLA_JAX_LLM_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    keys = [
        client.endpoint.key
        for url in ("https://api.openai.com/v1", "https://elsewhere.example/v1")
        if (client := chat_client("m", url)).endpoint
    ]
    assert keys == [KEY, ""]
    monkeypatch.setenv("VLA_JAX_LLM_KEY", "two\nlines")
    with pytest.raises(ValueError, match="copy it again"):
        chat_client("m", "http://localhost/v1")


def test_the_cost_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(completion({"n": 1})) as server:
        client = client_of(server.url)
        ask(client)
        assert str(client.usage) == (
            "1 answers, 1,000 tokens read and 200 written, cost unknown (set VLA_JAX_LLM_PRICES)"
        )
        client = client_of(server.url, prices=Prices(2.0, 10.0))
        ask(client)
        assert client.usage.cost_usd == pytest.approx(0.004)
        monkeypatch.setenv("VLA_JAX_LLM_PRICES", "1, 5")
        client = client_of(server.url)
        ask(client)
        assert str(client.usage).endswith("$0.0020")
        server.answers[:] = [reply({"choices": [{"message": {"content": '{"n": 1}'}}]})]
        ask(client)
        assert "did not count 1" in str(client.usage) and "at least $0.0020" in str(client.usage)
    monkeypatch.setenv("VLA_JAX_LLM_PRICES", "cheap")
    with pytest.raises(ValueError, match="VLA_JAX_LLM_PRICES='cheap'"):
        client_of(server.url)


def test_copies_in_other_processes_share_one_bill(tmp_path: Path) -> None:
    ledger = tmp_path / "bill"
    ledger.touch()
    with serving(completion({"n": 1})) as server:
        client = client_of(server.url, ledger=ledger)
        ask(pickle.loads(pickle.dumps(client)))
        ask(client)
    assert client.usage.answers == 2 and client.usage.read == 2000
    assert KEY not in ledger.read_text()


# --- record and replay ------------------------------------------------------------------------


def test_a_good_answer_is_kept_with_the_tries_before_it(tmp_path: Path) -> None:
    with serving(completion("no"), completion('so {"n": 6,}')) as server:
        client = client_of(server.url, cache=tmp_path)
        assert ask(client) == ask(client) == 6
        assert len(server.requests) == 2  # the second time nothing is asked
        assert (client.usage.answers, client.usage.replayed) == (2, 1)
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    record = json.loads(path.read_text())
    assert [t["text"] for t in record["tries"]] == ["no", 'so {"n": 6,}']
    assert record["answer"] == {"n": 6} and KEY not in path.read_text()
    assert ask(chat_client("tester", cache=tmp_path, replay=True)) == 6


def test_replay_never_asks_and_names_what_is_missing(tmp_path: Path) -> None:
    with serving(completion({"n": 6})) as server:
        ask(client_of(server.url, cache=tmp_path))
        replay = chat_client("tester", server.url, cache=tmp_path, replay=True)
        with pytest.raises(ValueError, match=r"no recorded answer of 'tester' to a number.*seed 1"):
            ask(replay, seed=1)
        with pytest.raises(ValueError, match="no recorded answer of 'other'"):
            ask(chat_client("other", cache=tmp_path, replay=True))
        assert len(server.requests) == 1


def test_failures_are_not_kept(tmp_path: Path) -> None:
    with serving(completion("no")) as server, pytest.raises(ValueError, match="3 tries"):
        ask(client_of(server.url, cache=tmp_path))
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("damage", ["", "{", "null", '{"version": 1}', "other", "huge"])
def test_a_damaged_record_is_named_or_asked_anew(tmp_path: Path, damage: str) -> None:
    with serving(completion({"n": 6})) as server:
        client = client_of(server.url, cache=tmp_path)
        ask(client)
        (path,) = tmp_path.rglob("*.json")
        good = path.read_text()
        texts = {
            "other": good.replace("a number", "another number"),
            "huge": good + " " * (5 << 20),
        }
        path.write_text(texts.get(damage, damage))
        with pytest.raises(ValueError, match=f"{path}.*delete it"):
            ask(chat_client("tester", cache=tmp_path, replay=True))
        assert ask(client) == 6 and path.read_text() == good
        assert len(server.requests) == 2


def test_odd_characters_survive_the_record(tmp_path: Path) -> None:
    with serving(completion('{"n": 1, "s": "\\ud800 é \\u0000"}')) as server:
        ask(client_of(server.url, cache=tmp_path))
    assert ask(chat_client("tester", cache=tmp_path, replay=True)) == 1
