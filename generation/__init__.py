"""Scenes from sentences: designing, placing, storing, checking and compiling them. No JAX here.

    from generation import design, save_scenes

    scenes = design("put the banana in the blue bowl", n=8, seed=0)
    save_scenes(scenes, "scenes/")

Names are loaded when first used: importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generation.compile import (
        PhysicsOptions,
        SlotTemplate,
        build_spec,
        compile_scene,
        same_structure,
        slot_template,
    )
    from generation.designer import design
    from generation.language.grammar import VOCABULARY
    from generation.quality import inspect_scenes
    from generation.spec import ObjectSpec, Part, SceneGraph, SceneSpec, TaskSpec
    from generation.store import load_scenes, save_scenes

_HOME = {
    "PhysicsOptions": "compile",
    "SlotTemplate": "compile",
    "build_spec": "compile",
    "compile_scene": "compile",
    "same_structure": "compile",
    "slot_template": "compile",
    "design": "designer",
    "VOCABULARY": "language.grammar",
    "inspect_scenes": "quality",
    "ObjectSpec": "spec",
    "Part": "spec",
    "SceneGraph": "spec",
    "SceneSpec": "spec",
    "TaskSpec": "spec",
    "load_scenes": "store",
    "save_scenes": "store",
}

__all__ = [
    "VOCABULARY",
    "ObjectSpec",
    "Part",
    "PhysicsOptions",
    "SceneGraph",
    "SceneSpec",
    "SlotTemplate",
    "TaskSpec",
    "build_spec",
    "compile_scene",
    "design",
    "inspect_scenes",
    "load_scenes",
    "same_structure",
    "save_scenes",
    "slot_template",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'generation' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"generation.{_HOME[name]}"), name)
    globals()[name] = value
    return value
