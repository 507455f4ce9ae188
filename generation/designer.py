"""From sentences to scenes: a designer chooses objects, the rest gives them shape and place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, get_args

import numpy as np

from generation import grammar, layout
from generation.assets.colours import combination_is_heldout, confusable
from generation.assets.library import FAMILIES, Family
from generation.background import background, table_look
from generation.grammar import Mention, Request, Split
from generation.layout import Difficulty
from generation.spec import Edge, Node, ObjectSpec, Role, SceneGraph, SceneSpec, TaskSpec

_ATTEMPTS = 12  # shapes and poses tried for one scene before giving up


@dataclass(frozen=True)
class Proposal:
    """A designer's answer: the scene's objects and goal, and the user's own wording if usable."""

    graph: SceneGraph
    sentence: str | None = None


class Designer(Protocol):
    """Turns a prompt into a scene graph, with `rng` as its only source of chance."""

    def __call__(
        self, prompt: str, rng: np.random.Generator, difficulty: Difficulty, split: Split
    ) -> Proposal: ...


def design(
    prompts: str | Sequence[str],
    n: int,
    seed: int,
    *,
    designer: str = "grammar",
    difficulty: Difficulty = "easy",
    split: Split = "all",
) -> list[SceneSpec]:
    """Designs `n` scenes; scene i comes from prompt i modulo their number.

    Args:
        prompts: one or several sentences, see `grammar.parse`.
        n: number of scenes.
        seed: the same seed gives the same scenes to the byte; scene i does not depend on `n`.
        designer: "grammar", the offline one.
        difficulty: "easy" (small objects, one distractor, small workspace) or "full".
        split: "train" and "heldout" share no free choice of object family, colour pair or wording;
            what a prompt names wins over the split.

    Raises:
        ValueError: a prompt that cannot be understood or fulfilled, a count or option that is not
            possible; names it and the way out.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    _check_arguments(prompts, n, seed, designer, difficulty, split)
    chosen = DESIGNERS[designer]
    scenes = []
    for index in range(n):
        # By index, not by spawning in turn: scene i is the same for every n.
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        prompt = prompts[index % len(prompts)]
        scenes.append(_design_one(chosen, prompt, rng, seed, difficulty, split))
    return scenes


def _check_arguments(
    prompts: Sequence[str], n: int, seed: int, designer: str, difficulty: str, split: str
) -> None:
    if not prompts:
        raise ValueError('no prompt: pass one such as "put the red block on the blue plate"')
    if n < 1:
        raise ValueError(f"n={n} scenes: ask for at least 1")
    if seed < 0:
        raise ValueError(f"seed={seed}: use 0 or more")
    options = {
        "designer": (designer, tuple(DESIGNERS)),
        "difficulty": (difficulty, get_args(Difficulty)),
        "split": (split, get_args(Split)),
    }
    for name, (value, known) in options.items():
        if value not in known:
            raise ValueError(f"unknown {name} {value!r}: use one of {', '.join(known)}")


def _design_one(
    designer: Designer,
    prompt: str,
    rng: np.random.Generator,
    seed: int,
    difficulty: Difficulty,
    split: Split,
) -> SceneSpec:
    proposal = designer(prompt, rng, difficulty, split)
    task = _task(proposal, rng, split)
    reason = ""
    for _ in range(_ATTEMPTS):
        try:
            return _realise(proposal.graph, task, rng, seed, difficulty)
        except layout.LayoutError as error:
            reason = str(error)
    raise ValueError(f"cannot lay out {prompt!r}: {reason}")


def _realise(
    graph: SceneGraph, task: TaskSpec, rng: np.random.Generator, seed: int, difficulty: Difficulty
) -> SceneSpec:
    drafted = [_draft(node, rng, difficulty) for node in graph.nodes]
    placed = layout.place(drafted, graph, rng, difficulty)
    colours = [next(part.rgba for part in thing.parts if part.visible) for thing in placed]
    scene = SceneSpec(
        graph=graph,
        objects=placed,
        task=task,
        table=table_look(rng, colours),
        background=background(rng),
        seed=seed,
    )
    return layout.settle(scene)


def _draft(node: Node, rng: np.random.Generator, difficulty: Difficulty) -> ObjectSpec:
    shape = FAMILIES[node.family].build(
        rng, node.size, node.colour, compact=difficulty == "easy"
    )  # fmt: skip
    return ObjectSpec(
        name=node.name,
        family=node.family,
        noun=node.noun,
        colour=node.colour,
        role=node.role,
        parts=shape.parts,
        density=shape.density,
        friction=shape.friction,
        material=shape.material,
        provenance=shape.provenance,
        grasp=shape.grasp,
        place=shape.place,
        height=shape.height,
        radius=shape.radius,
    )


def _task(proposal: Proposal, rng: np.random.Generator, split: Split) -> TaskSpec:
    """Picks an instruction among all the wordings that fit the scene."""
    graph = proposal.graph
    target, receptacle = graph.nodes[:2]
    relation = "on" if graph.goal.relation == "on" else "in"
    phrases = [
        grammar.noun_phrase(node.noun, node.colour, node.size) for node in (target, receptacle)
    ]
    paraphrases = grammar.wordings(phrases[0], relation, phrases[1], split)
    instruction = paraphrases[int(rng.integers(len(paraphrases)))]
    if split == "all" and proposal.sentence:
        instruction = proposal.sentence
        paraphrases = tuple(dict.fromkeys((instruction, *paraphrases)))
    return TaskSpec(
        relation=relation,
        target=target.name,
        receptacle=receptacle.name,
        instruction=instruction,
        paraphrases=paraphrases,
    )


def grammar_designer(
    prompt: str, rng: np.random.Generator, difficulty: Difficulty, split: Split
) -> Proposal:
    """The offline designer: the prompt is parsed, what it leaves open is drawn at random."""
    request = grammar.parse(prompt)
    cast = _Cast(rng, difficulty, split, _loosely_named(request))
    cast.add(request.target, "target")
    cast.add(request.receptacle, "receptacle")
    for extra in request.extras:
        cast.add(extra.mention, "distractor")
    total = 3 if difficulty == "easy" else 2 + int(rng.integers(2, 5))
    while len(cast.nodes) < max(total, 2 + len(request.extras)):
        cast.add(Mention(), "distractor")
    nodes = tuple(cast.nodes)
    edges = [Edge(subject=node.name, relation="on", object="table") for node in nodes]
    for number, extra in enumerate(request.extras, start=2):
        if extra.relation:
            anchor = nodes[extra.anchor].name
            edges.append(Edge(subject=nodes[number].name, relation=extra.relation, object=anchor))
    natural = FAMILIES[nodes[1].family].relations
    relation = request.relation or natural[int(rng.integers(len(natural)))]
    goal = Edge(subject=nodes[0].name, relation=relation, object=nodes[1].name)
    return Proposal(SceneGraph(nodes=nodes, relations=tuple(edges), goal=goal), request.sentence)


def _loosely_named(request: Request) -> frozenset[str]:
    """Families that the user's own sentence names without a colour: only one of each may stand."""
    words = (request.sentence or "").split()
    named = [m for m in (request.target, request.receptacle) if words and m.colour not in words]
    return frozenset(mention.family for mention in named if mention.family)


DESIGNERS: dict[str, Designer] = {"grammar": grammar_designer}


class _Cast:
    """Chooses the objects of one scene so that colour or noun tells the task's from the rest.

    Families in `single` stand at most once unless the prompt asks for more.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        difficulty: Difficulty,
        split: Split,
        single: frozenset[str] = frozenset(),
    ) -> None:
        self.rng, self.difficulty, self.split, self.single = rng, difficulty, split, single
        self.nodes: list[Node] = []

    def add(self, mention: Mention, role: Role) -> None:
        family = FAMILIES[mention.family] if mention.family else self._family(mention, role)
        noun = mention.noun or family.nouns[int(self.rng.integers(len(family.nouns)))]
        node = Node(
            name=f"{family.name}_{len(self.nodes)}",
            noun=noun,
            colour=mention.colour or self._colour(family, mention, role),
            size="large" if mention.size == "large" else "small" if mention.size else "",
            role=role,
            family=family.name,
        )
        for other in self.nodes[:2]:
            if (node.family, node.colour) != (other.family, other.colour):
                continue
            # A size tells two things apart only if both have one: the unnamed size may be any.
            if not (node.size and other.size) or node.size == other.size:
                raise ValueError(
                    f"the {role} and the {other.role} are both a {node.colour} {node.noun}: "
                    "give one another colour or kind, or say which is small and which is large"
                )
        self.nodes.append(node)

    def _family(self, mention: Mention, role: Role) -> Family:
        rng, used = self.rng, {node.family for node in self.nodes}
        pool = [f for f in FAMILIES.values() if mention.tag in ("", *f.tags)]
        if role == "receptacle":
            pool = [f for f in pool if f.receptacle] or [
                f for f in FAMILIES.values() if f.receptacle
            ]
        elif role == "target" or not self._second_receptacle():
            pool = [f for f in pool if f.graspable] or [f for f in FAMILIES.values() if f.graspable]
        else:
            pool = [f for f in pool if f.receptacle]
        tests: list[Callable[[Family], bool]] = [
            lambda f: f.name not in self.single and self._has_free_colour(f),
            lambda f: self.split in ("all", f.split),
            lambda f: self.difficulty == "full" or "rolling" not in f.tags,
            lambda f: f.name not in used or (self.difficulty == "full" and rng.uniform() < 0.3),
        ]
        # Each wish narrows the pool only while something is left: the prompt comes first.
        for test in tests:
            pool = [f for f in pool if test(f)] or pool
        return pool[int(rng.integers(len(pool)))]

    def _has_free_colour(self, family: Family) -> bool:
        used = {node.colour for node in self.nodes if node.family == family.name}
        return not used.issuperset(family.colours)

    def _second_receptacle(self) -> bool:
        """In full scenes one distractor can be a receptacle too, so that words matter there."""
        held = sum(FAMILIES[node.family].receptacle for node in self.nodes)
        full = self.difficulty == "full" and len(self.nodes) == 2
        return full and held < 2 and bool(self.rng.uniform() < 0.3)

    def _colour(self, family: Family, mention: Mention, role: Role) -> str:
        rest = self.nodes
        wishes: list[Callable[[str], bool]] = [
            lambda c: not any(n.family == family.name and n.colour == c for n in rest),
            lambda c: self.difficulty == "full" or not any(confusable(c, n.colour) for n in rest),
            lambda c: self.difficulty == "full" or all(c != n.colour for n in rest),
            lambda c: self._pair_fits(c, role),
        ]
        pool = list(family.colours)
        for wish in wishes:
            pool = [c for c in pool if wish(c)] or pool
        return pool[int(self.rng.integers(len(pool)))]

    def _pair_fits(self, colour: str, role: Role) -> bool:
        """The (target, receptacle) colour pair belongs to the split."""
        if role != "receptacle" or self.split == "all":
            return True
        held = combination_is_heldout(self.nodes[0].colour, colour)
        return held == (self.split == "heldout")
