"""What may play which role: which family a noun means as the target, the reference or a thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from generation.assets.family import Family
from generation.language import words
from generation.language.chunks import Mention
from generation.language.reading import TO
from generation.spec import SUPPORTS, Relation


def support(
    relation: Relation, mention: Mention, families: Mapping[str, Family]
) -> Relation | None:
    """How things stand on or in what is mentioned: "on the bowl" means in it."""
    if mention.family is None:
        return relation
    family = families[mention.family]
    if family.receptacle:
        wanted = "on" if relation == "stacked on" else relation
        return wanted if wanted in family.relations else family.relations[0]
    return "stacked on" if "flat" in family.tags and relation != "in" else None


@dataclass(frozen=True)
class Goal:
    """Checks that a goal makes sense."""

    relation: Relation | None
    prompt: str

    def check_target(self, mention: Mention, families: Mapping[str, Family]) -> Mention:
        picks = {name: f for name, f in families.items() if f.graspable}
        held = mention.noun and _family_of(mention.noun, families)
        if held and not held.graspable:
            other = words.stand_in(mention.noun, families, holding=False)
            if other is not None:
                return replace(mention, family=other.family, match=other.score)
            raise ValueError(
                f"the {mention.noun} cannot be picked up: choose one of {names_of(picks.values())}"
            )
        if mention.tag and not any(mention.tag in f.tags for f in picks.values()):
            raise ValueError(
                f"no {mention.tag} can be picked up: choose one of {names_of(picks.values())}"
            )
        return resolved(mention, families, "target")

    def check_reference(
        self, mention: Mention, families: Mapping[str, Family]
    ) -> tuple[Mention, Relation | None]:
        """The reference and the relation as the family has it ("on" a block is "stacked on")."""
        relation = self.relation
        if relation == TO:
            found = resolved(mention, families, "thing")
            holder = found.family is None or families[found.family].receptacle
            return found, None if holder else "next to"
        if relation is not None and relation not in SUPPORTS:
            return resolved(mention, families, "thing"), relation
        family = _family_of(mention.noun, families) if mention.noun else None
        flat = {n: f for n, f in families.items() if "flat" in f.tags and f.graspable}
        vessel = mention.noun and relation in ("in", None) and not (family and family.receptacle)
        other = words.stand_in(mention.noun, families, holding=True) if vessel else None
        if other is not None:
            return replace(mention, family=other.family, match=other.score), "in"
        if family and not family.receptacle:
            if family.name in flat and relation != "in":
                return resolved(mention, flat, "thing"), "stacked on"
            raise ValueError(
                f"the {mention.noun} holds nothing: choose one of {_holders(families)}"
            )
        holds = {n: f for n, f in families.items() if f.receptacle}
        if mention.tag and not any(mention.tag in f.tags for f in holds.values()):
            raise ValueError(f"no {mention.tag} holds anything: choose one of {_holders(families)}")
        if relation == "stacked on":
            if family:
                return resolved(mention, holds, "receptacle"), "on"
            if not mention.noun:
                return mention, relation
            found = resolved(mention, {**holds, **flat}, "thing")
            assert found.family is not None  # of every noun
            return found, "on" if families[found.family].receptacle else relation
        fitting = {n: f for n, f in holds.items() if relation is None or relation in f.relations}
        if family is None and mention.noun and relation == "on":
            fitting = {**fitting, **flat}
        chosen = holds if family or not mention.noun else fitting
        found = resolved(mention, chosen, "receptacle")
        if found.family in flat:
            return found, "stacked on"
        if found.family and relation and relation not in families[found.family].relations:
            relation = families[found.family].relations[0]  # "on the bowl" can only mean in it
        return found, relation


def resolved(mention: Mention, families: Mapping[str, Family], role: str) -> Mention:
    """The mention with the family of its noun.

    Args:
        role: "target" restricts to what can be picked; otherwise all `families` may be chosen.

    Raises:
        ValueError: no family is near enough to the noun.
    """
    if not mention.noun:
        return mention
    pool = {n: f for n, f in families.items() if f.graspable or role != "target"}
    match = words.match_noun(mention.noun, pool)
    return replace(mention, family=match.family, match=match.score)


def _family_of(noun: str, families: Mapping[str, Family]) -> Family | None:
    """The family that has the noun itself, or the head of the compound."""
    for said in (noun, noun.split()[-1]):
        for family in families.values():
            if said in family.nouns:
                return family
    return None


def _holders(families: Mapping[str, Family]) -> str:
    return names_of(f for f in families.values() if f.receptacle)


def names_of(families: Iterable[Family]) -> str:
    return ", ".join(sorted(family.name for family in families))
