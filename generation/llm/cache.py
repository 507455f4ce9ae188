"""Answers of language models on disk, so that the same scenes can be made again without one.

A record holds what was asked and every try up to the answer that was good enough to use. Its file
name is the hash of what was asked: model, messages, schema and seed, but neither address nor key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from generation.assets.atomic import write_whole

_VERSION = 1
_MAX_BYTES = 4 << 20  # of a record; the folder may come from anyone


class Question(BaseModel):
    """What a conversation with a model begins with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    messages: tuple[dict[str, str], ...]
    answer_schema: dict[str, Any]
    seed: Annotated[int, Field(ge=0)]

    @property
    def id(self) -> str:
        """64 hex digits of the SHA-256 of the canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class Try(BaseModel):
    """One answer of the model, and why it could not be used, "" for a good one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    fault: str = ""


class Record(BaseModel):
    """A question, the tries in order, and the object read from the last of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=_VERSION, le=_VERSION)] = _VERSION
    question: Question
    tries: Annotated[tuple[Try, ...], Field(min_length=1, max_length=16)]
    answer: dict[str, Any]


@dataclass(frozen=True)
class AnswerCache:
    """Records below `root`, one file each; safe under parallel writers and a kill."""

    root: Path

    def path(self, question: Question) -> Path:
        """Where the record of a question is, whether it exists or not."""
        return self.root / question.id[:2] / f"{question.id}.json"

    def get(self, question: Question) -> Record | None:
        """The record of a question, None if there is none.

        Raises:
            ValueError: the file is no record of this question; names it.
        """
        path = self.path(question)
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        try:
            if len(data) > _MAX_BYTES:
                raise ValueError("it is too large")
            record = Record.model_validate_json(data)
            if record.question.id != question.id:
                raise ValueError("it answers another question")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "record"
            raise ValueError(f"{path}: {where}: {first['msg']}; delete it and ask anew") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}; delete it and ask anew") from None
        return record

    def put(self, record: Record) -> None:
        """Writes a record whole or not at all; equal records give equal bytes."""
        text = json.dumps(record.model_dump(mode="json"), sort_keys=True, indent=1)
        write_whole(self.path(record.question), text.encode())
