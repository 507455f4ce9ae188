"""What sentences say, as far as it can be held against a scene graph word by word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from generation.assets.family import Family
from generation.language.grammar import parse
from generation.language.phrasing import MAX_WORDS
from generation.language.tokens import Token, normalise, tokenize
from generation.llm.checks import Wish, alike
from generation.spec import Node, SceneGraph, mentions

# What may stand beside two noun phrases and a relation without changing what is to be done.
_NEUTRAL = frozenset("det verb stack filler goal and pronoun".split())
_LOOKS = {"colour": "colour", "size": "size", "material": "material"}
# Words that take back what they precede; sentences with them are left to the model.
_TAKEN_BACK = frozenset("no not without instead except ignore avoid never".split())


def read_wish(sentence: str, families: Mapping[str, Family]) -> Wish:
    """What a sentence certainly asks for: nothing where the grammar cannot read it."""
    if _TAKEN_BACK & set(normalise(sentence)):
        return Wish()
    try:
        request = parse(sentence, families)
    except ValueError:  # another language, unknown objects, no task
        return Wish()
    target, receptacle = request.target, request.receptacle
    if target is None or receptacle is None:
        return Wish()
    exact = {m.family for m in (target, receptacle, *request.extras) if m.match == 1.0 and m.noun}
    named = tuple(sorted(family for family in exact if family))
    if not (request.sentence and request.relation and target.family and receptacle.family):
        return Wish(named)
    if not {target.family, receptacle.family} <= exact:
        return Wish(named)
    return Wish(named, (target.family, request.relation, receptacle.family))


def says_goal(sentence: str, graph: SceneGraph, families: Mapping[str, Family]) -> str:
    """The sentence in plain words if it says the goal, the whole goal and nothing else, else "".

    It names the target, then the goal's relation, then what the target is related to, each so that
    it is told from everything like it in the scene, and describes both as they are.
    """
    words = [word for word in normalise(sentence) if word not in ".,"]
    text = " ".join(words)
    if not (3 <= len(words) <= MAX_WORDS and text.replace(" ", "").isalpha()):
        return ""
    tokens, _ = tokenize(text, families)
    nouns = [k for k, token in enumerate(tokens) if token.kind == "noun"]
    relations = [k for k, token in enumerate(tokens) if token.kind in ("prep", "into")]
    if len(nouns) != 2 or len(relations) != 1 or not nouns[0] < relations[0] < nouns[1]:
        return ""
    said = tokens[relations[0]].value
    if said != graph.goal.relation and (said, graph.goal.relation) != ("on", "stacked on"):
        return ""
    described: set[int] = set()
    for k, node in zip(nouns, graph.nodes[:2], strict=True):
        looks = _before(tokens, k)
        if not (_names(tokens[k], node) and _true_of(node, looks) and _apart(text, node, graph)):
            return ""
        described.update(range(k - len(looks), k + 1))
    rest = [t for k, t in enumerate(tokens) if k not in (*described, relations[0])]
    return text if all(token.kind in _NEUTRAL for token in rest) else ""


def _before(tokens: Sequence[Token], noun: int) -> list[Token]:
    """The tokens directly before a noun that describe it."""
    start = noun
    while start > 0 and tokens[start - 1].kind in _LOOKS:
        start -= 1
    return list(tokens[start:noun])


def _names(token: Token, node: Node) -> bool:
    return token.value == node.noun and not token.plural


def _true_of(node: Node, looks: Sequence[Token]) -> bool:
    return all(getattr(node, _LOOKS[token.kind]) == token.value for token in looks)


def _apart(text: str, node: Node, graph: SceneGraph) -> bool:
    """The words used for the node fit nothing else; the rule is that of `SceneSpec`."""
    words = set(" ".join(mentions(text, node.noun)).split())
    others = [other for other in graph.nodes if other.name != node.name and alike(node, other)]
    return all(
        (node.colour in words and other.colour != node.colour)
        or (node.size in words and other.size != node.size)
        for other in others
    )
