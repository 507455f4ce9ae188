"""Scenes to test with, and ways to change them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from generation import ObjectSpec, Part, SceneSpec
from generation.assets.library import Family
from generation.spec import Role

PROMPTS = [
    "put the red block on the white plate",
    "put the banana in the blue bowl with a green can",
    "put something in something",
]


def changed(scene: SceneSpec, *path: str | int, value: Any) -> str:
    """The scene's JSON with one entry replaced or added; NaN stays NaN."""
    data = json.loads(scene.to_json())
    entry = data
    for step in path[:-1]:
        entry = entry[step]
    entry[path[-1]] = value
    return json.dumps(data)


def moved(scene: SceneSpec, index: int, **update: Any) -> SceneSpec:
    objects = list(scene.objects)
    objects[index] = objects[index].model_copy(update=update)
    return scene.model_copy(update={"objects": tuple(objects)})


def with_parts(scene: SceneSpec, index: int, *parts: Part, density: float) -> SceneSpec:
    return moved(scene, index, parts=parts, density=density)


def family_object(family: Family, role: Role, name: str, seed: int, compact: bool) -> ObjectSpec:
    draft = family.build(np.random.default_rng(seed), compact=compact)
    fields = {name: getattr(draft, name) for name in draft.__dataclass_fields__}
    return ObjectSpec(name=name, family=family.name, noun=family.nouns[0], role=role, **fields)


def box(half: tuple[float, float, float], pos: tuple[float, float, float]) -> Part:
    return Part(shape="box", size=half, pos=pos)
