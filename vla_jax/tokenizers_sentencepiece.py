"""PaliGemma's tokenizer: text → the token ids that π0 and π0.5 were trained on.

The vocabulary is Google's `paligemma_tokenizer.model`, which the user provides; this module needs
the package sentencepiece (`pip install "vla-jax[pi0]"`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vla_jax.models.pi0_config import StatePrompt
from vla_jax.tokenizers import PAD

# Bytes of a .model file; PaliGemma's has 4.3 million.
_LARGEST_MODEL = 1 << 26
_BINS = 256


class SentencePieceTokenizer:
    """Prompts of π0 and π0.5 as openpi writes them.

    π0: beginning-of-sequence, the text, and a newline encoded by itself as the start of the answer.
    π0.5: `Task: TEXT, State: 128 7 …;\\nAction: ` with the state in 256 bins. In simulation the
    state changes at every step and the text does not, so `encode` gives the prompt up to "State:"
    and the model appends the rest on the device, with the tokens of `state_prompt`.
    """

    def __init__(self, path: str | Path, *, pi05: bool = False):
        """Read a `.model` file.

        Raises:
            ImportError: without sentencepiece, naming the command that installs it.
            ValueError: if the file is missing or no SentencePiece model.
        """
        self.pi05 = pi05
        self.length = 200 if pi05 else 48  # tokens of a prompt
        self._model = _load(Path(path))

    @property
    def size(self) -> int:
        """Number of ids. PaliGemma's embedding has more rows (257,152): image and action tokens."""
        return self._model.get_piece_size()

    def encode(self, phrase: str, length: int) -> np.ndarray:
        """Token ids i32[length] of an instruction, padded with 0; of π0.5's up to "State:".

        Longer prompts raise ValueError: cutting would change the task.
        """
        text = _clean(phrase)
        if self.pi05:
            ids = self._ids(f"Task: {text}, State:", begin=True)
        else:
            ids = self._ids(text, begin=True) + self._ids("\n")
        return _pad(ids, length, phrase)

    def encode_with_state(self, phrase: str, state: np.ndarray, length: int) -> np.ndarray:
        """π0.5's whole prompt i32[length], padded with 0.

        Args:
            phrase: the instruction.
            state: f[P] normalized, nominally in [-1, 1].
            length: a longer prompt raises ValueError.
        """
        edges = np.linspace(-1.0, 1.0, _BINS + 1)[:-1]
        bins = np.digitize(np.asarray(state), edges) - 1
        numbers = " ".join(str(b) for b in bins)
        ids = self._ids(f"Task: {_clean(phrase)}, State: {numbers};\nAction: ", begin=True)
        return _pad(ids, length, phrase)

    def encode_scenes(self, scenes: Sequence, length: int, phrases: int) -> np.ndarray:
        """Every scene's wordings as i32[S, phrases, length], repeated in turn to fill `phrases`."""
        rows = []
        for scene in scenes:
            own = scene.task.paraphrases
            rows.append([self.encode(own[i % len(own)], length) for i in range(phrases)])
        return np.asarray(rows, np.int32)

    def state_prompt(self) -> StatePrompt:
        """Tokens of every bin and of the prompt's end, for `Pi0Config.state_prompt`.

        Raises:
            ValueError: if this vocabulary cannot be pieced together that way, because a number
                and its surroundings are not tokenized apart. PaliGemma's makes every digit a token.
        """
        head = self._ids("Task: a, State:", begin=True)
        bins = [self._ids(f"Task: a, State: {b}", begin=True) for b in range(-1, _BINS)]
        whole = self._ids("Task: a, State: 0;\nAction: ", begin=True)
        prompt = StatePrompt(
            bins=tuple(tuple(ids[len(head) :]) for ids in bins), end=tuple(whole[len(bins[1]) :])
        )
        for numbers in ((-1, 0, 7), (10, 99, 100, 255), (128,) * 12):
            text = " ".join(str(n) for n in numbers)
            want = self._ids(f"Task: a, State: {text};\nAction: ", begin=True)
            pieces = [token for n in numbers for token in prompt.bins[n + 1]]
            if head + pieces + list(prompt.end) != want:
                raise ValueError(
                    "this vocabulary does not tokenize numbers apart from what surrounds them, so "
                    "the state cannot be put into the prompt on the device"
                )
        return prompt

    def _ids(self, text: str, begin: bool = False) -> list[int]:
        return list(self._model.encode(text, add_bos=begin))


def _clean(phrase: str) -> str:
    """As openpi does: outer blanks off, underscores and newlines to blanks; case stays."""
    return phrase.strip().replace("_", " ").replace("\n", " ")


def _pad(ids: list[int], length: int, phrase: str) -> np.ndarray:
    if len(ids) > length:
        raise ValueError(
            f"instruction {phrase!r} has {len(ids)} tokens, the policy reads {length}: shorten it"
        )
    return np.asarray(ids + [PAD] * (length - len(ids)), np.int32)


def _load(path: Path) -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise ImportError(
            'PaliGemma\'s tokenizer needs sentencepiece: pip install "vla-jax[pi0]"'
        ) from None
    if not path.is_file():
        raise ValueError(f"{path} does not exist: give PaliGemma's paligemma_tokenizer.model")
    if path.stat().st_size > _LARGEST_MODEL:
        raise ValueError(f"{path} is too large for a SentencePiece model")
    model = sentencepiece.SentencePieceProcessor()
    try:
        model.LoadFromSerializedProto(path.read_bytes())
    except RuntimeError:
        raise ValueError(f"{path} is no SentencePiece model, or is damaged") from None
    return model
