"""A batched ray caster in pure JAX: one code for CPU, GPU and TPU."""

from sim.render.raycast import render
from sim.render.types import (
    SEGMENT_BACKGROUND,
    SEGMENT_TABLE,
    SHAPES,
    TEXTURES,
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
    "Backdrop",
    "Camera",
    "Image",
    "Light",
    "RenderGeoms",
    "default_backdrop",
    "render",
]
