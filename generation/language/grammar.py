"""Sentences about putting things on things: reading them, see `phrasing` for saying them.

`parse` reads a free sentence into a `Request`: tokens (`tokens`), noun phrases (`chunks`), clauses
(`clauses`), and here the roles: what is moved, where to, what else there is and where it stands.
`parse` reads back whatever `phrasing.wordings` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from generation.assets.library import FAMILIES, Family
from generation.language import themes, words
from generation.language.chunks import Chunk, Mention, chunked
from generation.language.clauses import read_clauses
from generation.language.distractors import take_distractors
from generation.language.lexicon import FEATURES
from generation.language.phrasing import MAX_WORDS, VOCABULARY, Split, noun_phrase, wordings
from generation.language.reading import HOW, Reading
from generation.language.request import Request
from generation.language.roles import Goal, names_of, resolved, support
from generation.language.tokens import Token, normalise, strange_words, tokenize
from generation.spec import SUPPORTS, Relation

__all__ = [
    "MAX_WORDS", "VOCABULARY", "Mention", "Request", "Split", "noun_phrase", "parse", "wordings",
]  # fmt: skip

_MAX_THINGS = 16  # of a scene
_SURE = 0.6  # how near a noun of a prompt without a task is to a family that it puts there
# Words that compare, exclude or offer; "heavier" and its like end as it does.
_CHOICES = frozenset(
    "or either neither nor without except not never no instead unless if than but rather nothing "
    "else other others another more less most least smaller smallest shorter shortest larger "
    "largest bigger biggest taller tallest longer longest wider widest nearer nearest closer "
    "closest darker darkest lighter lightest brighter brightest older oldest newer newest "
    "distractor distractors".split()
)
_STRANGE = 0.4  # share of unknown words from which a prompt without a task is not English


def parse(prompt: str, families: Mapping[str, Family] = FAMILIES) -> Request:
    """Reads a prompt.

    Understands free sentences about putting one thing, or several of a kind, on, in, next to, left
    of, right of, in front of, behind or on top of another: with colours, sizes, materials, numbers,
    what else is there, where things are at the start, and what table and room it is. Words that
    describe nothing known are skipped, misspelt ones read as the nearest known.

    Raises:
        ValueError: an object that nothing known resembles, a target that cannot be picked, a
            reference that cannot hold it, a task that is done already, or no task at all.
    """
    tokens, respelt = tokenize(prompt, families)
    tokens, distractors = take_distractors(tokens, prompt)
    theme = " ".join(token.text for token in tokens)  # as spelt right
    chunks = chunked(tokens)
    reading = read_clauses(chunks, prompt)
    if reading.goal is None:
        request = _without_goal(reading, chunks, prompt, families, theme)
        return replace(request, distractors=distractors)
    if reading.undoable and not reading.verbs:
        raise _undoable(reading.undoable, prompt)
    try:
        request = _assembled(reading, prompt, families)
    except ValueError:
        if reading.verbs or reading.things[reading.goal[0][0]].definite:
            raise
        # "A bowl of fruit on a tablecloth" asks for nothing: it describes a scene.
        request = _without_goal(replace(reading, goal=None), chunks, prompt, families, theme)
        return replace(request, distractors=distractors)
    plain = not (request.extras or request.facts or respelt or request.table or request.room)
    plain = plain and not any(_is_choice(t) for t in tokens)
    assert request.target is not None and request.receptacle is not None  # there is a goal
    single = request.target.count == request.receptacle.count == 1
    named = request.target.noun and request.receptacle.noun
    said = " ".join(t.text for t in tokens if t.kind not in ("stop", "comma"))
    letters = all(t.kind != "comma" and not t.text.isdigit() for t in tokens)
    letters = letters and all(t.kind != "stop" for t in tokens[:-1])
    letters = letters and not any(t.text in FEATURES for t in tokens)  # nothing draws a blue rim
    places = any(c.kind in ("table", "room") for c in chunks)
    apart = _told_apart(request.target, request.receptacle, said)
    if (
        plain
        and single
        and named
        and apart
        and letters
        and not places
        and len(said.split()) <= MAX_WORDS
    ):
        request = replace(request, sentence=said)
    return replace(request, distractors=distractors)


def _is_choice(token: Token) -> bool:
    """Whether a word compares, excludes or offers, so that it might not fit the scene drawn."""
    return token.text in _CHOICES or token.text.endswith(("ier", "iest"))


def _told_apart(target: Mention, receptacle: Mention, said: str) -> bool:
    """Whether the user's own words tell the task's two objects from each other in a picture."""
    if target.family != receptacle.family and target.noun != receptacle.noun:
        return True
    if "" not in (target.colour, receptacle.colour) and target.colour != receptacle.colour:
        return True
    sizes = {target.size, receptacle.size}
    return sizes == {"small", "large"} and sizes <= set(said.split())  # no "big"


def _without_goal(
    reading: Reading,
    chunks: list[Chunk],
    prompt: str,
    families: Mapping[str, Family],
    theme: str,
) -> Request:
    """A prompt that names no task is a theme, unless it clearly meant one."""
    if reading.negated:
        theme = " ".join(reading.affirmed)
        if reading.verbs or not themes.named_theme(theme):
            raise ValueError(f"{prompt!r} says what not to do: write what to do")
    if not theme.strip(" .,"):
        raise ValueError(f"no task and no theme in {prompt!r}: {HOW}")
    if reading.verbs and reading.nameless and (reading.things or reading.to_table):
        raise ValueError(
            f"{reading.nameless!r} in {prompt!r} names nothing: say what is meant, {HOW}"
        )
    if reading.verbs and reading.things:
        first = reading.things[(reading.waiting or [0])[0]]
        said = first.noun or "object"
        holders = names_of(f for f in families.values() if f.receptacle)
        if reading.to_table and any(r in SUPPORTS for _, r, _ in reading.facts):
            raise ValueError(f"the bare table is no goal here: name one of {holders} in {prompt!r}")
        if reading.to_table or any(c.kind == "table" for c in chunks):
            raise ValueError(
                f"the {said} in {prompt!r} is on the table already; name one of {holders}"
            )
        if not first.noun or first.noun in {n for f in families.values() for n in f.nouns}:
            raise ValueError(
                f"{prompt!r} does not say where the {said} goes: name one of {holders}"
            )
        words.match_noun(first.noun, families)
        raise ValueError(f"{prompt!r} does not say where the {said} goes: name one of {holders}")
    if reading.verbs and not any(c.kind in ("table", "room", "style") for c in chunks):
        raise ValueError(f"no object in {prompt!r}: {HOW}")
    if reading.undoable and not themes.named_theme(theme):
        raise _undoable(reading.undoable, prompt)
    strange = strange_words(prompt, families)
    if len(strange) > _STRANGE * len(normalise(prompt)):
        raise ValueError(
            f"no task and no theme in {prompt!r}: {', '.join(map(repr, strange))} are no known "
            f"English words; {HOW}"
        )
    extras = []
    for k, mention in enumerate(reading.things):
        if k in reading.denied or themes.is_theme(mention.noun, families):
            continue
        try:
            thing = resolved(mention, families, "thing")
        except ValueError:
            continue  # "work": a word of the theme itself
        if thing.match >= _SURE:  # no casserole for "spaghetti night"
            extras.append(thing)
    return Request(
        None, None, extras=tuple(extras), facts=(), table=reading.table, room=reading.room,
        theme=theme,
    )  # fmt: skip


def _undoable(verb: str, prompt: str) -> ValueError:
    return ValueError(f"{verb!r} in {prompt!r} is not a task here, things are only moved: {HOW}")


def _assembled(reading: Reading, prompt: str, families: Mapping[str, Family]) -> Request:
    """Numbers the things by their roles and finds a family for each noun."""
    assert reading.goal is not None
    targets, relation, reference = reading.goal
    fellows = [k for k in targets[1:] if k != reference]
    others = [k for k in range(len(reading.things)) if k not in (targets[0], reference)]
    numbers = {targets[0]: 0, reference: 1}
    extras: list[Mention] = []
    for k in others:
        mention = reading.things[k]
        if themes.is_occasion(mention.noun, families) and k not in fellows:
            continue  # "for dinner"
        try:
            mention = resolved(mention, families, "target" if k in fellows else "thing")
        except ValueError:
            beside = any(k in (a, b) and r not in ("in", "on") for a, r, b in reading.facts)
            said = words.is_thing(mention.noun) and k not in reading.idle
            if said or beside or k in fellows:
                raise
            continue  # "in a moment": no thing at all
        numbers[k] = len(extras) + 2
        extras.append(mention)
    goal = Goal(relation, prompt)
    target = goal.check_target(reading.things[targets[0]], families)
    receptacle, relation = goal.check_reference(reading.things[reference], families)
    facts = _facts(reading, numbers, [target, receptacle, *extras], families)
    _check_sides(facts, prompt)
    if relation is not None and any(f == (0, relation, 1) for f in facts):
        raise ValueError(f"{prompt!r} asks for what is so already: name another place")
    things = target.count + receptacle.count + sum(m.count for m in extras)
    if things > _MAX_THINGS:
        raise ValueError(f"{prompt!r} names {things} things: a scene holds at most {_MAX_THINGS}")
    return Request(
        target, receptacle, relation, tuple(extras), tuple(numbers[k] for k in fellows),
        facts, None, reading.table, reading.room,
    )  # fmt: skip


def _facts(
    reading: Reading,
    numbers: Mapping[int, int],
    mentions: list[Mention],
    families: Mapping[str, Family],
) -> tuple[tuple[int, Relation, int], ...]:
    """The facts between known things; what cannot be carried there stands next to it instead."""
    facts: list[tuple[int, Relation, int]] = []
    carried: set[int] = set()
    for subject, relation, reference in reading.facts:
        if subject not in numbers or reference not in numbers:
            continue
        a, b = numbers[subject], numbers[reference]
        if relation in SUPPORTS:
            natural = support(relation, mentions[b], families)
            if natural is None or a in carried or mentions[b].count > 1:
                natural = "next to"
            else:
                carried.add(a)
            relation = natural
        if a != b and (a, relation, b) not in facts:
            facts.append((a, relation, b))
    return tuple(facts)


def _check_sides(facts: tuple[tuple[int, Relation, int], ...], prompt: str) -> None:
    """Two things stand to each other in one direction only."""
    sides: dict[tuple[int, int], Relation] = {}
    for subject, relation, reference in facts:
        if relation in ("next to", *SUPPORTS):
            continue
        if sides.setdefault((subject, reference), relation) != relation:
            raise ValueError(
                f"{prompt!r} says that one thing is both {sides[subject, reference]} and "
                f"{relation} another: keep one of them"
            )
