"""The asset library: a folder of imported objects, each named by its content.

    <root>/assets/<id>/asset.json    shape, mass, colour, licence, digests of the other files
                       visual.glb    what it looks like, metres, z up
                       hulls.npz     its convex hulls
                       report.json   what the import found and repaired
    <root>/sources/<hash>.json       what became of a source file (`intake.sources`)

An asset appears whole or not at all, whoever writes at the same time and whenever a writer dies:
it is written beside its place, flushed, and renamed. Nothing read is trusted: sizes are bounded,
values validated, and contents hashed again.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
import time
import warnings
from pathlib import Path

from pydantic import ValidationError

from generation.assets.atomic import flush_folder, write_flushed
from generation.assets.family import Family
from generation.assets.importing.asset import AssetError, ImportedAsset
from generation.assets.record import (
    HASHED,
    LIMITS,
    AssetRecord,
    binaries,
    canonical,
    digest,
    make_record,
)
from generation.assets.stored import stored_families

_STALE_S = 3600.0  # age at which an unfinished write is taken for that of a killed process
_ID = re.compile(r"[0-9a-f]{16}")
# What imports write into the folder of a library.
WRITTEN = frozenset({"assets", "sources", "scenes", "preview.png"})


def is_library(folder: Path) -> bool:
    """Whether a folder holds an asset library with something in it."""
    try:
        return any(_ID.fullmatch(p.name) and (p / "asset.json").is_file()
                   for p in (folder / "assets").iterdir())  # fmt: skip
    except OSError:
        return False


class AssetLibrary:
    """The library in folder `root`; the folder is made by the first `add`."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._assets = self.root / "assets"

    def ids(self) -> list[str]:
        """All assets, sorted. Folders that are no assets are passed over."""
        if not self._assets.is_dir():
            return []
        return sorted(p.name for p in self._assets.iterdir() if _ID.fullmatch(p.name))

    def __contains__(self, asset: str) -> bool:
        return bool(_ID.fullmatch(asset)) and (self._assets / asset).is_dir()

    def add(self, asset: ImportedAsset) -> str:
        """Stores an asset; one that is there already stays as it is.

        Returns:
            Its id, the hash of its content.

        Raises:
            AssetError: the asset is outside the bounds of what a library holds.
        """
        files = binaries(asset)
        record = make_record(asset, files)
        place = self._assets / record.id
        if self._intact(record.id):
            return record.id
        files["asset.json"] = canonical(record.model_dump(mode="json")) + b"\n"
        files["report.json"] = (json.dumps(asset.report, indent=1) + "\n").encode()
        for name, data in files.items():
            if len(data) > LIMITS[name]:
                raise AssetError(
                    f"{asset.noun}: {name} would have {len(data):,} bytes, more than "
                    f"{LIMITS[name]:,}: import it with fewer faces or a smaller texture"
                )
        self._assets.mkdir(parents=True, exist_ok=True)
        self._sweep()
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=self._assets))
        try:
            for name, data in sorted(files.items()):
                write_flushed(draft / name, data)
            draft.chmod(0o755)
            flush_folder(draft)
            self._publish(draft, place)
            flush_folder(self._assets)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return record.id

    def _publish(self, draft: Path, place: Path) -> None:
        """Renames; another writer's whole copy wins, a damaged one is replaced."""
        for _ in range(8):
            try:
                os.rename(draft, place)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            if self._intact(place.name):
                return
            # Aside under a name of its own: whoever else heals the same asset fails gently.
            aside = Path(tempfile.mkdtemp(prefix=".old-", dir=self._assets)) / "damaged"
            try:
                os.rename(place, aside)
            except FileNotFoundError:
                pass
            finally:
                shutil.rmtree(aside.parent, ignore_errors=True)
        raise OSError(errno.EBUSY, "cannot replace a damaged asset", str(place))

    def _sweep(self) -> None:
        """Removes what killed writers left behind."""
        for leftover in [*self._assets.glob(".new-*"), *self._assets.glob(".old-*")]:
            try:
                old = time.time() - leftover.stat().st_mtime > _STALE_S
            except FileNotFoundError:
                continue
            if old:
                shutil.rmtree(leftover, ignore_errors=True)

    def _intact(self, asset: str) -> bool:
        try:
            self.get(asset)
        except (KeyError, AssetError):
            return False
        return True

    def record(self, asset: str) -> AssetRecord:
        """The record of an asset, validated, without its meshes.

        Raises:
            KeyError: no such asset.
            AssetError: it is damaged or was altered; says what to do.
        """
        if asset not in self:
            raise KeyError(f"no asset {asset!r} in {self.root}: it holds {len(self.ids())} others")
        try:
            record = AssetRecord.model_validate_json(self._read(asset, "asset.json"))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "asset"
            raise self._damaged(asset, "asset.json", f"{where}: {first['msg']}") from None
        if record.id != asset:
            raise self._damaged(asset, "asset.json", f"its content has id {record.id}")
        return record

    def get(self, asset: str) -> ImportedAsset:
        """An asset with its meshes, every file checked against its hash; errors as `record`."""
        record = self.record(asset)
        data = {name: self._read(asset, name) for name in HASHED}
        for name, content in data.items():
            if digest(content) != record.files[name]:
                raise self._damaged(asset, name, "its content does not match its hash")
        try:
            report = json.loads(self._read(asset, "report.json"))
            if not isinstance(report, dict):
                raise ValueError("the report is no JSON object")
            return record.whole(data["visual.glb"], data["hulls.npz"], report)
        except (ValueError, RecursionError) as error:
            if isinstance(error, AssetError):
                raise
            raise self._damaged(asset, "report.json or hulls.npz", str(error)) from None

    def families(self, *, training: bool = False) -> dict[str, Family]:
        """Families of the assets that are of use in scenes, by name; see `stored_families`.

        Damaged assets are left out with a warning: one bad file must not stop a run.

        Args:
            training: leave out assets whose licence forbids training, with a warning.
        """
        records = []
        for asset in self.ids():
            try:
                records.append(self.record(asset))
            except AssetError as error:
                warnings.warn(f"left out: {error}", stacklevel=2)
        return stored_families(records, training=training)

    def _read(self, asset: str, name: str) -> bytes:
        path = self._assets / asset / name
        try:
            if path.exists() and not path.is_file():  # a pipe would block for ever
                raise self._damaged(asset, name, "it is no file")
            with path.open("rb") as file:
                data = file.read(LIMITS[name] + 1)
        except OSError as error:
            raise self._damaged(asset, name, error.strerror or "unreadable") from None
        if len(data) > LIMITS[name]:
            raise self._damaged(asset, name, f"it is larger than {LIMITS[name]:,} bytes")
        return data

    def _damaged(self, asset: str, name: str, what: str) -> AssetError:
        return AssetError(
            f"{self._assets / asset / name} is damaged ({what}): import its source again"
        )
