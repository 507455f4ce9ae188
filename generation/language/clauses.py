"""What the clauses of a prompt say: what is there, where it stands, and what is to be done."""

from __future__ import annotations

from collections.abc import Sequence

from generation.language.chunks import Chunk
from generation.language.lookahead import (
    NEGATORS,
    PREPOSITIONS,
    first,
    negations,
    preposition_follows,
)
from generation.language.reading import HOW, TO, Place, Reading
from generation.spec import Relation


def read_clauses(chunks: Sequence[Chunk], prompt: str) -> Reading:
    """Reads all sentences of a prompt.

    Raises:
        ValueError: two phrases without a word between them, or a preposition that is no relation.
    """
    reading = Reading()
    for chunk in chunks:
        if chunk.kind == "table":
            reading.table = reading.table or chunk.value
        elif chunk.kind in ("room", "style"):
            reading.room = reading.room or chunk.value
    chunks = negations(chunks)
    clause = _Clause(reading, prompt)
    for k, chunk in enumerate(chunks):
        clause.take(chunk, list(chunks[k + 1 :]), chunks[k - 1].kind if k else "stop")
    clause.close()
    if reading.goal is None and reading.loose:
        targets, places = reading.loose.pop(0)
        reading.goal = reading.settled(targets, places)
    for subjects, places in reading.loose:
        reading.state(subjects, places)
    return reading


class _Clause:
    """One clause at a time, read from left to right."""

    def __init__(self, reading: Reading, prompt: str) -> None:
        self.reading, self.prompt = reading, prompt
        self.anchor: list[int] = []  # what "it" means after "beside"
        self.topic: list[int] = []  # what "it" means after a verb
        self.aside = False  # within "..., not the green one, ..."
        self.kept: list[int] = []  # the subject before that
        self.clear()

    def clear(self) -> None:
        self.mode = ""  # "task", "state", "context", "hold", "fill", "has"
        self.subject: list[int] = []
        self.object: list[int] = []
        self.places: list[Place] = []
        self.pending: tuple[Relation, bool] | None = None
        self.source: bool = False  # the next phrase is where the subject comes from
        self.joined = False  # "and" or a comma before the next phrase
        self.relative: list[int] | None = None  # a relative clause about these
        self.also = False  # it was "and"
        self.fresh = False  # a verb came after the subject
        self.taking = False  # the last verb was one like "take"
        self.contrast = False  # it was "but"
        self.barred = False  # the next place is where the subject does not go
        self.denying = False  # the clause says what not to do, or what does not matter

    def take(self, chunk: Chunk, rest: list[Chunk], before: str) -> None:
        """The next chunk."""
        self.read(chunk, rest, before)
        if not (self.denying or self.barred):
            self.reading.affirmed.append(chunk.text)

    def read(self, chunk: Chunk, rest: list[Chunk], before: str) -> None:
        kind = chunk.kind
        if kind == "np" and chunk.mention is not None:
            self.phrase(chunk, rest)
        elif kind in ("table", "room"):
            self.place(kind)
        elif kind == "pronoun":
            self.pronoun(chunk.text)
        elif kind in ("prep", "into"):
            self.preposition(chunk, kind == "into")
        elif kind == "to":
            self.pending, self.joined = (TO, True), False
        elif kind == "unrelated":
            if first(rest) not in ("np", "pronoun"):
                return  # "with three mugs around"
            if self.mode in ("context", "state"):
                self.pending = ("next to", False)
                return
            raise ValueError(
                f"{chunk.text!r} in {self.prompt!r} is no relation here: use on, in, next to, "
                "left of, right of, in front of, behind or stacked on"
            )
        elif kind == "from":
            self.source, self.pending = True, None
        elif kind in ("verb", "take", "stack", "goal"):
            self.verb(kind, rest)
        elif kind == "want":
            self.mode = self.mode or "task"
        elif kind == "other":
            if self.mode == "" and not self.subject:
                self.reading.undoable = self.reading.undoable or chunk.text
        elif kind in ("fill", "hold", "has", "is", "rel"):
            self.link(kind)
        elif kind in ("there", "with", "ignore"):
            self.context(chunk, rest)
        elif kind in ("and", "comma"):
            self.joined = True
            self.also = kind == "and"
            self.contrast = chunk.text in ("but", "yet")
        elif kind == "negated":
            if self.joined or self.places or self.mode not in ("", "task"):
                self.close()  # else "the apple should not go in the bowl"
            self.mode = "negated"
            self.reading.negated = self.denying = True
        elif kind == "stop":
            self.close()

    # what the chunks do ---------------------------------------------------------------------

    def phrase(self, chunk: Chunk, rest: list[Chunk]) -> None:
        assert chunk.mention is not None  # of every "np"
        ends = not rest or rest[0].kind in ("comma", "stop")
        if self.joined and not self.also and ends and self.reading.describes(chunk.mention):
            self.joined = False
            return
        number = self.reading.number(chunk.mention, chunk.text, self.prompt)
        joined, self.joined = self.joined, False
        if self.source:
            self.source = False
            self.reading.starts(self.subject, self.pending[0] if self.pending else None, number)
            self.pending = None
        elif self.relative is not None and self.pending:
            relation = self.pending[0]
            self.pending = None
            for subject in self.relative:
                self.reading.fact(subject, relation, number)
            self.relative = None
        elif self.pending and self.barred:
            self.reading.denied.add(number)
            self.pending, self.barred = None, False
        elif self.pending:
            self.places.append((*self.pending, [number]))
            self.pending = None
            self.relative = None
        elif self.mode in ("hold", "has") or (self.mode == "fill" and self.subject):
            self.object.append(number)
        elif joined and self.mode == "task" and self.places and rest and rest[0].kind == "is":
            self.close()  # "put the egg on the dish, the battery is on the plate"
            self.subject = [number]
        elif joined and self.places and preposition_follows(rest) and self.mode != "context":
            self.next_task(number)
        elif joined and self.places:
            self.places[-1][2].append(number)
        elif not self.subject or joined or (self.mode == "context" and not self.places):
            self.subject.append(number)
        elif self.fresh or self.mode == "context":
            self.next_task(number)
        elif self.mode == "" and not self.places:
            self.subject.append(number)  # a list without commas
        elif self.mode == "state" and not self.places:
            self.reading.idle.append(number)  # "the kitchen is a mess"
        else:
            raise ValueError(f"cannot tell what {chunk.text!r} is for in {self.prompt!r}: {HOW}")
        self.fresh = False

    def place(self, kind: str) -> None:
        """On the table, in the room: what everything is anyway."""
        on_table = kind == "table" and self.pending and self.mode == "task" and not self.source
        if on_table and not self.places and self.pending and self.pending[0] == "on":
            self.reading.to_table = True
        self.pending, self.source, self.relative, self.barred = None, False, None, False

    def pronoun(self, text: str) -> None:
        if self.source:
            self.source, self.pending = False, None
        elif self.pending:
            meant = self.meant()
            if meant and not self.barred:
                self.places.append((*self.pending, meant))
            self.pending, self.barred = None, False
            self.unnamed(text, meant)
        elif not self.subject:
            self.subject = list(self.reading.waiting or self.topic or self.last())
            self.unnamed(text, self.subject)
        self.fresh = False

    def unnamed(self, text: str, meant: list[int]) -> None:
        """Notes a pronoun of a task that stands for nothing."""
        if self.mode == "task" and not meant:
            self.reading.nameless = self.reading.nameless or text

    def meant(self) -> list[int]:
        """What "it" stands for after a preposition."""
        if self.mode == "has":
            return self.subject[:1]
        rest = [n for n in [*self.anchor, *self.last()] if n not in self.subject]
        return rest[:1]

    def last(self) -> list[int]:
        return [len(self.reading.things) - 1] if self.reading.things else []

    def preposition(self, chunk: Chunk, directed: bool) -> None:
        if self.mode == "fill" and chunk.value in ("on", "in"):
            self.mode = "task"
        if self.mode == "task" and self.places and self.joined and self.also:
            raise ValueError(
                f"{self.prompt!r} names two places for one thing: keep one, the task has one goal"
            )
        relation: Relation = chunk.value  # type: ignore[assignment]  # the lexicon's values
        self.pending = (relation, directed)
        self.joined = False

    def verb(self, kind: str, rest: list[Chunk]) -> None:
        """A task verb, before its object or after it ("the apple is to be put ...")."""
        if self.mode == "negated" and not self.places:
            # "Do not take it and put it ...", "I do not want it to go ...": still not to be done.
            added = not self.joined or (self.also and not self.contrast)
            placed = first(rest) in PREPOSITIONS and not self.joined
            if placed or (first(rest) == "pronoun" and added):
                self.joined = False
                return
        self.reading.verbs += 1
        stated = self.mode == "state" or (self.mode == "" and self.joined)
        if self.mode in ("context", "negated") or (stated and self.subject and self.places):
            self.close()
        elif self.mode == "task" and self.subject and self.places and self.joined:
            # "take the apple in the basket and put it ...": the first verb only takes it up.
            if self.taking is False or any(directed for _, directed, _ in self.places):
                self.close()
            else:
                self.reading.state(self.subject, self.places)
                self.places = []
        self.mode = "task"
        self.relative = None
        self.fresh = bool(self.subject)
        self.joined = False
        self.taking = kind == "take"
        self.pending = None
        self.reading.stacked |= kind == "stack"

    def link(self, kind: str) -> None:
        if kind == "rel":
            self.relative = self.places[-1][2][-1:] if self.places else self.subject[-1:]
        elif kind == "is":
            if self.mode == "" and self.subject and not self.places:
                self.mode = "state"
        elif kind == "fill" and not self.subject:
            self.reading.verbs += 1
            self.mode = "fill"
        elif kind in ("hold", "has") and self.relative:
            self.mode = self.mode or "task"
        elif kind in ("hold", "has") and self.subject:
            self.reading.verbs += kind == "hold"
            self.mode = kind
        self.joined = False

    def context(self, chunk: Chunk, rest: list[Chunk]) -> None:
        kind = chunk.kind
        if kind == "with" and self.mode == "fill" and self.subject:
            return  # "fill the bowl with apples": what comes next goes in
        if kind == "there" and self.mode == "" and self.places and not self.subject:
            self.mode = "context"  # "in the sink there is a sponge"
            return
        if kind == "with" and self.mode == "negated" and self.subject and not self.places:
            self.pending = ("in", False)  # "don't fill the bowl with apples"
            return
        unplaced = self.mode == "task" and self.subject and not self.places
        if unplaced and chunk.text in (*NEGATORS, "except") and first(rest) in PREPOSITIONS:
            self.reading.negated = self.barred = True  # "put it not in the bowl but ..."
            return
        if kind == "with" and unplaced and not preposition_follows(rest):
            self.pending = ("next to", False)
            return
        if kind == "ignore" and unplaced and preposition_follows(rest):
            self.aside, self.kept = True, list(self.subject)
        self.close()
        self.mode = "context"
        self.denying = kind == "ignore"
        self.reading.negated |= chunk.text in ("do not touch", "never touch")

    def next_task(self, number: int) -> None:
        """A phrase that begins another task or statement of the same kind."""
        mode, kept, denying = self.mode, list(self.anchor), self.denying
        self.close()
        self.denying = denying
        self.anchor = self.anchor or kept
        self.mode = mode
        self.subject = [number]

    # what the clause comes to ---------------------------------------------------------------

    def close(self) -> None:
        """Ends the clause and notes what it says."""
        reading = self.reading
        if self.denying:
            reading.denied |= {*self.subject, *(n for _, _, ns in self.places for n in ns)}
        if self.mode in ("hold", "fill") and self.subject and self.object:
            relation = "on" if self.mode == "fill" and self.reading.stacked else None
            reading.set_goal(self.object, relation, self.subject[0])
        elif self.mode == "has" and self.object:
            if self.places:
                reading.state(self.object, self.places)
            else:
                for number in self.object:
                    reading.fact(number, "in", self.subject[0])
        elif self.mode == "context" and self.aside and self.places:
            reading.set_goal(*reading.settled(self.kept, self.places))
        elif self.mode in ("state", "context"):
            if self.mode == "state" and not self.places:
                reading.idle += self.subject
            self.reading.state(self.subject, self.places)
        elif self.mode == "task" and self.places:
            subject = self.subject or reading.waiting
            if subject:
                reading.set_goal(*reading.settled(subject, self.places))
        elif self.mode == "task" and self.subject and self.reading.stacked:
            reading.stack_up(self.subject)
        elif self.mode == "task" and self.subject:
            reading.waiting = list(self.subject)
        elif self.mode == "" and self.subject and not self.places:
            reading.idle += self.subject
        elif self.mode == "" and self.subject:
            reading.loose.append((list(self.subject), list(self.places)))
        named = [n for _, _, numbers in self.places for n in numbers[:1]]
        if named or self.subject:
            if self.mode == "task" or not self.subject:
                self.anchor = named[:1] or self.subject[:1]
            elif self.mode != "context" or reading.goal is None:
                self.anchor = self.subject[:1]
            self.topic = self.subject[:1] or self.topic
        if self.aside and self.places:
            self.aside = False
        keep = self.aside
        self.clear()
        self.aside = keep
