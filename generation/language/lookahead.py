"""What comes next in a sentence: negated verbs, and places still to be named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from generation.language.chunks import Chunk

NEGATORS = frozenset(
    "not|no|never|without|avoid|avoiding|refuse to|refrain from|instead of|rather than".split("|")
)
_ACTS = ("verb", "take", "stack", "goal", "want", "fill", "hold")
PREPOSITIONS = ("prep", "into", "to")


def preposition_follows(rest: list[Chunk]) -> bool:
    """Whether a place is still to come in this sentence, before another verb or list."""
    for chunk in rest:
        if chunk.kind in ("stop", "there", "with", "verb", "take", "is"):
            return False
        if chunk.kind in ("prep", "into", "to"):
            return True
    return False


def first(chunks: list[Chunk]) -> str:
    return chunks[0].kind if chunks else "stop"


def negations(chunks: Sequence[Chunk]) -> list[Chunk]:
    """A negator and the verbs right after it ("not", "want", "put") become one "negated"."""
    out: list[Chunk] = []
    for chunk in chunks:
        last = out[-1] if out else None
        if last and chunk.kind in _ACTS and (last.kind == "negated" or last.text in NEGATORS):
            out[-1] = replace(last, kind="negated")
        else:
            out.append(chunk)
    return out
