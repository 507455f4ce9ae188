"""Words without a shape of their own: their nearest known object, by pretrained sense vectors.

`words.npz` holds 56 numbers for each of 21,488 noun senses of WordNet 3.0 (Princeton University,
WordNet licence): the embedding of the sense's gloss by the sentence encoder all-MiniLM-L6-v2
(Apache-2.0), reduced by principal components, and the tree of hypernyms; see words_licence.txt,
and `word_table` for how it is made. A vector knows what a thing is used for, the tree knows what
kind of thing it is; on everyday nouns the mean of both finds the right family twice as often as
averaged subword vectors, which do not see whole words.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generation.assets.family import Family

THRESHOLD = 0.45  # measured on labelled nouns in tests/test_generation_language.py
_RARER = 0.9  # factor for each commoner sense of a word before the one compared
_NO_THING = 0.6  # factor for what stands on no table: vehicles, buildings, animals, ideas
_HEAD = 0.97  # score of a known noun that another word qualifies
_SYNONYM = 0.93  # factor for a family's further nouns, some of which mean more than its shape
# Least scores of a family that stands in for another: a vessel ("tumbler" has 0.41, the lowest) and
# a box ("chest" has 0.58; a bin, 0.56, is no parcel).
_HOLDING, _GRIPPABLE = 0.4, 0.57
_KIN = 0.95  # factor for what is only like the noun

# Senses by a plainer word where the noun alone is mostly something else ("plate" is a base in
# baseball), and further things that are shaped or used alike.
_SENSE = {
    "plate": "dinner plate", "board": "cutting board", "cob": "corn", "figure": "figurine",
    "marker": "pen", "juice box": "carton", "mat": "place mat", "sponge": "scrubber",
    "block": "building block", "cover": "lid", "rubber": "eraser", "tower": "building block",
    "arch": "building block", "bridge": "building block", "cross": "building block",
    "remote": "remote control", "box": "crate", "tin": "can", "roaster": "roasting pan",
    "soda can": "can", "water bottle": "bottle", "frying pan": "frying pan", "sheet": "baking tray",
}  # fmt: skip
_LIKE = {
    "can": "soda,beer,cola,canister", "bottle": "perfume,wine,vial,water,shampoo,ketchup",
    "carton": "juice,milk,cereal",
    "mat": "tablecloth,cloth,rug,doormat,doily,mousepad,mouse pad",
    "napkin": "washcloth,dishcloth,tissue,tablecloth", "pawn": "checker,rook,bishop",
    "figure": "statue,doll,toy,puppet,teddy bear,teddy,robot,dinosaur", "block": "domino,lego",
    "ball": "sphere,globe,orb,marble,football", "cupcake": "cake,brownie,pie,tart,cookie,bun",
    "crate": "chest,case,bin,suitcase", "mug": "glass,beaker,goblet,chalice,teacup",
    "salt shaker": "salt,pepper mill,spice", "shaker": "salt,pepper mill,spice",
    "apple": "plum,nectarine,guava,pomegranate", "tangerine": "orange,peach,apricot,grapefruit",
    "pear": "mango,papaya,avocado,fig,kiwi,pineapple", "strawberry": "cherry,blueberry,grape",
    "pumpkin": "melon,watermelon,cantaloupe,cabbage,cauliflower", "banana": "plantain",
    "carrot": "parsnip,radish,beet,turnip", "cucumber": "celery,asparagus,leek,gherkin",
    "onion": "garlic,fennel,artichoke", "pepper": "chili,broccoli", "potato": "yam,ginger",
    "loaf": "baguette,scone,bun,roll",
    "donut": "pretzel,cookie,biscuit", "chocolate": "candy,fudge",
    "burger": "hotdog,taco", "spoon": "spatula,whisk", "fork": "tongs,chopstick",
    "knife": "dagger,razor,scissors", "screwdriver": "wrench,chisel,pliers,drill,key",
    "brush": "toothbrush,comb,broom,hairbrush", "torch": "lantern,lamp",
    "book": "textbook,dictionary,magazine,album,bible,wallet,laptop",
    "phone": "headset,walkie talkie,tablet,ipad",
    "calculator": "keyboard,gamepad", "boat": "canoe,yacht,sailboat,submarine",
    "car": "truck,van,taxi,bus,tractor,train", "jug": "carafe,decanter,amphora",
    "glue": "paste,lipstick", "spool": "thread,yarn,string", "mouse": "joystick",
    "clock": "watch,stopwatch,timer", "soap": "detergent", "organiser": "holder",
    "eraser": "usb stick,memory stick,flash drive", "tape": "bracelet,ring,tape measure",
    "rocket": "missile,spaceship", "bulb": "lightbulb",
}  # fmt: skip

_ALIKE = frozenset(like for likes in _LIKE.values() for like in likes.split(","))
_ALIKE_WORDS = frozenset(word for like in _ALIKE for word in like.split())
# Families that stand in where a noun's own family cannot play its part: open ones for the solid
# vessels that a sentence fills, small ones for boxes too wide to grip.
_HOLLOW = {
    "mug": "pot bowl tub", "jar": "pot bowl tub", "jug": "pot bowl tub", "vase": "pot planter tub",
    "can": "pot tub", "thermos": "pot tub", "teapot": "pot", "carton": "crate shoebox",
}  # fmt: skip
_GRIPPED = {"crate": "carton gift", "shoebox": "carton gift"}


@dataclass(frozen=True)
class Match:
    """The family that a noun names or comes nearest to; score 1 for the family's own nouns."""

    family: str
    noun: str
    score: float


@dataclass(frozen=True)
class _Table:
    vectors: NDArray[np.float32]  # [R, 56], unit length
    parents: NDArray[np.int32]  # [N, 2], -1 for none; the first R nodes have vectors
    content: NDArray[np.float32]  # [N] information content in [0, 1]
    thing: NDArray[np.bool_]  # [R] whether it could stand on a table
    senses: Mapping[str, tuple[tuple[int, int], ...]]  # lemma -> (node, commoner senses)
    others: frozenset[str]  # words that are no nouns of the table


@functools.cache
def _table() -> _Table:
    with np.load(Path(__file__).with_name("words.npz")) as stored:
        vectors = stored["vectors"].astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        senses = {}
        for line in stored["lemmas"].tobytes().decode().split("\n"):
            lemma, _, listed = line.partition("\t")
            pairs = (sense.split(":") for sense in listed.split())
            senses[lemma] = tuple((int(node), int(rank)) for node, rank in pairs)
        return _Table(
            vectors=vectors,
            parents=stored["parents"],
            content=stored["content"].astype(np.float32) / 255,
            thing=stored["thing"],
            senses=senses,
            others=frozenset(stored["others"].tobytes().decode().split()),
        )


def is_word(word: str) -> bool:
    """Whether an English word is known, so that it is no misspelling."""
    table = _table()
    return word in table.senses or word in table.others or word in _ALIKE_WORDS


def is_thing(noun: str) -> bool:
    """Whether a noun commonly names a thing that could stand on a table."""
    table = _table()
    senses = table.senses.get(noun, ())
    return noun in _ALIKE or any(rank < 4 and table.thing[node] for node, rank in senses)


def match_noun(noun: str, families: Mapping[str, Family]) -> Match:
    """The family nearest to `noun`.

    Args:
        noun: in the singular; of a compound, the last word counts where the whole is unknown.
        families: those that may be chosen.

    Raises:
        ValueError: no family is near enough; names the nearest three and their scores.
    """
    for family in families.values():
        if noun in family.nouns:
            return Match(family.name, noun, 1.0)
    scores: dict[str, tuple[float, str]] = {}
    for family in families.values():
        for k, own in enumerate(family.nouns):
            score = similarity(noun, own) * (_SYNONYM if k else 1.0)
            if noun.endswith(f" {own}"):
                score = _HEAD  # a soup bowl is a bowl
            scores[family.name] = max(scores.get(family.name, (0.0, "")), (score, own))
    if not scores:
        raise ValueError(f"no object can be a {noun!r} here: there are no families to choose from")
    best = sorted(scores.items(), key=lambda item: (-item[1][0], item[0]))
    family, (score, own) = best[0]
    if score >= THRESHOLD:
        return Match(family, own, round(float(score), 4))
    if score > 0:
        near = ", ".join(f"{own} ({score:.2f})" for _, (score, own) in best[:3])
    else:
        nouns = sorted(n for f in families.values() for n in f.nouns)
        near = ", ".join(difflib.get_close_matches(noun, nouns, n=3, cutoff=0.0))
    raise ValueError(
        f"unknown object {noun!r}: the nearest are {near}; at least {THRESHOLD} is needed to take "
        "one for the other"
    )


def is_alike(noun: str) -> bool:
    """Whether a noun is listed as a thing that is shaped or used like one of a family."""
    return noun in _ALIKE


def stand_in(noun: str, families: Mapping[str, Family], *, holding: bool) -> Match | None:
    """Another family for a noun whose own cannot hold (or, if not `holding`, cannot be gripped).

    None where nothing is alike enough: no spoon is a bowl, and no plate fits a gripper.
    """
    others = _HOLLOW if holding else _GRIPPED
    try:
        own = match_noun(noun, families)
    except ValueError:
        return None
    found = [families[name] for name in others.get(own.family, "").split() if name in families]
    scores = [max(similarity(own.noun, word) for word in family.nouns) for family in found]
    best = max(range(len(found)), key=lambda k: scores[k], default=-1)
    least = _HOLDING if holding else _GRIPPABLE
    if best < 0 or scores[best] * own.score < least:
        return None
    return Match(found[best].name, noun, round(float(scores[best] * own.score), 4))


@functools.lru_cache(maxsize=65536)
def similarity(noun: str, own: str) -> float:
    """How like two nouns are, in [0, 1]: best over the senses of both."""
    kin = _LIKE[own].split(",") if own in _LIKE else []
    if noun in kin:
        return _KIN
    compared = [(_SENSE.get(own, own), 1.0), *((like, _KIN) for like in kin)]
    best = 0.0
    for reference, factor in compared:
        table = _table()
        things = [n for n, _ in table.senses.get(reference, ()) if table.thing[n]]
        for node in things[:1]:
            for other, rank in _senses(noun):
                weight = factor * _RARER**rank * (1.0 if table.thing[other] else _NO_THING)
                cosine = float(table.vectors[node] @ table.vectors[other])
                best = max(best, weight * (cosine + _kinship(node, other)) / 2)
    return max(0.0, best)


@functools.lru_cache(maxsize=65536)
def likeness(a: str, b: str) -> float:
    """Cosine of the nearest senses of two words, whatever they name; 1 for the same word."""
    vectors = _table().vectors
    pairs = (
        (float(vectors[i] @ vectors[j]), rank + other)
        for i, rank in _senses(a)
        for j, other in _senses(b)
    )
    return 1.0 if a == b else max((cosine * _RARER**rank for cosine, rank in pairs), default=0.0)


def _senses(noun: str) -> tuple[tuple[int, int], ...]:
    """Of a noun, or of the last word of a compound that the table does not have."""
    senses = _table().senses
    return senses.get(noun) or senses.get(noun.split()[-1] if noun else "", ())


def _kinship(a: int, b: int) -> float:
    """Lin's similarity: how specific the nearest common hypernym is, relative to both."""
    content = _table().content
    shared = max((content[node] for node in _above(a) & _above(b)), default=0.0)
    total = float(content[a] + content[b])
    return 2 * float(shared) / total if total else 0.0


@functools.lru_cache(maxsize=65536)
def _above(node: int) -> frozenset[int]:
    """The node and all its hypernyms."""
    found, todo = {node}, [node]
    while todo:
        for parent in _table().parents[todo.pop()].tolist():
            if parent >= 0 and parent not in found:
                found.add(parent)
                todo.append(parent)
    return frozenset(found)
