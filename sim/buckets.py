"""Buckets: few structures for many different scenes, so that small ones do not pay for large ones.

All scenes of a `SceneBatch` share one `SlotTemplate` and run in one compiled program; what a scene
lacks is padded. Where scenes differ much in the number and make of their objects, give each bucket
a batch of its own: one compilation for each bucket. Further scenes that fit it need none if its
batches have room for equally many scenes (`make_room`) and, on MJX, the same room for contacts
(`capacity` of `build_scene_batch`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from generation.compile import SlotTemplate, slot_template
from generation.spec import SceneSpec
from sim.scene_batch import SceneBatch

# A slot costs its six degrees of freedom and its row in the solver, in units of a geom.
_SLOT_COST = 4


@dataclass(frozen=True)
class Bucket:
    """Scenes that share a structure.

    Attributes:
        template: for `build_scene_batch`.
        scenes: indices of the bucket's scenes, in their order.
    """

    template: SlotTemplate
    scenes: tuple[int, ...]


def bucket_scenes(
    scenes: Sequence[SceneSpec], *, buckets: int = 4, max_objects: int = 8, max_geoms: int = 128
) -> tuple[Bucket, ...]:
    """Sort scenes into few buckets with little padding.

    Starts with one bucket for every number of objects and of geoms, and merges neighbours where
    that adds least padding (geoms and slots, counted over all scenes) until few enough are left.

    Args:
        scenes: any scenes.
        buckets: at most so many; each is one compilation.
        max_objects: slot budget: a scene may not have more objects.
        max_geoms: budget of geoms of all slots of a bucket together.

    Raises:
        ValueError: no scenes, or a scene beyond a budget; names it.
    """
    if not scenes:
        raise ValueError("no scenes to sort into buckets: design some first")
    if buckets < 1:
        raise ValueError(f"buckets is {buckets}: it must be at least 1")
    for scene in scenes:
        _check_budget(scene, max_objects, max_geoms)
    order = sorted(range(len(scenes)), key=lambda i: (len(scenes[i].objects), _geoms(scenes[i])))
    distinct = [order[:1]]
    for i in order[1:]:
        first = scenes[distinct[-1][0]]
        same = len(first.objects) == len(scenes[i].objects) and _geoms(first) == _geoms(scenes[i])
        if same:
            distinct[-1].append(i)
        else:
            distinct.append([i])
    while len(distinct) > buckets:
        waste = [
            _padded(scenes, a + b) - _padded(scenes, a) - _padded(scenes, b)
            for a, b in itertools.pairwise(distinct)
        ]
        k = waste.index(min(waste))
        distinct[k : k + 2] = [distinct[k] + distinct[k + 1]]
    found = [
        Bucket(slot_template([scenes[i] for i in ids]), tuple(sorted(ids))) for ids in distinct
    ]
    for bucket in found:
        geoms = sum(len(slot) for slot in bucket.template.slots)
        if geoms > max_geoms:
            raise ValueError(
                f"{len(bucket.scenes)} scenes together need {geoms} geoms, the budget is "
                f"{max_geoms}: allow more than {buckets} buckets or raise max_geoms"
            )
    return tuple(found)


def find_bucket(scene: SceneSpec, buckets: Sequence[Bucket]) -> int:
    """The first, and so the smallest, bucket that a scene fits.

    Raises:
        ValueError: it fits none; says what it needs and what there is.
    """
    need = [Counter((part.shape, part.collide) for part in thing.parts) for thing in scene.objects]
    for index, bucket in enumerate(buckets):
        slots = bucket.template.slots
        fits = len(need) <= len(slots) and all(
            not counts - Counter(slot) for counts, slot in zip(need, slots, strict=False)
        )
        if fits:
            return index
    sizes = ", ".join(str([len(slot) for slot in b.template.slots]) for b in buckets) or "none"
    raise ValueError(
        f"scene {scene.id} fits no bucket: its objects have {[sum(c.values()) for c in need]} "
        f"parts, the buckets' slots {sizes}: sort all scenes into buckets again"
    )


def make_room(batch: SceneBatch, rows: int) -> SceneBatch:
    """The batch with so many rows, so that batches of fewer or more scenes share a program.

    Rows beyond `batch.count` repeat the scenes and are never drawn at a reset.

    Args:
        batch: S scenes.
        rows: at least S.

    Raises:
        ValueError: more scenes than rows.
    """
    scenes = batch.num_scenes
    if rows < scenes:
        raise ValueError(f"room for {rows} scenes, but the batch has {scenes}: ask for more rows")
    pick = jnp.arange(rows) % scenes
    own = {"geom_body", "atlas", "count", "handle", "mjx"}  # shared by all scenes, or see below
    arrays = {
        field.name: jax.tree.map(lambda x: x[pick], getattr(batch, field.name))
        for field in dataclasses.fields(batch)
        if field.name not in own and not field.metadata.get("static")
    }
    if batch.mjx is not None:
        fields = {name: x[pick] for name, x in batch.mjx.fields.items()}
        arrays["mjx"] = dataclasses.replace(batch.mjx, fields=fields)
    return dataclasses.replace(batch, **arrays)


def _check_budget(scene: SceneSpec, max_objects: int, max_geoms: int) -> None:
    if len(scene.objects) > max_objects:
        raise ValueError(
            f"scene {scene.id} has {len(scene.objects)} objects, the slot budget is {max_objects}: "
            "leave out distractors or raise max_objects"
        )
    if _geoms(scene) > max_geoms:
        thing = max(scene.objects, key=lambda o: len(o.parts))
        raise ValueError(
            f"scene {scene.id} has {_geoms(scene)} parts ({len(thing.parts)} in {thing.name!r}), "
            f"the budget is {max_geoms}: simplify the object or raise max_geoms"
        )


def _geoms(scene: SceneSpec) -> int:
    return sum(len(thing.parts) for thing in scene.objects)


def _padded(scenes: Sequence[SceneSpec], ids: Sequence[int]) -> int:
    """Slots and geoms of a bucket, counted for all of its scenes."""
    slots = slot_template([scenes[i] for i in ids]).slots
    return len(ids) * (sum(len(slot) for slot in slots) + _SLOT_COST * len(slots))
