"""What things are made of: how heavy and slippery it is, and how it looks.

Densities are those of the solid material (CRC Handbook of Chemistry and Physics, "Density of
various solids"; steel for metal, ABS for plastic, the rest the middle of usual trade figures).
Frictions are dry, sliding, against wood: tables give 0.3 to 0.5 for wood and 0.2 to 0.6 for metal,
0.7 and more for rubber. Real batches scatter by 10 % in density and by half in friction, so a shape
uses both relative to the material that it is usually made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generation.assets.colours import shade
from generation.assets.parts import Paint
from generation.spec import Texture

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """A solid material.

    Attributes:
        density: kg/m^3.
        friction: sliding friction against dry wood.
        tone: its own sRGB colour, which also tints every paint on it.
        tint: share of `tone` in a painted colour; small enough that the colour's name still fits.
        texture: pattern that shows whatever the paint; "plain" leaves the choice to the family.
        contrast: how much darker the pattern's second colour is.
        scale: range of the pattern's period in m.
    """

    density: float
    friction: float
    tone: Rgb
    tint: float = 0.0
    texture: Texture = "plain"
    contrast: float = 0.3
    scale: tuple[float, float] = (0.01, 0.02)


MATERIALS: dict[str, Material] = {
    "wood": Material(650, 0.45, (0.70, 0.51, 0.32), 0.10, "wood", 0.32, (0.025, 0.045)),
    "metal": Material(7850, 0.40, (0.74, 0.75, 0.77), 0.22, "stripes", 0.10, (0.0025, 0.004)),
    "glass": Material(2500, 0.40, (0.80, 0.90, 0.90), 0.18),
    "plastic": Material(1050, 0.40, (0.88, 0.88, 0.87)),
    "ceramic": Material(2400, 0.45, (0.93, 0.91, 0.87), 0.06),
    "rubber": Material(1190, 0.80, (0.20, 0.20, 0.21), 0.08),
    "cloth": Material(400, 0.55, (0.85, 0.81, 0.74), 0.06, "fabric", 0.30, (0.015, 0.03)),
    "leather": Material(900, 0.50, (0.45, 0.28, 0.17), 0.10, "speckle", 0.15, (0.02, 0.03)),
    "paper": Material(900, 0.50, (0.95, 0.94, 0.90)),
    "cardboard": Material(690, 0.50, (0.72, 0.56, 0.38), 0.12, "stripes", 0.12, (0.006, 0.01)),
    "wax": Material(965, 0.45, (0.94, 0.90, 0.80), 0.10),
    "stone": Material(2650, 0.60, (0.58, 0.57, 0.55), 0.14, "marble", 0.30, (0.05, 0.09)),
    "foam": Material(60, 0.70, (0.93, 0.86, 0.55), 0.0, "speckle", 0.25, (0.01, 0.02)),
    "cork": Material(240, 0.60, (0.76, 0.60, 0.42), 0.14, "speckle", 0.25, (0.015, 0.025)),
    "wicker": Material(350, 0.50, (0.73, 0.56, 0.34), 0.10, "fabric", 0.40, (0.03, 0.05)),
    "food": Material(950, 0.50, (0.90, 0.80, 0.60)),
}

_ANY = Material(1000, 0.5, (0.8, 0.8, 0.8))

# What a sentence may call them; the parser reads these before a noun.
MATERIAL_WORDS: dict[str, str] = {
    **{name: name for name in MATERIALS if name != "food"},
    "wooden": "wood", "oak": "wood", "walnut": "wood", "pine": "wood", "bamboo": "wood",
    "timber": "wood", "metallic": "metal", "steel": "metal", "stainless": "metal",
    "iron": "metal", "aluminium": "metal", "aluminum": "metal", "brass": "metal",
    "copper": "metal", "silver": "metal", "chrome": "metal", "crystal": "glass",
    "porcelain": "ceramic", "china": "ceramic", "clay": "ceramic", "earthenware": "ceramic",
    "stoneware": "ceramic", "enamel": "ceramic", "silicone": "rubber", "fabric": "cloth",
    "cotton": "cloth", "linen": "cloth", "wool": "cloth", "woollen": "cloth", "felt": "cloth",
    "textile": "cloth", "marble": "stone", "granite": "stone", "slate": "stone",
    "concrete": "stone", "rattan": "wicker", "straw": "wicker", "woven": "wicker",
    "acrylic": "plastic", "nylon": "plastic", "vinyl": "plastic", "styrofoam": "foam",
    "beeswax": "wax",
}  # fmt: skip


def painted(
    rng: np.random.Generator,
    material: str,
    rgb: Rgb | None,
    textures: tuple[Texture, ...],
) -> Paint:
    """The paint of an object of that material.

    Args:
        rng: chooses the pattern and its period.
        material: a name from `MATERIALS`, or "" for an imported thing that has its own looks.
        rgb: the colour it is painted with; None shows the material's own tone.
        textures: patterns of the family, for materials without one of their own.
    """
    made = MATERIALS.get(material, _ANY)
    if rgb is None:
        r, g, b = np.clip(np.array(made.tone) * rng.uniform(0.92, 1.06), 0.02, 1.0)
        base = Paint((float(r), float(g), float(b)))
    else:
        base = Paint(rgb).mixed(made.tone, made.tint)
    printed = textures[int(rng.integers(len(textures)))]
    if made.texture != "plain" and printed in ("plain", "wood", "fabric"):
        second = base.darker(made.contrast).rgb
        return Paint(base.rgb, second, made.texture, float(rng.uniform(*made.scale)))
    if printed == "label":
        return Paint(base.rgb, base.lighter(0.85).rgb, printed, float(rng.uniform(0.05, 0.07)))
    if printed != "plain":
        return Paint(base.rgb, base.darker(0.4).rgb, printed, float(rng.uniform(0.01, 0.02)))
    return base


def colour_of(rng: np.random.Generator, colour: str) -> Rgb | None:
    """An instance of a named colour, None for ""."""
    return shade(rng, colour) if colour else None
