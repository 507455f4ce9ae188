"""Many scenes at once: in parallel, resumable, the same bytes however many processes take part.

Every finished scene is written at once into `<folder>.partial`, so a run that was killed continues
where it stopped; the folder itself appears when all is there.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from generation.assets.family import Family
from generation.assets.library import FAMILIES
from generation.assets.stored import StoredFamily
from generation.background import with_picture
from generation.designer import Designer, design_scene, known_families
from generation.language.phrasing import Split
from generation.layout import Difficulty
from generation.production.partial import PartialScenes, open_partial
from generation.production.workers import cores, in_turn, on_processes, on_ray
from generation.rooms import read_picture
from generation.services.fetch import ProviderError
from generation.spec import SPEC_VERSION, SceneSpec
from generation.store import save_scenes

Executor = Literal["processes", "ray"]

VARIANTS = 4  # layouts tried for one scene before it counts as failed
_STRIDE = 1_000_000  # between the random streams of a scene's variants: more than scenes in a set
_WORTH = 32  # jobs from which on starting processes pays off
_HOPELESS = 8  # failures without any success after which the rest is not tried
_REDRAWS = 5  # times that a scene too like an earlier one is drawn again
_NEAR = 0.02  # m: two scenes with the same things at places that differ by less are alike


@dataclass(frozen=True)
class Failure:
    """A scene that could not be made, and why."""

    index: int
    prompt: str
    reason: str

    def __str__(self) -> str:
        return f"scene {self.index} ({self.prompt!r}): {self.reason}"


@dataclass(frozen=True)
class Settings:
    """All that a scene depends on besides its prompt and number.

    Attributes:
        assets: families of the library as it was when the run began; processes take these, and
            not what the library may have grown to since.
        pictures: surroundings as `with_picture` takes them, by turns.
    """

    seed: int
    designer: str | Designer = "grammar"
    difficulty: Difficulty = "easy"
    split: Split = "all"
    assets: tuple[Family, ...] = ()
    check: bool = True
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One scene to make; `variant` counts the layouts of it that were not good enough."""

    index: int
    prompt: str
    variant: int = 0


@dataclass(frozen=True)
class Made:
    """A scene as JSON, or the reason why there is none."""

    text: str = ""
    reason: str = ""


def design_many(
    prompts: str | Sequence[str],
    n: int,
    seed: int,
    folder: str | os.PathLike[str],
    *,
    processes: int | None = None,
    designer: str | Designer = "grammar",
    difficulty: Difficulty = "easy",
    split: Split = "all",
    library: str | os.PathLike[str] | None = None,
    backgrounds: Sequence[str | Path] = (),
    progress: Callable[[int, int], None] | None = None,
    check: bool = True,
    executor: Executor = "processes",
    address: str | None = None,
    failed: list[Failure] | None = None,
    preview: Callable[[list[SceneSpec]], Mapping[str, bytes]] | None = None,
) -> list[SceneSpec]:
    """Designs `n` scenes, checks them, and writes them as a folder for `load_scenes`.

    Scene i comes from prompt i modulo their number, as in `design`; it depends neither on `n` nor
    on the number of processes. A scene that fails the check, or is too like an earlier one, is
    drawn again. A run with the same arguments continues one that was interrupted.

    Args:
        prompts, n, seed, designer, difficulty, split, library: see `design`; a designer of your own
            must be picklable.
        backgrounds: equirectangular pictures that surround the scenes, by turns, instead of the
            rooms that prompts name: paths (`Path`), or texts from `generation.rooms.read_picture`.
        folder: new folder; `<folder>.partial` holds what is finished until all is.
        processes: how many work side by side; None uses every core if there is enough to do.
        progress: called with (scenes finished, n).
        check: simulate every scene as `inspect_scenes` does; what it finds fault with is redrawn.
        executor: "processes" of this machine, or "ray".
        address: of a running Ray cluster; None starts one here for the time.
        failed: gathers the scenes that could not be made; None raises instead.
        preview: makes further files of the folder, by name.

    Raises:
        FileExistsError: the folder holds something already.
        ValueError: an argument that is not possible, a picture that cannot be read, a scene that
            could not be made (the finished ones are kept), a partial folder of other arguments, or
            one in use.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    folder = Path(os.path.abspath(folder))  # "." has no name to put .partial behind
    _check(prompts, n, seed, folder, processes)
    settings = Settings(
        seed,
        _with_model(designer),
        difficulty,
        split,
        _assets(library),
        check,
        tuple(b if isinstance(b, str) else read_picture(b) for b in backgrounds),
    )
    jobs = [Job(index, prompts[index % len(prompts)]) for index in range(n)]
    note = progress or (lambda done, total: None)
    failures: list[Failure] = []
    with open_partial(folder, _arguments(prompts, settings)) as store:
        found = {job.index: text for job in jobs if (text := store.read(job.index))}
        note(len(found), n)
        left = [job for job in jobs if job.index not in found]
        count = processes or (cores() if len(left) >= _WORTH else 1)
        runner = _runner(settings, left, count, executor, address)
        with contextlib.closing(runner) as results:
            for number, made in results:
                job = left[number]
                if made.reason:
                    failures.append(Failure(job.index, job.prompt, made.reason))
                    if not found and len(failures) >= max(_HOPELESS, 2 * len(prompts)):
                        break
                    continue
                store.write(job.index, made.text)
                found[job.index] = made.text
                note(len(found), n)
        scenes = _unlike(jobs, found, settings, store, failures)
        failures.sort(key=lambda failure: failure.index)
        if not scenes or (failures and failed is None):
            raise ValueError(_complaint(failures, len(found), n, store.path))
        if failed is not None:
            failed += failures
        save_scenes(scenes, folder, extras=preview(scenes) if preview else None)
        store.finished = True
    return scenes


def make_scene(settings: Settings, job: Job) -> Made:
    """Designs one scene, and again if the check finds fault with it."""
    families = {**FAMILIES, **{family.name: family for family in settings.assets}}
    reason = ""
    for variant in range(job.variant, job.variant + VARIANTS):
        try:
            scene = design_scene(
                job.prompt,
                job.index + variant * _STRIDE,
                settings.seed,
                designer=settings.designer,
                difficulty=settings.difficulty,
                split=settings.split,
                families=families,
            )
        except (ValueError, ProviderError) as error:
            return Made(reason=str(error))
        if settings.pictures:
            scene = with_picture(scene, settings.pictures[job.index % len(settings.pictures)])
        problems = _problems(scene) if settings.check else ()
        if not problems:
            return Made(scene.to_json())
        reason = f"{problems[0]} ({VARIANTS} layouts tried)"
    return Made(reason=reason)


def alike(a: SceneSpec, b: SceneSpec) -> bool:
    """Whether two scenes show the same kinds of things in the same colours and places."""
    if len(a.objects) != len(b.objects):
        return False
    return all(
        (p.family, p.colour, p.material, p.role) == (q.family, q.colour, q.material, q.role)
        and all(abs(u - v) < _NEAR for u, v in zip(p.pos, q.pos, strict=True))
        for p, q in zip(a.objects, b.objects, strict=True)
    )


def _problems(scene: SceneSpec) -> tuple[str, ...]:
    from generation.quality import inspect_scene

    return tuple(inspect_scene(scene).problems)


def _assets(library: str | os.PathLike[str] | None) -> tuple[Family, ...]:
    """The families that a library adds to the procedural ones, or changes."""
    families = known_families(library)
    return tuple(f for name, f in families.items() if f is not FAMILIES.get(name))


def _with_model(designer: str | Designer) -> str | Designer:
    """ "llm" as the model that the environment names now, so that all processes ask the same."""
    if designer != "llm":
        return designer
    from generation.llm.client import chat_client
    from generation.llm.designer import llm_designer

    return llm_designer(chat_client())


def _check(prompts: Sequence[str], n: int, seed: int, folder: Path, processes: int | None) -> None:
    if not prompts:
        raise ValueError('no prompt: pass one such as "put the red block on the blue plate"')
    if not 1 <= n < _STRIDE:
        raise ValueError(f"n={n} scenes: ask for 1 to {_STRIDE - 1:,}")
    if seed < 0:
        raise ValueError(f"seed={seed}: use 0 or more")
    if processes is not None and processes < 1:
        raise ValueError(f"processes={processes}: use 1 or more")
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: choose a new folder or remove it first")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose a new folder")


def _runner(
    settings: Settings, jobs: Sequence[Job], count: int, executor: str, address: str | None
) -> Generator[tuple[int, Made], None, None]:
    work = functools.partial(make_scene, settings)
    if executor == "ray":
        return on_ray(work, jobs, count, address)
    if executor != "processes":
        raise ValueError(f"unknown executor {executor!r}: use processes or ray")
    return on_processes(work, jobs, count) if count > 1 else in_turn(work, jobs)


def _unlike(
    jobs: Sequence[Job],
    found: Mapping[int, str],
    settings: Settings,
    store: PartialScenes,
    failures: list[Failure],
) -> list[SceneSpec]:
    """The scenes in order; one too like an earlier one is drawn again.

    Earlier scenes decide, in the order of their numbers, so the outcome is always the same.
    """
    seen: dict[tuple[str, ...], list[SceneSpec]] = {}
    scenes = []
    for job in jobs:
        if job.index not in found:
            continue
        scene = SceneSpec.from_json(found[job.index])
        for redraw in range(1, _REDRAWS + 2):
            others = seen.setdefault(tuple(thing.family for thing in scene.objects), [])
            if not any(alike(scene, other) for other in others):
                others.append(scene)
                scenes.append(scene)
                break
            made = make_scene(settings, Job(job.index, job.prompt, redraw * VARIANTS))
            if made.reason or redraw > _REDRAWS:
                reason = made.reason or f"{_REDRAWS} more layouts are like earlier scenes"
                failures.append(Failure(job.index, job.prompt, reason))
                break
            store.write(job.index, made.text)
            scene = SceneSpec.from_json(made.text)
    return scenes


def _arguments(prompts: Sequence[str], settings: Settings) -> dict[str, Any]:
    """What a run that continues another must have in common with it."""
    chosen = settings.designer
    client = getattr(chosen, "client", None)
    name = getattr(chosen, "__qualname__", type(chosen).__qualname__)  # of a function, or a class
    return {
        "version": SPEC_VERSION,
        "prompts": list(prompts),
        "seed": settings.seed,
        "designer": chosen if isinstance(chosen, str) else f"{chosen.__module__}.{name}",
        "model": getattr(client, "model", ""),
        "difficulty": settings.difficulty,
        "split": settings.split,
        "check": settings.check,
        "families": _short_hash(*sorted(FAMILIES)),
        "assets": _short_hash(*(text for family in settings.assets for text in _contents(family))),
        "backgrounds": [_short_hash(picture) for picture in settings.pictures],
    }


def _contents(family: Family) -> tuple[str, ...]:
    """The name of an imported family and the ids of its assets."""
    drafts = family.drafts if isinstance(family, StoredFamily) else ()
    return (family.name, *(d.provenance.asset for d in drafts if d.provenance))


def _short_hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _complaint(failures: Sequence[Failure], found: int, n: int, partial: Path) -> str:
    if not found:
        return f"none of {n} scenes could be made: {failures[0]}"
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return (
        f"{len(failures)} of {n} scenes failed, the finished ones are in {partial}: {failures[0]}"
        f"{more}; pass --skip-failed (failed=[] in Python) to have the others written, or change "
        "the sentence"
    )
