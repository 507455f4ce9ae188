"""What a library keeps of an asset: a validated record, and its hulls as a file."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from generation.assets.importing.asset import AssetError, ImportedAsset, Rest
from generation.assets.licences import training_use
from generation.assets.parts import Draft
from generation.spec import ObjectSpec, Phrase, Provenance, Quat, Word

RECORD_VERSION = 1
LIMITS = {  # bytes of the files of an asset
    "asset.json": 2 << 20, "visual.glb": 64 << 20, "hulls.npz": 4 << 20, "report.json": 1 << 20,
}  # fmt: skip
HASHED = ("visual.glb", "hulls.npz")
_MAX_HULLS = 256
_DRAFT = "parts density friction grasp place height radius material".split()


class _Rest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    quat: Quat
    height: FiniteFloat
    tip: FiniteFloat
    probability: FiniteFloat


class AssetRecord(BaseModel):
    """What asset.json holds. `thing` is the object as a scene would hold it, unplaced.

    The id is the hash of all this but `source`: the same file found under two names is one asset,
    the same mesh under two licences is two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = RECORD_VERSION
    thing: ObjectSpec
    graspable: bool
    receptacle: Annotated[tuple[Literal["on", "in"], ...], Field(max_length=2)]
    rests: Annotated[tuple[_Rest, ...], Field(max_length=64)]
    colour: Word
    tags: Annotated[tuple[Phrase, ...], Field(max_length=32)]
    licence: Annotated[str, Field(min_length=1, max_length=80)]
    training: Literal["allowed", "forbidden", "unknown"]
    source: Annotated[str, Field(max_length=200)]
    files: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sorted(self.files) != sorted(HASHED):
            raise ValueError(f"digests of {sorted(self.files)}: expected those of {HASHED}")
        return self

    @property
    def id(self) -> str:
        """16 hex digits of the SHA-256 of the content."""
        return digest(canonical(self.model_dump(mode="json", exclude={"source"})))[:16]

    @property
    def provenance(self) -> Provenance:
        """As scenes with this asset carry it."""
        return Provenance(
            asset=self.id, source=self.source, licence=self.licence, training=self.training
        )

    def whole(self, visual: bytes, hulls: bytes, report: dict[str, Any]) -> ImportedAsset:
        """The asset, from the record and the contents of its other files.

        Raises:
            ValueError: the hulls are damaged.
        """
        return ImportedAsset(
            id=self.id,
            noun=self.thing.noun,
            draft=self.draft(),
            graspable=self.graspable,
            receptacle=self.receptacle,
            rests=tuple(Rest(**dict(rest)) for rest in self.rests),
            hulls=unpack(hulls),
            visual=visual,
            report=report,
            provenance=self.provenance,
            colour=self.colour,
            tags=self.tags,
        )

    def draft(self) -> Draft:
        """The shape, as families return it."""
        values = {name: getattr(self.thing, name) for name in _DRAFT}
        return Draft(**values, provenance=self.provenance)


def make_record(asset: ImportedAsset, files: dict[str, bytes]) -> AssetRecord:
    """The record of an asset with these files; AssetError names what is out of bounds."""
    draft, training = asset.draft, asset.provenance.training
    if training == "unknown":
        training = training_use(asset.provenance.licence)
    try:
        thing = ObjectSpec(
            name="asset",
            family="asset",
            noun=asset.noun,
            colour=asset.colour,
            role="target",
            **{name: getattr(draft, name) for name in _DRAFT},
        )
        return AssetRecord(
            thing=thing,
            graspable=asset.graspable,
            receptacle=asset.receptacle,
            rests=tuple(
                _Rest(quat=r.quat, height=r.height, tip=r.tip, probability=r.probability)
                for r in asset.rests
            ),
            colour=asset.colour,
            tags=asset.tags,
            licence=asset.provenance.licence,
            training=training,
            source=asset.provenance.source,
            files={name: digest(files[name]) for name in HASHED},
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise AssetError(f"{asset.noun}: {where}: {first['msg']}") from None


def content_id(asset: ImportedAsset) -> str:
    """The id that a library gives to an asset, whatever `asset.id` says."""
    return make_record(asset, binaries(asset)).id


def binaries(asset: ImportedAsset) -> dict[str, bytes]:
    """The hashed files of an asset; AssetError if there are too many hulls."""
    if len(asset.hulls) > _MAX_HULLS:
        raise AssetError(f"{asset.noun}: {len(asset.hulls)} hulls, more than {_MAX_HULLS}")
    return {"visual.glb": asset.visual, "hulls.npz": _pack(asset.hulls)}


def _pack(hulls: tuple[np.ndarray, ...]) -> bytes:
    """One flat array and where each hull begins; uncompressed, so equal hulls give equal bytes."""
    points = np.concatenate([np.zeros((0, 3)), *hulls]).astype("<f8")
    counts = np.array([len(hull) for hull in hulls], "<i8")
    buffer = io.BytesIO()
    np.savez(buffer, points=points, counts=counts)
    return buffer.getvalue()


def unpack(data: bytes) -> tuple[np.ndarray, ...]:
    """The hulls [V, 3] of a hulls.npz; ValueError if it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > 2 * LIMITS["hulls.npz"]:
                raise ValueError("it unpacks to more than it may")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            points, counts = arrays["points"], arrays["counts"]
    except Exception as error:  # zip and array parsers fed with garbage raise anything
        raise ValueError(f"no readable arrays: {error}") from None
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype != np.dtype("<f8"):
        raise ValueError(f"points of shape {points.shape} and type {points.dtype}")
    if counts.ndim != 1 or counts.dtype != np.dtype("<i8") or len(counts) > _MAX_HULLS:
        raise ValueError(f"counts of shape {counts.shape} and type {counts.dtype}")
    if (counts < 4).any() or counts.sum() != len(points) or not np.isfinite(points).all():
        raise ValueError("hulls that are none")
    return tuple(np.split(points, np.cumsum(counts)[:-1])) if len(counts) else ()


def canonical(value: Any) -> bytes:
    """JSON with one spelling for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(data: bytes) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()
