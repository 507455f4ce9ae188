"""Things that sentences name and nothing known is called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generation.assets.family import Family
from generation.assets.stored import StoredFamily
from generation.language import grammar, themes, words
from generation.language.chunks import Mention, chunked
from generation.language.request import Request
from generation.language.tokens import normalise, plurals, tokenize

Families = Mapping[str, Family]


@dataclass(frozen=True)
class Wanted:
    """A thing that no family and no asset is called."""

    noun: str
    colour: str = ""
    material: str = ""

    def __str__(self) -> str:
        return " ".join(word for word in (self.colour, self.material, self.noun) if word)


def wanted(prompts: Sequence[str], families: Families) -> tuple[Wanted, ...]:
    """Things in the prompts that `families` can show only as something like them, or not at all.

    Prompts that cannot be understood even so name nothing.
    """
    found: dict[Wanted, None] = {}
    for prompt in prompts:
        for mention in _unknown(prompt, families):
            for colour in mention.colours or (mention.colour,):
                found[Wanted(mention.noun, colour, mention.material)] = None
    return tuple(found)


def possible(prompt: str, families: Families) -> bool:
    """Whether a prompt can be understood and its imported things have the colours it names."""
    request = _read(prompt, families)
    if request is None:
        return False
    for mention in _mentions(request):
        family = families[mention.family] if mention.family else None
        colours = mention.colours or ((mention.colour,) if mention.colour else ())
        if isinstance(family, StoredFamily) and not set(colours) <= set(family.colours):
            return False
    return True


@dataclass(frozen=True)
class _Anything(Family):
    """A thing that does not exist yet: it may turn out to fit any role."""

    @property
    def graspable(self) -> bool:
        return True


def _unknown(prompt: str, families: Families) -> list[Mention]:
    """Mentions of a prompt by nouns that no family has."""
    known = {noun for family in families.values() for noun in family.nouns}
    request = _read(prompt, families)
    read = _mentions(request)
    listed = {m.noun for m in read}
    spoken = [n for n in _nouns(prompt, families) if n not in known and n not in listed]
    # What is no thing as far as known, or no word at all, counts only where all else fails.
    spoken = [n for n in spoken if words.is_thing(n) or not (request or words.is_word(n))]
    spoken = [n for n in spoken if not themes.is_theme(n, families)]
    if request is not None and request.theme:
        spoken = [n for n in spoken if _introduced(n, prompt)]
    if spoken:
        made = {f"wanted {noun}": _anything(noun) for noun in spoken}
        read = _mentions(_read(prompt, {**families, **made})) or read
    return [m for m in read if m.noun and m.noun not in known]


def _introduced(noun: str, prompt: str) -> bool:
    """Whether an article or number comes before: "an office for late work with a samovar" has a
    samovar, but no work."""
    heads = "|".join(map(re.escape, sorted({noun, *plurals(noun)})))
    before = r"(an?|the|some|my|two|three|four|[2-6])"
    return bool(re.search(rf"\b{before} (\w+ ){{0,2}}({heads})\b", " ".join(normalise(prompt))))


def _anything(noun: str) -> Family:
    return _Anything(
        name=f"wanted {noun}", nouns=(noun,), shape=_no_shape, split="train", receptacle=True,
        relations=("on", "in"),
    )  # fmt: skip


def _no_shape(*_: Any) -> Any:
    raise AssertionError("what is only wanted is never built")


def _read(prompt: str, families: Families) -> Request | None:
    """What a prompt asks for, None if it cannot be understood."""
    try:
        return grammar.parse(prompt, families)
    except ValueError:
        return None


def _mentions(request: Request | None) -> tuple[Mention, ...]:
    if request is None:
        return ()
    return tuple(m for m in (request.target, request.receptacle, *request.extras) if m)


def _nouns(prompt: str, families: Families) -> list[str]:
    try:
        chunks = chunked(tokenize(prompt, families)[0])
    except ValueError:
        return []
    return [chunk.mention.noun for chunk in chunks if chunk.mention and chunk.mention.noun]
