"""From pieces of mesh to an asset: the import chain, stage by stage."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from generation.assets.importing import appearance, nouns
from generation.assets.importing.asset import (
    MAX_LENGTH,
    METRES,
    MIN_LENGTH,
    NAMING_FOLDERS,
    AssetError,
    ImportedAsset,
    Piece,
    Rest,
    Unit,
    Up,
)
from generation.assets.importing.body import Built, Hints, build_body
from generation.assets.importing.clean import Surface, clean
from generation.assets.importing.load import load_pieces
from generation.assets.importing.placed import Placed
from generation.assets.importing.pose import choose_rest, in_body_frame
from generation.assets.importing.report import Log
from generation.assets.importing.rest import hull_of, resting_poses
from generation.assets.importing.scale import Scale, metric, up_vector
from generation.assets.importing.solid import fill
from generation.assets.licences import training_use
from generation.spec import Provenance

_ROUND = math.radians(12.0)  # tilt at which a coarse sphere is over


def import_mesh(
    path: str | Path,
    *,
    noun: str = "",
    size: float | None = None,
    up: Up = "",
    unit: Unit = "",
    mass: float | None = None,
    friction: float | None = None,
    material: str = "",
    licence: str = "unknown",
    source: str = "",
    seed: int = 0,
) -> ImportedAsset:
    """Reads a GLB, glTF, OBJ, STL, PLY or OFF file and makes it an asset.

    Args:
        path: the file. Textures and material files must lie in its folder or below.
        noun: what it is; "" reads it off the file's or its folder's name.
        size: longest side in m; None infers it from the file and the noun.
        up: axis of the file that points up; "" reads or infers it.
        unit: of the file's coordinates; "" reads or infers it.
        mass: kg; None takes it from material, noun and volume.
        friction: sliding coefficient; None takes the material's.
        material: a key of `nouns.MATERIALS`; "" takes the noun's usual one.
        licence: of the file, kept in the provenance.
        source: where it is from, kept in the provenance; "" keeps the file's name.
        seed: of the sampling.

    Raises:
        AssetError: the file cannot be used; says why.
    """
    path = Path(path)
    _check_arguments(size, up, unit, mass, friction, material)
    start = time.perf_counter()
    loaded = load_pieces(path)
    if not noun:
        named = (nouns.noun_of_name(name) for name in (path.name, *_folders(path)))
        candidates = [name for name in named if name]
        known = [name for name in candidates if name in nouns.PRIORS]
        noun = (known or candidates or ["object"])[0]
    asset = build_asset(
        loaded.pieces,
        noun=noun,
        size=size,
        up=up or loaded.up,
        unit=unit or loaded.unit,
        mass=mass,
        friction=friction,
        material=material,
        licence=licence,
        source=source or path.name,
        seed=seed,
        notes=(*loaded.notes, *_format_notes(loaded.kind, loaded.pieces)),
        metres_by_standard=loaded.kind in ("glb", "gltf"),
    )
    asset.report["seconds"]["total"] = round(time.perf_counter() - start, 3)
    asset.report["format"] = loaded.kind
    return asset


def build_asset(
    pieces: Sequence[Piece],
    *,
    noun: str = "object",
    size: float | None = None,
    up: Up = "",
    unit: Unit = "",
    mass: float | None = None,
    friction: float | None = None,
    material: str = "",
    licence: str = "unknown",
    source: str = "",
    seed: int = 0,
    collision: Sequence[Piece] = (),
    notes: Sequence[str] = (),
    metres_by_standard: bool = False,
) -> ImportedAsset:
    """Makes an asset of meshes in one frame; see `import_mesh`.

    Args:
        pieces: what is seen; it also defines the solid.
        collision: convex pieces in the same frame that approximate the solid, if the source has
            them; they compete with the decomposition of the solid.
        notes: what the reader found, put in front of the report's.
        metres_by_standard: the format is defined in metres, although not every writer obeys.

    Raises:
        AssetError: they cannot be used; says why.
    """
    _check_arguments(size, up, unit, mass, friction, material)
    log = Log(found=list(notes))
    noun = _phrase(noun)
    prior, known = nouns.prior_of(noun)
    with log.stage("clean"):
        surface = clean(pieces)
        log.surface(surface)
    scale = metric(
        float(np.ptp(surface.vertices[surface.faces].reshape(-1, 3), axis=0).max()), prior,
        size=size, unit=unit, metres_by_standard=metres_by_standard,
    )  # fmt: skip
    log.scale(scale, known, noun)
    surface = replace(
        surface, vertices=surface.vertices * scale.factor, opening=surface.opening * scale.factor**2
    )
    _check_length(surface, scale)
    with log.stage("solid"):
        solid = fill(surface, up_vector(up))
        log.solid(solid, surface)
    with log.stage("rest"):
        corners = surface.vertices[np.unique(surface.faces)]
        outline = hull_of(corners)
        rests = resting_poses(outline.points[outline.vertices], solid.properties.com)
        chosen, reason, sure = choose_rest(
            rests, solid, outline.points[outline.vertices], prior, noun, up
        )
        log.decide("up", reason, sure)
    # What has no upright pose may roll, and so may what is round and unknown.
    rolls = not prior.stands or (known == "none" and chosen.tip < _ROUND)
    hints = Hints(noun, prior, material, mass, friction, rolls)
    body, error = None, None
    # The parts of a thing can be less steady than the thing: then another pose is tried.
    for rest in [chosen, *(r for r in rests if r is not chosen)][:3]:
        placed = Placed.of(surface, solid, rest, pieces, collision, scale.factor)
        with log.stage("body"):
            samples = appearance.sample(placed.pieces, surface.kept, np.random.default_rng(seed))
            try:
                body = build_body(placed.solid, placed.surface, samples, placed.collision, hints)
            except AssetError as problem:
                error = error or problem
                log.warn(f"{problem}; another resting pose is tried")
                continue
        chosen = rest
        break
    if body is None:
        assert error is not None  # the loop ran at least once
        raise error
    with log.stage("visual"):
        visual, faces = appearance.to_glb(placed.pieces, surface.kept)
        log.report["numbers"]["faces_visual"] = faces
    log.body(body, rests, placed.solid)
    colour = appearance.colour_name(samples.rgb)
    if not any(appearance.has_colour(piece) for piece in pieces):
        log.warn("no colours in the file: it is drawn in grey")
    return _finished(
        noun, body, in_body_frame(rests, chosen, placed.rotation), visual, colour, log,
        licence=licence, source=source,
    )  # fmt: skip


def _check_arguments(
    size: float | None,
    up: str,
    unit: str,
    mass: float | None,
    friction: float | None,
    material: str,
) -> None:
    for name, value, low, high in (
        ("size", size, MIN_LENGTH, MAX_LENGTH),
        ("mass", mass, 1e-4, 100.0),
        ("friction", friction, 0.01, 5.0),
    ):
        if value is not None and not low <= value <= high:  # NaN fails too
            raise AssetError(f"{name} {value:g}: give one from {low:g} to {high:g}")
    if up and up not in get_args(Up):
        raise AssetError(f"up {up!r}: give one of {', '.join(v for v in get_args(Up) if v)}")
    if unit and unit not in METRES:
        raise AssetError(f"unit {unit!r}: give one of {', '.join(METRES)}")
    if material and material not in nouns.MATERIALS:
        raise AssetError(f"material {material!r}: give one of {', '.join(nouns.MATERIALS)}")


def _check_length(surface: Surface, scale: Scale) -> None:
    extent = np.ptp(surface.vertices[surface.faces].reshape(-1, 3), axis=0)
    length = float(extent.max())
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise AssetError(
            f"{length:.3g} m long ({scale.reason}): not a thing for a table; give its size"
        )


def _folders(path: Path) -> list[str]:
    """Names of the folders that a nameless file lies in, the nearest first."""
    names = [parent.name for parent in path.parents[:NAMING_FOLDERS]]
    return [name for name in names if nouns.noun_of_name(name) in nouns.PRIORS]


def _format_notes(kind: str, pieces: Sequence[Piece]) -> list[str]:
    textured = sum(piece.image is not None for piece in pieces)
    return [f"{kind.upper()} with {len(pieces)} piece(s), {textured} of them textured"]


def _phrase(noun: str) -> str:
    """The noun as the spec wants it: lower-case words of letters."""
    words = re.findall(r"[a-z]+", nouns.latin(noun).lower())
    return " ".join(words)[:60].strip() or "object"


def _finished(
    noun: str,
    body: Built,
    rests: tuple[Rest, ...],
    visual: bytes,
    colour: str,
    log: Log,
    *,
    licence: str,
    source: str,
) -> ImportedAsset:
    draft = body.draft
    content = json.dumps(
        {
            "noun": noun,
            "parts": [part.model_dump(mode="json") for part in draft.parts],
            "density": draft.density,
            "friction": draft.friction,
            "grasp": draft.grasp,
            "place": draft.place,
            "licence": licence,
            "source": source,
        },
        sort_keys=True,
    )
    digest = hashlib.sha256(content.encode() + visual).hexdigest()[:16]
    provenance = Provenance(
        asset=digest, source=source[:200], licence=licence[:80] or "unknown",
        training=training_use(licence),
    )  # fmt: skip
    return ImportedAsset(
        id=digest,
        noun=noun,
        draft=replace(draft, provenance=provenance),
        graspable=body.graspable,
        receptacle=body.receptacle,
        rests=rests,
        hulls=body.hulls,
        visual=visual,
        report=log.finished(),
        provenance=provenance,
        colour=colour,
        tags=body.tags,
    )
