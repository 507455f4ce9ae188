"""A batched ray caster in pure JAX: one code for CPU, GPU and TPU."""

from sim.render.atlas import make_atlas
from sim.render.plan import Plan, plan_render
from sim.render.raycast import render
from sim.render.types import (
    SEGMENT_BACKGROUND,
    SEGMENT_TABLE,
    SHAPES,
    TEXTURES,
    Atlas,
    Backdrop,
    Camera,
    Image,
    Light,
    RenderGeoms,
    default_backdrop,
)

__all__ = [
    "SEGMENT_BACKGROUND",
    "SEGMENT_TABLE",
    "SHAPES",
    "TEXTURES",
    "Atlas",
    "Backdrop",
    "Camera",
    "Image",
    "Light",
    "Plan",
    "RenderGeoms",
    "default_backdrop",
    "make_atlas",
    "plan_render",
    "render",
]
