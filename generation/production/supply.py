"""A provider of 3D models makes what sentences name and nothing known is called.

Each thing is made into a library of its own first and taken over only if the sentences can be
fulfilled with it: a model that the gripper cannot lift must not replace a likeness that it can.
What is of no use in its usual size is made as a toy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from generation.assets.importing.asset import AssetError
from generation.assets.library import FAMILIES
from generation.assets.licences import training_use
from generation.assets.record import AssetRecord
from generation.assets.store import AssetLibrary
from generation.assets.stored import stored_families, unusable
from generation.language.tokens import singular
from generation.production.wanted import Families, Wanted, possible, wanted
from generation.providers import AssetProvider, Model, ProviderError, WatchedFolder, generate_asset

# m, longest side: as such things usually are, else as a toy of it that the gripper takes.
_SIZES = (None, 0.07, 0.045)


@dataclass(frozen=True)
class Supply:
    """What became of the things wanted.

    Attributes:
        made: records of the assets that are in the library now.
        failed: noun and reason of those that could not be made.
    """

    made: tuple[AssetRecord, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class NamedFiles:
    """Takes GLB files named after things from a folder: "teapot.glb", "teapot_2.glb".

    Attributes:
        folder: it may not exist yet.
        licence: of the files.
        timeout_s: longest wait for a file, for some other program or a person to drop it there.
    """

    folder: Path
    licence: str = "unknown"
    timeout_s: float = 60.0

    def __call__(
        self, noun: str, description: str = "", image: bytes | None = None, *, seed: int = 0
    ) -> Iterator[Model]:
        """The files of `noun`, by name; see `AssetProvider`."""
        watched = WatchedFolder(self.folder, self.licence, self.timeout_s)
        for model in watched(noun, description, image, seed=seed):
            if _spoken(Path(model.source).stem) == _spoken(noun):
                yield model


def supply(
    prompts: Sequence[str],
    provider: AssetProvider,
    library: AssetLibrary,
    *,
    seed: int = 0,
    report: Callable[[int, int, str], None] | None = None,
    **options: Any,
) -> Supply:
    """Has `provider` make what the prompts want, and adds it to `library`.

    Args:
        prompts: see `design`.
        provider: see `generation.providers`.
        library: gets the assets, with source and licence.
        seed: of the provider and of the import.
        report: called with (things done, things in all, the present one).
        options: further arguments of `generate_asset`.

    Raises:
        ValueError: the provider's licence forbids training, so that no scene could use its models.
    """
    if training_use(provider.licence) == "forbidden":
        raise ValueError(
            f"the licence {provider.licence!r} of the provider's models forbids training with "
            "them: pass --provider-licence if they have another one, or use another provider"
        )
    records = _records(library)
    things = wanted(prompts, _with(records))
    made: list[AssetRecord] = []
    failed: list[tuple[str, str]] = []
    nouns = tuple(dict.fromkeys(thing.noun for thing in things))
    for number, noun in enumerate(nouns):
        if report:
            report(number, len(nouns), noun)
        asked = [thing for thing in things if thing.noun == noun]
        try:
            fresh = _made(asked, prompts, _Remembered(provider), library, records, seed, options)
        except (AssetError, ProviderError) as error:
            failed.append((noun, str(error)))
            continue
        records += fresh
        made += fresh
    if report:
        report(len(nouns), len(nouns), "")
    return Supply(tuple(made), tuple(failed))


def _made(
    things: Sequence[Wanted],
    prompts: Sequence[str],
    provider: AssetProvider,
    library: AssetLibrary,
    records: Sequence[AssetRecord],
    seed: int,
    options: Mapping[str, Any],
) -> list[AssetRecord]:
    """Makes the things, which share a noun, in the first size that is of use; adds them.

    Raises:
        AssetError: no model in any size is of use; why not in the usual size.
        ProviderError: there is no model.
    """
    noun = things[0].noun
    reason: AssetError | None = None
    for size in [options["size"]] if "size" in options else _SIZES:
        with TemporaryDirectory(prefix="vla-jax-wanted-") as folder:
            draft = AssetLibrary(folder)
            terms = {**options, "seed": seed, "size": size}
            try:
                for thing in things:
                    generate_asset(noun, provider, draft, description=str(thing), **terms)
                fresh = [draft.record(asset) for asset in draft.ids()]
                _check_use(prompts, noun, fresh, _with(records), _with([*records, *fresh]))
            except AssetError as error:
                reason = reason or error
                continue
            for record in fresh:
                library.add(draft.get(record.id))
            return fresh
    raise reason or AssetError(f"no model of a {noun}")


@dataclass(frozen=True)
class _Remembered:
    """A provider that is asked once for each description: another size needs no other model."""

    provider: AssetProvider
    given: dict[str, tuple[list[Model], Iterator[Model]]] = field(default_factory=dict)

    @property
    def licence(self) -> str:
        return self.provider.licence

    def __call__(
        self, noun: str, description: str = "", image: bytes | None = None, *, seed: int = 0
    ) -> Iterator[Model]:
        if description not in self.given:
            self.given[description] = ([], self.provider(noun, description, image, seed=seed))
        models, rest = self.given[description]
        yield from list(models)
        for model in rest:
            models.append(model)
            yield model


def _check_use(
    prompts: Sequence[str],
    noun: str,
    fresh: Sequence[AssetRecord],
    before: Families,
    after: Families,
) -> None:
    """AssetError unless the new assets can be used, in every prompt that could do without them."""
    for record in fresh:
        if reason := unusable(record):
            raise AssetError(f"the model of a {noun} is of no use: {reason}")
    for prompt in prompts:
        if possible(prompt, before) and not possible(prompt, after):
            raise AssetError(f"the model of a {noun} cannot play its part in {prompt!r}")


def _records(library: AssetLibrary) -> list[AssetRecord]:
    """The sound records of a library; a run that uses it warns of the others."""
    records = []
    for asset in library.ids():
        try:
            records.append(library.record(asset))
        except AssetError:
            continue
    return records


def _with(records: Sequence[AssetRecord]) -> Families:
    """The procedural families and those of assets that may train models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself warns of what it leaves out
        return {**FAMILIES, **stored_families(records, training=True)}


def _spoken(name: str) -> str:
    """A file name as a noun: "Tea_Pot-2" is a tea pot."""
    plain = name.lower().replace("_", " ").replace("-", " ").split()
    plain = [word for word in plain if not word.isdigit()]
    return " ".join((*plain[:-1], *(singular(word) for word in plain[-1:])))
