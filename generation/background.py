"""Looks of the table and of the surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generation import rooms
from generation.assets.parts import rounded
from generation.spec import Background, Look, Room, SceneSpec, Texture

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Top:
    """A kind of table top: two sRGB colours, how they mix, and the range of the period in m."""

    base: Rgb
    second: Rgb
    texture: Texture
    period: tuple[float, float]


# None as vivid as the objects on it.
TABLES: dict[str, Top] = {
    "oak": Top((0.70, 0.55, 0.38), (0.60, 0.45, 0.29), "wood", (0.08, 0.16)),
    "walnut": Top((0.42, 0.31, 0.23), (0.33, 0.24, 0.18), "wood", (0.08, 0.16)),
    "pine": Top((0.83, 0.72, 0.54), (0.75, 0.62, 0.44), "wood", (0.06, 0.12)),
    "bamboo": Top((0.80, 0.70, 0.47), (0.70, 0.58, 0.35), "stripes", (0.015, 0.03)),
    "marble": Top((0.84, 0.84, 0.83), (0.68, 0.69, 0.71), "marble", (0.15, 0.35)),
    "slate": Top((0.32, 0.34, 0.37), (0.25, 0.27, 0.30), "marble", (0.2, 0.4)),
    "granite": Top((0.58, 0.56, 0.55), (0.36, 0.35, 0.36), "speckle", (0.02, 0.05)),
    "concrete": Top((0.63, 0.63, 0.62), (0.54, 0.54, 0.54), "marble", (0.3, 0.6)),
    "terrazzo": Top((0.74, 0.72, 0.69), (0.55, 0.53, 0.52), "speckle", (0.05, 0.10)),
    "steel": Top((0.68, 0.70, 0.72), (0.62, 0.64, 0.67), "stripes", (0.004, 0.008)),
    "laminate": Top((0.88, 0.87, 0.85), (0.88, 0.87, 0.85), "plain", (0.1, 0.2)),
    "cork": Top((0.72, 0.57, 0.40), (0.60, 0.45, 0.30), "speckle", (0.02, 0.04)),
    "leather": Top((0.36, 0.27, 0.22), (0.30, 0.22, 0.18), "speckle", (0.01, 0.02)),
    "tiles": Top((0.80, 0.79, 0.75), (0.70, 0.70, 0.68), "checker", (0.12, 0.24)),
    "cloth": Top((0.66, 0.70, 0.74), (0.57, 0.62, 0.67), "checker", (0.06, 0.14)),
    "linen": Top((0.78, 0.74, 0.66), (0.66, 0.61, 0.53), "fabric", (0.02, 0.05)),
    "felt": Top((0.46, 0.50, 0.47), (0.38, 0.42, 0.39), "fabric", (0.01, 0.02)),
    "stripes": Top((0.76, 0.73, 0.66), (0.66, 0.63, 0.57), "stripes", (0.05, 0.12)),
}
_CONTRAST = 0.22  # least sRGB distance between an object's colour and the table's


def table_look(
    rng: np.random.Generator, colours: Sequence[Sequence[float]], style: str = ""
) -> Look:
    """A table top.

    Args:
        rng: the only source of chance.
        colours: rgb of the objects; a style drawn at random lets them stand out.
        style: a name from `TABLES`, "" for any.

    Raises:
        ValueError: an unknown style.
    """
    if style and style not in TABLES:
        raise ValueError(f"unknown table style {style!r}: use one of {', '.join(TABLES)}")
    top = TABLES[style or _fitting_style(rng, colours)]
    tint = rng.uniform(0.93, 1.07) + rng.uniform(-0.02, 0.02, 3)
    return Look(
        texture=top.texture,
        rgba=_rgba(np.array(top.base) * tint),
        rgba2=_rgba(np.array(top.second) * tint),
        texture_scale=round(float(rng.uniform(*top.period)), 4),
    )


def _fitting_style(rng: np.random.Generator, colours: Sequence[Sequence[float]]) -> str:
    names = list(TABLES)
    order = rng.permutation(len(names))

    def contrast(name: str) -> float:
        base = np.array(TABLES[name].base)
        return min((float(np.linalg.norm(base - np.array(c[:3]))) for c in colours), default=1.0)

    fitting = [names[k] for k in order if contrast(names[k]) >= _CONTRAST]
    return fitting[0] if fitting else max(names, key=contrast)


def background(rng: np.random.Generator, style: str = "", *, room: bool = False) -> Background:
    """Surroundings of the table.

    Args:
        rng: the only source of chance.
        style: a name from `rooms.STYLES`, "" for any.
        room: draw a room as a panorama; without it, pale walls as a gradient over a floor, which
            is cheaper to render, in the colours of the style if one is named.

    Raises:
        ValueError: an unknown style.
    """
    if style and style not in rooms.STYLES:
        raise ValueError(f"unknown room style {style!r}: use one of {', '.join(rooms.STYLES)}")
    if room or style:
        names = tuple(rooms.STYLES)
        chosen = style or names[int(rng.integers(len(names)))]
        drawn = Room(style=chosen, variant=int(rng.integers(rooms.VARIANTS)))
        top, horizon, floor = rooms.gradient(drawn)
        return Background(
            top=top, horizon=horizon, floor=floor, room=drawn if room else None
        )  # fmt: skip
    hue = rng.uniform(-0.08, 0.08, 3)
    top = rng.uniform(0.75, 0.97) + hue
    horizon = top * rng.uniform(0.7, 0.92)
    floor = rng.uniform(0.25, 0.55) + rng.uniform(-0.06, 0.06, 3)
    return Background(top=_rgb(top), horizon=_rgb(horizon), floor=_rgb(floor))


def with_picture(scene: SceneSpec, picture: str) -> SceneSpec:
    """The scene with a picture around it, instead of the room or gradient that it had.

    Args:
        scene: any scene.
        picture: equirectangular, as `rooms.read_picture` returns it. Renderers without panoramas
            show its mean colours above, at the height of the eyes and below.

    Raises:
        ValueError: the picture cannot be read.
    """
    pixels = rooms.panorama(Background(picture=picture))
    if pixels is None:
        raise ValueError("an empty picture: pass what read_picture returns")
    top, horizon, floor = (_rgb(rows.mean((0, 1)) / 255.0) for rows in _bands(pixels))
    surroundings = Background(top=top, horizon=horizon, floor=floor, picture=picture)
    return scene.model_copy(update={"background": surroundings})


def _bands(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a panorama u8[h, w, 3] above, at the horizon, and below."""
    rows = len(pixels)
    return pixels[: rows // 5], pixels[3 * rows // 8 : rows // 2], pixels[2 * rows // 3 :]


def _rgb(values: np.ndarray) -> Rgb:
    r, g, b = rounded(np.clip(values, 0.0, 1.0))
    return r, g, b


def _rgba(values: np.ndarray) -> tuple[float, float, float, float]:
    return (*_rgb(values), 1.0)
