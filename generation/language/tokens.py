"""From a prompt's letters to words of known kinds: numbers, plurals, compounds, misspellings."""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from generation.assets.library import Family
from generation.language import words
from generation.language.lexicon import FOREIGN, GRAMMAR, IRREGULAR, Entry

MAX_CHARACTERS = 1000  # of a prompt; a sentence that long is no sentence
_MAX_TOKENS = 200
_PART = 3  # letters of each part of a compound, at least
# Only ever said in the plural, of one thing.
PAIRED = frozenset("scissors pliers tongs tweezers headphones binoculars".split())
# What a noun phrase is made of.
INSIDE = frozenset("det number shade colour size material noun category unknown one".split())
_LEFT_ALONE = (
    r"\bleave ((?:\w+ ){1,5})(?:alone|untouched|in place|where (?:it|they) \w+|as (?:it|they) \w+)"
)
# Negations in full, and those that only ask politely.
_NEGATIONS = (
    (r"\b(?:can't|cant|cannot)\b", "can not"),
    (r"\b(?:won't|wont)\b", "will not"),
    (r"\b([a-z]+)n't\b", r"\1 not"),
    (r"\b(do|does|did|should|must)nt\b", r"\1 not"),
    (r"\bif you do not mind\b", "please"),
    (r"\b(?:do not|never) (?:forget|fail|hesitate)(?: to)?\b", "please"),
    (r"\bwhy (?:do )?not(?: you| we)?\b", "please"),
    (r"\b(can|could|will|would) not you\b", r"\1 you"),
    (r"\bneither\b(.*?)\bnor\b", r"not \1 or "),
    (r"\b(?:any|every|some)where (?:else )?(?:but|except|other than)\b", "not"),
)
# "The fork to the left and the knife to the right of the plate": both of the plate.
_SIDE = r"(?:to|on) the (?:left|right)"
_TWO_SIDES = rf"({_SIDE}) and ((?:\w+ ){{1,5}})({_SIDE}) of ((?:the|a|an|my) [\w ]+)"
# Colours and materials that are things when no thing follows: "an orange", "the glass".
_THINGS = frozenset(
    "orange rose lime olive plum peach salmon amber coral glass paper stone cork marble cloth "
    "felt leather aubergine chestnut mint".split()
)


@dataclass(frozen=True)
class Token:
    """A word or fixed phrase; `text` is what was said, in the singular."""

    kind: str
    value: str
    text: str
    plural: bool = False


def tokenize(prompt: str, families: Mapping[str, Family]) -> tuple[list[Token], dict[str, str]]:
    """The prompt's tokens, and what each misspelt word was read as.

    Raises:
        ValueError: no words, too many, or none in Latin letters.
    """
    if len(prompt) > MAX_CHARACTERS:
        raise ValueError(
            f"a prompt of {len(prompt)} characters: say it in at most {MAX_CHARACTERS}"
        )
    said = normalise(prompt)
    if not re.search("[a-z]", " ".join(said)):
        raise ValueError(
            f"the prompt {prompt!r} has no words in English letters: "
            'write for example "put the red block on the blue plate"'
        )
    if len(said) > _MAX_TOKENS:
        raise ValueError(f"a prompt of {len(said)} words: say it in at most {_MAX_TOKENS}")
    nouns = known_nouns(tuple(families.values()))
    strange = strange_words(prompt, families)
    if len(strange) >= 3 and 2 * len(strange) >= len(said):
        raise ValueError(
            f"most words of {prompt!r} are not English ({', '.join(map(repr, strange))}): "
            'write for example "put the red block on the blue plate"'
        )
    tokens: list[Token] = []
    respelt: dict[str, str] = {}
    start = 0
    while start < len(said):
        token, used, meant = _next(said, start, nouns, tokens)
        tokens.append(token)
        if meant:
            respelt[said[start]] = meant
        start += used
    return _things(tokens), respelt


def strange_words(prompt: str, families: Mapping[str, Family]) -> list[str]:
    """The words of a prompt that are not English as far as known, nor misspelt."""
    nouns = known_nouns(tuple(families.values()))
    said = [w for w in dict.fromkeys(normalise(prompt)) if w.isalpha()]
    foreign = [w for w in said if w in FOREIGN]
    # "The die" is English, "das Brot, die Butter" is not; nor are misspellings beside such words.
    foreign += ["die"] if foreign and "die" in said else []
    odd = [w for w in said if not _is_english(w, nouns) and not _compound(w, nouns)]
    return [w for w in said if w in foreign or (w in odd and (foreign or not _respelt(w, nouns)))]


def _is_english(word: str, nouns: Iterable[tuple[str, ...]]) -> bool:
    known = (word,) in GRAMMAR or (word,) in nouns or any(word in n for n in nouns)
    # Short foreign words are names of notes and units in the word table.
    return known or (len(word) > 2 and any(words.is_word(w) for w in (word, singular(word))))


def normalise(prompt: str) -> list[str]:
    """Lower-case words, numbers and the marks "." and ","; accents and apostrophes are dropped."""
    plain = unicodedata.normalize("NFKD", prompt.lower().replace("’", "'"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    for pattern, replacement in _NEGATIONS:
        plain = re.sub(pattern, replacement, plain)
    plain = re.sub(r"\b[0-9]+(st|nd|rd|th)\b", " ", plain)
    plain = re.sub(_LEFT_ALONE, r"ignore \1", plain)
    plain = re.sub(_TWO_SIDES, r"\1 of \4 and \2\3 of \4", plain)
    plain = re.sub(r"[;!?]", " . ", plain)
    plain = re.sub(r"[:()\[\]{}\n]|\s[-–—]+\s", " , ", plain)
    plain = re.sub(r"[-=]+>|→", " to ", plain).replace("&", " and ")
    return re.findall(r"[a-z]+|[0-9]{1,4}|[.,]", plain)


@functools.lru_cache(maxsize=8)
def known_nouns(families: tuple[Family, ...]) -> dict[tuple[str, ...], tuple[str, bool]]:
    """Every noun as a tuple of words, in the singular and plural: (noun, whether plural)."""
    known: dict[tuple[str, ...], tuple[str, bool]] = {}
    singular = [noun for family in families for noun in family.nouns]
    for noun in singular:
        *front, last = noun.split()
        for plural in plurals(last):
            known[(*front, plural)] = (noun, True)
    known.update({tuple(noun.split()): (noun, False) for noun in singular})
    return known


def plurals(word: str) -> set[str]:
    """What the plural of a word may be spelt like."""
    several = {many for many, one in IRREGULAR.items() if one == word}
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        several.add(word[:-1] + "ies")
    elif word.endswith(("s", "x", "z", "ch", "sh")):
        several.add(word + "es")
    else:
        several.add(word + "s")
    return several - {word}


def singular(word: str) -> str:
    """The singular of an English plural, the word itself if it is none."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or word.endswith(("ss", "us", "is")) or word in PAIRED:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        return word[:-2]
    return word.removesuffix("s")


def _next(
    said: list[str],
    start: int,
    nouns: Mapping[tuple[str, ...], tuple[str, bool]],
    before: list[Token],
) -> tuple[Token, int, str]:
    """The longest token at `start`, how many words it takes, and what was meant if misspelt."""
    word = said[start]
    if word in ".,":
        return Token("stop" if word == "." else "comma", word, word), 1, ""
    longest = min(6, len(said) - start)
    for length in range(longest, 0, -1):
        phrase = tuple(said[start : start + length])
        noun, entry = nouns.get(phrase), GRAMMAR.get(phrase)
        if length == 2 and not noun and not entry:
            noun = nouns.get(("".join(phrase),))  # "screw driver"
        if noun and (entry is None or _is_noun(entry, said, start + length, before)):
            return Token("noun", noun[0], noun[0], noun[1]), length, ""
        if word == "park" and GRAMMAR.get((*said[start + 1 : start + 2],), ("",))[0] == "det":
            return Token("verb", word, word), 1, ""  # "park the car": no room
        if word == "stick" and before and before[-1].kind == "unknown":
            return Token("unknown", word, word), 1, ""  # "the USB stick"
        if entry is not None and length == 1 and _is_adjective(entry, said, start, before):
            return Token("unknown", word, word), 1, ""
        if entry is not None:
            return Token(*entry, " ".join(phrase)), length, ""
    one = singular(word)
    if one != word and GRAMMAR.get((one,), ("",))[0] == "category":
        return Token("category", GRAMMAR[(one,)][1], one, True), 1, ""
    if word.isdigit():
        return Token("number", word, word), 1, ""
    if not words.is_word(word) and not words.is_word(one):
        compound = _compound(word, nouns)
        if compound:
            return compound, 1, ""
        close = _respelt(word, nouns)
        if close:
            token, _, _ = _next([*close.split()], 0, nouns, before)
            return token, 1, close
    if words.is_word(word) and not (one != word and words.is_thing(one)):
        one = word  # "bus", "gas", "glasses": no plurals, or not of the thing meant
    return Token("unknown", one, one, one != word), 1, ""


def _compound(word: str, nouns: Mapping[tuple[str, ...], tuple[str, bool]]) -> Token | None:
    """A compound written as one word, by its two parts: "lunchbox" is a lunch box."""
    for cut in range(_PART, len(word) - _PART + 1):
        front, head = word[:cut], word[cut:]
        if not (words.is_word(front) or (front,) in nouns):
            continue
        if GRAMMAR.get((front,), ("noun",))[0] not in ("noun", "unknown", "category", "other"):
            continue  # "redcup": two words
        noun, plural = nouns.get((head,), ("", False))
        if not noun and words.is_alike(singular(head)):
            noun, plural = singular(head), singular(head) != head
        if noun:
            return Token("noun", f"{front} {noun}", f"{front} {noun}", plural)
    return None


def _respelt(word: str, nouns: Iterable[tuple[str, ...]]) -> str:
    """The known word that `word` misspells, "" if none is near."""
    if len(word) < 3 or len(word) > 20:
        return ""
    known = sorted({p[0] for p in nouns if len(p) == 1} | {p[0] for p in GRAMMAR if len(p) == 1})
    close = difflib.get_close_matches(word, known, n=4, cutoff=0.74)
    ratios = {c: difflib.SequenceMatcher(None, word, c).ratio() for c in close}

    def order(candidate: str) -> tuple[bool, float, bool, str]:
        named = GRAMMAR.get((candidate,), ("noun",))[0] in INSIDE  # "wite" is white, not write
        return sorted(candidate) != sorted(word), -ratios[candidate], not named, candidate

    for candidate in sorted(close, key=order):
        ratio = ratios[candidate]
        if sorted(word) == sorted(candidate) or (ratio >= 0.8 and word[0] == candidate[0]):
            return candidate
    return ""


def _is_noun(entry: Entry, said: list[str], after: int, before: list[Token]) -> bool:
    """Whether a word that is both a noun and something else is a noun here."""
    kind = entry[0]
    last = before[-1].kind if before else ""
    following = GRAMMAR.get((said[after],), ("unknown", ""))[0] if after < len(said) else "stop"
    if kind == "to":
        return False
    if kind in ("category", "room", "number"):
        return True
    if kind in ("colour", "material", "size", "shade"):
        return following not in INSIDE or following in ("det", "number")
    if last in INSIDE:
        return True
    opening = ("verb", "take", "prep", "into", "to", "from", "and", "with")
    return last in opening and following not in INSIDE


def _is_adjective(entry: Entry, said: list[str], start: int, before: list[Token]) -> bool:
    """Whether a verb stands between an article and what it describes: "the open box"."""
    if not before or before[-1].kind != "det" or start + 1 >= len(said):
        return False
    following = GRAMMAR.get((said[start + 1],), ("unknown", ""))[0]
    verbs = ("verb", "take", "stack", "fill", "other", "hold", "has", "is", "want", "goal")
    described = following in INSIDE or following in ("table", "room")
    return entry[0] in verbs and described and following != "det"


def _things(tokens: list[Token]) -> list[Token]:
    """Colours and materials with nothing to describe become things."""
    out = list(tokens)
    for k, token in enumerate(out):
        following = out[k + 1].kind if k + 1 < len(out) else "stop"
        alone = following not in INSIDE or following in ("det", "number")
        one_of_two = following == "and" and _described(out, k + 2)
        named = token.kind in ("colour", "material") and token.text in _THINGS
        if named and alone and not one_of_two:
            out[k] = replace(token, kind="unknown", value=token.text)
    return out


def _described(tokens: list[Token], start: int) -> bool:
    """Whether a colour stands at `start`: "orange and white mug"."""
    return start < len(tokens) and tokens[start].kind == "colour"
