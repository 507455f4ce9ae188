"""Contact sheets and GIFs from arrays of pictures, with Pillow alone."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT = (255, 255, 255), (32, 36, 44), (203, 208, 216)
SOLVED, BROKEN = (24, 148, 92), (200, 60, 50)
_GAP = 8  # pixels between tiles
_PALETTE_SAMPLES = 12


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font; no font of the system is needed."""
    return ImageFont.load_default(size)


def contact_sheet(
    images: np.ndarray,
    captions: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    title: str = "",
) -> Image.Image:
    """Pictures in a grid, each with its caption below.

    Args:
        images: u8[N, h, w, 3], N at least 1.
        captions: N texts, cut after two lines.
        columns: tiles in a row; by default a sheet a bit wider than high.
        title: line above the grid.

    Raises:
        ValueError: no pictures, another shape or type, or another number of captions.
    """
    images = _checked(images)
    count, height, width = images.shape[:3]
    if captions is not None and len(captions) != count:
        raise ValueError(f"{len(captions)} captions for {count} pictures: pass one each")
    columns = min(columns or max(1, round(math.sqrt(1.6 * count))), count)
    size = max(10, min(15, width // 12))
    line = size + 3
    caption = 2 * line + 4 if captions is not None else 0
    head = 2 * line + _GAP if title else 0
    rows = math.ceil(count / columns)
    sheet = Image.new(
        "RGB",
        (columns * (width + _GAP) + _GAP, head + rows * (height + caption + _GAP) + _GAP),
        PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((_GAP, _GAP), title, fill=INK, font=font(size + 5))
    for k in range(count):
        x = _GAP + (k % columns) * (width + _GAP)
        y = head + _GAP + (k // columns) * (height + caption + _GAP)
        sheet.paste(Image.fromarray(images[k]), (x, y))
        if captions is not None:
            for row, text in enumerate(wrap(captions[k], width, size, lines=2)):
                pen.text((x, y + height + 3 + row * line), text, fill=INK, font=font(size))
    return sheet


def wrap(text: str, width: int, size: int, *, lines: int) -> list[str]:
    """Breaks a text into at most `lines` lines of `width` pixels, with "…" where it is cut."""
    rows: list[str] = []
    for word in text.split():
        longer = f"{rows[-1]} {word}" if rows else word
        if rows and font(size).getlength(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    if len(rows) > lines:
        rows = [*rows[: lines - 1], " ".join(rows[lines - 1 :])]
    return [_cut(row, width, size) for row in rows]


def _cut(text: str, width: int, size: int) -> str:
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def film_frames(
    videos: np.ndarray,
    captions: Sequence[str],
    ends: Sequence[int],
    solved: Sequence[bool],
    *,
    columns: int | None = None,
    title: str = "",
) -> list[Image.Image]:
    """Frames of N episodes playing side by side, each frozen where it ends.

    From its last frame on, an episode has a green border if it was solved, a grey one if not.

    Args:
        videos: u8[T, N, h, w, 3].
        captions: N texts below the tiles.
        ends: N frame indices at which the episodes end.
        solved: N outcomes.
        columns: tiles in a row.
        title: line above the tiles; the count of solved episodes so far is added to it.

    Returns:
        T pictures of one size.
    """
    steps, count = videos.shape[:2]
    if not len(captions) == len(ends) == len(solved) == count:
        raise ValueError(
            f"{count} episodes with {len(captions)} captions, {len(ends)} ends and {len(solved)} "
            "outcomes: pass one of each per episode"
        )
    frames = []
    for t in range(steps):
        tiles = np.stack([videos[min(t, ends[n]), n] for n in range(count)])
        for n in range(count):
            if t >= ends[n]:
                _border(tiles[n], SOLVED if solved[n] else FAINT)
        done = sum(1 for n in range(count) if solved[n] and t >= ends[n])
        heading = f"{title}: {done} of {count} solved" if title else ""
        frames.append(contact_sheet(tiles, captions, columns=columns, title=heading))
    return frames


def _border(tile: np.ndarray, colour: tuple[int, int, int]) -> None:
    thick = max(2, tile.shape[0] // 32)
    for edge in (tile[:thick], tile[-thick:], tile[:, :thick], tile[:, -thick:]):
        edge[:] = colour


def save_gif(
    frames: Sequence[Image.Image | np.ndarray], path: str | os.PathLike[str], fps: float = 10.0
) -> Path:
    """Writes an endless GIF, whole or not at all; the last frame stays for two seconds.

    Args:
        frames: pictures of one size, or u8[h, w, 3] arrays.
        path: file to write.
        fps: frames a second, at most 50 (the format's limit).

    Raises:
        ValueError: no frames, or an impossible rate.
    """
    if not len(frames):
        raise ValueError(f"no frames for {path}: a GIF needs at least one")
    if not 0 < fps <= 50:
        raise ValueError(f"fps is {fps}: a GIF plays more than 0 and at most 50 frames a second")
    pictures = [f if isinstance(f, Image.Image) else Image.fromarray(f) for f in frames]
    # One palette for all frames: otherwise still parts flicker, and compress badly.
    picks = pictures[:: max(1, len(pictures) // _PALETTE_SAMPLES)]
    strip = Image.new("RGB", (picks[0].width, sum(p.height for p in picks)))
    for k, picture in enumerate(picks):
        strip.paste(picture, (0, k * picture.height))
    palette = strip.quantize(255, method=Image.Quantize.MEDIANCUT)
    drawn = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    each = round(1000 / fps)
    times = [each] * (len(drawn) - 1) + [max(each, 2000)]
    buffer = io.BytesIO()
    drawn[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=drawn[1:],
        duration=times,
        loop=0,
        optimize=False,
        disposal=1,
    )
    return write_whole(Path(path), buffer.getvalue())


def save_png(picture: Image.Image, path: str | os.PathLike[str]) -> Path:
    """Writes a PNG, whole or not at all."""
    return write_whole(Path(path), encode(picture, "PNG"))


def encode(picture: Image.Image, form: str = "PNG", **options: int) -> bytes:
    """The bytes of a picture file; `form` is "PNG", "JPEG" or "WEBP"."""
    buffer = io.BytesIO()
    picture.save(buffer, form, optimize=True, **options)
    return buffer.getvalue()


def write_whole(path: Path, data: bytes) -> Path:
    """Writes a file, whole or not at all, and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
    return path


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or not len(images):
        raise ValueError(
            f"pictures have shape {images.shape} and type {images.dtype}: pass at least one as "
            "u8[N, h, w, 3]"
        )
    return images
