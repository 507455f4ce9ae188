"""A language model as designer: it chooses the objects, the relations and the goal.

Only what passes `read_answer` is used of its answers, so neither the model's mistakes nor
instructions smuggled into a sentence can do more than make another scene or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from generation import layout
from generation.assets.colours import COLOURS, confusable
from generation.assets.family import Family
from generation.designer import Designer, Proposal, draft_object
from generation.language.phrasing import Split
from generation.layout import Difficulty
from generation.llm.answer import Design, answer_schema, read_answer
from generation.llm.checks import alike
from generation.llm.client import ChatClient
from generation.llm.prompt import messages
from generation.llm.wording import read_wish, says_goal
from generation.spec import Node, SceneGraph

_SHAPES = 3  # drawn to see whether a scene can be laid out


@dataclass(frozen=True)
class LlmDesigner:
    """A `Designer` that asks `client`; see `llm_designer`."""

    client: ChatClient

    def __call__(
        self,
        prompt: str,
        rng: np.random.Generator,
        difficulty: Difficulty,
        split: Split,
        families: Mapping[str, Family],
    ) -> Proposal:
        """One scene; the same state of `rng` asks the same question.

        Raises:
            ValueError: no usable answer, with the fault of each try, or none recorded.
            ProviderError: the server could not be reached or turned the request down.
        """
        variation = int(rng.integers(1 << 31))
        wish = read_wish(prompt, families)
        # What the sentence names wins over the split.
        allowed = {
            name: family
            for name, family in families.items()
            if split in ("all", family.split) or name in wish.named
        }
        question = messages(prompt, variation, difficulty, allowed, wish.named)

        def accept(value: dict[str, Any]) -> Design:
            return read_answer(value, allowed, wish)

        def probe(design: Design) -> None:
            _check_room(design.graph, variation, difficulty, allowed)

        nouns = sorted(noun for family in allowed.values() for noun in family.nouns)
        design = self.client.converse(question, answer_schema(nouns), variation, accept, probe)
        graph = _coloured(design.graph, rng, difficulty, families)
        said = [says_goal(text, graph, families) for text in (prompt, *design.instructions)]
        usable = list(dict.fromkeys(text for text in said if text))
        sentence = usable[int(rng.integers(len(usable)))] if usable else None
        return Proposal(graph, sentence)


def llm_designer(client: ChatClient) -> Designer:
    """A designer that asks a language model, for `design(..., designer=llm_designer(client))`.

    It can be pickled. Answers are asked for at most three times, with what was wrong before.
    """
    return LlmDesigner(client)


def _check_room(
    graph: SceneGraph, variation: int, difficulty: Difficulty, families: Mapping[str, Family]
) -> None:
    """ValueError unless the objects can be placed as the graph says, in one of a few shapes."""
    rng = np.random.default_rng(variation)
    reason = ""
    for _ in range(_SHAPES):
        shapes = [
            draft_object(node, families[node.family], rng, difficulty) for node in graph.nodes
        ]
        try:
            layout.place(shapes, graph, rng, difficulty)
        except layout.LayoutError as error:
            reason = str(error)
        else:
            return
    raise ValueError(f"the objects cannot be placed so: {reason}")


def _coloured(
    graph: SceneGraph,
    rng: np.random.Generator,
    difficulty: Difficulty,
    families: Mapping[str, Family],
) -> SceneGraph:
    """The same graph with a colour for everything that a material alone does not colour."""
    nodes = list(graph.nodes)
    for k, node in enumerate(nodes):
        others = [other for i, other in enumerate(nodes) if i != k]
        single = not any(alike(node, other) for other in others)
        if node.colour or (node.material and single):
            continue
        # The task's two are told from all their like; distractors may repeat each other.
        taken = {o.colour for o in others if alike(node, o) and (k < 2 or o in nodes[:2])}
        family = families[node.family]
        pool = [c for c in family.colours if c not in taken]
        pool = pool or [c for c in COLOURS if c not in taken]
        colour = _colour(pool, others, rng, difficulty)
        nodes[k] = node.model_copy(update={"colour": colour})
    return SceneGraph.model_validate(graph.model_dump() | {"nodes": nodes})


def _colour(
    pool: list[str], others: list[Node], rng: np.random.Generator, difficulty: Difficulty
) -> str:
    """One of the colours in `pool`, if possible unlike all others in the scene."""
    wishes: list[Callable[[str], bool]] = [
        lambda c: all(c != other.colour for other in others),
        lambda c: difficulty == "full" or not any(confusable(c, o.colour) for o in others),
    ]
    # Each wish narrows the pool only while something is left.
    for wish in wishes:
        pool = [c for c in pool if wish(c)] or pool
    return pool[int(rng.integers(len(pool)))]
