"""What a prompt asks for, as the grammar reads it and the designer takes it."""

from __future__ import annotations

from dataclasses import dataclass

from generation.language.chunks import Mention
from generation.spec import Relation


@dataclass(frozen=True)
class Request:
    """What a prompt asks for.

    Things are numbered: 0 the target, 1 the receptacle (or what the target goes next to), 2.. the
    extras in their order. A mention with a count stands for as many things.

    Attributes:
        target, receptacle: None in a theme, which names no task.
        relation: of the goal; None leaves it to the receptacle.
        fellows: numbers of extras that are to go where the target goes.
        facts: (number, relation, number) that hold at the start.
        sentence: the task as the user wrote it, where that says all of it.
        table, room: styles, "" for any.
        distractors: how many things there are that the prompt does not name, None for any number.
        theme: the words of a prompt without a task, "" otherwise.
    """

    target: Mention | None
    receptacle: Mention | None
    relation: Relation | None = None
    extras: tuple[Mention, ...] = ()
    fellows: tuple[int, ...] = ()
    facts: tuple[tuple[int, Relation, int], ...] = ()
    sentence: str | None = None
    table: str = ""
    room: str = ""
    distractors: int | None = None
    theme: str = ""
