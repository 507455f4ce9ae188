"""Words → token ids, offline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

PAD, UNKNOWN = 0, 1


class WordTokenizer:
    """A fixed vocabulary of lower-case words; ids 0 and 1 are padding and unknown words."""

    def __init__(self, words: Sequence[str]):
        self.words = tuple(words)
        self._ids = {word: i + 2 for i, word in enumerate(self.words)}

    @staticmethod
    def from_phrases(phrases: Iterable[str]) -> WordTokenizer:
        """The vocabulary of these phrases, sorted."""
        return WordTokenizer(sorted({word for phrase in phrases for word in phrase.split()}))

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.words) + 2

    def encode(self, phrase: str, length: int) -> np.ndarray:
        """Token ids i32[length]. Longer phrases raise ValueError: cutting would change the task."""
        ids = [self._ids.get(word, UNKNOWN) for word in phrase.lower().split()]
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
