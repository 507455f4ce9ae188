"""Surroundings: table tops, painted rooms, imported panoramas."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generation.background import TABLES, background, table_look
from generation.interiors.caster import Hall, Solid, paint
from generation.interiors.equirectangular import read_hdr
from generation.interiors.patterns import flat
from generation.rooms import STYLES, VARIANTS, gradient, panorama, read_picture
from generation.spec import Background, Room

# Tables and backgrounds


def test_there_are_enough_styles() -> None:
    assert len(TABLES) >= 12
    assert len(STYLES) >= 12
    assert {"kitchen", "office", "workshop", "garden"} <= set(STYLES)


def test_a_table_style_can_be_asked_for() -> None:
    marble = table_look(np.random.default_rng(0), [], "marble")
    assert marble.texture == "marble"
    assert table_look(np.random.default_rng(0), [], "marble") == marble
    with pytest.raises(ValueError, match="unknown table style 'cheese': use one of oak"):
        table_look(np.random.default_rng(0), [], "cheese")


def test_a_table_drawn_at_random_contrasts_with_the_objects() -> None:
    brown = (0.70, 0.55, 0.38)
    for seed in range(20):
        look = table_look(np.random.default_rng(seed), [brown])
        assert np.linalg.norm(np.array(look.rgba[:3]) - brown) > 0.12


def test_a_background_is_plain_unless_a_room_is_asked_for() -> None:
    plain = background(np.random.default_rng(0))
    assert panorama(plain) is None
    tinted = background(np.random.default_rng(0), "garage")
    assert tinted.room is None
    assert tinted != plain
    drawn = background(np.random.default_rng(0), "garage", room=True)
    assert drawn.room is not None
    assert drawn.room.style == "garage"
    seen = panorama(drawn)
    assert seen is not None
    assert gradient(drawn.room) == (drawn.top, drawn.horizon, drawn.floor)
    anywhere = [background(np.random.default_rng(k), room=True).room for k in range(12)]
    assert len({room.style for room in anywhere if room}) >= 5
    with pytest.raises(ValueError, match="unknown room style 'moon': use one of bathroom"):
        background(np.random.default_rng(0), "moon")


# Rooms


def _seen(style: str, variant: int = 0) -> np.ndarray:
    image = panorama(Background(room=Room(style=style, variant=variant)))
    assert image is not None
    return image


def test_every_style_is_a_picture_of_its_own() -> None:
    small = []
    for style in STYLES:
        image = _seen(style)
        assert image.shape == (256, 512, 3)
        assert image.dtype == np.uint8
        assert 40 < image.mean() < 235
        # Things stand about: the band at eye height is far from one colour.
        assert image[112:160].astype(float).std(axis=(0, 1)).mean() > 15, style
        small.append(image.reshape(32, 8, 64, 8, 3).mean((1, 3)))
        # No seam where the left edge meets the right one, behind the robot.
        edge = np.abs(image[:, 0].astype(float) - image[:, -1]).mean()
        assert edge < 12, style
    for k, one in enumerate(small):
        assert all(np.abs(one - other).mean() > 5 for other in small[:k])


def test_a_room_is_the_same_each_time_and_differs_between_variants() -> None:
    from generation import rooms

    first = _seen("library", 3).copy()
    rooms._room.cache_clear()
    assert np.array_equal(_seen("library", 3), first)
    others = [_seen("library", variant) for variant in (0, VARIANTS - 1)]
    assert all(np.abs(first.astype(float) - other).mean() > 3 for other in others)


def test_directions_agree_with_the_renderer() -> None:
    # +x in the centre column, +y to its left, up at the top.
    red, green, blue, grey = (
        flat(c) for c in ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.5, 0.5, 0.5))
    )
    hall = Hall(
        low=(-2, -2), high=(2, 2), height=4.0, eye=(0, 0, 2.0), floor=grey, wall=grey, ceiling=grey,
        solids=(
            Solid((1.5, 0, 2.0), (0.1, 0.2, 0.2), red, glow=True),
            Solid((0, 1.5, 2.0), (0.2, 0.1, 0.2), green, round=True, glow=True),
            Solid((0, 0, 3.5), (0.3, 0.3, 0.1), blue, glow=True),
        ),
    )  # fmt: skip
    image = paint(hall, 64, 128)
    assert tuple(image[32, 64]) == (255, 0, 0)
    assert tuple(image[32, 32]) == (0, 255, 0)
    assert tuple(image[0, 10]) == (0, 0, 255)
    assert len(set(image[32, 96])) == 1  # grey wall to the right


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(ValueError, match="unknown room style 'igloo': use one of bathroom"):
        panorama(Background(room=Room(style="igloo")))


# Imported pictures


def _saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def _halves(rows: int = 64) -> np.ndarray:
    """Blue above, green below, a red patch left of the centre."""
    image = np.zeros((rows, 2 * rows, 3), np.uint8)
    image[: rows // 2, :, 2] = 200
    image[rows // 2 :, :, 1] = 150
    image[rows // 2 - 8 : rows // 2 + 8, rows // 2 - 8 : rows // 2 + 8] = (220, 0, 0)
    return image


def _rgbe(light: np.ndarray) -> np.ndarray:
    """u8[h, w, 4] shared-exponent pixels of linear light (Ward's formula)."""
    top = light.max(axis=-1)
    mantissa, exponent = np.frexp(np.maximum(top, 1e-38))
    scaled = light * (mantissa * 256.0 / np.maximum(top, 1e-38))[..., None]
    packed = np.concatenate([scaled, (exponent + 128.0)[..., None]], axis=-1)
    return np.where(top[..., None] > 1e-32, packed, 0).astype(np.uint8)


def _hdr(light: np.ndarray, *, runs: bool = False) -> bytes:
    """A Radiance file, written by hand."""
    rows, columns, _ = light.shape
    head = b"#?RADIANCE\n# made by a test\nFORMAT=32-bit_rle_rgbe\n\n"
    head += f"-Y {rows} +X {columns}\n".encode()
    pixels = _rgbe(light)
    if not runs:
        return head + pixels.tobytes()
    lines = []
    for row in pixels:
        lines.append(bytes((2, 2, columns >> 8, columns & 255)))
        for channel in row.T:
            if (channel == channel[0]).all():  # as runs of 100
                left = columns
                while left:
                    lines.append(bytes((128 + min(left, 100), channel[0])))
                    left -= min(left, 100)
            else:
                for start in range(0, columns, 128):
                    piece = channel[start : start + 128].tobytes()
                    lines.append(bytes((len(piece),)) + piece)
    return head + b"".join(lines)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_becomes_the_panorama(tmp_path: Path, suffix: str) -> None:
    text = read_picture(_saved(tmp_path / f"room.{suffix}", _halves()))
    assert len(text) <= 262_144
    image = panorama(Background(picture=text))
    assert image is not None
    assert image.shape == (256, 512, 3)
    assert image[20, 400, 2] > 150 > image[20, 400, 1]
    assert image[230, 400, 1] > 100 > image[230, 400, 2]
    assert image[128, 128, 0] > 150


def test_a_detailed_picture_still_fits_into_a_scene(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (256, 512, 3), np.uint8)
    assert len(read_picture(_saved(tmp_path / "noise.png", noise))) <= 262_144


@pytest.mark.parametrize("runs", [False, True], ids=["plain", "runs"])
def test_high_dynamic_range_is_tone_mapped(tmp_path: Path, runs: bool) -> None:
    light = np.full((32, 64, 3), 0.5)
    light[:4] = (40.0, 30.0, 20.0)  # a bright sky
    light[28:] = (0.01, 0.02, 0.01)
    for scale in (1.0, 1000.0):  # the exposure follows the picture
        path = tmp_path / "sky.hdr"
        path.write_bytes(_hdr(light * scale, runs=runs))
        image = panorama(Background(picture=read_picture(path)))
        assert image is not None
        sky, middle, ground = (int(image[row, 100].mean()) for row in (8, 128, 250))
        assert sky > 235
        assert 100 < middle < 190
        assert ground < 60


def test_plain_and_run_length_coding_agree() -> None:
    light = np.random.default_rng(1).uniform(0, 3, (16, 32, 3))
    assert np.array_equal(read_hdr(_hdr(light)), read_hdr(_hdr(light, runs=True)))


def test_bad_pictures_are_refused_with_the_reason(tmp_path: Path) -> None:
    square = _saved(tmp_path / "square.png", np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "text.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n")
    (tmp_path / "huge.hdr").write_bytes(b"#?RADIANCE\n\n-Y 99999 +X 199998\nxx")
    (tmp_path / "short.hdr").write_bytes(_hdr(np.ones((16, 32, 3)))[:-40])
    (tmp_path / "notes.png").write_bytes(b"hello")
    with (tmp_path / "large.png").open("wb") as large:
        large.truncate((64 << 20) + 1)  # sparse: takes no room
    reasons = {
        square: "'square.png': 64 x 64 pixels have the aspect 1.00",
        tmp_path / "text.hdr": "no end of the Radiance header",
        tmp_path / "huge.hdr": "99999 pixels; at most 100 million",
        tmp_path / "short.hdr": "ends early",
        tmp_path / "notes.png": "'notes.png': not a readable PNG, JPEG or Radiance HDR",
        tmp_path / "large.png": "at most 64 MB are read",
        tmp_path / "none.png": "'none.png': No such file",
        tmp_path: "it is no file",
    }
    for path, reason in reasons.items():
        with pytest.raises(ValueError, match=reason):
            read_picture(path)


def test_a_bomb_announced_in_a_header_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("L", (4, 2)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[16:24] = (60_000).to_bytes(4, "big") + (30_000).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"bomb\.png"):
        read_picture(path)


def test_a_scene_with_a_damaged_picture_says_so() -> None:
    out = io.BytesIO()
    Image.new("L", (4000, 2000)).save(out, "PNG")  # 8 million pixels in a few bytes
    for data in (b"", b"\xff\xd8\xff\xe0 not a JPEG", out.getvalue()):
        text = base64.b64encode(data).decode() or "A"
        with pytest.raises(ValueError, match="picture cannot be read"):
            panorama(Background(picture=text))


_GOOD = _hdr(np.random.default_rng(2).uniform(0, 2, (8, 16, 3)), runs=True)
_PLAIN = _hdr(np.random.default_rng(2).uniform(0, 2, (4, 8, 3)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from((_GOOD, _PLAIN)),
    st.integers(0, len(_GOOD)),
    st.lists(st.tuples(st.integers(0, len(_GOOD) - 1), st.integers(0, 255)), max_size=6),
)
def test_damaged_hdr_files_never_crash(
    good: bytes, length: int, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(good[:length])
    for at, value in changes:
        if at < len(data):
            data[at] = value
    try:
        image = read_hdr(bytes(data))
    except ValueError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.dtype == np.uint8
