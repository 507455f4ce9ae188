"""Rooms around the table, as panoramas: drawn by style, or imported from a picture."""

from __future__ import annotations

import base64
import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from generation.assets.parts import rounded
from generation.interiors.caster import picture
from generation.interiors.equirectangular import read_bitmap, read_picture
from generation.interiors.plans import PLANS
from generation.spec import Background, Room

__all__ = ["PANORAMA", "STYLES", "VARIANTS", "gradient", "panorama", "read_picture"]

PANORAMA = (256, 512)  # rows, columns
STYLES: tuple[str, ...] = tuple(sorted(PLANS))
Rgb = tuple[float, float, float]
VARIANTS = 16  # different rooms of a style, as many as a `Room` can name
_MAX_PIXELS = 4_000_000  # of a picture inside a scene file, which may come from anyone


def panorama(background: Background) -> NDArray[np.uint8] | None:
    """The surroundings as u8[256, 512, 3] sRGB, None for a plain gradient.

    The top row is straight up, the centre column towards +x. Equal backgrounds, equal pixels.

    Raises:
        ValueError: an unknown room style, or a picture that cannot be read.
    """
    if background.room is not None:
        return _room(_known(background.room.style), background.room.variant)
    if background.picture:
        return _decoded(background.picture)
    return None


def gradient(room: Room) -> tuple[Rgb, Rgb, Rgb]:
    """Colours (top, horizon, floor) of a room, for a background without a panorama.

    Raises:
        ValueError: an unknown style.
    """
    return _gradient(_known(room.style), room.variant)


@functools.cache
def _gradient(style: str, variant: int) -> tuple[Rgb, Rgb, Rgb]:
    rows = _painted(style, variant, 32, 64).mean(axis=1) / 255.0  # coarse: milliseconds
    top, horizon, floor = rows[:6].mean(0), rows[12:16].mean(0), rows[22:].mean(0)
    return _rgb(top), _rgb(horizon), _rgb(floor)


def _rgb(values: np.ndarray) -> Rgb:
    r, g, b = rounded(values)
    return r, g, b


def _known(style: str) -> str:
    if style not in PLANS:
        raise ValueError(f"unknown room style {style!r}: use one of {', '.join(STYLES)}")
    return style


@functools.lru_cache(maxsize=64)
def _room(style: str, variant: int) -> NDArray[np.uint8]:
    image = _painted(style, variant, *PANORAMA)
    image.flags.writeable = False  # shared by every scene with this room
    return image


def _painted(style: str, variant: int, rows: int, columns: int) -> NDArray[np.uint8]:
    seed = np.random.SeedSequence([variant, *style.encode()])
    image = picture(PLANS[style](np.random.default_rng(seed)), rows, columns)
    # Plans put most things ahead, at +x; cameras that watch a robot look back at it.
    return np.roll(image, columns // 2, axis=1)


@functools.lru_cache(maxsize=16)
def _decoded(text: str) -> NDArray[np.uint8]:
    try:
        small = read_bitmap(base64.b64decode(text, validate=True), _MAX_PIXELS)
    except ValueError as error:
        raise ValueError(
            f"the background's picture cannot be read ({error}): make it with read_picture"
        ) from None
    rows, columns = PANORAMA
    image = Picture.fromarray(small).resize((columns, rows), Picture.Resampling.LANCZOS)
    pixels = np.array(image)
    pixels.flags.writeable = False
    return pixels
