"""Who plays in a scene: families, nouns and colours, so that words tell the task's objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from generation.assets.colours import combination_is_heldout, confusable
from generation.assets.library import Family
from generation.language.chunks import Mention
from generation.language.phrasing import Split
from generation.layout import Difficulty
from generation.spec import SUPPORTS, Node, Relation, Role

# Materials that show their own colour unless another is named.
_UNPAINTED = frozenset("wood metal glass cork wicker cardboard stone paper wax".split())


class Cast:
    """Chooses the objects of one scene so that colour or noun tells the task's from the rest.

    Families in `single` stand at most once unless the prompt asks for more.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        difficulty: Difficulty,
        split: Split,
        families: Mapping[str, Family],
        single: frozenset[str] = frozenset(),
    ) -> None:
        self.rng, self.difficulty, self.split = rng, difficulty, split
        self.families, self.single = families, single
        self.nodes: list[Node] = []

    def add(self, mention: Mention, role: Role, relation: Relation | None = None) -> int:
        """Adds an object for the mention; returns its number.

        Args:
            mention: what it has to be; what it leaves open is drawn.
            role: what it is for.
            relation: of the goal, for the object that the target is put to.

        Raises:
            ValueError: words cannot tell it from the target or the receptacle.
        """
        family = (
            self.families[mention.family]
            if mention.family
            else self._family(mention, role, relation)
        )
        noun = mention.noun or family.nouns[int(self.rng.integers(len(family.nouns)))]
        node = Node(
            name=f"{family.name[:56]}_{len(self.nodes)}",
            noun=noun,
            colour=mention.colour or self._colour(family, mention, noun, role),
            size="large" if mention.size == "large" else "small" if mention.size else "",
            material=mention.material,
            role=role,
            family=family.name,
            match=mention.match if mention.noun else 1.0,
        )
        for other in self.nodes[:2]:
            alike = node.family == other.family or node.noun == other.noun
            if not alike or node.colour != other.colour:
                continue
            # A size tells two things apart only if both have one: the unnamed size may be any.
            if not (node.size and other.size) or node.size == other.size:
                what = " ".join(word for word in (node.colour, node.noun) if word)
                raise ValueError(
                    f"the {role} and the {other.role} are both a {what}: "
                    "give one another colour or kind, or say which is small and which is large"
                )
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _family(self, mention: Mention, role: Role, relation: Relation | None) -> Family:
        rng, used = self.rng, {node.family for node in self.nodes}
        every = list(self.families.values())
        pool = [f for f in every if mention.tag in ("", *f.tags)]
        if role == "receptacle":
            fitting = self._holding(relation)
            pool = [f for f in pool if fitting(f)] or [f for f in every if fitting(f)]
        elif role == "target" or not self._second_receptacle():
            pool = [f for f in pool if f.graspable] or [f for f in every if f.graspable]
        else:
            pool = [f for f in pool if f.receptacle] or pool
        tests: list[Callable[[Family], bool]] = [
            lambda f: not self._mistaken(f),
            lambda f: f.name not in self.single and self._has_free_colour(f),
            lambda f: self.split in ("all", f.split),
            lambda f: self.difficulty == "full" or "rolling" not in f.tags,
            lambda f: relation != "stacked on" or role != "target" or "rolling" not in f.tags,
            lambda f: f.name not in used or (self.difficulty == "full" and rng.uniform() < 0.3),
        ]
        # Each wish narrows the pool only while something is left: the prompt comes first.
        for test in tests:
            pool = [f for f in pool if test(f)] or pool
        if not pool:
            raise ValueError(f"no family can be the {role} of a goal {relation!r}: add one")
        return pool[int(rng.integers(len(pool)))]

    def _holding(self, relation: Relation | None) -> Callable[[Family], bool]:
        """What can be the reference of a goal."""
        if relation == "stacked on":
            return lambda f: f.graspable and "flat" in f.tags
        if relation is None:
            return lambda f: f.receptacle
        if relation in SUPPORTS:
            return lambda f: f.receptacle and relation in f.relations
        return lambda f: True

    def _mistaken(self, family: Family) -> bool:
        """Whether the words for one of the task's objects might mean this family: a mug for a pot
        that the user calls so, an "enamel mug" of a library beside a mug."""
        named = [node.noun for node in self.nodes[:2] if node.family != family.name]
        return any(f" {own}".endswith(f" {noun}") for own in family.nouns for noun in named)

    def _has_free_colour(self, family: Family) -> bool:
        used = {node.colour for node in self.nodes if node.family == family.name}
        return not used.issuperset(family.colours or ("",))

    def _second_receptacle(self) -> bool:
        """In full scenes one distractor can be a receptacle too, so that words matter there."""
        held = sum(self.families[node.family].receptacle for node in self.nodes)
        full = self.difficulty == "full" and len(self.nodes) == 2
        return full and held < 2 and bool(self.rng.uniform() < 0.3)

    def _colour(self, family: Family, mention: Mention, noun: str, role: Role) -> str:
        rest = self.nodes
        alike = [node for node in rest if node.family == family.name or node.noun == noun]
        alone = not alike
        if mention.material in _UNPAINTED and alone and family.name in self.single:
            return ""  # natural wood and bare metal; nothing of its kind is there to mistake
        wishes: list[Callable[[str], bool]] = [
            lambda c: all(n.colour != c for n in alike),
            lambda c: self.difficulty == "full" or not any(confusable(c, n.colour) for n in rest),
            lambda c: self.difficulty == "full" or all(c != n.colour for n in rest),
            lambda c: self._pair_fits(c, role),
        ]
        pool = list(family.colours) or [""]
        for wish in wishes:
            pool = [c for c in pool if wish(c)] or pool
        return pool[int(self.rng.integers(len(pool)))]

    def _pair_fits(self, colour: str, role: Role) -> bool:
        """The (target, receptacle) colour pair belongs to the split."""
        if role != "receptacle" or self.split == "all":
            return True
        held = combination_is_heldout(self.nodes[0].colour, colour)
        return held == (self.split == "heldout")
