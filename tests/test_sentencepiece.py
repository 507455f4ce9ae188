"""PaliGemma's prompt formats, with a small vocabulary trained on the spot."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vla_jax.models.pi0_data import say_state
from vla_jax.tokenizers_sentencepiece import SentencePieceTokenizer

sentencepiece = pytest.importorskip("sentencepiece")


def train(path: Path, **options) -> Path:
    """A vocabulary like Gemma's: pad 0, end 1, begin 2, digits apart, blanks and newlines kept."""
    lines = [
        f"Task: put the {colour} {thing} on the plate, State: {i} {7 * i % 256};"
        for i, colour in enumerate("red green blue white black".split() * 8)
        for thing in "cup can block spoon".split()
    ]
    out = io.BytesIO()
    settings = {
        "model_type": "bpe",
        "vocab_size": 180,
        "pad_id": 0,
        "eos_id": 1,
        "bos_id": 2,
        "unk_id": 3,
        "split_digits": True,
        "character_coverage": 1.0,
        "byte_fallback": False,
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity",
        "user_defined_symbols": ["\n"],
        "hard_vocab_limit": False,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*lines, "Action: -1"]), model_writer=out, **(settings | options)
    )
    path.write_bytes(out.getvalue())
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("vocabulary") / "small.model")


def decode(path: Path, ids: np.ndarray) -> str:
    return sentencepiece.SentencePieceProcessor(model_file=str(path)).decode(ids.tolist())


def test_pi0_prompt(model):
    """Begin, text, newline by itself; underscores become blanks; padding is 0."""
    tokenizer = SentencePieceTokenizer(model)
    ids = tokenizer.encode("  put_the red\ncup ", 48)
    used = ids[ids != 0]
    raw = sentencepiece.SentencePieceProcessor(model_file=str(model))
    assert used.tolist() == [2, *raw.encode("put the red cup"), *raw.encode("\n")]
    assert ids.shape == (48,) and ids.dtype == np.int32 and not ids[len(used) :].any()
    assert decode(model, used) == "put the red cup\n"
    assert tokenizer.size == raw.get_piece_size()
    with pytest.raises(ValueError, match="the policy reads 3: shorten it"):
        tokenizer.encode("put the red cup", 3)


def test_pi05_prompt(model):
    """The state as openpi bins it; case stays."""
    tokenizer = SentencePieceTokenizer(model, pi05=True)
    ids = tokenizer.encode_with_state("put the red_cup", np.array([-2.0, -1.0, 0.0, 0.99]), 120)
    text = decode(model, ids[ids != 0])
    assert text == "Task: put the red cup, State: -1 0 128 254;\nAction: "
    assert ids[0] == 2


def test_state_is_appended_on_the_device(model):
    """The instruction's tokens and the bins, put together in JAX, are the whole prompt's tokens."""
    tokenizer = SentencePieceTokenizer(model, pi05=True)
    prompt = tokenizer.state_prompt()
    state = np.random.default_rng(0).uniform(-1.2, 1.2, (3, 12)).astype(np.float32)
    phrases = ["put the red cup on the plate", "put the can", "put the blue spoon on the plate"]
    words = np.stack([tokenizer.encode(phrase, 48) for phrase in phrases])
    said = np.asarray(say_state(words, state, prompt, 200))
    for i, phrase in enumerate(phrases):
        np.testing.assert_array_equal(said[i], tokenizer.encode_with_state(phrase, state[i], 200))


def test_a_vocabulary_that_joins_digits_is_refused(tmp_path):
    path = train(tmp_path / "joined.model", split_digits=False, split_by_whitespace=False)
    with pytest.raises(ValueError, match="does not tokenize numbers apart"):
        SentencePieceTokenizer(path, pi05=True).state_prompt()


def test_scenes(model):
    """Wordings repeat in turn."""
    tokenizer = SentencePieceTokenizer(model)
    scene = SimpleNamespace(task=SimpleNamespace(paraphrases=("put the cup", "put the can")))
    ids = tokenizer.encode_scenes([scene, scene], 48, 3)
    assert ids.shape == (2, 3, 48)
    np.testing.assert_array_equal(ids[0, 0], ids[1, 2])
    assert (ids[0, 0] != ids[0, 1]).any()


def test_complaints(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"does not exist: give PaliGemma's"):
        SentencePieceTokenizer(tmp_path / "none.model")
    damaged = tmp_path / "damaged.model"
    damaged.write_bytes(model.read_bytes()[:100])
    with pytest.raises(ValueError, match="no SentencePiece model"):
        SentencePieceTokenizer(damaged)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ImportError, match=r"pip install \"vla-jax\[pi0\]\""):
        SentencePieceTokenizer(model)
