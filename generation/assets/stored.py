"""Families made of the assets of a library, so that designers use them like procedural ones."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from generation.assets.family import Family
from generation.assets.library import FAMILIES
from generation.assets.parts import Draft, Paint
from generation.assets.record import AssetRecord, digest

_HELDOUT = 5  # one noun in so many belongs to the held-out side
_SHOWN = 5  # assets named in a warning
_ANYTHING = ("object", "thing", "item")  # words for whatever there is, no names of a kind


@dataclass(frozen=True)
class StoredFamily(Family):
    """Assets that share a noun and a purpose: each build returns one of them as it is.

    Attributes:
        drafts: the assets, sorted by id.
        shades: the colour word of each.
        liftable: whether the gripper can pick them up; a receptacle may be liftable too.
        otherwise: the procedural family that draws what the assets do not have: a red block where
            all imported ones are blue.
    """

    drafts: tuple[Draft, ...] = ()
    shades: tuple[str, ...] = ()
    liftable: bool = False
    otherwise: Family | None = None

    @property
    def graspable(self) -> bool:
        """Whether the gripper can pick it up."""
        return self.liftable

    def build(
        self,
        rng: np.random.Generator,
        size: str = "",
        colour: str = "",
        material: str = "",
        *,
        compact: bool = False,
    ) -> Draft:
        """One of the assets, drawn at random among those of the colour.

        An asset has the size and the material that it has: `size` and `compact` choose nothing,
        `material` only between the assets and the procedural family.

        Raises:
            ValueError: none has this colour.
        """
        fitting = [
            d for d, s in zip(self.drafts, self.shades, strict=True)
            if colour in ("", s) and (not self.otherwise or material in ("", d.material))
        ]  # fmt: skip
        if not fitting and self.otherwise:
            return self.otherwise.build(rng, size, colour, material, compact=compact)
        if not fitting:
            raise ValueError(
                f"no imported {self.nouns[0]} is {colour}: the library has it in "
                f"{', '.join(c for c in self.colours if c) or 'no colour with a name'}"
            )
        return fitting[int(rng.integers(len(fitting)))]


def stored_families(records: Iterable[AssetRecord], *, training: bool) -> dict[str, Family]:
    """Families by name, of the assets that the gripper can lift or that hold things.

    Assets with one noun form one family, so that scenes tell them apart by colour as they do with
    procedural ones. A noun of a procedural family goes to assets that can do all that it can; other
    assets are called "imported ...". With its canonical noun goes the whole family: the assets have
    its name and stand in its place. With a further one it goes on without: it is among the results.

    Args:
        records: of the assets.
        training: leave out assets whose licence forbids training, with a warning.
    """
    groups: dict[str, dict[tuple[bool, tuple[str, ...]], list[AssetRecord]]] = {}
    forbidden = []
    for record in sorted(records, key=lambda r: r.id):
        if training and record.training == "forbidden":
            forbidden.append(f"{record.id} ({record.thing.noun}, {record.licence})")
        elif record.graspable or _holds(record):
            purpose = (record.graspable, record.receptacle if _holds(record) else ())
            groups.setdefault(record.thing.noun, defaultdict(list))[purpose].append(record)
    if forbidden:
        more = f" and {len(forbidden) - _SHOWN} more" if len(forbidden) > _SHOWN else ""
        warnings.warn(
            f"left out {len(forbidden)} assets whose licence forbids training: "
            f"{', '.join(forbidden[:_SHOWN])}{more}",
            stacklevel=3,
        )
    owners = {noun: family for family in FAMILIES.values() for noun in family.nouns}
    taken = {*_ANYTHING, *owners}
    families: dict[str, Family] = {}
    claims: dict[str, list[AssetRecord]] = {}
    for noun, purposes in sorted(groups.items()):
        ranked = sorted(purposes.items(), key=lambda item: (-len(item[1]), item[0]))
        for number, (_, members) in enumerate(ranked):
            if noun in owners and noun not in claims and _can_be(owners[noun], members[0]):
                claims[noun] = members
                continue
            own = _free_noun(noun, number, taken)
            taken.add(own)
            families[family_name(own)] = _family(family_name(own), (own,), members)
    for noun, members in claims.items():
        owner = owners[noun]
        left = tuple(n for n in owner.nouns if n not in claims)
        if noun == owner.nouns[0]:
            families[owner.name] = _family(owner.name, (noun, *left), members, owner)
        else:
            families[family_name(noun)] = _family(family_name(noun), (noun,), members, owner)
            if owner.nouns[0] not in claims:
                families[owner.name] = replace(owner, nouns=left)
    return families


def _can_be(family: Family, record: AssetRecord) -> bool:
    """Whether an asset can do in scenes what the procedural family can."""
    grasped = record.graspable or not family.graspable
    return grasped and (_holds(record) or not family.receptacle)


def unusable(record: AssetRecord) -> str:
    """Why no family is made of an asset; "" if one is."""
    if record.graspable or _holds(record):
        return ""
    return "the gripper cannot lift it and it holds nothing"


def noun_to_lift(families: Iterable[Family], assets: Collection[str]) -> str:
    """What prompts can call one of the `assets` to have it lifted, a name of its own first; "" if
    none of the families has one that can be."""
    nouns = [
        family.nouns[0]
        for family in families
        if isinstance(family, StoredFamily) and family.graspable
        for draft in family.drafts
        if draft.provenance is not None and draft.provenance.asset in assets
    ]
    return min(nouns, key=lambda noun: noun.startswith(("imported ", "other ")), default="")


def _holds(record: AssetRecord) -> bool:
    return bool(record.receptacle) and record.thing.place[3] > 0.0


def _free_noun(noun: str, number: int, taken: set[str]) -> str:
    """The noun of a family. Assets that serve another purpose than most of that noun are others."""
    own = "other " * number + noun
    while own in taken:
        own = f"imported {own}"
    return own


def family_name(noun: str) -> str:
    """The name of the family of imported assets with a noun, short enough to name objects by."""
    name = f"asset_{noun.replace(' ', '_')}"
    return name if len(name) <= 48 else f"{name[:32]}_{digest(noun.encode())[:12]}"


def _family(
    name: str,
    nouns: tuple[str, ...],
    members: list[AssetRecord],
    otherwise: Family | None = None,
) -> StoredFamily:
    first = members[0]
    tags = set.intersection(*(set(m.tags) for m in members)) - {"flat", "imported"}
    flat = first.graspable and all("flat" in m.tags and m.thing.place[3] > 0 for m in members)
    if otherwise is not None:
        flat = flat and "flat" in otherwise.tags
        tags |= set(otherwise.tags) - {"flat"}
    heldout = int(digest(nouns[0].encode())[:4], 16) % _HELDOUT == 0
    return StoredFamily(
        name=name,
        nouns=nouns,
        shape=_no_shape,
        split=otherwise.split if otherwise else "heldout" if heldout else "train",
        receptacle=_holds(first),
        tags=("imported", *sorted({*tags, "flat"} if flat else tags)),
        relations=first.receptacle if _holds(first) else (),
        colours=tuple(dict.fromkeys(m.colour for m in members)),
        materials=(),
        drafts=tuple(m.draft() for m in members),
        shades=tuple(m.colour for m in members),
        liftable=first.graspable,
        otherwise=otherwise,
    )


def _no_shape(rng: np.random.Generator, size: str, paint: Paint, compact: bool) -> Draft:
    """Procedural families draw a shape here; stored ones have theirs already."""
    raise AssertionError("a stored family builds from its drafts")
