"""Whether the scene that a language model proposes makes sense, and is the one asked for.

Errors are written for the model, which reads them before its next try.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from generation.assets.family import Family
from generation.spec import SUPPORTS, TABLE, Edge, Node, Relation, SceneGraph

_OPPOSITE: dict[Relation, Relation] = {
    "left of": "right of", "right of": "left of", "behind": "in front of",
    "in front of": "behind", "next to": "next to",
}  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """What a sentence certainly asks for.

    Attributes:
        named: families that must occur.
        goal: families of the target and of what it is related to, and the relation between.
    """

    named: tuple[str, ...] = ()
    goal: tuple[str, Relation, str] | None = None


NO_WISH = Wish()


def check_named(
    nodes: Sequence[Node], named: Sequence[str], families: Mapping[str, Family]
) -> None:
    """ValueError unless every family in `named` occurs."""
    missing = [name for name in named if name not in {node.family for node in nodes}]
    if missing:
        nouns = " and ".join("/".join(families[name].nouns) for name in missing)
        raise ValueError(f"the sentence names {nouns}, but no object has this noun: add it")


def check_goal(graph: SceneGraph, wish: Wish, families: Mapping[str, Family]) -> None:
    """ValueError unless the goal is the one wished for."""
    if wish.goal is None:
        return
    target, relation, receptacle = wish.goal
    made = (graph.nodes[0].family, graph.goal.relation, graph.nodes[1].family)
    if made != wish.goal:
        nouns = [families[name].nouns[0] for name in (target, receptacle)]
        raise ValueError(
            f"the sentence asks to put a {nouns[0]} {relation} a {nouns[1]}: let the goal be that"
        )


def check_possible(graph: SceneGraph, families: Mapping[str, Family]) -> None:
    """ValueError unless the goal can be reached, does not hold yet, and the rest is consistent."""
    target, receptacle = graph.nodes[:2]
    if not families[target.family].graspable:
        picks = sorted(f.nouns[0] for f in families.values() if f.graspable)[:60]
        raise ValueError(
            f"the goal's subject {target.noun!r} cannot be picked up: choose one of "
            f"{', '.join(picks)}"
        )
    holds = {(e.subject, e.object, e.relation) for e in _both_ways(graph.relations)}
    goal = graph.goal
    carried = goal.relation in SUPPORTS and goal.object in graph.carriers(goal.subject)
    if carried or (goal.subject, goal.object, goal.relation) in holds:
        raise ValueError("the goal holds at the start already: change the relations or the goal")
    for node in graph.nodes:
        carriers = graph.carriers(node.name)
        if target.name in carriers:
            raise ValueError(
                f"the {node.noun} is on the {target.noun}, which is to be picked up: put it "
                "elsewhere"
            )
        for other in (c for c in carriers if c != TABLE):
            if any((node.name, other, side) in holds for side in _OPPOSITE):
                raise ValueError(f"{node.noun!r} cannot be both carried by and beside one thing")
    _check_directions(graph.relations)
    for axis in ("left of", "behind"):
        _check_order([(a, b) for a, b, relation in holds if relation == axis], axis)
    _check_apart(graph, target)
    _check_apart(graph, receptacle)


def _check_directions(edges: Sequence[Edge]) -> None:
    """Of left, right, front and behind, one holds between two things: the one that is clearest."""
    known: dict[tuple[str, str], str] = {}
    for edge in _both_ways([e for e in edges if e.relation != "next to"]):
        if edge.relation in _OPPOSITE:
            first = known.setdefault((edge.subject, edge.object), edge.relation)
            if first != edge.relation:
                raise ValueError(
                    f"{edge.subject!r} cannot be {first!r} and {edge.relation!r} the same "
                    f"{edge.object!r}: keep one of them"
                )


def _both_ways(edges: Sequence[Edge]) -> Iterator[Edge]:
    for edge in edges:
        yield edge
        if edge.relation in _OPPOSITE:
            other = _OPPOSITE[edge.relation]
            yield Edge(subject=edge.object, relation=other, object=edge.subject)


def _check_order(pairs: Sequence[tuple[str, str]], axis: str) -> None:
    """No circle such as a left of b, b left of a."""
    left = set(pairs)
    while left:
        ends = {b for _, b in left}
        free = {pair for pair in left if pair[0] not in ends}
        if not free:
            raise ValueError(
                f"the relations {axis!r} go round in a circle among {sorted(ends)}: remove one"
            )
        left -= free


def alike(a: Node, b: Node) -> bool:
    """Whether one noun fits both."""
    return a.family == b.family or a.noun == b.noun


def _check_apart(graph: SceneGraph, node: Node) -> None:
    """What the goal is about can be told from everything like it."""
    for other in graph.nodes:
        if other.name == node.name or not alike(node, other):
            continue
        by_colour = not (node.colour and node.colour == other.colour)
        by_size = bool(node.size and other.size) and node.size != other.size
        if not (by_colour or by_size):
            raise ValueError(
                f"two objects are both a {node.colour} {node.noun}: give them different colours "
                "or sizes, or choose another object"
            )
