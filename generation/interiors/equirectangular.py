"""Imported surroundings: equirectangular PNG, JPEG and Radiance HDR files, from anyone.

Everything is bounded before memory is taken: the file, the pixels it announces, the work a line of
run lengths may cause.
"""

from __future__ import annotations

import base64
import io
import re
import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

ROWS, COLUMNS = 256, 512
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 100_000_000
_MAX_TEXT = 262_144  # characters that a scene file has for the picture
# What PIL raises for damaged files, besides ValueError.
_DAMAGED = (OSError, SyntaxError, EOFError, IndexError, KeyError, OverflowError, struct.error)
_ASPECT = 0.02  # how far width / height may be from 2


def read_picture(path: str | Path) -> str:
    """A panorama file as a small JPEG in base64, for `Background.picture`.

    Args:
        path: PNG, JPEG or Radiance HDR (.hdr, .pic), twice as wide as high, the top row straight
            up. It is resampled to 512 x 256; high dynamic range is tone-mapped.

    Raises:
        ValueError: not such a file, damaged, too large, or of another aspect; names file and fix.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would block for ever
            raise ValueError("it is no file: give a picture file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"at most {MAX_BYTES >> 20} MB are read: make it smaller")
        pixels = read_hdr(data) if data[:2] == b"#?" else read_bitmap(data)
    except OSError as error:
        raise ValueError(f"panorama {path.name!r}: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"panorama {path.name!r}: {error}") from None
    small = Picture.fromarray(pixels).resize((COLUMNS, ROWS), Picture.Resampling.LANCZOS)
    return _encoded(small)


def _encoded(image: Picture.Image) -> str:
    for quality in (90, 80, 65, 45, 25):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        text = base64.b64encode(out.getvalue()).decode()
        if len(text) <= _MAX_TEXT:
            return text
    raise AssertionError("512 x 256 pixels always fit at the lowest quality")


def read_bitmap(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """u8[h, w, 3] of a PNG or JPEG twice as wide as high; a JPEG may come out smaller than it is.

    Raises:
        ValueError: not such a picture, damaged, over `max_pixels`, or of another aspect.
    """
    try:
        with warnings.catch_warnings():
            # Our own bound replaces PIL's two-step one, and is checked before any pixel is read.
            warnings.simplefilter("ignore", Picture.DecompressionBombWarning)
            with Picture.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
                _check_size(opened.width, opened.height, max_pixels)
                opened.draft("RGB", (COLUMNS, ROWS))  # a JPEG is decoded at a fraction of its size
                return np.asarray(opened.convert("RGB"))
    except Picture.DecompressionBombError:
        raise ValueError(f"over {max_pixels // 10**6} million pixels: make it smaller") from None
    except _DAMAGED as error:
        raise ValueError(f"not a readable PNG, JPEG or Radiance HDR picture ({error})") from None


def _check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    if width < 2 or height < 1:
        raise ValueError(f"{width} x {height} pixels: too few for a panorama")
    if width * height > max_pixels:
        raise ValueError(
            f"{width} x {height} pixels; at most {max_pixels // 10**6} million are read: "
            "make it smaller"
        )
    if abs(width / height - 2.0) > _ASPECT:
        raise ValueError(
            f"{width} x {height} pixels have the aspect {width / height:.2f}; an equirectangular "
            "panorama is twice as wide as high: crop or pad it to 2:1"
        )


# Radiance HDR -------------------------------------------------------------------------------------

_HEADER = 8192  # bytes in which the header must end
_RESOLUTION = re.compile(rb"([+-])Y (\d{1,6}) ([+-])X (\d{1,6})")


def read_hdr(data: bytes) -> NDArray[np.uint8]:
    """u8[h, w, 3] sRGB of a Radiance RGBE picture, its exposure set so that the median is mid grey.

    Both the plain and the run-length coding of the Radiance file format (Ward, "Real Pixels",
    Graphics Gems II) are read, the latter with one run-length coded channel after the other.

    Raises:
        ValueError: another format, a bad size, or too few bytes.
    """
    end = data.find(b"\n\n", 0, _HEADER)
    if end < 0:
        raise ValueError("no end of the Radiance header: not an HDR picture")
    if b"32-bit_rle_xyze" in data[:end]:
        raise ValueError("the HDR picture is in XYZ: save it as RGB")
    line_end = data.find(b"\n", end + 2, end + 66)
    match = _RESOLUTION.fullmatch(data[end + 2 : max(line_end, 0)])
    if match is None:
        raise ValueError("no resolution line such as '-Y 512 +X 1024' in the HDR picture")
    height, width = int(match[2]), int(match[4])
    _check_size(width, height)
    rgbe = _rgbe(data[line_end + 1 :], width, height)
    if match[1] == b"+":
        rgbe = rgbe[::-1]
    if match[3] == b"-":
        rgbe = rgbe[:, ::-1]
    return _tone_mapped(_reduced(rgbe))


def _rgbe(data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """u8[h, w, 4] shared-exponent pixels."""
    run_length = 8 <= width < 32768 and data[:2] == b"\x02\x02"
    if not run_length:
        if len(data) < 4 * width * height:
            raise ValueError(
                f"the HDR picture ends early: {len(data)} bytes for {width} x {height} pixels"
            )
        return np.frombuffer(data, np.uint8, 4 * width * height).reshape(height, width, 4)
    # A run makes 127 bytes of 2 at most: what cannot be complete costs no memory.
    if len(data) * 64 < 4 * width * height:
        raise ValueError(f"the HDR picture ends early: {len(data)} bytes of runs")
    out = np.empty((height, 4, width), np.uint8)
    at = 0
    for row in range(height):
        if data[at : at + 4] != bytes((2, 2, width >> 8, width & 255)):
            raise ValueError(f"line {row} of the HDR picture does not start as a coded line")
        at += 4
        for channel in range(4):
            line, at = _run_lengths(data, at, width, row)
            out[row, channel] = np.frombuffer(line, np.uint8)
    return out.transpose(0, 2, 1)


def _run_lengths(data: bytes, at: int, width: int, row: int) -> tuple[bytes, int]:
    """One channel of a line, and where the next starts."""
    line = bytearray()
    while len(line) < width:
        if at + 1 >= len(data):
            raise ValueError(f"the HDR picture ends within line {row}")
        count = data[at]
        if count > 128:
            line += data[at + 1 : at + 2] * (count - 128)
            at += 2
        elif count:
            line += data[at + 1 : at + 1 + count]
            at += 1 + count
        else:
            raise ValueError(f"an empty run in line {row} of the HDR picture")
    if len(line) != width or at > len(data):
        raise ValueError(f"line {row} of the HDR picture has {len(line)} of {width} values")
    return bytes(line), at


def _reduced(rgbe: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear radiance [h, w, 3], averaged over blocks so that little more than needed is left."""
    height, width = rgbe.shape[:2]
    block = max(1, min(height // ROWS, width // COLUMNS))
    rows = []
    for start in range(0, height - height % block, block):
        lines = rgbe[start : start + block].astype(np.float32)
        light = np.where(lines[..., 3:] > 0, np.exp2(lines[..., 3:] - 136.0) * lines[..., :3], 0.0)
        used = light[:, : width - width % block]
        rows.append(used.reshape(block, -1, block, 3).mean((0, 2)))
    return np.stack(rows).astype(np.float32)


def _tone_mapped(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """sRGB of linear light: exposed for the median, highlights rolled off.

    The roll-off is Reinhard's x (1 + x / w^2) / (1 + x) with white w at four times mid grey's
    exposure ("Photographic Tone Reproduction", 2002).
    """
    light = np.minimum(light.astype(np.float64), 1e12)
    luminance = light @ np.array([0.2126, 0.7152, 0.0722])
    lit = luminance[luminance > 0]
    if not lit.size:
        return np.zeros(light.shape, np.uint8)
    x = light * (0.36 / max(float(np.median(lit)), 1e-12))
    mapped = x * (1 + x / 16.0) / (1 + x)
    srgb = np.where(
        mapped <= 0.0031308, 12.92 * mapped, 1.055 * np.clip(mapped, 0, None) ** (1 / 2.4) - 0.055
    )
    return np.round(255 * np.clip(srgb, 0.0, 1.0)).astype(np.uint8)
