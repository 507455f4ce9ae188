"""The words that sentences are made of, and what kind of word each is."""

from __future__ import annotations

from generation.assets.colours import COLOUR_SYNONYMS, COLOURS
from generation.assets.library import NOUNS
from generation.spec import Relation

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
        "{r} should hold {t}",
        "let {r} hold {t}",
    ),
}
PREPOSITIONS: dict[str, dict[Relation, tuple[str, ...]]] = {
    "train": {"on": ("on", "onto"), "in": ("in", "into")},
    "heldout": {"on": ("on top of", "upon"), "in": ("inside", "within")},
}

_SPATIAL = {
    "next to": "next to", "beside": "next to", "near": "next to", "close to": "next to",
    "by": "next to", "left of": "left of", "to the left of": "left of",
    "right of": "right of", "to the right of": "right of", "behind": "behind",
    "in front of": "in front of",
}  # fmt: skip
# "A left of B" is "B right of A": the thing named later is placed relative to the earlier one.
INVERSE = {
    "next to": "next to", "left of": "right of", "right of": "left of",
    "behind": "in front of", "in front of": "behind",
}  # fmt: skip
# What a wildcard noun admits: a tag of the families, or "" for anything.
CATEGORIES = {
    "object": "", "thing": "", "item": "", "one": "", "something": "", "anything": "",
    "somewhere": "", "receptacle": "", "toy": "toy", "fruit": "fruit", "vegetable": "vegetable",
    "food": "food", "drink": "drink", "container": "container", "surface": "surface",
    "tool": "office",
}  # fmt: skip
_THEMES = {
    "kitchen": "kitchen", "breakfast": "kitchen", "dinner": "kitchen", "lunch": "food",
    "picnic": "food", "groceries": "food", "fruits": "food", "vegetables": "food",
    "office": "office", "desk": "office", "study": "office", "toys": "toy", "playroom": "toy",
    "nursery": "toy", "drinks": "drink", "surprise": "", "random": "",
}  # fmt: skip
_VERBS = (
    "put place move set drop take pick lay transfer get bring leave grab carry deposit shift rest "
    "stack tidy clean sort clear"
).split()
_FILLERS = (
    "please can could you would like i want need robot kindly now just up down over to it its and "
    "then goes go should be is belongs let there here scene table counter for me room with of"
).split()
_SIZES = {
    "small": "small", "little": "small", "tiny": "small", "large": "large", "big": "large",
    "huge": "large",
}  # fmt: skip


def _lexicon() -> dict[tuple[str, ...], tuple[str, str]]:
    words: dict[str, tuple[str, str]] = {}
    words.update({w: ("filler", w) for w in _FILLERS})
    words.update({w: ("verb", w) for w in _VERBS})
    words.update({w: ("theme", tag) for w, tag in _THEMES.items()})
    words.update({w: ("det", w) for w in ("a", "an", "the", "some", "any", "that", "this", "my")})
    words.update({w: ("with", w) for w in ("with", "and a", "and an", "and the", "plus")})
    words.update({w: ("hold", w) for w in ("should hold", "hold", "holds")})
    words.update({w: ("table", w) for w in ("on the table", "on a table", "from the table")})
    for relation, names in {"on": ["atop"], "in": []}.items():
        for split in PREPOSITIONS.values():
            names += split[relation]  # type: ignore[index]  # the keys are the two relations
        words.update(dict.fromkeys(names, ("prep", relation)))
    words.update({w: ("spatial", relation) for w, relation in _SPATIAL.items()})
    words.update({w: ("size", size) for w, size in _SIZES.items()})
    words.update({w: ("colour", w) for w in COLOURS})
    words.update({w: ("colour", c) for w, c in COLOUR_SYNONYMS.items()})
    words.update({w: ("category", tag) for w, tag in CATEGORIES.items()})
    words.update({w: ("noun", w) for w in NOUNS})
    return {tuple(phrase.split()): entry for phrase, entry in words.items()}


LEXICON = _lexicon()
LONGEST = max(len(phrase) for phrase in LEXICON)
