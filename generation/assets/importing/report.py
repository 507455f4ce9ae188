"""The asset doctor's report: what was found, repaired, decided and measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from generation.assets.importing.asset import Rest
from generation.assets.importing.body import Built
from generation.assets.importing.clean import Surface
from generation.assets.importing.scale import Scale
from generation.assets.importing.solid import Solid


@dataclass
class Log:
    """Collects the doctor's report."""

    found: list[str]
    repaired: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(
        default_factory=lambda: {"numbers": {}, "decisions": {}, "seconds": {}}
    )

    def stage(self, name: str) -> Stage:
        """A context that adds the time spent in it to the report's seconds."""
        return Stage(self.report["seconds"], name)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def decide(self, what: str, reason: str, sure: float) -> None:
        self.report["decisions"][what] = {"reason": reason, "sure": round(sure, 2)}
        if sure < 0.5:
            self.warn(f"{what} is a guess: {reason}")

    def surface(self, surface: Surface) -> None:
        for note in surface.notes:
            (self.repaired if "dropped" in note or "turned" in note else self.found).append(note)
        self.report["numbers"] |= surface.numbers | {"watertight": surface.watertight}

    def scale(self, scale: Scale, known: str, noun: str) -> None:
        if known == "none":
            self.warn(f"{noun!r} is not a known thing: size and material are guesses")
        self.decide("scale", scale.reason, scale.sure)
        self.report["numbers"]["metres_per_unit"] = round(scale.factor, 9)

    def solid(self, solid: Solid, surface: Surface) -> None:
        if solid.sheet:
            self.repaired.append(
                f"a sheet without thickness: given {solid.sheet * 1e3:.1f} mm to have a volume"
            )
        elif not surface.watertight:
            self.repaired.append("holes closed: inside is where two of three axes see an inside")

    def body(self, body: Built, rests: Sequence[Rest], solid: Solid) -> None:
        self.report["numbers"] |= body.numbers | {
            "rest_poses": len(rests),
            "volume_cm3": round(solid.properties.volume * 1e6, 3),
            "surface_com_mm": [round(float(v) * 1e3, 2) for v in solid.properties.com],
        }
        self.warnings += body.warnings
        self.report |= {"graspable": body.grasp_note, "holds": body.hold_note}

    def finished(self) -> dict[str, Any]:
        listed = {"found": self.found, "repaired": self.repaired, "warnings": self.warnings}
        return {k: list(dict.fromkeys(v)) for k, v in listed.items()} | self.report


class Stage:
    """Adds the time spent in a block to a report."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self.start
        self.seconds[self.name] = round(self.seconds.get(self.name, 0.0) + spent, 3)
