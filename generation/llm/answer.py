"""What a language model answers, and the scene graph in it: everything is checked, nothing trusted.

Errors are written for the model, which reads them before its next try.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from generation.assets.colours import COLOUR_SYNONYMS, COLOURS
from generation.assets.family import Family
from generation.assets.materials import MATERIAL_WORDS, MATERIALS
from generation.background import TABLES
from generation.language import words
from generation.language.tokens import singular
from generation.llm.checks import NO_WISH, Wish, check_goal, check_named, check_possible
from generation.rooms import STYLES
from generation.spec import SUPPORTS, TABLE, Edge, Node, Relation, SceneGraph

MAX_OBJECTS = 8
MAX_INSTRUCTIONS = 4
_MAX_RELATIONS = 24
_MAX_LISTED = 250  # servers limit how much a schema may list
_SIZES = ("", "small", "large")


def _plain(value: Any) -> Any:
    """Strings in lower case with single spaces; null as nothing."""
    if value is None:
        return ""
    return " ".join(value.lower().split()) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_plain), Field(max_length=120)]


class _Flat(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Thing(_Flat):
    """An object: its name in this answer, what it is, and how it looks ("" for any)."""

    name: Text
    noun: Text
    colour: Text = ""
    size: Text = ""
    material: Text = ""


class Fact(_Flat):
    """`subject` stands in `relation` to `object`; both are names of objects."""

    subject: Text
    relation: Text
    object: Text


class Answer(_Flat):
    """The whole answer."""

    objects: Annotated[tuple[Thing, ...], Field(min_length=2, max_length=MAX_OBJECTS)]
    relations: Annotated[tuple[Fact, ...], Field(max_length=_MAX_RELATIONS)] = ()
    goal: Fact
    table: Text = ""
    room: Text = ""
    instructions: Annotated[tuple[Text, ...], Field(max_length=16)] = ()


def answer_schema(nouns: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON schema of an answer, in the subset that strict structured output allows.

    Args:
        nouns: to choose from; any if there are none or more than a schema may list.
    """
    # Small models do not end strings and lists by themselves.
    name = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,23}$"}
    text = {"type": "string", "pattern": "^[A-Za-z][A-Za-z ,.]{1,79}$"}
    noun = {"type": "string", "enum": list(nouns)} if 0 < len(nouns) <= _MAX_LISTED else text
    relations = list(get_args(Relation))
    fact = _object(
        subject=name, relation={"type": "string", "enum": relations}, object=name
    )  # fmt: skip
    thing = _object(
        name=name,
        noun=noun,
        colour={"type": "string", "enum": ["", *COLOURS]},
        size={"type": "string", "enum": list(_SIZES)},
        material={"type": "string", "enum": ["", *(m for m in MATERIALS if m in MATERIAL_WORDS)]},
    )
    return _object(
        objects={"type": "array", "items": thing, "minItems": 2, "maxItems": MAX_OBJECTS},
        relations={"type": "array", "items": fact, "maxItems": MAX_OBJECTS},
        goal=fact,
        table={"type": "string", "enum": ["", *TABLES]},
        room={"type": "string", "enum": ["", *STYLES]},
        instructions={"type": "array", "items": text, "maxItems": MAX_INSTRUCTIONS},
    )


def _object(**properties: Any) -> dict[str, Any]:
    """Schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class Design:
    """A checked answer. Colours that it leaves open are still ""."""

    graph: SceneGraph
    instructions: tuple[str, ...]


def read_answer(
    value: Mapping[str, Any], families: Mapping[str, Family], wish: Wish = NO_WISH
) -> Design:
    """The scene graph of an answer.

    Args:
        value: the JSON object.
        families: what exists.
        wish: what the scene must have, since the user said so.

    Raises:
        ValueError: says what the model should change.
    """
    answer = _validated(value)
    names = [thing.name for thing in answer.objects]
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated or not all(names) or TABLE in names:
        raise ValueError(
            f"object names must be different, not empty and not 'table': {repeated or names}"
        )
    things = {thing.name: thing for thing in answer.objects}
    goal = _fact(answer.goal, things)
    if TABLE in (goal.subject, goal.object):
        raise ValueError("the goal must relate two of the objects, not the table")
    order = [goal.subject, goal.object]
    order += [name for name in names if name not in order]
    nodes = [_node(things[name], k, families) for k, name in enumerate(order)]
    check_named(nodes, wish.named, families)
    new = {old: node.name for old, node in zip(order, nodes, strict=True)} | {TABLE: TABLE}
    by_name = {node.name: node for node in nodes}

    def edge(fact: Fact) -> Edge:
        return _edge(fact, new, by_name, families)

    facts = [_fact(fact, things) for fact in answer.relations]
    try:
        edges = tuple(dict.fromkeys(edge(fact) for fact in facts))
        graph = _graph(tuple(nodes), edges, edge(goal), answer)
        check_goal(graph, wish, families)
        check_possible(graph, families)
    except ValueError as error:
        text = str(error)
        for old, name in new.items():  # the model knows its own names alone
            text = text.replace(repr(name), repr(old))
        raise ValueError(text) from None
    return Design(graph, tuple(dict.fromkeys(answer.instructions))[:MAX_INSTRUCTIONS])


def _validated(value: Mapping[str, Any]) -> Answer:
    try:
        return Answer.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)[:4]
        shown = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in faults)
        raise ValueError(f"it does not fit the schema: {shown}") from None


def _fact(fact: Fact, things: Mapping[str, Thing]) -> Fact:
    """The fact with known names for both ends; a noun will do if one object alone has it."""
    if fact.relation not in get_args(Relation):
        raise ValueError(
            f"unknown relation {fact.relation!r}: use one of {', '.join(get_args(Relation))}"
        )
    ends = []
    for end in (fact.subject, fact.object):
        having = [name for name, thing in things.items() if thing.noun == end]
        if end not in (*things, TABLE) and len(having) != 1:
            raise ValueError(
                f"the relation ({_said(fact)}) is about {end!r}, which is not among the object "
                f"names {list(things)}"
            )
        ends.append(end if end in (*things, TABLE) else having[0])
    return Fact(subject=ends[0], relation=fact.relation, object=ends[1])


def _said(fact: Fact | Edge) -> str:
    return f"{fact.subject} {fact.relation} {fact.object}"


def _node(thing: Thing, number: int, families: Mapping[str, Family]) -> Node:
    said = re.sub(r"[^a-z]+", " ", thing.noun).split()
    if not said:
        raise ValueError(f"object {thing.name!r} has no noun: say in English what it is")
    known = any(" ".join(said) in family.nouns for family in families.values())
    noun = " ".join(said if known else [*said[:-1], singular(said[-1])])
    match = words.match_noun(noun, families)
    return Node(
        name=f"{match.family}_{number}",
        noun=match.noun,
        colour=_one_of("colour", thing.colour, COLOURS, COLOUR_SYNONYMS),
        size=_one_of("size", thing.size, _SIZES, {"medium": ""}),  # type: ignore[arg-type]
        material=_one_of("material", thing.material, MATERIALS, MATERIAL_WORDS),
        role="target" if number == 0 else "receptacle" if number == 1 else "distractor",
        family=match.family,
        match=match.score,
    )


def _one_of(
    kind: str, said: str, known: Sequence[str] | Mapping[str, Any], other: Mapping[str, str]
) -> str:
    value = other.get(said, said)
    if value and value not in known:
        choice = ", ".join(filter(None, known))
        raise ValueError(f'unknown {kind} {said!r}: use "" or one of {choice}')
    return value


def _edge(
    fact: Fact, new: Mapping[str, str], nodes: Mapping[str, Node], families: Mapping[str, Family]
) -> Edge:
    """The relation between nodes, where its object can really hold its subject."""
    subject, relation, below = new[fact.subject], fact.relation, new[fact.object]
    if subject in (TABLE, below):
        raise ValueError(f"the relation ({_said(fact)}) makes no sense: remove it")
    if below != TABLE and relation in SUPPORTS:
        node = nodes[below]
        relation = _holding(relation, node, families[node.family], families)
    return Edge(subject=subject, relation=relation, object=below)  # type: ignore[arg-type]


def _holding(
    relation: str, node: Node, family: Family, families: Mapping[str, Family]
) -> str:  # fmt: skip
    if not family.receptacle:
        if "flat" in family.tags and relation != "in":
            return "stacked on"
        holders = sorted(f.nouns[0] for f in families.values() if f.receptacle)[:40]
        raise ValueError(
            f"nothing can be {relation} the {node.noun}: choose something that holds things "
            f"({', '.join(holders)})"
        )
    wanted = "on" if relation == "stacked on" else relation
    if wanted not in family.relations:
        use = " or ".join(repr(r) for r in family.relations)
        raise ValueError(f"nothing can be {relation!r} the {node.noun}: use {use}")
    return wanted


def _graph(
    nodes: tuple[Node, ...], edges: tuple[Edge, ...], goal: Edge, answer: Answer
) -> SceneGraph:
    table = _one_of("table", answer.table, TABLES, {})
    room = _one_of("room", answer.room, STYLES, {})
    try:
        return SceneGraph(nodes=nodes, relations=edges, goal=goal, table=table, room=room)
    except ValidationError as error:
        text = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise ValueError(text.removeprefix("Value error, ")) from None
