"""Pictures in and out of MP4 files and image files, by PyAV and Pillow.

What is read comes from strangers: sizes are checked before anything is decoded, and a picture is
shrunk as soon as it is decoded, so that memory holds one large picture at a time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from vla_jax.data.optional import need

# What datasets hold; Pillow's other decoders, old and seldom used, are left out of reach.
_FORMATS = ("PNG", "JPEG", "WEBP")
# More pixels than this in one picture are a mistake or an attack.
MAX_PIXELS = 4096 * 4096
_ENCODERS = {
    # Hardly visible losses, a key frame every second picture: random access is what readers do.
    "libx264": {"crf": "18", "preset": "fast", "bf": "0"},
    "libsvtav1": {"crf": "22", "preset": "10"},
    "mpeg4": {"qscale": "2", "bf": "0"},
}


def fit(picture: Image.Image, size: int) -> np.ndarray:
    """A picture as u8[size, size, 3]: whole, its proportions kept, black beside it."""
    picture = picture.convert("RGB")
    if picture.size == (size, size):
        return np.asarray(picture)
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BILINEAR)
    whole = Image.new("RGB", (size, size))
    whole.paste(small, ((size - width) // 2, (size - height) // 2))
    return np.asarray(whole)


def decode_image(data: bytes, size: int, what: str) -> np.ndarray:
    """An encoded picture (PNG, JPEG or WebP) as u8[size, size, 3]; ValueError names `what`."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            check_size(*picture.size, what)
            return fit(picture, size)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{what} is no readable picture ({error}): restore it") from None


def encode_png(picture: np.ndarray) -> bytes:
    """u8[H, W, 3] → PNG."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def check_size(width: int, height: int, what: str) -> None:
    """ValueError if a picture has no or too many pixels."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(
            f"{what} has {width} x {height} pixels: at most {MAX_PIXELS} are read; shrink it"
        )


class VideoReader:
    """Reads stretches of frames, from one file at a time and cheaply if they follow each other.

    Args:
        size: side of the square pictures to return, pixels.
        fps: frames per second of the dataset.
    """

    def __init__(self, size: int, fps: float):
        self.size, self.fps = size, fps
        self._path: Path | None = None
        self._container: Any = None
        self._frames: Iterator[tuple[float, Any]] = iter(())
        self._pending: tuple[float, Any] | None = None

    def read(self, path: Path, start: float, count: int) -> np.ndarray:
        """The `count` frames u8[count, size, size, 3] of a file that begin at `start` seconds.

        Raises:
            ValueError: the file is missing, damaged, not a video or too large, or it lacks frames.
        """
        av = need("av")
        found = np.zeros((count, self.size, self.size, 3), np.uint8)
        seen = np.zeros(count, bool)
        try:
            self._go_to(av, path, start)
            while not seen.all() and (pair := self._next()) is not None:
                time, frame = pair
                number = round((time - start) * self.fps)
                if number >= count:
                    self._pending = pair
                    break
                # Frames lie on the grid of the dataset's rate, or the metadata is about others.
                if number >= 0 and abs((time - start) * self.fps - number) < 0.25:
                    found[number] = fit(frame.to_image(), self.size)
                    seen[number] = True
        except (av.error.FFmpegError, IndexError, OSError) as error:
            raise ValueError(f"{path} cannot be read as a video ({error}): restore it") from None
        if not seen.all():
            missing = int(np.argmin(seen))
            raise ValueError(
                f"{path} has no frame at {start + missing / self.fps:.3f} s, number {missing} of "
                f"{count}: episode metadata and video disagree; restore both from one version"
            )
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._container is not None:
            self._container.close()
        self._path = self._container = self._pending = None

    def _go_to(self, av: ModuleType, path: Path, start: float) -> None:
        """Have the next frame be the one at `start`, or an earlier one."""
        slack = 0.5 / self.fps
        if path != self._path:
            self.close()
            if not path.is_file():
                raise ValueError(f"{path} is missing: download the whole dataset")
            self._container = av.open(str(path), mode="r")
            self._path = path
            stream = self._stream()
            check_size(stream.codec_context.width, stream.codec_context.height, f"{path}")
            stream.thread_type = "AUTO"
            self._frames = self._decode()
            self._pending = next(self._frames, None)
        at = self._pending[0] if self._pending else np.inf
        # Farther on in the file, reading over what lies between would take longer than a seek.
        if at > start + slack or start - at > 10.0:
            stream = self._stream()
            self._container.seek(max(0, int((start - slack) / stream.time_base)), stream=stream)
            self._frames = self._decode()
            self._pending = next(self._frames, None)

    def _stream(self) -> Any:
        return self._container.streams.video[0]

    def _decode(self) -> Iterator[tuple[float, Any]]:
        path = self._path
        for frame in self._container.decode(self._stream()):
            # A stream may change its size as it goes.
            check_size(frame.width, frame.height, f"{path}")
            if frame.time is not None:
                yield frame.time, frame

    def _next(self) -> tuple[float, Any] | None:
        pair, self._pending = self._pending, None
        return next(self._frames, None) if pair is None else pair


class VideoWriter:
    """Writes frames one after the other into an MP4 file (yuv420p).

    Args:
        path: the file.
        fps: frames per second.
        height, width: sides, pixels; both even, as the format wants.

    Raises:
        ValueError: a side is odd or PyAV was built without any usable encoder.
    """

    def __init__(self, path: Path, fps: int, height: int, width: int):
        av = need("av")
        if height % 2 or width % 2:
            raise ValueError(
                f"{path}: pictures of {height} x {width} pixels cannot become video, whose sides "
                "are even: store them as images"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self.codec, options = _encoder(av)
        self.frames = 0
        self._av, self._fps = av, fps
        self._container: Any = av.open(str(path), mode="w")
        self._stream: Any = self._container.add_stream(self.codec, rate=fps, options=options)
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = "yuv420p"
        self._stream.gop_size = 2
        self._stream.time_base = Fraction(1, fps)

    def append(self, pictures: np.ndarray) -> None:
        """Add pictures u8[T, H, W, 3]."""
        for picture in pictures:
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = self.frames, Fraction(1, self._fps)
            self._container.mux(self._stream.encode(frame))
            self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def _encoder(av: ModuleType) -> tuple[str, dict[str, str]]:
    for name, options in _ENCODERS.items():
        try:
            av.codec.Codec(name, "w")
        except ValueError:  # UnknownCodecError is one
            continue
        return name, options
    raise ValueError(
        f"this build of PyAV has none of the encoders {', '.join(_ENCODERS)}: store images instead"
    )
