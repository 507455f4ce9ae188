"""From sentences to scenes: a designer chooses objects, the rest gives them shape and place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, get_args

import numpy as np

from generation import layout
from generation.assets.library import FAMILIES, Family
from generation.background import background, table_look
from generation.language import phrasing
from generation.language.grammar_designer import Proposal, grammar_designer
from generation.language.phrasing import Split
from generation.layout import Difficulty
from generation.spec import Node, ObjectSpec, SceneGraph, SceneSpec, TaskSpec

_ATTEMPTS = 12  # shapes and poses tried for one scene before giving up
_NEAR = 0.9  # likeness from which a noun is as good as the family's own
_PROPOSALS = 4  # casts tried by a designer that costs nothing


class Designer(Protocol):
    """Turns a prompt into a scene graph of `families`, with `rng` as its only source of chance."""

    def __call__(
        self,
        prompt: str,
        rng: np.random.Generator,
        difficulty: Difficulty,
        split: Split,
        families: Mapping[str, Family],
    ) -> Proposal: ...


def design(
    prompts: str | Sequence[str],
    n: int,
    seed: int,
    *,
    designer: str | Designer = "grammar",
    difficulty: Difficulty = "easy",
    split: Split = "all",
    library: str | os.PathLike[str] | None = None,
) -> list[SceneSpec]:
    """Designs `n` scenes; scene i comes from prompt i modulo their number.

    Args:
        prompts: one or several sentences, see `grammar.parse`.
        n: number of scenes.
        seed: the same seed gives the same scenes to the byte; scene i does not depend on `n`.
        designer: "grammar", the offline one; "llm", with the endpoint from the environment (see
            `generation.llm.client.chat_client`); or any other `Designer`.
        difficulty: "easy" (small objects, one distractor, small workspace) or "full".
        split: "train" and "heldout" share no free choice of object family, colour pair or wording;
            what a prompt names wins over the split.
        library: folder of an asset library whose objects take part beside the procedural ones,
            but for those whose licence forbids training.

    Raises:
        ValueError: a prompt that cannot be understood or fulfilled, a count or option that is not
            possible; names it and the way out.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    _check_arguments(prompts, n, seed, designer, difficulty, split)
    families = known_families(library)
    designer = _designer(designer)
    return [
        design_scene(
            prompts[index % len(prompts)],
            index,
            seed,
            designer=designer,
            difficulty=difficulty,
            split=split,
            families=families,
        )
        for index in range(n)
    ]


def design_scene(
    prompt: str,
    index: int,
    seed: int,
    *,
    designer: str | Designer = "grammar",
    difficulty: Difficulty = "easy",
    split: Split = "all",
    families: Mapping[str, Family] = FAMILIES,
) -> SceneSpec:
    """Designs scene number `index` of a set alone: equal to `design(...)[index]`.

    Raises:
        ValueError: as `design`.
    """
    _check_arguments([prompt], 1, seed, designer, difficulty, split)
    # By index, not by spawning in turn: scene i is the same for every n.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    chosen = _designer(designer)
    return _design_one(chosen, prompt, rng, seed, difficulty, split, families)


def _designer(designer: str | Designer) -> Designer:
    if designer == "llm":
        from generation.llm.client import chat_client
        from generation.llm.designer import llm_designer

        return llm_designer(chat_client())
    return DESIGNERS[designer] if isinstance(designer, str) else designer


def known_families(library: str | os.PathLike[str] | None = None) -> Mapping[str, Family]:
    """The procedural families and, with a library, those of its assets that may train models.

    What a user imported goes by its plain noun: a family of assets can have the name of a
    procedural one and stands in its place.

    Raises:
        ValueError: `library` is no folder of assets.
    """
    if library is None:
        return FAMILIES
    if not (Path(library) / "assets").is_dir():
        raise ValueError(
            f"{os.fspath(library)!r} is no asset library, it has no folder 'assets': name one that "
            "`vla-jax import MESHES -o LIBRARY` has written"
        )
    from generation.assets.store import AssetLibrary

    assets = AssetLibrary(Path(library)).families(training=True)
    return {**FAMILIES, **dict(sorted(assets.items()))}


def notes_of(scene: SceneSpec) -> tuple[str, ...]:
    """What a user should know of a scene: which nouns are drawn as something only like them."""
    return tuple(
        f"{node.noun!r} is drawn as a {node.family.replace('_', ' ')} ({node.match:.2f})"
        for node in scene.graph.nodes
        if node.match < _NEAR
    )


def _check_arguments(
    prompts: Sequence[str],
    n: int,
    seed: int,
    designer: str | Designer,
    difficulty: str,
    split: str,
) -> None:
    if not prompts:
        raise ValueError('no prompt: pass one such as "put the red block on the blue plate"')
    if n < 1:
        raise ValueError(f"n={n} scenes: ask for at least 1")
    if seed < 0:
        raise ValueError(f"seed={seed}: use 0 or more")
    options = {
        "designer": (designer if isinstance(designer, str) else "grammar", (*DESIGNERS, "llm")),
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
    families: Mapping[str, Family],
) -> SceneSpec:
    reason = ""
    # What a sentence leaves open is drawn anew if it does not fit; a model's answer is kept.
    proposals = _PROPOSALS if designer is grammar_designer else 1
    for _ in range(proposals):
        proposal = designer(prompt, rng, difficulty, split, families)
        task = _task(proposal, rng, split)
        for _ in range(_ATTEMPTS // proposals):
            try:
                return _realise(proposal.graph, task, rng, seed, difficulty, families)
            except layout.LayoutError as error:
                reason = str(error)
    raise ValueError(f"cannot lay out {prompt!r}: {reason}")


def _realise(
    graph: SceneGraph,
    task: TaskSpec,
    rng: np.random.Generator,
    seed: int,
    difficulty: Difficulty,
    families: Mapping[str, Family],
) -> SceneSpec:
    drafted = [draft_object(node, families[node.family], rng, difficulty) for node in graph.nodes]
    placed = layout.place(drafted, graph, rng, difficulty)
    colours = [next(part.rgba for part in thing.parts if part.visible) for thing in placed]
    scene = SceneSpec(
        graph=graph,
        objects=placed,
        task=task,
        table=table_look(rng, colours, graph.table),
        background=background(rng, graph.room, room=bool(graph.room)),
        seed=seed,
    )
    return layout.settle(scene)


def draft_object(
    node: Node, family: Family, rng: np.random.Generator, difficulty: Difficulty
) -> ObjectSpec:
    """An instance of the node's family, standing at the origin."""
    compact = difficulty == "easy"
    shape = family.build(rng, node.size, node.colour, node.material, compact=compact)
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
    relation = graph.goal.relation
    paraphrases: tuple[str, ...] = ()
    for short in (False, True):
        phrases = [_phrase(node, graph, short) for node in (target, receptacle)]
        paraphrases = paraphrases or phrasing.wordings(phrases[0], relation, phrases[1], split)
    if not paraphrases:
        raise ValueError(
            f"no instruction of {phrasing.MAX_WORDS} words can name {target.noun!r} and "
            f"{receptacle.noun!r}: choose shorter names"
        )
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


def _phrase(node: Node, graph: SceneGraph, short: bool) -> str:
    """The words for a node; if `short`, no more than tell it from the others."""
    if not short:
        return phrasing.noun_phrase(node.noun, node.colour, node.size)
    others = [n for n in graph.nodes if n.name != node.name]
    alike = [n for n in others if n.family == node.family or n.noun == node.noun]
    if not alike:
        return phrasing.noun_phrase(node.noun)
    if node.colour and all(n.colour != node.colour for n in alike):
        return phrasing.noun_phrase(node.noun, node.colour)
    return phrasing.noun_phrase(node.noun, node.colour, node.size)


DESIGNERS: dict[str, Designer] = {"grammar": grammar_designer}
