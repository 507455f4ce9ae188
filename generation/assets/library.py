"""The registry of object families: what exists, and what it is called."""

from __future__ import annotations

from dataclasses import replace

from generation.assets.families.basic_families import BASIC
from generation.assets.families.more_families import MORE
from generation.assets.family import Family

__all__ = ["FAMILIES", "NOUNS", "Family"]

_FAMILIES = (*(replace(f, tags=(*f.tags, "basic")) for f in BASIC), *MORE)

FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}
NOUNS: dict[str, Family] = {noun: family for family in _FAMILIES for noun in family.nouns}
