"""From tokens to noun phrases and the words between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from generation.language import words
from generation.language.lexicon import FEATURES, OCCASIONS, PEOPLE, TABLE_STYLES
from generation.language.tokens import INSIDE, PAIRED, Token

_PLACES = frozenset({"table", "room"})
_HEADS = frozenset({"noun", "category", "unknown", "one", *_PLACES})
# "A piece of cake" is cake; "a cup of tea" is a cup.
_PARTS = frozenset(
    "piece slice bunch kind type sort set group lot number handful chunk bit pile stack load "
    "collection selection variety mix array assortment".split()
)
_DEFINITE = frozenset("the that this its those these".split())
_OTHER = frozenset("other others another second different".split())
MAX_COUNT = 6  # things of one kind; a scene holds 16


@dataclass(frozen=True)
class Mention:
    """A noun phrase. Without a family the designer chooses one with the tag ("" admits all).

    Attributes:
        noun: what the user calls it, in the singular.
        count: how many of them.
        colours: one each, where several are named ("the red and blue blocks").
        match: how near the noun is to the family, 1 for the family's own nouns.
        definite: said with "the", so that it may be a thing named before.
    """

    noun: str = ""
    family: str | None = None
    tag: str = ""
    colour: str = ""
    size: str = ""
    material: str = ""
    count: int = 1
    colours: tuple[str, ...] = ()
    match: float = 1.0
    definite: bool = False
    kind: str = "noun"  # "noun", "category", "unknown", "one" or "" (colour without a thing)


@dataclass(frozen=True)
class Chunk:
    """A noun phrase ("np", with its mention), a place ("table" or "room"), or another word."""

    kind: str
    value: str = ""
    mention: Mention | None = None
    text: str = ""


def chunked(tokens: list[Token]) -> list[Chunk]:
    """Noun phrases and the words between them; fillers are gone."""
    chunks: list[Chunk] = []
    start = 0
    while start < len(tokens):
        token = tokens[start]
        if token.kind in INSIDE or token.kind in _PLACES:
            end = _end(tokens, start)
            before = tokens[start - 1].kind if start else ""
            named = _phrase(tokens[start:end], tokens[end : end + 1], before)
            purpose = start > 0 and tokens[start - 1].text == "for"
            chunks += [c for c in named if not _aside(c, chunks if purpose else [])]
            start = _after_of(tokens, end, chunks)
            continue
        following = tokens[start + 1].kind if start + 1 < len(tokens) else "stop"
        towards = following in INSIDE or following in _PLACES or following == "pronoun"
        if token.kind != "filler" and (token.kind != "to" or towards):
            chunks.append(Chunk(token.kind, token.value, text=token.text))
        start += 1
    return _share_heads(chunks)


def _aside(chunk: Chunk, before: list[Chunk]) -> bool:
    """Whether a phrase names somebody, a part of something or, after a goal, its purpose."""
    mention = chunk.mention
    if mention is None or mention.kind != "unknown":
        return False
    if mention.noun in FEATURES:
        return True
    placed = any(c.kind in ("prep", "into", "to") for c in before)
    return (
        mention.noun in PEOPLE
        or (placed and not words.is_thing(mention.noun))
        or (placed and mention.noun.split()[-1] in OCCASIONS)
    )


def _end(tokens: list[Token], start: int) -> int:
    """Where the noun phrase that begins at `start` ends."""
    headed = False
    k = start
    while k < len(tokens):
        kind = tokens[k].kind
        if k > start and _goes_on(tokens, k, headed):
            k += 1  # "a red and white mug", "a small, red block"
            continue
        if tokens[k].text == "of" and k > start and tokens[k - 1].kind == "number":
            k += 1
            continue
        if not (kind in INSIDE or kind in _PLACES):
            break
        adjective = kind in ("colour", "size") and _kind(tokens, k + 1) in ("noun", "category")
        if headed and (kind in ("det", "number") or (adjective and tokens[k - 1].kind == "noun")):
            break
        headed = headed or kind in _HEADS
        k += 1
    return k


def _kind(tokens: list[Token], k: int) -> str:
    return tokens[k].kind if k < len(tokens) else "stop"


def _goes_on(tokens: list[Token], k: int, headed: bool) -> bool:
    """Whether the "and" or comma at `k` stands between two adjectives of one phrase."""
    before, kind, *rest = (t.kind for t in tokens[k - 1 : k + 3])
    after, then = [*rest, "", ""][:2]
    if kind == "and":
        return before == after == "colour" and then in INSIDE and then != "det"
    adjectives = ("size", "colour", "material")
    return kind == "comma" and not headed and before in adjectives and after in adjectives


def _after_of(tokens: list[Token], end: int, chunks: list[Chunk]) -> int:
    """Skips "of tea" after "a cup"; forgets "a piece" before "of cake"."""
    if end >= len(tokens) or tokens[end].text != "of" or not chunks:
        return end
    mention = chunks[-1].mention
    if mention is None or end + 1 >= len(tokens):
        return end
    if mention.noun in _PARTS:
        chunks.pop()
        return end + 1
    return _end(tokens, end + 1) if tokens[end + 1].kind in INSIDE else end


def _phrase(run: list[Token], following: list[Token], before: str) -> list[Chunk]:
    """The chunk of a run of words inside one noun phrase; none if it names nothing."""
    if run[-1].kind in _PLACES and not any(t.kind == "noun" for t in run):
        return _place(run)
    heads = [t for t in run if t.kind in ("noun", "category", "unknown", "one")]
    bare = not any(t.kind in ("det", "number", "colour", "size", "material") for t in run)
    heads = [t for t in heads if not (t.kind == "unknown" and _adverb(t.text))]
    if bare and all(t.kind == "unknown" for t in heads):
        begins = bool(following) and following[0].kind in INSIDE
        expected = before in ("prep", "into", "to", "from", "verb", "take", "stack")
        if begins or not (expected or any(words.is_thing(t.text) for t in heads)):
            return []  # a verb or an adverb that is not known
    if not heads:
        described = any(t.kind in ("colour", "material") for t in run)
        pronoun = run[-1].text in ("this", "that", "these", "those", "both")
        if not described:
            return [Chunk("pronoun", run[-1].text, text=run[-1].text)] if pronoun else []
        return [Chunk("np", "", _described(Mention(kind=""), run), _text(run))]
    return [Chunk("np", "", _described(_head(heads), run), _text(run))]


def _adverb(word: str) -> bool:
    return word.endswith("ly") and not words.is_thing(word)


def _head(heads: list[Token]) -> Mention:
    """The mention of the noun that the others only qualify."""
    nouns = [k for k, t in enumerate(heads) if t.kind == "noun"]
    if nouns:
        later = [t for t in heads[nouns[-1] + 1 :] if t.kind == "unknown"]
        compound = later and f"{heads[nouns[-1]].text} {later[-1].text}"
        if not later or not (words.is_thing(later[-1].text) or words.is_thing(str(compound))):
            head = heads[nouns[-1]]
            return Mention(head.value, count=_count(head))
        return _unknown(heads)
    for kind in ("category", "one"):
        found = [t for t in heads if t.kind == kind]
        if found and not (heads[-1].kind == "unknown" and words.is_thing(heads[-1].text)):
            head = found[-1]
            tag = head.value if kind == "category" else ""
            return Mention(tag=tag, count=_count(head), kind=kind)
    return _unknown(heads)


def _unknown(heads: list[Token]) -> Mention:
    """A noun of no family: the compound where the word table has it, else its last thing."""
    for first, second in reversed(list(pairwise(heads))):
        both = f"{first.text} {second.text}"
        if second.kind == "unknown" and words.is_thing(both):
            return Mention(both, count=_count(second), kind="unknown")
    unknown = [t for t in heads if t.kind == "unknown"]
    things = [t for t in unknown if words.is_thing(t.text)]
    head = (things or unknown)[-1]
    toy = any(t.text in ("toy", "model", "plush", "lego", "miniature") for t in heads[:-1])
    return Mention(f"toy {head.text}" if toy else head.text, count=_count(head), kind="unknown")


def _count(token: Token) -> int:
    return 2 if token.plural and token.text not in PAIRED else 1


def _described(mention: Mention, run: list[Token]) -> Mention:
    """The mention with the colours, size, material and number that its phrase names."""
    kinds = {t.kind: t.value for t in reversed(run)}
    colours = tuple(dict.fromkeys(t.value for t in run if t.kind == "colour"))
    numbers = [int(t.value) for t in run if t.kind == "number"]
    count = mention.count
    if numbers and mention.noun not in PAIRED:
        count = max(1, numbers[0])
    if count > MAX_COUNT:
        raise ValueError(f"{_text(run)!r}: a scene holds at most {MAX_COUNT} of a kind")
    several = colours if len(colours) > 1 and mention.count > 1 else ()
    return replace(
        mention,
        colour=colours[0] if colours else "",
        size=kinds.get("size", ""),
        material=kinds.get("material", ""),
        count=max(count, len(several)),
        colours=several,
        definite=any(t.text in _DEFINITE for t in run) and not any(t.text in _OTHER for t in run),
    )


def _place(run: list[Token]) -> list[Chunk]:
    """A table or room, with the styles that its phrase names."""
    chunks = []
    for token in run[:-1]:
        if token.kind == "room":
            chunks.append(Chunk("style", token.value, text="room"))
    kind = run[-1].kind
    if kind == "table":
        styles = [TABLE_STYLES[t.text] for t in run if t.text in TABLE_STYLES]
        return [*chunks, Chunk("table", styles[0] if styles else "", text=_text(run))]
    return [*chunks, Chunk("room", run[-1].value, text=_text(run))]


def _text(run: list[Token]) -> str:
    return " ".join(t.text for t in run)


def _share_heads(chunks: list[Chunk]) -> list[Chunk]:
    """ "The red and the blue block": the first takes its noun from the second."""
    out = list(chunks)
    for k in range(len(out) - 3, -1, -1):
        mention, other = out[k].mention, out[k + 2].mention
        if mention is None or mention.kind or other is None:
            continue
        if out[k + 1].kind in ("and", "comma"):
            shared = replace(
                other, colour=mention.colour, size=mention.size, material=mention.material,
                count=1, colours=(), definite=mention.definite,
            )  # fmt: skip
            out[k] = replace(out[k], mention=shared)
    return out
