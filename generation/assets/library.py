"""The registry of object families: what exists, what it is called, and what it is good for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from generation.assets import desk, food, household, tableware, toys
from generation.assets.colours import VIVID, shade
from generation.assets.parts import Draft, Paint
from generation.spec import Texture

Builder = Callable[[np.random.Generator, str, Paint, bool], Draft]


@dataclass(frozen=True)
class Family:
    """A parametric kind of object; every instance has its own shape.

    Attributes:
        nouns: what it is called, the canonical noun first; no two families share a noun.
        split: which side of the train/held-out partition its instances belong to.
        tags: groups a prompt can ask for, such as "fruit" or "container".
        relations: goals that make sense for a receptacle, the natural one first.
        colours: colour words the designer draws from.
        textures: surface patterns an instance may have.
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

    @property
    def graspable(self) -> bool:
        """Whether the gripper can pick it up: whatever is not a receptacle."""
        return not self.receptacle

    def build(
        self, rng: np.random.Generator, size: str = "", colour: str = "", *, compact: bool = False
    ) -> Draft:
        """A new instance.

        Args:
            rng: the only source of randomness.
            size: "", "small" or "large", within the family's metric range.
            colour: a name from `COLOURS`; "" takes the family's first.
            compact: sizes of the "easy" difficulty.
        """
        rgb = shade(rng, colour or self.colours[0])
        texture = self.textures[int(rng.integers(len(self.textures)))]
        paint = Paint(rgb)
        if texture == "label":
            paint = Paint(rgb, paint.lighter(0.85).rgb, texture, float(rng.uniform(0.05, 0.07)))
        elif texture != "plain":
            paint = Paint(rgb, paint.darker(0.4).rgb, texture, float(rng.uniform(0.01, 0.02)))
        return self.shape(rng, size, paint, compact)


_FAMILIES = (
    Family("block", ("block", "cube"), toys.block, "train", tags=("toy",),
           textures=("plain", "plain", "wood", "checker")),
    Family("ball", ("ball",), toys.ball, "train", tags=("toy", "rolling"),
           textures=("plain", "stripes")),
    Family("can", ("can", "tin"), household.can, "train", tags=("kitchen", "drink"),
           textures=("plain", "label", "stripes")),
    Family("bottle", ("bottle", "flask"), household.bottle, "train", tags=("kitchen", "drink")),
    Family("mug", ("mug", "cup"), household.mug, "train", tags=("kitchen", "drink", "office"),
           textures=("plain", "plain", "speckle")),
    Family("sponge", ("sponge",), household.sponge, "train", tags=("kitchen",),
           colours=("yellow", "green", "blue", "pink", "orange"), textures=("speckle",)),
    Family("carrot", ("carrot",), food.carrot, "train", tags=("food", "vegetable"),
           colours=("orange", "purple", "red", "yellow")),
    Family("banana", ("banana",), food.banana, "train", tags=("food", "fruit"),
           colours=("yellow", "green", "red")),
    Family("corn", ("corn", "cob"), food.corn, "train", tags=("food", "vegetable"),
           colours=("yellow", "purple", "white", "red")),
    Family("tomato", ("tomato",), food.tomato, "train", tags=("food", "vegetable"),
           colours=("red", "orange", "yellow", "green", "purple")),
    Family("cupcake", ("cupcake", "muffin"), food.cupcake, "train", tags=("food",)),
    Family("die", ("die", "dice"), toys.die, "train", tags=("toy",)),
    Family("cross", ("cross",), toys.cross, "train", tags=("toy",),
           colours=(*VIVID, "brown"), textures=("plain", "wood")),
    Family("pawn", ("pawn", "figure"), toys.pawn, "train", tags=("toy",)),
    Family("battery", ("battery",), desk.battery, "train", tags=("office",)),
    Family("carton", ("carton", "juice box"), desk.carton, "train", tags=("kitchen", "drink")),
    Family("jar", ("jar",), desk.jar, "train", tags=("kitchen",),
           colours=(*VIVID, "brown")),
    Family("marker", ("marker", "pen"), desk.marker, "train", tags=("office",)),
    Family("pear", ("pear",), food.pear, "heldout", tags=("food", "fruit"),
           colours=("green", "yellow", "red")),
    Family("lemon", ("lemon",), food.lemon, "heldout", tags=("food", "fruit"),
           colours=("yellow", "green", "orange")),
    Family("mushroom", ("mushroom",), food.mushroom, "heldout", tags=("food", "vegetable"),
           colours=("red", "brown", "white", "purple", "blue")),
    Family("candle", ("candle",), household.candle, "heldout", tags=("office",)),
    Family("eraser", ("eraser", "rubber"), household.eraser, "heldout", tags=("office",)),
    Family("tower", ("tower", "toy tower"), toys.tower, "heldout", tags=("toy",)),
    Family("arch", ("arch", "bridge"), toys.arch, "heldout", tags=("toy",),
           textures=("plain", "wood")),
    Family("plate", ("plate", "saucer"), tableware.plate, "train", receptacle=True,
           tags=("kitchen", "tableware", "surface"), relations=("on",)),
    Family("bowl", ("bowl",), tableware.bowl, "train", receptacle=True,
           tags=("kitchen", "tableware", "container"), relations=("in",)),
    Family("tray", ("tray",), tableware.tray, "train", receptacle=True,
           tags=("kitchen", "office", "toy", "container"), relations=("in", "on"),
           textures=("plain", "wood")),
    Family("dish", ("dish", "baking dish"), tableware.dish, "train", receptacle=True,
           tags=("kitchen", "tableware", "container"), relations=("in",)),
    Family("mat", ("mat", "place mat"), tableware.mat, "train", receptacle=True,
           tags=("kitchen", "surface"), relations=("on",)),
    Family("crate", ("crate", "box"), tableware.crate, "train", receptacle=True,
           tags=("toy", "food", "container"), relations=("in",),
           colours=(*VIVID, "brown"), textures=("plain", "wood")),
    Family("pot", ("pot", "saucepan"), tableware.pot, "train", receptacle=True,
           tags=("kitchen", "container"), relations=("in",)),
    Family("coaster", ("coaster",), tableware.coaster, "train", receptacle=True,
           tags=("kitchen", "office", "surface"), relations=("on",)),
    Family("basket", ("basket",), tableware.basket, "heldout", receptacle=True,
           tags=("toy", "food", "container"), relations=("in",),
           colours=("brown", "white", "yellow", "green", "red", "blue", "pink", "purple")),
    Family("pan", ("pan", "griddle"), tableware.pan, "heldout", receptacle=True,
           tags=("kitchen", "surface"), relations=("on", "in")),
    Family("lid", ("lid", "cover"), tableware.lid, "heldout", receptacle=True,
           tags=("office", "toy", "container"), relations=("in", "on")),
    Family("board", ("board", "cutting board"), tableware.board, "heldout", receptacle=True,
           tags=("kitchen", "food", "surface"), relations=("on",),
           colours=("brown", "orange", "white", "green", "red", "blue", "purple")),
)  # fmt: skip

FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}
NOUNS: dict[str, Family] = {noun: family for family in _FAMILIES for noun in family.nouns}
