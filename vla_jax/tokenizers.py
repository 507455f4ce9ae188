"""Words → token ids, offline; words that training never met take the id of one that means alike."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from generation.language.words import is_thing, likeness

PAD, UNKNOWN = 0, 1
# Cosine of sense vectors from which an unseen noun is read as its nearest known one: a griddle is
# near a saucepan (0.67), a pear near an apple (0.80); below, neighbours are of another kind.
ALIKE = 0.6


class Tokenizer(Protocol):
    """What environments need of a policy's tokenizer."""

    length: int  # tokens of an instruction

    def encode(self, phrase: str, length: int) -> np.ndarray:
        """Token ids i32[length] of an instruction; ValueError if it is longer."""
        ...

    def encode_scenes(self, scenes: Sequence, length: int, phrases: int) -> np.ndarray:
        """Every scene's wordings as i32[S, phrases, length]."""
        ...


def task_words(text: str) -> str:
    """An instruction as the word tokenizer reads it: lower case, without punctuation."""
    return " ".join(re.findall(r"[\w'-]+", text.lower())) or "do"


class WordTokenizer:
    """A fixed vocabulary of lower-case words; ids 0 and 1 are padding and unknown words.

    A noun outside the vocabulary is read as the known noun whose pretrained sense vector
    (`generation.language.words`) is nearest, if that is near enough.
    """

    def __init__(self, words: Sequence[str], length: int = 12, alike: float = ALIKE):
        """`length`: words of an instruction. `alike`: least cosine at which a known noun stands in
        for an unseen one."""
        self.words = tuple(words)
        self.length = length
        self.alike = alike
        self._ids = {word: i + 2 for i, word in enumerate(self.words)}
        self._read = functools.cache(self._nearest)

    @staticmethod
    def from_phrases(phrases: Iterable[str], length: int = 12) -> WordTokenizer:
        """The vocabulary of these phrases, sorted."""
        words = sorted({word for phrase in phrases for word in task_words(phrase).split()})
        return WordTokenizer(words, length)

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.words) + 2

    def word_id(self, word: str) -> int:
        """The id of a word, or of the known noun nearest to it."""
        return self._ids[word] if word in self._ids else self._read(word)

    def _nearest(self, word: str) -> int:
        if not is_thing(word):
            return UNKNOWN
        scores = [likeness(word, known) if is_thing(known) else 0.0 for known in self.words]
        best = int(np.argmax(scores)) if scores else -1
        return best + 2 if scores and scores[best] >= self.alike else UNKNOWN

    def encode(self, phrase: str, length: int) -> np.ndarray:
        """Token ids i32[length]. Longer phrases raise ValueError: cutting would change the task."""
        ids = [self.word_id(word) for word in task_words(phrase).split()]
        if len(ids) > length:
            raise ValueError(
                f"instruction {phrase!r} has {len(ids)} words, the policy reads {length}: "
                "shorten it"
            )
        return np.asarray(ids + [PAD] * (length - len(ids)), np.int32)

    def encode_scenes(self, scenes: Sequence, length: int, phrases: int) -> np.ndarray:
        """Every scene's wordings as i32[S, phrases, length], repeated in turn to fill `phrases`."""
        rows = []
        for scene in scenes:
            own = scene.task.paraphrases
            rows.append([self.encode(own[i % len(own)], length) for i in range(phrases)])
        return np.asarray(rows, np.int32)
