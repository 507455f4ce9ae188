"""What a family of objects is, and how one of its instances comes about."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from generation.assets.colours import VIVID
from generation.assets.mass import mass_properties
from generation.assets.materials import MATERIALS, colour_of, painted
from generation.assets.parts import MASS_RANGE, Draft, Paint
from generation.spec import Texture

Builder = Callable[[np.random.Generator, str, Paint, bool], Draft]

_FRICTION = (0.25, 1.2)  # what a change of material may make of a surface


@dataclass(frozen=True)
class Family:
    """A kind of object; every instance of a parametric one has its own shape.

    Attributes:
        nouns: what it is called, the canonical noun first; no two families share a noun.
        split: which side of the train/held-out partition its instances belong to.
        tags: groups a prompt can ask for, such as "fruit" or "container"; "flat" says that things
            can stand on top of a graspable one.
        relations: goals that make sense for a receptacle, the natural one first.
        colours: colour words the designer draws from.
        textures: surface patterns an instance may have.
        materials: what it is plausibly made of, the usual material first. `shape` gives the
            density and friction for that one.
    """

    name: str
    nouns: tuple[str, ...]
    shape: Builder
    split: Literal["train", "heldout"]
    receptacle: bool = False
    tags: tuple[str, ...] = ()
    relations: tuple[Literal["on", "in"], ...] = ()
    colours: tuple[str, ...] = VIVID
    textures: tuple[Texture, ...] = ("plain",)
    materials: tuple[str, ...] = ()

    @property
    def graspable(self) -> bool:
        """Whether the gripper can pick it up: whatever is not a receptacle."""
        return not self.receptacle

    def build(
        self,
        rng: np.random.Generator,
        size: str = "",
        colour: str = "",
        material: str = "",
        *,
        compact: bool = False,
    ) -> Draft:
        """A new instance.

        Args:
            rng: the only source of randomness.
            size: "", "small" or "large", within the family's metric range.
            colour: a name from `COLOURS`; "" takes the material's own where `material` is named,
                else the family's first.
            material: a name from `MATERIALS`, plausible or not; "" draws one of the family's, and
                its usual one if `compact`.
            compact: sizes of the "easy" difficulty.

        Raises:
            ValueError: an unknown material.
        """
        if material and material not in MATERIALS:
            raise ValueError(f"unknown material {material!r}: use one of {', '.join(MATERIALS)}")
        usual = self.materials[0] if self.materials else ""
        made = material or usual
        if not (material or compact) and self.materials:
            made = self.materials[int(rng.integers(len(self.materials)))]
        rgb = colour_of(rng, colour or ("" if material else self.colours[0]))
        draft = self.shape(rng, size, painted(rng, made, rgb, self.textures), compact)
        return _made_of(draft, made, usual)


def _made_of(draft: Draft, material: str, usual: str) -> Draft:
    """The same walls in another material: density and friction change in proportion."""
    if not material or material == usual or not usual:
        return replace(draft, material=material)
    heavier = MATERIALS[material].density / MATERIALS[usual].density
    rougher = MATERIALS[material].friction / MATERIALS[usual].friction
    volume = mass_properties(draft.parts, 1.0).volume
    density = min(max(draft.density * heavier, MASS_RANGE[0] / volume), MASS_RANGE[1] / volume)
    friction = min(max(draft.friction * rougher, _FRICTION[0]), _FRICTION[1])
    return replace(
        draft,
        density=math.ceil(density * 10) / 10,
        friction=round(friction, 3),
        material=material,
    )
