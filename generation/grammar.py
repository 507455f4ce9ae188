"""Sentences about putting things on things: reading them, and saying them in many ways.

`parse` reads a free-ish sentence into a `Request`; `wordings` says a task in the templates of a
split. The templates and prepositions of "train" and "heldout" are disjoint, and `parse` reads back
whatever `wordings` says.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from generation.assets.library import FAMILIES, NOUNS
from generation.lexicon import CATEGORIES, INVERSE, LEXICON, LONGEST, PREPOSITIONS, TEMPLATES
from generation.spec import Relation

Split = Literal["train", "heldout", "all"]
MAX_WORDS = 12  # words of an instruction


@dataclass(frozen=True)
class Mention:
    """A noun phrase. Without a family the designer chooses one with the tag ("" admits all)."""

    noun: str = ""
    family: str | None = None
    tag: str = ""
    colour: str = ""
    size: str = ""


@dataclass(frozen=True)
class Extra:
    """A further object of the prompt: it stands in `relation` to the mention number `anchor`."""

    mention: Mention
    relation: str
    anchor: int  # 0 the target, 1 the receptacle, 2.. earlier extras


@dataclass(frozen=True)
class Request:
    """What a prompt asks for. `sentence` is the task as the user wrote it, when it is complete."""

    target: Mention
    receptacle: Mention
    relation: Relation | None = None
    extras: tuple[Extra, ...] = ()
    sentence: str | None = None


@dataclass(frozen=True)
class _Item:
    kind: str
    value: str
    start: int  # index of the first word
    end: int


def _vocabulary() -> tuple[str, ...]:
    words = {word for phrase in LEXICON for word in phrase}
    for split, templates in TEMPLATES.items():
        words.update(w for t in templates for w in t.split() if not w.startswith("{"))
        words.update(w for ps in PREPOSITIONS[split].values() for p in ps for w in p.split())
    return tuple(sorted(words))


VOCABULARY: tuple[str, ...] = _vocabulary()


def parse(prompt: str) -> Request:
    """Reads a prompt.

    Understands "put X in/on Y" with any of the known verbs, articles, colours, sizes, wildcards
    ("something", "a fruit", "a container"), further objects ("next to a red mug", "with a ball")
    and bare themes ("kitchen", "toys").

    Raises:
        ValueError: an unknown word or object (with the nearest known), a target that cannot be
            picked, a receptacle that cannot hold, or no task at all.
    """
    words = re.findall(r"[a-z']+", prompt.lower())
    if not words:
        raise ValueError(f"the prompt {prompt!r} has no words: {_HOW}")
    items = _read_items(words, prompt)
    mentions, gaps = _mentions(items, prompt)
    if not mentions:
        return _theme(items, prompt)
    if len(mentions) == 1:
        _complain_about_one(mentions[0][0], items, prompt)
    return _assemble(mentions, gaps, words, prompt)


_HOW = 'write for example "put the red block on the blue plate"'


def _read_items(words: list[str], prompt: str) -> list[_Item]:
    items, start = [], 0
    while start < len(words):
        for length in range(min(LONGEST, len(words) - start), 0, -1):
            entry = LEXICON.get(tuple(words[start : start + length]))
            if entry is None:
                continue
            # "and the ..." opens a new noun phrase: leave its article to the phrase.
            end = start + (1 if entry[0] == "with" else length)
            items.append(_Item(*entry, start, end))
            start = end
            break
        else:
            _unknown(words[start], items[-1].kind if items else "", prompt)
    return items


def _unknown(word: str, before: str, prompt: str) -> NoReturn:
    nouns = sorted({*NOUNS, *CATEGORIES})
    for plural in (word.removesuffix("s"), word.removesuffix("es")):
        if plural != word and plural in nouns:
            raise ValueError(f"{word!r} in {prompt!r} is plural: ask for one {plural}")
    if before in ("det", "colour", "size", "verb", "prep", "spatial", "with"):
        close = difflib.get_close_matches(word, nouns, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise ValueError(
            f"unknown object {word!r} in {prompt!r}: {hint}known are {', '.join(sorted(NOUNS))}"
        )
    close = difflib.get_close_matches(word, VOCABULARY, n=1, cutoff=0.7)
    hint = f"did you mean {close[0]!r}?" if close else _HOW
    raise ValueError(f"unknown word {word!r} in {prompt!r}: {hint}")


def _mentions(
    items: list[_Item], prompt: str
) -> tuple[list[tuple[Mention, int, int]], list[list[_Item]]]:
    """Noun phrases with their word ranges, and the items before each (and after the last)."""
    mentions: list[tuple[Mention, int, int]] = []
    gaps: list[list[_Item]] = [[]]
    colour = size = ""
    first: int | None = None
    for item in items:
        if item.kind in ("det", "colour", "size"):
            first = item.start if first is None else first
            colour = item.value if item.kind == "colour" else colour
            size = item.value if item.kind == "size" else size
        elif item.kind in ("noun", "category"):
            start = item.start if first is None else first
            family = NOUNS[item.value].name if item.kind == "noun" else None
            noun, tag = (item.value, "") if family else ("", item.value)
            mentions.append((Mention(noun, family, tag, colour, size), start, item.end))
            gaps.append([])
            colour, size, first = "", "", None
        else:
            if colour or size:
                raise ValueError(f"{colour or size!r} in {prompt!r} describes no object: {_HOW}")
            gaps[-1].append(item)
            first = None
    return mentions, gaps


def _theme(items: list[_Item], prompt: str) -> Request:
    tags = [item.value for item in items if item.kind == "theme"]
    if not tags:
        raise ValueError(f"no object in {prompt!r}: {_HOW}")
    return Request(Mention(tag=tags[0]), Mention(tag=tags[0]))


def _complain_about_one(mention: Mention, items: list[_Item], prompt: str) -> NoReturn:
    said = mention.noun or "object"
    holders = ", ".join(f.name for f in FAMILIES.values() if f.receptacle)
    if any(item.kind == "table" for item in items):
        raise ValueError(f"the {said} in {prompt!r} is on the table already; name one of {holders}")
    raise ValueError(f"{prompt!r} does not say where the {said} goes: name one of {holders}")


def _assemble(
    mentions: list[tuple[Mention, int, int]],
    gaps: list[list[_Item]],
    words: list[str],
    prompt: str,
) -> Request:
    """Gives each mention its role by the words between it and the one before."""
    roles: dict[str, int] = {"target": 0}
    relation: Relation | None = None
    others: list[tuple[int, str, int]] = []  # mention, relation, anchor mention
    for k in range(1, len(mentions)):
        kinds = {item.kind: item.value for item in gaps[k]}
        if "spatial" in kinds:
            again = _mentioned_before(mentions[k][0], [m for m, _, _ in mentions[: k - 1]])
            if again is not None and others and others[-1][:2] == (k - 1, ""):
                others[-1] = (k - 1, kinds["spatial"], again)  # "... with a mug left of the plate"
            else:
                others.append((k, INVERSE[kinds["spatial"]], k - 1))
        elif "receptacle" not in roles and "hold" in kinds:
            roles = {"target": k, "receptacle": 0}
        elif "receptacle" not in roles and "prep" in kinds:
            roles["receptacle"] = k
            relation = "on" if kinds["prep"] == "on" else "in"
        elif "with" in kinds:
            others.append((k, "", k - 1))
        else:
            said = " ".join(words[mentions[k][1] : mentions[k][2]])
            raise ValueError(f"cannot tell what {said!r} is for in {prompt!r}: {_HOW}")
    if "receptacle" not in roles:
        _complain_about_one(mentions[0][0], [], prompt)
    target, receptacle = mentions[roles["target"]][0], mentions[roles["receptacle"]][0]
    _check_roles(target, receptacle)
    numbers = {roles["target"]: 0, roles["receptacle"]: 1}
    extras = []
    for number, (k, _, _) in enumerate(others, start=2):
        numbers[k] = number
    for k, how, anchor in others:
        extras.append(Extra(mentions[k][0], how, numbers[anchor]))
    sentence = None
    plain = not extras and target.family and receptacle.family and len(words) <= MAX_WORDS
    if plain and not any(item.kind == "table" for gap in gaps for item in gap):
        sentence = " ".join(words)
    return Request(target, receptacle, relation, tuple(extras), sentence)


def _mentioned_before(mention: Mention, earlier: Sequence[Mention]) -> int | None:
    """Index of the earlier mention that "the plate" refers to, None if it names something new."""
    for index, other in enumerate(earlier):
        same = mention.noun and mention.noun == other.noun
        if same and mention.colour in ("", other.colour) and mention.size in ("", other.size):
            return index
    return None


def _check_roles(target: Mention, receptacle: Mention) -> None:
    picks = [f for f in FAMILIES.values() if f.graspable]
    holds = [f for f in FAMILIES.values() if f.receptacle]
    if target.family and not FAMILIES[target.family].graspable:
        raise ValueError(
            f"the {target.noun} cannot be picked up: choose one of {_names(picks)}"
        )  # fmt: skip
    if receptacle.family and not FAMILIES[receptacle.family].receptacle:
        raise ValueError(f"the {receptacle.noun} holds nothing: choose one of {_names(holds)}")
    if target.tag and not any(target.tag in f.tags for f in picks):
        raise ValueError(f"no {target.tag} can be picked up: choose one of {_names(picks)}")
    if receptacle.tag and not any(receptacle.tag in f.tags for f in holds):
        raise ValueError(f"no {receptacle.tag} holds anything: choose one of {_names(holds)}")


def _names(families: Iterable[object]) -> str:
    return ", ".join(sorted(getattr(f, "name") for f in families))  # noqa: B009


def noun_phrase(noun: str, colour: str = "", size: str = "") -> str:
    """The words for an object, e.g. "the small red block"."""
    return " ".join(word for word in ("the", size, colour, noun) if word)


def wordings(target: str, relation: Relation, receptacle: str, split: Split) -> tuple[str, ...]:
    """Every way to say the task in a split, at most `MAX_WORDS` words each, in a fixed order."""
    sentences = []
    for side in ("train", "heldout") if split == "all" else (split,):
        for template in TEMPLATES[side]:
            for preposition in PREPOSITIONS[side][relation]:
                text = template.format(t=target, p=preposition, r=receptacle)
                if text not in sentences and len(text.split()) <= MAX_WORDS:
                    sentences.append(text)
    return tuple(sentences)
