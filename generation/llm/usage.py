"""What language models cost: tokens counted by the server, prices named by the user."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

PRICES = "VLA_JAX_LLM_PRICES"


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens read and written; negative means unknown."""

    read: float = -1.0
    written: float = -1.0

    @classmethod
    def from_environment(cls) -> Prices:
        """The prices in VLA_JAX_LLM_PRICES, such as "0.15,0.60"; unknown without.

        Raises:
            ValueError: the variable is not two amounts.
        """
        text = os.environ.get(PRICES, "")
        if not text:
            return cls()
        try:
            read, written = (float(part) for part in text.split(","))
        except ValueError:
            read = written = float("nan")
        if not (0 <= read < 1e6 and 0 <= written < 1e6):
            raise ValueError(f"{PRICES}={text!r}: write two prices such as 0.15,0.60")
        return cls(read, written)

    @property
    def known(self) -> bool:
        return self.read >= 0 and self.written >= 0


@dataclass(frozen=True)
class Tokens:
    """Tokens of one answer; None where the server does not say."""

    read: int | None = None
    written: int | None = None


@dataclass(frozen=True)
class Usage:
    """Answers asked for and replayed, tokens, and cost in US dollars (None: unknown)."""

    answers: int = 0
    replayed: int = 0
    read: int = 0
    written: int = 0
    uncounted: int = 0  # answers whose tokens the server did not say
    cost_usd: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.answers:
            return f"{self.replayed} answers replayed, nothing spent"
        text = f"{self.answers} answers, {self.read:,} tokens read and {self.written:,} written"
        if self.replayed:
            text += f", {self.replayed} answers replayed"
        if self.uncounted:
            text += f" (the server did not count {self.uncounted} answers)"
        if self.cost_usd is None:
            return f"{text}, cost unknown (set {PRICES})"
        least = "at least " if self.uncounted else ""
        return f"{text}, {least}${self.cost_usd:.4f}"


@dataclass(frozen=True)
class Bill:
    """Adds up usage, over processes if there is a ledger: a file to which each appends lines."""

    prices: Prices = Prices()
    ledger: Path | None = None
    _lines: list[dict[str, int | None]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def add(self, tokens: Tokens) -> None:
        """Counts one answer from the network."""
        self._write({"read": tokens.read, "written": tokens.written})

    def replayed(self) -> None:
        """Counts one answer from the records."""
        self._write({})

    @property
    def usage(self) -> Usage:
        """The sum so far."""
        lines = self._lines
        if self.ledger is not None:
            text = self.ledger.read_text() if self.ledger.exists() else ""
            lines = [json.loads(line) for line in text.splitlines()]
        usage = Usage(cost_usd=0.0 if self.prices.known else None)
        for line in lines:
            usage = self._plus(usage, line)
        return usage

    def _plus(self, usage: Usage, line: dict[str, int | None]) -> Usage:
        if not line:
            return replace(usage, replayed=usage.replayed + 1)
        read, written = line["read"] or 0, line["written"] or 0
        cost = usage.cost_usd
        if cost is not None:
            cost += (read * self.prices.read + written * self.prices.written) / 1e6
        return replace(
            usage,
            answers=usage.answers + 1,
            read=usage.read + read,
            written=usage.written + written,
            uncounted=usage.uncounted + (None in line.values()),
            cost_usd=cost,
        )

    def _write(self, line: dict[str, int | None]) -> None:
        if self.ledger is None:
            self._lines.append(line)
        elif self.ledger.exists():  # on another machine of a cluster it is not
            # One short write in append mode: lines of several processes do not mix.
            with self.ledger.open("ab", buffering=0) as file:
                file.write(json.dumps(line).encode() + b"\n")
