"""Contact sheets: scenes photographed from a corner of the table, with captions and findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from vla_jax.pictures import font, wrap

if TYPE_CHECKING:
    from generation.spec import SceneSpec

WIDTH, HEIGHT = 288, 216  # pixels of a tile
_FINE = 3  # rays per pixel and axis
_TOGETHER = 4  # scenes drawn at a time: memory grows with them
# Where the photographer stands and what is looked at (m), and how wide the lens is (rad): all of
# the workspace is in view ...
_CAMERA = ((0.80, 0.37, 0.41), (0.22, -0.005, 0.035), math.radians(45.0))
# ... or one object, from the same side.
_AWAY, _ABOVE, _CLOSE = (0.34, 0.23, 0.31), 0.03, math.radians(34.0)

PAPER, INK, SOFT, LINE = (250, 249, 246), (34, 37, 43), (120, 124, 132), (224, 222, 216)
GOOD, BAD = (30, 140, 92), (196, 62, 48)
_MARGIN, _GAP, _ROUND = 44, 22, 10
_CAPTION = 15  # size of the text below a tile
_PILL = 12  # size of the text on a tile


@dataclass(frozen=True)
class Tile:
    """One picture u8[h, w, 3] of a sheet.

    Attributes:
        picture: what to show.
        caption: text below, cut after two lines.
        number: shown in front of the caption, None for none.
        faults: short words drawn on the picture; with any, its edge is red.
        solved: a green or red dot on the picture, None for none.
    """

    picture: np.ndarray
    caption: str
    number: int | None = None
    faults: tuple[str, ...] = ()
    solved: bool | None = None


@dataclass(frozen=True)
class Figure:
    """A number in the head of a sheet; `good` colours it, None leaves it black."""

    label: str
    value: str
    good: bool | None = None


def portraits(
    scenes: Sequence[SceneSpec], close: tuple[float, float, float] | None = None
) -> np.ndarray:
    """Pictures u8[S, 216, 288, 3] of scenes as designed, from a corner of the table.

    All scenes are drawn by one compiled program; every pixel is the mean of nine rays.

    Args:
        scenes: S scenes, at least one.
        close: show what stands here (m) instead of the whole workspace.
    """
    import jax
    import jax.numpy as jnp

    from sim.randomize import Randomization
    from sim.rig import make_rig
    from sim.robots.base import FixedCamera
    from vla_jax.api import make_env

    env, batch = make_env(scenes, num_envs=_TOGETHER, backend="native")
    camera = FixedCamera(*_CAMERA)
    if close is not None:
        x, y, z = close
        eye = (x + _AWAY[0], y + _AWAY[1], z + _AWAY[2])
        camera = FixedCamera(eye, (x, y, z + _ABOVE), _CLOSE)
    robot = replace(env.rig.robot, fixed_camera=camera)
    config = replace(env.config, randomization=Randomization.none())
    env = replace(env, rig=make_rig(robot), config=config)

    @jax.jit
    def draw(batch, which):
        keys = jax.random.split(jax.random.key(0), _TOGETHER)
        return env.render(batch, env.start(batch, keys, which), WIDTH * _FINE)

    pictures = []
    for first in range(0, len(scenes), _TOGETHER):
        which = (first + np.arange(_TOGETHER)) % len(scenes)
        pictures += list(map(_developed, np.asarray(draw(batch, jnp.asarray(which, jnp.int32)))))
    return np.stack(pictures[: len(scenes)])


def _developed(square: np.ndarray) -> np.ndarray:
    """A tile from a square picture of fine pixels: its middle, averaged."""
    cut = (WIDTH - HEIGHT) * _FINE // 2
    fine = square[cut : cut + HEIGHT * _FINE].reshape(HEIGHT, _FINE, WIDTH, _FINE, 3)
    return fine.astype(np.float32).mean(axis=(1, 3)).round().astype(np.uint8)


def contact_sheet(
    tiles: Sequence[Tile],
    *,
    title: str = "",
    note: str = "",
    figures: Sequence[Figure] = (),
    columns: int | None = None,
) -> Image.Image:
    """Tiles in a grid below a title and a row of figures.

    Args:
        tiles: pictures of one size, at least one.
        title: what the sheet shows.
        note: smaller, below the title.
        figures: numbers worth knowing, in the head.
        columns: tiles in a row; by default a sheet a bit wider than high.

    Raises:
        ValueError: no tiles, or pictures of several sizes.
    """
    sizes = {tile.picture.shape for tile in tiles}
    if len(sizes) != 1:
        raise ValueError(f"pictures of shapes {sorted(sizes)}: a sheet takes one shape, at least 1")
    height, width = tiles[0].picture.shape[:2]
    columns = min(columns or max(1, round(math.sqrt(1.45 * len(tiles)))), len(tiles))
    rows = math.ceil(len(tiles) / columns)
    line = _CAPTION + 5
    step_x, step_y = width + _GAP, height + 2 * line + _GAP + 12
    across = columns * step_x - _GAP
    inner = max(across, 560 if title or figures else 0)
    head = _Head(title, note, tuple(figures), inner)
    top = _MARGIN + head.height
    paper = Image.new("RGB", (inner + 2 * _MARGIN, top + rows * step_y - _GAP + _MARGIN), PAPER)
    pen = ImageDraw.Draw(paper)
    head.draw(pen, _MARGIN, _MARGIN)
    for k, tile in enumerate(tiles):
        x, y = _MARGIN + (k % columns) * step_x, top + (k // columns) * step_y
        _draw_tile(paper, tile, x, y)
        _draw_caption(pen, tile, x, y + height + 9, width, line)
    return paper


def _draw_caption(
    pen: ImageDraw.ImageDraw, tile: Tile, x: int, y: int, width: int, line: int
) -> None:
    indent = 0
    if tile.number is not None:
        text = f"{tile.number}"
        pen.text((x, y + 1), text, fill=SOFT, font=font(_CAPTION - 2))
        indent = math.ceil(font(_CAPTION - 2).getlength(text)) + 9
    for row, text in enumerate(wrap(tile.caption, width - indent, _CAPTION, lines=2)):
        pen.text((x + indent, y + row * line), text, fill=INK, font=font(_CAPTION))


def _draw_tile(paper: Image.Image, tile: Tile, x: int, y: int) -> None:
    """The picture with rounded corners, its edge, its faults and its outcome."""
    height, width = tile.picture.shape[:2]
    bad = bool(tile.faults) or tile.solved is False
    sharp = 4  # corners are drawn so much larger, then averaged
    edge = 3 if bad else 0
    if edge:
        outer = _rounded(width + 2 * edge, height + 2 * edge, _ROUND + edge, sharp)
        paper.paste(BAD, (x - edge, y - edge), outer)
    paper.paste(Image.fromarray(tile.picture), (x, y), _rounded(width, height, _ROUND, sharp))
    pen = ImageDraw.Draw(paper)
    left, below = x + 8, y + 8
    for fault in tile.faults:
        text = font(_PILL)
        wide = math.ceil(text.getlength(fault)) + 16
        if left + wide > x + width - 8 and left > x + 8:
            left, below = x + 8, below + _PILL + 14
        pill = _rounded(wide, _PILL + 10, (_PILL + 10) // 2, sharp)
        paper.paste(BAD, (left, below), pill)
        pen.text((left + 8, below + 4), fault, fill=(255, 255, 255), font=text)
        left += wide + 6
    if tile.solved is not None:
        size = 16
        dot = _rounded(size, size, size // 2, sharp)
        place = (x + width - size - 8, y + height - size - 8)
        paper.paste((255, 255, 255), place, dot)
        inner = _rounded(size - 5, size - 5, (size - 5) // 2, sharp)
        at = (place[0] + 3, place[1] + 3)
        paper.paste(GOOD if tile.solved else BAD, at, inner)


def _rounded(width: int, height: int, radius: int, sharp: int) -> Image.Image:
    """A mask of a rectangle with smooth round corners."""
    mask = Image.new("L", (width * sharp, height * sharp), 0)
    box = (0, 0, width * sharp - 1, height * sharp - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * sharp, fill=255)
    return mask.resize((width, height), Image.Resampling.BOX)


class _Head:
    """Title, note and figures above the grid."""

    _TITLE, _NOTE, _VALUE, _LABEL = 30, 15, 24, 13
    _ROW, _APART = 66, 36  # pixels of a row of figures, and between two figures

    def __init__(self, title: str, note: str, figures: tuple[Figure, ...], width: int) -> None:
        self._title, self._note, self._width = title, note, width
        self._rows: list[list[Figure]] = []
        left = width
        for figure in figures:
            if left + self._length(figure) > width:
                self._rows.append([])
                left = 0
            self._rows[-1].append(figure)
            left += self._length(figure) + self._APART
        self.height = (44 if title else 0) + (26 if note else 0) + self._ROW * len(self._rows)
        self.height += 14 if self.height else 0

    def _length(self, figure: Figure) -> int:
        value = font(self._VALUE).getlength(figure.value)
        return math.ceil(max(value, font(self._LABEL).getlength(figure.label)))

    def draw(self, pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
        """Draws with the upper left corner at x, y."""
        if self._title:
            (text,) = wrap(self._title, self._width, self._TITLE, lines=1)
            pen.text((x, y - 8), text, fill=INK, font=font(self._TITLE))
            y += 44
        if self._note:
            (text,) = wrap(self._note, self._width, self._NOTE, lines=1)
            pen.text((x, y - 8), text, fill=SOFT, font=font(self._NOTE))
            y += 26
        for row in self._rows:
            left = x
            for figure in row:
                if left > x:
                    line = left - self._APART // 2
                    pen.line((line, y + 4, line, y + 44), fill=LINE, width=1)
                colour = INK if figure.good is None else GOOD if figure.good else BAD
                pen.text((left, y), figure.value, fill=colour, font=font(self._VALUE))
                pen.text((left, y + 31), figure.label, fill=SOFT, font=font(self._LABEL))
                left += self._length(figure) + self._APART
            y += self._ROW
