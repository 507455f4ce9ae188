"""The offline designer: from what a sentence says to a scene graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from generation.assets.library import FAMILIES, Family
from generation.language import grammar, themes
from generation.language.cast import Cast
from generation.language.chunks import Mention
from generation.language.phrasing import Split
from generation.language.request import Request
from generation.layout import Difficulty
from generation.spec import SUPPORTS, TABLE, Edge, Relation, SceneGraph, mentions

_HELD = {"in": 2, "on": 1}  # things that start in or on the receptacle beside the target, at most
_MOST = 16  # objects of a scene


@dataclass(frozen=True)
class Proposal:
    """A designer's answer.

    Attributes:
        graph: the scene's objects and goal.
        sentence: the user's own wording if usable.
    """

    graph: SceneGraph
    sentence: str | None = None


def grammar_designer(
    prompt: str,
    rng: np.random.Generator,
    difficulty: Difficulty,
    split: Split,
    families: Mapping[str, Family] = FAMILIES,
) -> Proposal:
    """The offline designer: the prompt is parsed, what it leaves open is drawn at random.

    The policy's task moves one object. Of "put the two apples in the bowl" one apple is the target;
    the other lies in the bowl already (at most two things in, one on a receptacle, the rest stand
    on the table), and is of another colour, so that the instruction means one apple only. A prompt
    without a task is a theme: `themes` invents one.

    Raises:
        ValueError: the prompt cannot be understood or fulfilled.
    """
    request = grammar.parse(prompt, families)
    if request.theme:
        request = themes.invent(request, rng, difficulty, split, families)
    assert request.target is not None and request.receptacle is not None  # no theme any more
    cast = Cast(rng, difficulty, split, families, _single(request))
    relation = request.relation
    numbers = [[cast.add(_one(request.target, 0), "target", relation)]]
    numbers.append([cast.add(_one(request.receptacle, 0), "receptacle", relation)])
    relation = relation or _natural(families[cast.nodes[1].family], rng)
    fellows = _more(cast, request.target, numbers[0])
    _more(cast, request.receptacle, numbers[1])
    for k, extra in enumerate(request.extras, start=2):
        numbers.append([cast.add(_one(extra, 0), "distractor")])
        _more(cast, extra, numbers[k])
        fellows += numbers[k] if k in request.fellows else []
    total = 3 if difficulty == "easy" else 2 + int(rng.integers(3, 6))
    if request.distractors is not None:
        total = len(cast.nodes) + request.distractors
    total = max(total, len(cast.nodes))
    if total > _MOST:
        raise ValueError(f"{prompt!r} needs {total} objects: a scene holds at most {_MOST}")
    while len(cast.nodes) < total:
        cast.add(Mention(), "distractor")
    names = [node.name for node in cast.nodes]
    facts = [
        Edge(subject=names[a], relation=how, object=names[numbers[other][0]])
        for k, how, other in request.facts
        for a in numbers[k]
        if a != numbers[other][0]
    ]
    facts += [
        Edge(subject=names[a], relation=relation, object=names[1])
        for a in fellows[: _HELD.get(relation, 0)]
        if not any(e.subject == names[a] and e.relation in SUPPORTS for e in facts)
    ]
    carried = {e.subject for e in facts if e.relation in SUPPORTS}
    edges = [Edge(subject=n, relation="on", object=TABLE) for n in names if n not in carried]
    goal = Edge(subject=names[0], relation=relation, object=names[1])
    graph = SceneGraph(
        nodes=tuple(cast.nodes),
        relations=(*edges, *facts),
        goal=goal,
        table=request.table,
        room=request.room,
    )
    return Proposal(graph, request.sentence)


def _natural(family: Family, rng: np.random.Generator) -> Relation:
    return family.relations[int(rng.integers(len(family.relations)))]


def _one(mention: Mention, k: int) -> Mention:
    """The k-th of the things that a mention stands for."""
    if mention.colours:
        return replace(mention, colour=mention.colours[k % len(mention.colours)], count=1)
    return replace(mention, count=1)


def _more(cast: Cast, mention: Mention, numbers: list[int]) -> list[int]:
    """Adds the others that a mention stands for to `numbers`; returns them.

    Those of the task's two objects take other colours: the instruction must mean one of them.
    """
    added = []
    first = cast.nodes[numbers[0]]
    for k in range(1, mention.count):
        other = _one(mention, k)
        if numbers[0] < 2 and other.colour == first.colour:
            other = replace(other, colour="")
        if not mention.noun and numbers[0] >= 2:
            added.append(cast.add(other, "distractor"))  # "two toys": of any two kinds
            continue
        alike = replace(other, family=first.family, noun=first.noun, match=first.match)
        added.append(cast.add(alike, "distractor"))
    numbers += added
    return added


def _single(request: Request) -> frozenset[str]:
    """Families of the task that words without a colour name: only one of each may stand."""
    named = []
    for mention in (request.target, request.receptacle):
        if mention is None or mention.family is None:
            continue
        if request.sentence:
            before = " ".join(mentions(request.sentence, mention.noun)).split()
            if mention.colour not in before or not mention.colour:
                named.append(mention.family)
        elif mention.material and not mention.colour:
            named.append(mention.family)
    return frozenset(named)
