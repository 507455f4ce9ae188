"""Who is to blame and who must be asked: success by family and asset, and licences.

A defective asset hides itself from data that keeps only successes: it never appears there. So
every family and every imported asset gets its own row, with what it failed at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from generation.spec import ObjectSpec, SceneSpec

if TYPE_CHECKING:
    from generation.quality import Verdict

PROCEDURAL = "procedural"  # shapes made by this library: nobody's licence


def licences(scenes: Sequence[SceneSpec]) -> dict[str, Any]:
    """What the licences of the imported objects say.

    Returns:
        objects: number of objects by licence; shapes made here count as "procedural".
        training_forbidden: assets whose licence forbids training on what they produce, with
            asset, licence, source and the number of scenes they are in, the most used first.
        training_unknown: the same for assets whose licence does not say.
    """
    used: Counter[str] = Counter()
    kept: dict[str, ObjectSpec] = {}
    places: dict[str, set[int]] = {}
    for number, scene in enumerate(scenes):
        for thing in scene.objects:
            source = thing.provenance
            used[source.licence if source else PROCEDURAL] += 1
            if source:
                kept.setdefault(source.asset, thing)
                places.setdefault(source.asset, set()).add(number)

    def listed(training: str) -> list[dict[str, Any]]:
        rows = []
        for asset, thing in kept.items():
            source = thing.provenance
            if source and source.training == training:
                rows.append(
                    {
                        "asset": asset,
                        "noun": thing.noun,
                        "licence": source.licence,
                        "source": source.source,
                        "scenes": len(places[asset]),
                    }
                )
        return sorted(rows, key=lambda row: (-row["scenes"], row["asset"]))

    return {
        "objects": dict(sorted(used.items())),
        "training_forbidden": listed("forbidden"),
        "training_unknown": listed("unknown"),
    }


def success_of_families(
    scenes: Sequence[SceneSpec], verdicts: Sequence[Verdict], solved: Sequence[bool] | None
) -> dict[str, dict[str, Any]]:
    """Per family: see `_rows`."""
    return _rows(scenes, verdicts, solved, lambda thing: thing.family)


def success_of_assets(
    scenes: Sequence[SceneSpec], verdicts: Sequence[Verdict], solved: Sequence[bool] | None
) -> dict[str, dict[str, Any]]:
    """Per imported asset: see `_rows`."""
    return _rows(
        scenes, verdicts, solved, lambda thing: thing.provenance and thing.provenance.asset
    )


def _rows(
    scenes: Sequence[SceneSpec],
    verdicts: Sequence[Verdict],
    solved: Sequence[bool] | None,
    key: Any,
) -> dict[str, dict[str, Any]]:
    """For each key: objects, faults (problem lines that name the object), as target and as
    receptacle: scenes, and solved_fraction (None if not tried)."""
    rows: dict[str, dict[str, Any]] = {}
    wins: dict[tuple[str, str], list[bool]] = {}
    for number, (scene, verdict) in enumerate(zip(scenes, verdicts, strict=True)):
        for thing in scene.objects:
            name = key(thing)
            if not name:
                continue
            row = rows.setdefault(name, {"objects": 0, "faults": 0})
            row["objects"] += 1
            row["faults"] += sum(thing.name in line.split() for line in verdict.problems)
            if thing.role != "distractor":
                won = solved is not None and solved[number]
                wins.setdefault((name, thing.role), []).append(won)
    for name, row in rows.items():
        for role in ("target", "receptacle"):
            tries = wins.get((name, role), [])
            known = bool(tries) and solved is not None
            row[role] = {
                "scenes": len(tries),
                "solved_fraction": round(sum(tries) / len(tries), 4) if known else None,
            }
    return dict(sorted(rows.items()))
