"""JSON objects in what language models write: fenced, wrapped in prose, or almost right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SHOWN = 120  # characters of an answer in an error
_THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_FENCED = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n(.*?)```", re.DOTALL)
# The repair takes quadratic time on what is no JSON at all.
_MAX_REPAIRED, _MAX_BRACES = 20_000, 200  # characters, opening braces and brackets
_MAX_OBJECTS = 16  # places at which an object is looked for


def read_object(text: str) -> dict[str, Any]:
    """The JSON object in an answer.

    Takes the whole text, a fenced block, or the longest {...} in prose; forgives commas before a
    closing bracket. With the json-repair package it mends more.

    Raises:
        ValueError: there is none; shows how the answer begins.
    """
    thoughtless = _THOUGHTS.sub("", text)
    for part in _candidates(thoughtless):
        if (value := _object(part)) is not None:
            return value
    if "{" in thoughtless and (value := _repaired(thoughtless[thoughtless.index("{") :])):
        return value
    shown = " ".join(text.split())[:_SHOWN]
    if "{" not in thoughtless:
        raise ValueError(f"words instead of a JSON object: {shown!r}")
    raise ValueError(f"broken JSON: {shown!r}")


def _candidates(text: str) -> Iterator[str]:
    yield text
    yield from sorted(_FENCED.findall(text), key=len, reverse=True)
    yield from sorted(_braced(text), key=len, reverse=True)


def _braced(text: str) -> Iterator[str]:
    """Outermost {...}; braces within strings do not count."""
    start = text.find("{")
    for _ in range(_MAX_OBJECTS):
        if start < 0:
            return
        end = _closing(text, start)
        if end:
            yield text[start:end]
        start = text.find("{", end or start + 1)


def _closing(text: str, start: int) -> int:
    """Index behind the brace that closes the one at `start`, 0 if none does."""
    depth, quoted, skip = 0, False, False
    for index in range(start, len(text)):
        sign = text[index]
        if skip:
            skip = False
        elif quoted:
            skip, quoted = sign == "\\", sign != '"'
        elif sign == '"':
            quoted = True
        elif sign in "{}":
            depth += 1 if sign == "{" else -1
            if depth == 0:
                return index + 1
    return 0


def _object(text: str) -> dict[str, Any] | None:
    for version in (text, _without_trailing_commas(text)):
        try:
            value = json.loads(version)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _without_trailing_commas(text: str) -> str:
    """The text without commas before a closing bracket; those within strings stay."""
    kept, begin, quoted, skip, comma = [], 0, False, False, -1
    for index, sign in enumerate(text):
        if skip:
            skip = False
        elif quoted:
            skip, quoted = sign == "\\", sign != '"'
        elif sign == ",":
            comma = index
        elif not sign.isspace():
            if sign in "}]" and comma >= 0:
                kept.append(text[begin:comma])
                begin = comma + 1
            quoted, comma = sign == '"', -1
    return "".join([*kept, text[begin:]])


def _repaired(text: str) -> dict[str, Any] | None:
    """What the optional json-repair package makes of it."""
    if len(text) > _MAX_REPAIRED or text.count("{") + text.count("[") > _MAX_BRACES:
        return None
    try:
        import json_repair
    except ImportError:
        return None
    try:
        value = json_repair.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
