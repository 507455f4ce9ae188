"""How many things a prompt wants beside those it names: "with three other objects"."""

from __future__ import annotations

from generation.language.tokens import INSIDE, Token

MAX_DISTRACTORS = 6
_SOME = 3  # of "some" and of a plural without a number
_MANY = 4
_HEADS = frozenset("distractor distractors object thing item clutter".split())
_FURTHER = frozenset(
    "other others another further more additional extra different random unrelated irrelevant "
    "distracting".split()
)
_NONE = frozenset("no zero without".split())
_PLENTY = frozenset("lot lots plenty bunch".split())
_LEADS = frozenset({"with", "and", "there", "ignore", "unrelated"})
_ABOUT = frozenset({*"exactly only just about any at least most".split(), "up to"})
# What may follow without saying more: "three other objects lying around".
_ABROAD = frozenset("around nearby there present visible lying standing sitting close by".split())
_VIEWS = frozenset("scene picture image view sight workspace".split())
_ENDS = frozenset({"stop", "comma", "and"})
_PREPOSITIONS = frozenset({"prep", "into", "to", "unrelated"})


def take_distractors(tokens: list[Token], prompt: str) -> tuple[list[Token], int | None]:
    """The tokens without what they say of the number of further things, and that number.

    Raises:
        ValueError: more than a scene holds, or distractors that are to stand at a place.
    """
    count: int | None = None
    start = 0
    while start < len(tokens):
        found = _phrase(tokens, start)
        if found is not None:
            first, end, number = found
            end = _checked_end(tokens, first, start, end, number, prompt)
            if end:
                if number is not None:
                    count = (count or 0) + number
                # "With five distractors and a mug" goes on as "with a mug".
                shared = end < len(tokens) and tokens[end].kind == "and"
                lead = [tokens[first]] if shared and tokens[first].kind == "with" else []
                tokens = [*tokens[:first], *lead, *tokens[end + bool(lead) :]]
                start = first
                continue
        start += 1
    if count is not None and count > MAX_DISTRACTORS:
        raise ValueError(f"{count} distractors in {prompt!r}: ask for at most {MAX_DISTRACTORS}")
    return tokens, count


def _phrase(tokens: list[Token], head: int) -> tuple[int, int, int | None] | None:
    """Where the phrase with this head begins and ends, and its number; None if it is none."""
    text = tokens[head].text
    following = tokens[head + 1].kind if head + 1 < len(tokens) else "stop"
    others = text in ("other", "others") and following not in INSIDE
    nothing = text == "else" and head > 0 and tokens[head - 1].text in ("nothing", "anything")
    if not (text in _HEADS or others or nothing):
        return None
    first, number = (head - 1, 0) if nothing else _counted(tokens, head)
    further = others or any(token.text in _FURTHER for token in tokens[first:head])
    definite = first > 0 and tokens[first - 1].kind == "det"
    first -= definite
    lead = tokens[first - 1] if first else None
    led = lead is not None and lead.kind in _LEADS
    if lead is not None and lead.text in ("not", "without"):
        number = 0
    phrase = first - led, head + 1
    if text.startswith("distractor"):
        opened = lead is not None and lead.kind in ("with", "there")
        return *phrase, _SOME if number is None and not definite and opened else number
    if number == 0:
        return (*phrase, number) if led or not nothing else None
    counted = number is not None and further and led and text != "clutter"
    filling = any(token.kind == "fill" for token in tokens)  # "fill the bowl with three others"
    return (*phrase, number) if counted and not filling else None


def _counted(tokens: list[Token], head: int) -> tuple[int, int | None]:
    """Where the adjectives and the number before a head begin, and that number."""
    first, number = head, None
    while first and tokens[first - 1].text in _FURTHER:
        first -= 1
        number = 1 if tokens[first].text == "another" else number
    if first > 1 and tokens[first - 1].text == "of" and tokens[first - 2].text in _PLENTY:
        first, number = first - 2, _MANY
    before = tokens[first - 1] if first else None
    if before is not None and before.kind == "number":
        first, number = first - 1, int(before.value)
    elif before is not None and before.text in ("a", "an", "one", "single"):
        first, number = first - 1, 1 if number is None else number
    elif before is not None and before.text == "some":
        first, number = first - 1, _SOME
    while first and tokens[first - 1].text in _NONE | _ABOUT:
        first -= 1
        number = 0 if tokens[first].text in _NONE else number
    return first, number


def _checked_end(
    tokens: list[Token], first: int, head: int, end: int, number: int | None, prompt: str
) -> int:
    """Where the phrase ends with what follows it, 0 if it is none because it has a place.

    Raises:
        ValueError: distractors that are to stand at a place.
    """
    while end < len(tokens) and tokens[end].text in _ABROAD:
        after = tokens[end + 1] if end + 1 < len(tokens) else None
        if after is not None and after.kind not in _ENDS and after.text not in _ABROAD:
            break
        end += 1
    place = end
    while end < len(tokens) and tokens[end].kind in _PREPOSITIONS:
        end += 1
    if end == place:
        return place
    while end < len(tokens) and tokens[end].kind in INSIDE:
        end += 1
    if end < len(tokens) and tokens[end].kind in ("table", "room"):
        return place
    if tokens[end - 1].text in _VIEWS or (end < len(tokens) and tokens[end].text in _VIEWS):
        return end + (tokens[end - 1].text not in _VIEWS)
    stops = [k + 1 for k, token in enumerate(tokens[:first]) if token.kind == "stop"]
    sentence = tokens[max(stops, default=0) : first]
    goal_said = any(token.kind in ("prep", "into", "to") for token in sentence)
    if number == 0:
        return end if goal_said else place
    if not tokens[head].text.startswith("distractor"):
        return 0  # a thing like any other: "two other objects on the plate"
    if goal_said:
        raise ValueError(
            f"distractors stand anywhere: name the things in {prompt!r} that stand at a place"
        )
    return place
