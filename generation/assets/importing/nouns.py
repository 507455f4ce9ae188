"""What things usually are: metric size, material and how they stand, by noun."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Prior:
    """What is known of a kind of thing before its mesh is seen.

    Attributes:
        low, high: range of the longest side, m.
        material: key of `MATERIALS`.
        stands: whether it has an upright pose, or lies as it falls.
    """

    low: float
    high: float
    material: str = "plastic"
    stands: bool = True


@dataclass(frozen=True)
class Material:
    """A substance and how things are made of it.

    Attributes:
        density: of the substance, kg/m^3.
        friction: sliding, against rubber pads.
        wall: m. Meshes of hollow things are often solid: no more than walls of this thickness
            under the surface count for the mass. 0 for what is solid in reality.
    """

    density: float
    friction: float
    wall: float = 0.0


MATERIALS: dict[str, Material] = {
    "plastic": Material(1050.0, 0.8, 0.003),
    "wood": Material(650.0, 0.8),
    "metal": Material(7850.0, 0.7, 0.002),
    "ceramic": Material(2400.0, 0.7, 0.004),
    "glass": Material(2500.0, 0.6, 0.003),
    "rubber": Material(1190.0, 1.0, 0.006),
    "foam": Material(60.0, 1.0),
    "cloth": Material(400.0, 0.9, 0.004),
    "paper": Material(900.0, 0.8),
    "cardboard": Material(250.0, 0.8),  # with what is in the box
    "leather": Material(900.0, 0.9, 0.004),
    "wax": Material(965.0, 0.8),
    "cork": Material(240.0, 0.9),
    "food": Material(950.0, 0.9),
    "liquid": Material(1000.0, 0.8),  # a full vessel
    "stone": Material(2650.0, 0.8, 0.02),
}
# Not what something is said to be made of.
CONTENTS = frozenset({"food", "liquid"})

# longest side in cm from-to, material, "lies" for what has no upright pose: nouns
_TABLE = """
8-13 ceramic: mug cup teacup coffee_cup
12-22 ceramic: bowl dish
7-16 glass: glass wine_glass goblet tumbler
15-30 glass: wine bottle_of_wine wine_bottle
16-28 liquid: bottle water_bottle flask milk beer shampoo detergent bleach cleanser soda_bottle
10-15 liquid: can tin soda soda_can coke cola pop soup soup_can
7-14 glass: jar jam spice salt pepper
16-28 ceramic: plate saucer
20-34 metal: pan frying_pan skillet wok
15-30 metal: pot saucepan kettle teapot cooker
18-34 ceramic: vase pitcher jug pitcher_base
15-45 wood: tray cutting_board board chopping_board
20-40 plastic: basket crate bin bucket container
10-32 cardboard: box carton cereal cereal_box cracker_box sugar_box package milk_carton parcel
5-11 cardboard: gelatin_box pudding_box matchbox
6-9 food lies: apple orange peach pear tomato lemon lime onion potato plum avocado egg mango kiwi
12-20 food lies: banana carrot cucumber corn cob eggplant bread loaf baguette sausage zucchini
2-5 food lies: strawberry nut cherry grape garlic mushroom
5-12 food: cupcake muffin cake donut doughnut burger hamburger sandwich pizza_slice cookie
7-14 food: pepper bell_pepper pumpkin pineapple cabbage
14-24 metal lies: fork spoon knife cutlery ladle spatula whisk
12-30 metal lies: hammer screwdriver wrench pliers drill power_drill scissors clamp tool saw
12-18 plastic lies: pen pencil marker large_marker crayon brush toothbrush
4-10 wood: block cube brick wood_block toy_block
2-4 plastic: die dice domino
3-22 rubber lies: ball baseball softball tennis_ball golf_ball soccer_ball basketball racquetball
7-20 plastic: toy figure doll robot car truck bus train plane airplane duck teddy bear dinosaur
7-20 plastic: toy_car toy_airplane toy_plane lego rabbit bunny dragon armadillo cow horse cat dog
14-28 paper lies: book notebook magazine
12-17 plastic lies: phone cellphone smartphone remote remote_control controller
9-13 plastic lies: mouse computer_mouse wallet stapler calculator
12-24 plastic: clock alarm_clock lamp radio speaker camera headphones
6-14 foam lies: sponge eraser soap bar_of_soap
8-16 cloth lies: glove sock towel cloth hat cap
20-32 cloth: shoe boot sneaker sandal
5-10 metal lies: key coin ring padlock lock nut bolt screw battery washer
8-14 metal: candle candlestick
6-18 plastic: cup_with_handle funnel dispenser soap_dispenser
3-9 plastic lies: button dial knob pawn
20-60 plastic: keyboard laptop monitor
10-20 stone: statue bust sculpture rock stone suzanne monkey
5-15 plastic: gear part bracket
"""

GENERIC = Prior(0.03, 0.3)
# Words of file names that say nothing about the thing.
_EMPTY = frozenset(
    "textured simple model mesh visual vis collision coll col poisson google k obj stl ply glb low "
    "poly lowpoly high res hd scan final export untitled object scene new copy version fixed clean "
    "base default main tri triangulated reduced decimated nontextured the a of and with lod convex "
    "ycb hope gso asset output result sample".split()
)


def _read() -> dict[str, Prior]:
    out: dict[str, Prior] = {}
    for line in _TABLE.strip().splitlines():
        head, nouns = line.split(":")
        span, material, *rest = head.split()
        low, high = (float(v) / 100 for v in span.split("-"))
        for noun in nouns.split():
            prior = Prior(low, high, material, "lies" not in rest)
            out.setdefault(noun.replace("_", " "), prior)
    return out


PRIORS: dict[str, Prior] = _read()


def latin(text: str) -> str:
    """The text with its letters freed of accents: "Crème" is "Creme"."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def noun_of_name(name: str) -> str:
    """A noun from a file's or a link's name: "011_banana.obj" gives "banana"; "" if there is none.

    A longer known noun wins over a shorter, a later one over an earlier: "milk_carton_2".
    """
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", latin(name.rsplit("/", 1)[-1].split(".")[0]))
    words = [w for w in re.split(r"[^a-z]+", stem.lower()) if w and w not in _EMPTY]
    for length in (3, 2, 1):
        for start in range(len(words) - length, -1, -1):
            phrase = " ".join(words[start : start + length])
            if phrase in PRIORS:
                return phrase
    return " ".join(words[-2:]) if words and len(words[-1]) > 2 else ""


def prior_of(noun: str) -> tuple[Prior, str]:
    """The prior of a noun, and where it is from: "table", "family" or "none".

    Unknown nouns ask the word vectors for the nearest known family.
    """
    words = noun.lower().split()
    for length in range(len(words), 0, -1):
        phrase = " ".join(words[-length:])
        for form in (phrase, phrase.removesuffix("s"), phrase.removesuffix("es")):
            if form in PRIORS:
                return PRIORS[form], "table"
    family = _family(noun)
    if family in PRIORS:
        return PRIORS[family], "family"
    return GENERIC, "none"


def _family(noun: str) -> str:
    if not re.fullmatch(r"[a-z]+( [a-z]+)*", noun) or noun == "object":
        return ""
    try:
        from generation.assets.library import FAMILIES
        from generation.language.words import match_noun

        return match_noun(noun, FAMILIES).family.replace("_", " ")
    except (ImportError, ValueError):  # no family is near enough
        return ""
