"""Settings by name: `ppo.power=0.1` on a frozen dataclass of settings."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

_T = TypeVar("_T")


def settle(settings: _T, assignments: Sequence[str]) -> _T:
    """Settings with some fields changed.

    Args:
        settings: a frozen dataclass, whose fields may be such dataclasses in turn.
        assignments: `NAME=VALUE`, or `INNER.NAME=VALUE` for a field of a field. The value is read
            as what the field holds now: a number, true or false, or text.

    Raises:
        ValueError: naming the assignment, what is wrong with it, and the nearest fields there are.
    """
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"{assignment!r} is no setting: write NAME=VALUE")
        settings = _assign(settings, name.strip().split("."), text.strip(), assignment)
    return settings


def _assign(settings: Any, path: list[str], text: str, assignment: str) -> Any:
    first, *rest = path
    known = [f.name for f in fields(settings)]
    if first not in known:
        near = difflib.get_close_matches(first, known, 3, 0.4) or sorted(known)
        raise ValueError(f"{assignment!r}: there is no {first!r}; did you mean {', '.join(near)}?")
    value = getattr(settings, first)
    if is_dataclass(value):
        if not rest:
            raise ValueError(f"{assignment!r}: name one of its fields, {first}.NAME=VALUE")
        return replace(settings, **{first: _assign(value, rest, text, assignment)})
    if rest:
        raise ValueError(f"{assignment!r}: {first} has no fields")
    return replace(settings, **{first: _read(value, text, assignment)})


def _read(value: Any, text: str, assignment: str) -> Any:
    """The text as what `value` is."""
    if isinstance(value, bool):
        if text not in ("true", "false"):
            raise ValueError(f"{assignment!r}: write true or false")
        return text == "true"
    if isinstance(value, str):
        return text
    if isinstance(value, (int, float)):
        kind = type(value)
        try:
            return kind(text)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise ValueError(f"{assignment!r}: write {wanted}") from None
    raise ValueError(f"{assignment!r}: this setting cannot be given as text")
