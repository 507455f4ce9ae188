"""How much the instructions of a set of scenes vary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from generation.spec import SceneSpec

_SAMPLE = 1000  # instructions of which all pairs are compared
_LONGEST = 4  # words of an n-gram in self-BLEU


def instruction_diversity(scenes: Sequence[SceneSpec]) -> dict[str, Any]:
    """Figures on the scenes' instructions, and on all their paraphrases together.

    Returns:
        distinct: different instructions as a fraction of all.
        words: different words in all instructions.
        distinct_2: different pairs of neighbouring words as a fraction of all such pairs.
        mean_distance: 1 - Jaccard similarity of the words of two instructions, over all pairs.
        self_bleu: how much of an instruction occurs in others, 0 to 1; less is better.
        wordings, wordings_per_scene: different paraphrases in all, and on average.
    """
    texts = [scene.task.instruction for scene in scenes]
    pairs = [gram for text in texts for gram in _grams(text.split(), 2)]
    wordings = {text for scene in scenes for text in scene.task.paraphrases}
    each = [len(set(scene.task.paraphrases)) for scene in scenes]
    return {
        "count": len(texts),
        "distinct": round(len(set(texts)) / len(texts), 4),
        "words": len({word for text in texts for word in text.split()}),
        "distinct_2": round(len(set(pairs)) / len(pairs), 4) if pairs else 0.0,
        "mean_distance": round(mean_word_distance(texts), 4),
        "self_bleu": round(self_bleu(texts), 4),
        "wordings": len(wordings),
        "wordings_per_scene": round(float(np.mean(each)), 2),
    }


def mean_word_distance(texts: Sequence[str]) -> float:
    """Mean of 1 - |A & B| / |A | B| over all pairs of texts as sets of words, 0 without a pair."""
    texts = _thinned(texts)
    words = sorted({word for text in texts for word in text.split()})
    column = {word: k for k, word in enumerate(words)}
    has = np.zeros((len(texts), len(words)))
    for row, text in enumerate(texts):
        has[row, [column[word] for word in text.split()]] = 1.0
    both = has @ has.T
    sizes = has.sum(axis=1)
    shared = both / (sizes[:, None] + sizes[None] - both)
    n = len(texts)
    return float((1.0 - shared).sum() / (n * (n - 1))) if n > 1 else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU of every text against all the others (Zhu et al. 2018), without length penalty.

    Of n-grams of 1 to 4 words the geometric mean of the clipped precisions; 0 without others.
    """
    texts = _thinned(texts)
    if len(texts) < 2:
        return 0.0
    counts = [[Counter(_grams(text.split(), n)) for n in range(1, _LONGEST + 1)] for text in texts]
    # The two highest counts of every n-gram in one text: the highest of all *others* is one.
    best: dict[tuple[str, ...], tuple[int, int]] = {}
    for own in counts:
        for grams in own:
            for gram, count in grams.items():
                high, second = best.get(gram, (0, 0))
                best[gram] = (count, high) if count > high else (high, max(second, count))
    scores = []
    for own in counts:
        logs = []
        for grams in own:
            total = sum(grams.values())
            if not total:
                continue
            matched = 0
            for gram, count in grams.items():
                high, second = best[gram]
                matched += min(count, second if count == high else high)
            logs.append(math.log(matched / total) if matched else -math.inf)
        scores.append(math.exp(sum(logs) / len(logs)))
    return float(np.mean(scores))


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _thinned(texts: Sequence[str]) -> list[str]:
    if len(texts) <= _SAMPLE:
        return list(texts)
    return [texts[int(i)] for i in np.linspace(0, len(texts) - 1, _SAMPLE).round()]
