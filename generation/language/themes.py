"""Themes: "a messy breakfast table" names no task, so one is invented that fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from generation.assets.library import Family
from generation.language import words
from generation.language.chunks import Mention
from generation.language.lexicon import OCCASIONS
from generation.language.phrasing import Split
from generation.language.request import Request
from generation.language.tokens import normalise, singular
from generation.layout import Difficulty
from generation.spec import SUPPORTS, Relation

_NEAR = 0.58  # cosine from which a word belongs to a theme that does not list it
_SIDES: tuple[Relation, ...] = ("next to", "left of", "right of", "in front of", "behind")
_SIDEWAYS = 0.35  # share of invented tasks that put things beside each other
_STACKED = 0.1  # ... or on top of each other


@dataclass(frozen=True)
class Theme:
    """What belongs together.

    Attributes:
        words: what a prompt may say to mean it.
        objects, receptacles: nouns and tags of families; those that exist take part.
        tables, rooms: styles, of which one is drawn.
    """

    words: tuple[str, ...]
    objects: tuple[str, ...]
    receptacles: tuple[str, ...]
    tables: tuple[str, ...]
    rooms: tuple[str, ...]


def _theme(said: str, objects: str, receptacles: str, tables: str, rooms: str) -> Theme:
    split = [tuple(names.split("|")) for names in (said, objects, receptacles)]
    return Theme(split[0], split[1], split[2], tuple(tables.split()), tuple(rooms.split()))


THEMES: dict[str, Theme] = {
    "breakfast": _theme(
        "breakfast|brunch|morning|coffee|cereal|toast",
        "mug|cup|egg|muffin|cupcake|bagel|croissant|banana|orange|apple|carton|juice box|jar|"
        "spoon|knife|butter|honey|jam|glass|salt shaker",
        "plate|bowl|saucer|tray|coaster|place mat|board", "oak pine linen cloth", "kitchen dining",
    ),
    "kitchen": _theme(
        "kitchen|cooking|cook|chef|recipe|baking|bakery|meal prep|dish|utensil",
        "kitchen|vegetable|whisk|ladle|spatula|knife|spoon|can|bottle|jar|sponge",
        "pot|pan|bowl|board|dish|colander|baking dish|tray", "granite marble steel laminate",
        "kitchen",
    ),
    "dinner": _theme(
        "dinner|supper|lunch|meal|feast|banquet|restaurant|dining|christmas|thanksgiving|party",
        "food|glass|fork|knife|spoon|candle|bottle|salt shaker|pepper mill|mug",
        "tableware|plate|bowl|dish|place mat|coaster", "walnut oak linen cloth",
        "dining cafe terrace",
    ),
    "fruit": _theme("fruit|orchard|smoothie|harvest", "fruit", "bowl|basket|crate|plate|board",
                    "oak bamboo pine", "kitchen garden terrace"),
    "vegetables": _theme(
        "vegetable|vegan|vegetarian|salad|soup|market|farm|veggie", "vegetable|mushroom",
        "bowl|basket|crate|pot|board|colander", "oak pine bamboo", "kitchen garden",
    ),
    "groceries": _theme(
        "grocery|groceries|shopping|supermarket|pantry|errand|store|delivery|food",
        "food|drink|carton|can|jar|bottle", "crate|basket|box|tray|bag|bin",
        "laminate oak granite", "kitchen warehouse",
    ),
    "office": _theme(
        "office|desk|work|study|paperwork|stationery|business|meeting|secretary|boss|writing",
        "office|pen|marker|eraser|stapler|battery|mug|tape|glue", "tray|box|cup|coaster|mat|lid",
        "oak walnut laminate", "office library",
    ),
    "school": _theme(
        "school|classroom|homework|lesson|teacher|pupil|student|exam|art|craft|painting",
        "marker|pen|pencil|crayon|eraser|rubber|ruler|glue|die|block|scissors|tape",
        "tray|box|crate|mat|basket", "laminate pine", "classroom library",
    ),
    "toys": _theme(
        "toy|nursery|playroom|child|kid|toddler|play|baby|kindergarten|birthday|playtime|daycare",
        "toy", "crate|basket|box|tray|bowl|mat|bin", "pine laminate felt", "nursery living bedroom",
    ),
    "games": _theme("game|chess|casino|poker|puzzle|gambling|tournament",
                    "die|pawn|dice|figure|block|ball|domino", "tray|board|box|mat|bowl",
                    "felt walnut leather", "living library"),
    "drinks": _theme(
        "drink|bar|beverage|cocktail|pub|happy hour|thirst|tea|juice|beer|wine",
        "drink|glass|cup|mug|bottle|can", "coaster|tray|mat|crate|saucer", "walnut slate marble",
        "cafe living terrace",
    ),
    "picnic": _theme(
        "picnic|barbecue|camping|gardening|lunchtime|outdoors|garden|beach|hike|summer|terrace|patio|park|grill",
        "food|drink|ball|can|bottle|apple|sandwich", "basket|plate|bowl|crate|tray|board",
        "cloth linen oak", "garden terrace",
    ),
    "workshop": _theme(
        "workshop|garage|tool|repair|workbench|carpenter|mechanic|diy|shed|factory|hardware",
        "tool|battery|screwdriver|hammer|wrench|tape|nut|bolt|block|marker|can|jar|glue",
        "crate|box|tray|bin|lid|bucket", "oak steel concrete", "workshop garage warehouse",
    ),
    "laboratory": _theme(
        "laboratory|lab|science|experiment|chemistry|scientist|research|chemist|pharmacy|medicine",
        "bottle|jar|beaker|flask|battery|marker|pill bottle|can|funnel",
        "tray|dish|bowl|crate|lid|box", "steel laminate tiles", "laboratory",
    ),
    "bathroom": _theme(
        "bathroom|bath|shower|wash|washing|hygiene|spa|cosmetics|makeup|cleaning|laundry|sink",
        "soap|sponge|bottle|brush|toothbrush|comb|jar|toothpaste|candle|cup",
        "dish|tray|basket|bowl|mat|cup", "tiles marble terrazzo", "bathroom",
    ),
    "bedside": _theme(
        "bedroom|nightstand|bedside|sleep|evening|relaxing|cosy|romantic|living|sofa|reading",
        "candle|mug|cup|battery|book|remote|bottle|glass|figure", "tray|coaster|bowl|box|basket",
        "walnut leather linen", "bedroom living",
    ),
    "surprise": _theme("surprise|random|mess|clutter|anything|chaos|variety|scene|scenario",
                       "", "", "oak pine marble granite laminate felt slate bamboo",
                       "kitchen living office garage nursery terrace workshop library"),
}  # fmt: skip


def is_occasion(noun: str, families: Mapping[str, Family]) -> bool:
    """Whether a noun says what things are there for and is none of them: "dinner"."""
    owned = any(noun in family.nouns for family in families.values())
    return bool(noun) and not owned and noun.split()[-1] in OCCASIONS


def is_theme(noun: str, families: Mapping[str, Family]) -> bool:
    """Whether a noun of a prompt without a task only says which theme is meant."""
    owned = any(noun in family.nouns for family in families.values()) or words.is_alike(noun)
    listed = any(noun in theme.words for theme in THEMES.values())
    return is_occasion(noun, families) or (listed and not owned)


def nearest_theme(prompt: str) -> str:
    """The theme that a prompt means: by its own words, else by the nearest word vectors.

    Raises:
        ValueError: no word of the prompt is near any theme.
    """
    said = _words(prompt)
    named = named_theme(prompt)
    if named:
        return named
    near = [
        (words.likeness(word, key), name)
        for word in sorted({*said})
        if len(word) > 3
        for name, theme in THEMES.items()
        for key in theme.words
    ]
    score, name = max(near, default=(0.0, ""))
    if score < _NEAR:
        raise ValueError(
            f"no task and no theme in {prompt!r}: say what to put where, "
            'for example "put the red block on the blue plate", or a theme: ' + ", ".join(THEMES)
        )
    return name


def named_theme(prompt: str) -> str:
    """The theme most of whose words the prompt has, "" if it has none."""
    said = _words(prompt)
    said += [f"{a} {b}" for a, b in pairwise(said)]
    counted = {
        name: sum(said.count(word) for word in theme.words) for name, theme in THEMES.items()
    }
    vague = counted.pop("surprise")
    best = max(counted, key=lambda name: counted[name])
    return best if counted[best] else "surprise" if vague else ""


def _words(prompt: str) -> list[str]:
    return [singular(word) for word in normalise(prompt) if word.isalpha()]


def invent(
    request: Request,
    rng: np.random.Generator,
    difficulty: Difficulty,
    split: Split,
    families: Mapping[str, Family],
) -> Request:
    """A request with a task of the theme; things that the prompt names take part.

    Tasks beside or on top of other things come only at difficulty "full" or in split "all".
    """
    named = [m for m in request.extras if m.family]
    try:
        theme = THEMES[nearest_theme(request.theme)]
    except ValueError:
        if not named:
            raise
        theme = THEMES["surprise"]
    things = _fitting(theme.objects, [f for f in families.values() if f.graspable], split)
    holders = _fitting(theme.receptacles, [f for f in families.values() if f.receptacle], split)
    relation = _relation(rng, difficulty == "full" or split == "all", things)
    target = _target(named, things, theme, relation, rng, families)
    named = [m for m in named if m is not target]
    held = [m for m in named if m.family and families[m.family].receptacle]
    if relation == "stacked on":
        flat = [f for f in things if "flat" in f.tags and f.name != target.family]
        relation = relation if flat else None
        holders = flat or holders
    elif relation is not None and rng.uniform() < 0.5:
        holders = [f for f in things if f.name != target.family] or holders
    if held and relation != "stacked on":
        receptacle = held[0]
        named = [m for m in named if m is not receptacle]
    else:
        receptacle = _drawn(holders, theme.receptacles, rng)
    if relation is None:
        assert receptacle.family is not None  # drawn from families
        natural = families[receptacle.family].relations
        relation = natural[int(rng.integers(len(natural)))]
    others = _others(things, theme, {target.family, receptacle.family}, rng, named)
    distractors = request.distractors
    if distractors is not None:
        others = others[:distractors]
        distractors -= len(others)
    return replace(
        request,
        target=replace(target, count=1),
        receptacle=replace(receptacle, count=1),
        relation=relation,
        extras=(*named, *others),
        distractors=distractors,
        table=request.table or theme.tables[int(rng.integers(len(theme.tables)))],
        room=request.room or theme.rooms[int(rng.integers(len(theme.rooms)))],
        theme="",
    )


def _fitting(names: Sequence[str], pool: list[Family], split: Split) -> list[Family]:
    """Families of the pool with one of the nouns or tags, of the split where there are any."""
    found = [f for f in pool if names == ("",) or {*names} & {*f.nouns, *f.tags}] or pool
    return [f for f in found if split in ("all", f.split)] or found


def _relation(rng: np.random.Generator, free: bool, things: list[Family]) -> Relation | None:
    """The relation of an invented task, None for the receptacle's natural one."""
    draw = float(rng.uniform())
    side = _SIDES[int(rng.integers(len(_SIDES)))]
    if not free or draw >= _SIDEWAYS + _STACKED:
        return None
    if draw < _SIDEWAYS:
        return side
    return "stacked on" if any("flat" in f.tags for f in things) else None


def _target(
    named: list[Mention],
    things: list[Family],
    theme: Theme,
    relation: Relation | None,
    rng: np.random.Generator,
    families: Mapping[str, Family],
) -> Mention:
    for mention in named:
        if mention.family and families[mention.family].graspable:
            return mention
    steady = [f for f in things if relation not in SUPPORTS or "rolling" not in f.tags]
    return _drawn(steady or things, theme.objects, rng)


def _drawn(pool: list[Family], names: Sequence[str], rng: np.random.Generator) -> Mention:
    """A family of the pool, called by a noun of the theme where it has one."""
    family = pool[int(rng.integers(len(pool)))]
    nouns = [noun for noun in family.nouns if noun in names] or list(family.nouns)
    return Mention(nouns[int(rng.integers(len(nouns)))], family.name)


def _others(
    things: list[Family],
    theme: Theme,
    used: set[str | None],
    rng: np.random.Generator,
    named: list[Mention],
) -> list[Mention]:
    """One or two further things of the theme."""
    used = used | {m.family for m in named}
    pool = [f for f in things if f.name not in used and "rolling" not in f.tags]
    count = min(len(pool), 1 + int(rng.integers(2))) if len(named) < 3 else 0
    order = rng.permutation(len(pool))[:count]
    return [_drawn([pool[int(k)]], theme.objects, rng) for k in order]
