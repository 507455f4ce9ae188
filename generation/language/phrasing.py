"""Saying a task in many ways. The templates and prepositions of "train" and "heldout" are disjoint.

Which noun stands for an object is the scene's choice, not the wording's: a scene's instructions all
use the noun of its graph, so that nothing in them could mean another object.
"""

from __future__ import annotations

from typing import Literal

from generation.assets.library import NOUNS
from generation.language.lexicon import GRAMMAR
from generation.spec import SUPPORTS, Relation

Split = Literal["train", "heldout", "all"]
MAX_WORDS = 12  # words of an instruction

TEMPLATES: dict[str, tuple[str, ...]] = {
    "train": (
        "put {t} {p} {r}",
        "place {t} {p} {r}",
        "move {t} {p} {r}",
        "set {t} {p} {r}",
        "drop {t} {p} {r}",
        "take {t} and put it {p} {r}",
        "pick up {t} and place it {p} {r}",
        "{t} goes {p} {r}",
        "{t} should go {p} {r}",
        "please put {t} {p} {r}",
    ),
    "heldout": (
        "lay {t} {p} {r}",
        "transfer {t} {p} {r}",
        "get {t} {p} {r}",
        "bring {t} over and leave it {p} {r}",
        "grab {t} and drop it {p} {r}",
        "i want {t} {p} {r}",
        "{t} belongs {p} {r}",
        "could you put {t} {p} {r}",
        "carry {t} over and rest it {p} {r}",
        "deposit {t} {p} {r}",
    ),
}
# Only for what carries the target.
_HOLDING = {"train": (), "heldout": ("{r} should hold {t}", "let {r} hold {t}")}
# Only for a target on top of something that is no receptacle.
_STACKING = {
    "train": ("stack {t} {p} {r}", "stack {t} up {p} {r}"),
    "heldout": ("pile {t} {p} {r}", "{t} should be stacked {p} {r}"),
}
PREPOSITIONS: dict[str, dict[Relation, tuple[str, ...]]] = {
    "train": {
        "on": ("on", "onto"),
        "in": ("in", "into"),
        "stacked on": ("on", "onto"),
        "next to": ("next to", "beside"),
        "left of": ("left of", "to the left of"),
        "right of": ("right of", "to the right of"),
        "in front of": ("in front of",),
        "behind": ("behind",),
    },
    "heldout": {
        "on": ("on top of", "upon"),
        "in": ("inside", "within"),
        "stacked on": ("on top of", "upon"),
        "next to": ("near", "close to"),
        "left of": ("on the left of", "on the left side of"),
        "right of": ("on the right of", "on the right side of"),
        "in front of": ("at the front of", "ahead of"),
        "behind": ("in back of", "at the back of"),
    },
}


def _vocabulary() -> tuple[str, ...]:
    words = {word for phrase in GRAMMAR for word in phrase if word.isalpha()}
    words.update(word for noun in NOUNS for word in noun.split())
    for side, templates in TEMPLATES.items():
        every = (*templates, *_HOLDING[side], *_STACKING[side])
        words.update(w for t in every for w in t.split() if not w.startswith("{"))
        words.update(w for ps in PREPOSITIONS[side].values() for p in ps for w in p.split())
    return tuple(sorted(words))


VOCABULARY: tuple[str, ...] = _vocabulary()


def noun_phrase(noun: str, colour: str = "", size: str = "") -> str:
    """The words for an object, e.g. "the small red block"."""
    return " ".join(word for word in ("the", size, colour, noun) if word)


def wordings(target: str, relation: Relation, receptacle: str, split: Split) -> tuple[str, ...]:
    """Every way to say the task in a split, at most `MAX_WORDS` words each, in a fixed order."""
    sentences = []
    for side in ("train", "heldout") if split == "all" else (split,):
        templates = TEMPLATES[side]
        if relation == "stacked on":
            templates = (*templates, *_STACKING[side])
        elif relation in SUPPORTS:
            templates = (*templates, *_HOLDING[side])
        for template in templates:
            for preposition in PREPOSITIONS[side][relation]:
                text = template.format(t=target, p=preposition, r=receptacle)
                if text not in sentences and len(text.split()) <= MAX_WORDS:
                    sentences.append(text)
    return tuple(sentences)
