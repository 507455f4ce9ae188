"""What has been understood of a prompt: the things in it, what holds, and the goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from generation.language.chunks import Mention
from generation.spec import SUPPORTS, Relation

# A relation, whether its word means a movement ("into"), and the things named after it.
Place = tuple[Relation, bool, list[int]]

# "To the bowl": in it; "to the mug": next to it. Which, the families decide, so that this stands
# for a relation until the end of the reading.
TO: Any = "to"
HOW = 'write for example "put the red block on the blue plate"'


@dataclass
class Reading:
    """What has been understood so far; things are named by their index in `things`."""

    things: list[Mention] = field(default_factory=list)
    facts: list[tuple[int, Relation, int]] = field(default_factory=list)
    goal: tuple[list[int], Relation | None, int] | None = None  # targets, relation, reference
    waiting: list[int] = field(default_factory=list)  # taken up, not yet put anywhere
    loose: list[tuple[list[int], list[Place]]] = field(default_factory=list)  # without a verb
    sources: list[tuple[Relation, int]] = field(default_factory=list)  # said before their subject
    stacked: bool = False  # a verb said so
    idle: list[int] = field(default_factory=list)  # said without a verb or place
    table: str = ""
    room: str = ""
    to_table: bool = False  # something is to be put on the bare table
    verbs: int = 0
    undoable: str = ""  # a verb of something else than putting
    negated: bool = False  # a clause says what not to do
    denied: set[int] = field(default_factory=set)  # things of such clauses and ignored ones
    affirmed: list[str] = field(default_factory=list)  # the words of all other clauses
    nameless: str = ""  # a pronoun with nothing to stand for

    def number(self, mention: Mention, text: str, prompt: str) -> int:
        """The index of the thing meant: one named before, or a new one.

        Raises:
            ValueError: a colour or material without a thing.
        """
        things = self.things
        if mention.kind == "":
            raise ValueError(f"{text!r} in {prompt!r} describes no object: {HOW}")
        if mention.kind == "one":
            look = (mention.colour, mention.size, mention.material)
            alike = [k for k, t in enumerate(things) if (t.colour, t.size, t.material) == look]
            if mention.definite and any(look) and alike:
                return alike[-1]
            k = next((k for k in reversed(range(len(things))) if things[k].noun), None)
            if k is not None:
                like = things[k]
                mention = replace(mention, noun=like.noun, kind=like.kind)
                if like.count > 1 and not like.colour and not mention.definite:
                    # "Two plates, a red one and a blue one": the first of the two is this one.
                    things[k] = replace(mention, definite=True)
                    return k
        for k, other in enumerate(things):
            same = (mention.noun, mention.tag) == (other.noun, other.tag) and (
                mention.noun or mention.tag
            )
            fits = all(
                getattr(mention, key) in ("", getattr(other, key))
                for key in ("colour", "size", "material")
            )
            if mention.definite and same and fits and other.count >= mention.count > 0:
                return k
        things.append(mention)
        return len(things) - 1

    def describes(self, mention: Mention) -> bool:
        """Whether "the blue one" says more of the last thing: "the bowl (the blue one)"; if so, it
        is noted."""
        last = self.things[-1] if self.things else None
        if last is None or mention.kind != "one" or not mention.definite or not last.noun:
            return False
        if last.colour or last.size or last.material or last.count > 1:
            return False
        looks = {"colour": mention.colour, "size": mention.size, "material": mention.material}
        self.things[-1] = replace(last, **looks)
        return True

    def fact(self, subject: int, relation: Relation, reference: int) -> None:
        """Notes a relation that holds at the start."""
        if subject != reference:
            self.facts.append((subject, "next to" if relation == TO else relation, reference))

    def state(self, subject: list[int], places: Sequence[Place]) -> None:
        """Notes where things are: the first place is of the subject, the next of the one before."""
        for k, (relation, _, numbers) in enumerate(places):
            about = subject if k == 0 else places[k - 1][2][:1]
            for number in about:
                self.fact(number, relation, numbers[0])

    def starts(self, subject: list[int], relation: Relation | None, number: int) -> None:
        """ "From the basket": in or on it, which of them the families decide later."""
        subject = subject or self.waiting
        if not subject:
            self.sources.append((relation or "in", number))
        for target in subject:
            self.fact(target, relation or "in", number)

    def settled(
        self, subject: list[int], places: list[Place]
    ) -> tuple[list[int], Relation | None, int]:
        """Which of the places is the goal; what the others say becomes a fact.

        "The apple in the basket on the plate": the basket is where the apple is, the plate where
        it goes. "On the plate next to the mug": the mug tells which plate.
        """
        chosen = 0
        directed = [k for k, (_, d, _) in enumerate(places) if d]
        support = [k for k, (r, _, _) in enumerate(places) if r in SUPPORTS]
        if directed:
            chosen = directed[0]
        elif len(support) > 1:
            chosen = support[-1]
        elif support:
            chosen = support[0]
        for k, (relation, _, numbers) in enumerate(places):
            if k < chosen:
                self.state(subject, [(relation, False, numbers)])
            elif k > chosen:
                self.state(places[k - 1][2][:1], [(relation, False, numbers)])
        relation, _, numbers = places[chosen]
        return list(subject), relation, numbers[0]

    def set_goal(self, targets: list[int], relation: Relation | None, reference: int) -> None:
        """The first goal that a prompt names is its task."""
        targets = [t for t in dict.fromkeys(targets) if t != reference]
        if self.goal is None and targets:
            for where, number in self.sources:
                self.fact(targets[0], where, number)
            if self.stacked and relation == "on":
                relation = "stacked on"
            self.goal = (targets, relation, reference)
            self.waiting = []

    def stack_up(self, subject: list[int]) -> None:
        """ "Stack the two blocks": one on the other."""
        first, *others = subject
        mention = self.things[first]
        if not others and mention.count > 1:
            rest = replace(mention, count=mention.count - 1, colours=mention.colours[1:])
            self.things[first] = replace(mention, count=1, colours=())
            rest = replace(rest, colour=rest.colours[0] if rest.colours else "")
            self.things.append(rest)
            others = [len(self.things) - 1]
        if others:
            self.set_goal([first, *others[1:]], "stacked on", others[0])
        else:
            self.waiting = [first]
