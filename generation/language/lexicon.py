"""The words that sentences are made of, and what kind of word each is.

Kinds: "det", "number", "colour", "shade", "size", "material", "noun", "category", "table", "room",
"prep" (a relation), "into" (a relation that only a goal has), "to", "from", "unrelated" (a
preposition without a relation), "verb", "take" (a verb that need not say where to), "want",
"other" (what this arm does not do), "stack", "fill", "hold", "has", "goal", "is", "there", "with",
"ignore", "rel", "and", "pronoun", "one", "filler".
"""

from __future__ import annotations

from generation.assets.colours import COLOUR_SYNONYMS, COLOURS
from generation.assets.materials import MATERIAL_WORDS
from generation.spec import Relation

Entry = tuple[str, str]  # kind, value

RELATION_WORDS: dict[Relation, str] = {
    "in": "inside|within|in the middle of|inside of|in the inside of",
    "on": "on top of|ontop of|upon|atop|over on|on the top of|onto the top of|on to the top of",
    "next to": "next to|nextto|beside|near|close to|closest to|nearest to|nearer to|closer to|"
    "close by|by|alongside|adjacent to|along side|nearby|"
    "by the side of|at the side of|on the side of|right beside|besides|near to|touching|"
    "against",
    "left of": "left of|to the left of|on the left of|on the left side of|to the left side of|"
    "at the left of|left from|on the left hand side of|to the left hand side of|"
    "at the left side of",
    "right of": "right of|to the right of|on the right of|on the right side of|"
    "to the right side of|at the right of|right from|on the right hand side of|"
    "to the right hand side of|at the right side of",
    "in front of": "in front of|infront of|ahead of|at the front of|before|"
    "to the front of|in the front of|"
    "on the front side of|at the front side of",
    "behind": "behind|in back of|at the back of|at the rear of|to the rear of|to the back of|"
    "on the far side of|beyond|on the other side of|in the back of|on the back side of",
    "stacked on": "stacked on|stacked on top of|stacked onto|piled on|balanced on|"
    "resting on top of",
}  # fmt: skip
INTO_WORDS: dict[Relation, str] = {
    "in": "into|in to|down into|over into|back into|back in",
    "on": "onto|on to|down on|down onto|over onto|back onto|back on",
    "next to": "towards|toward|up to",
}
UNRELATED = (
    "under|below|beneath|underneath|above|between|in between|around|all around|round|through|"
    "among|across|across from|opposite"
)

# What a wildcard noun admits: a tag of the families, or "" for anything.
CATEGORIES = {
    "object": "", "thing": "", "item": "", "something": "", "anything": "", "stuff": "",
    "somewhere": "", "everything": "", "whatever": "",
    "receptacle": "", "toy": "toy", "fruit": "fruit",
    "vegetable": "vegetable", "veggie": "vegetable", "food": "food", "snack": "food",
    "drink": "drink", "beverage": "drink",
    "container": "container", "vessel": "container", "surface": "surface", "tool": "tool",
}  # fmt: skip

# Words of a room, and the style in `generation.rooms` that they mean.
ROOM_WORDS = {
    "kitchen": "kitchen", "kitchenette": "kitchen", "bathroom": "bathroom", "washroom": "bathroom",
    "bedroom": "bedroom", "cafe": "cafe", "coffee shop": "cafe", "restaurant": "cafe",
    "bar": "cafe", "canteen": "cafe", "bistro": "cafe", "diner": "cafe", "cafeteria": "cafe",
    "classroom": "classroom", "school": "classroom", "dining room": "dining", "dining": "dining",
    "garage": "garage", "garden": "garden", "park": "garden", "backyard": "garden",
    "laboratory": "laboratory", "lab": "laboratory", "library": "library", "living room": "living",
    "lounge": "living", "parlour": "living", "sitting room": "living", "nursery": "nursery",
    "playroom": "nursery", "children s room": "nursery", "kids room": "nursery",
    "kid s room": "nursery", "kindergarten": "nursery", "daycare": "nursery", "office": "office",
    "study": "office", "workplace": "office", "terrace": "terrace", "patio": "terrace",
    "balcony": "terrace", "porch": "terrace", "warehouse": "warehouse", "factory": "warehouse",
    "storeroom": "warehouse", "workshop": "workshop", "shed": "workshop", "studio": "workshop",
}  # fmt: skip
TABLE_WORDS = (
    "table counter countertop tabletop desk desktop worktop workbench bench kitchen_counter "
    "kitchen_table dining_table coffee_table work_surface table_top work_table counter_top"
).split()
# Words before "table" that choose its top, and the style in `generation.background` they mean.
TABLE_STYLES = {
    "wooden": "oak", "wood": "oak", "oak": "oak", "timber": "oak", "walnut": "walnut",
    "mahogany": "walnut", "pine": "pine", "birch": "pine", "maple": "pine", "bamboo": "bamboo",
    "marble": "marble", "slate": "slate", "granite": "granite", "stone": "granite",
    "concrete": "concrete", "cement": "concrete", "terrazzo": "terrazzo", "steel": "steel",
    "metal": "steel", "metallic": "steel", "stainless": "steel", "aluminium": "steel",
    "aluminum": "steel", "laminate": "laminate", "plastic": "laminate", "white": "laminate",
    "formica": "laminate", "cork": "cork", "leather": "leather", "tiled": "tiles",
    "tile": "tiles", "ceramic": "tiles", "cloth": "cloth", "tablecloth": "cloth",
    "checkered": "cloth", "chequered": "cloth", "linen": "linen", "cotton": "linen",
    "felt": "felt", "striped": "stripes", "dark": "walnut", "light": "pine", "rustic": "oak",
    "brown": "walnut", "grey": "concrete", "black": "slate",
}  # fmt: skip

_WORDS = {
    "det": "a an the some any that this my your our his her their these those its each "
    "every another whichever",
    "shade": "new old same other others different last first second third remaining left right "
    "closest nearest leftmost rightmost dark light bright pale deep pastel neon vivid dull faded",
    "verb": "put puts places moves sets drops "
    "place set drop lay transfer leave deposit shift rest tidy clean sort clear "
    "position relocate stow stick slide push insert return throw toss deliver arrange store keep "
    "add pop chuck pack plop dump stash slip hand pass settle nest tuck drag haul balance sit "
    "putting placing moving setting dropping laying bringing storing packing placed moved laid "
    "dropped transferred brought carried deposited positioned stored stand stowed returned "
    "inserted relocated shifted tucked arranged kept packed pushed slid lower dip sling park "
    "plonk plunk",
    "take": "take pick grab get lift fetch collect grasp pick_up pick_out take_out hold_on "
    "gather give bring taking picking picked carry move",
    "other": "empty open close shut pour cut slice chop eat wash wipe turn rotate spin flip "
    "swap exchange press squeeze break smash shake stir cook fold unfold write draw run walk jump "
    "swim sing dance fly count explain describe tell kick burn sell buy "
    "feed boil bake hug vacuum build",
    "stack": "stack pile stacking piling stacked piled",
    "fill": "fill load cover top",
    "hold": "hold holds receive receives accommodate",
    "has": "contains containing holding has contained with_in",
    "goal": "goes go going belongs belong should must needs wanted needed land lands ends "
    "end_up ends_up ought to_be to_go has_to have_to should_be must_be needs_to_be shall",
    "is": "is are stands sits lies was were rests stay stays remains remain lie standing "
    "lying sitting resting located situated found",
    "want": "want need wish wants like love prefer want_to need_to would_like d_like like_to",
    "there": "i_have you_have there_is there_are there_stands there_s there_lies there_sits "
    "while whilst whereas "
    "imagine we_have you_see i_see i_have_got we_see given suppose show_me design create "
    "make_a_scene make_me_a_scene scene_with a_scene_of a_scene_with",
    "with": "with plus including among_other amongst_other among_others",
    "ignore": "away_from than ignore ignoring avoid avoiding disregard without not no never except "
    "mind do_not_touch never_touch refuse_to refrain_from watch_out_for "
    "beware_of never_mind distractors distractor skip rather_than instead_of leave_alone but_not",
    "rel": "that_is that_are which_is which_are that_stands that_sits that_lies who_is "
    "that_s which_stands which_sits which_lies that_rests which_rests that_was that_stand "
    "that_sit that_lie that_has_been_put",
    "from": "from off out_of off_of from_on from_in out_from from_inside from_within "
    "from_on_top_of from_off from_on_to",
    "to": "to over_to",
    "and": "and but yet as_well_as along_with together_with or & then_also also",
    "pronoun": "it them itself themselves him",
    "one": "one ones",
    "filler": "a_bit a_little_bit "
    "by_the_handle by_its_handle by_the_rim by_the_edge by_the_stem by_its_stem "
    "on_its_side on_the_left on_the_right to_the_left to_the_right at_the_back in_the_back "
    "in_the_middle in_the_center in_the_centre in_the_front at_the_front to_me to_us for_us "
    "rather please can could you would i robot kindly now just up down over then be let here "
    "scene for me of so ok okay hey hi hello thanks thank dear will we us they do does did "
    "so_that carefully gently slowly quickly away immediately there finally "
    "next after afterwards before_that your_task task is_to job goal try help make sure "
    "so_it that_it help_me might may if possible mind_if when what where how why which who "
    "please_can again together all well there_now be_so_kind could_you time side well_then i_d "
    "i_ll i_m let_s we_ll you_ll it_s d ll m s ve re am been being have had got come came went too "
    "very "
    "really quite its_place simply maybe perhaps actually yes as still already back only "
    "at about straight directly exactly properly neatly safely somewhere_else see happen happens "
    "able go_ahead and_then look looking find use using your_gripper gripper arm hand_s buddy "
    "friend assistant machine bot sir everyone them_all inside_it "
    "front middle centre center edge corner far "
    "top_left both_of half clean_and ready",
}
NUMBERS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "couple": 2, "pair": 2, "both": 2, "several": 3, "few": 3, "many": 4, "dozen": 12,
    "trio": 3, "half_dozen": 6, "multiple": 3, "various": 3, "all": 2, "half_a_dozen": 6,
}  # fmt: skip
_SIZES = {
    "small": "small little tiny mini miniature petite smallish short thin slim smaller smallest "
    "compact little_tiny narrow wee",
    "large": "large big huge giant tall larger bigger largest biggest enormous oversized wide "
    "massive jumbo great long",
}
_COLOURS = {
    "red": "maroon ruby burgundy cherry_red wine_red reddish brick_red",
    "orange": "amber apricot peach_coloured",
    "yellow": "gold mustard lemon_yellow blond yellowish ochre",
    "green": "lime_green olive emerald mint jade khaki greenish grass_green",
    "blue": "azure indigo sky_blue cobalt sapphire royal_blue bluish baby_blue",
    "purple": "lilac lavender magenta mauve plum_coloured aubergine",
    "pink": "salmon fuchsia coral rosy hot_pink",
    "teal": "aqua aquamarine",
    "brown": "beige tan chocolate_brown chestnut bronze brownish",
    "white": "ivory cream_coloured snow_white off_white",
    "grey": "charcoal silvery silver_grey greyish grayish",
    "black": "ebony jet_black blackish",
}
# Occasions, which the word table also has as food or things, and people: neither is on the table.
OCCASIONS = frozenset(
    "breakfast brunch lunch luncheon dinner supper meal feast banquet buffet picnic barbecue snack "
    "party tea coffee morning noon afternoon evening night midnight day weekend date birthday "
    "christmas thanksgiving easter wedding holiday celebration gathering guest course".split()
)
PEOPLE = frozenset(
    "son daughter wife husband partner mother father mom mum mommy mummy dad daddy brother sister "
    "kid child boy girl toddler baby man woman person people friend boss colleague coworker "
    "teacher student guest visitor customer neighbour neighbor grandma grandpa grandmother "
    "grandfather granny aunt uncle cousin roommate flatmate family everybody everyone somebody "
    "someone nobody class team".split()
)
# What things have and what is no thing beside them: "the bowl with the blue rim".
FEATURES = frozenset(
    "rim edge handle stripe dot spot pattern logo label print decoration design "
    "corner side surface bottom colour color shape".split()
)
# Words of other languages that no English word misspells; "die" is one of them beside others.
FOREIGN = frozenset(
    "der das den dem des ein eine einen einer und auf neben unter hinter bitte ist mit nach "
    "le la les un une du dans sur sous et avec il el los las una en sobre junto "
    "por favor lo della nella sulla nel sul di uma na ao os em de het een op naast".split()
)

IRREGULAR = {
    "knives": "knife", "loaves": "loaf", "leaves": "leaf", "dice": "die", "mice": "mouse",
    "shelves": "shelf", "scarves": "scarf", "children": "child", "men": "man", "geese": "goose",
    "feet": "foot", "teeth": "tooth", "halves": "half", "cacti": "cactus", "fungi": "fungus",
    "potatoes": "potato", "tomatoes": "tomato", "mangoes": "mango", "cookies": "cookie",
    "brownies": "brownie", "pies": "pie", "movies": "movie",
}  # fmt: skip


def _words() -> dict[tuple[str, ...], Entry]:
    """Every phrase of the grammar itself, without the families' nouns; later entries win."""
    words: dict[str, Entry] = {}
    for kind, names in _WORDS.items():
        words.update({w.replace("_", " "): (kind, w) for w in names.split()})
    words.update({w: ("category", tag) for w, tag in CATEGORIES.items()})
    words.update({w.replace("_", " "): ("number", str(n)) for w, n in NUMBERS.items()})
    words.update({str(n): ("number", str(n)) for n in range(1, 21)})
    for phrase, n in (("a couple of", 2), ("a pair of", 2), ("a few", 3), ("both of", 2),
                      ("a dozen", 12), ("all of", 2), ("all", 2), ("a set of", 2),
                      ("one of", 1)):  # fmt: skip
        words[phrase] = ("number", str(n))
    for size, names in _SIZES.items():
        words.update({w.replace("_", " "): ("size", size) for w in names.split()})
    words.update({w: ("material", m) for w, m in MATERIAL_WORDS.items()})
    words.update({w: ("colour", w) for w in COLOURS})
    words.update({w: ("colour", c) for w, c in COLOUR_SYNONYMS.items()})
    for colour, names in _COLOURS.items():
        words.update({w.replace("_", " "): ("colour", colour) for w in names.split()})
    words.update({w.replace("_", " "): ("table", w) for w in TABLE_WORDS})
    words.update({w: ("room", style) for w, style in ROOM_WORDS.items()})
    words.update({w: ("unrelated", w) for w in UNRELATED.split("|")})
    words.update({"in": ("prep", "in"), "on": ("prep", "on")})
    for relation, names in RELATION_WORDS.items():
        words.update(dict.fromkeys(names.split("|"), ("prep", relation)))
    for relation, names in INTO_WORDS.items():
        words.update(dict.fromkeys(names.split("|"), ("into", relation)))
    words["room"] = ("filler", "room")
    return {tuple(phrase.split()): entry for phrase, entry in words.items()}


GRAMMAR = _words()
