"""What providers of 3D models deliver, and the check that it is a whole GLB file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from generation.services.fetch import Passing, ProviderError, brief

_GLB_HEADER = struct.Struct("<4sIII4s")  # magic, version, length; length and type of chunk 0


@dataclass(frozen=True)
class Model:
    """A model that a provider delivered: binary glTF, and where it is from."""

    glb: bytes
    source: str


class AssetProvider(Protocol):
    """Makes models of a thing. `licence` is that of its outputs."""

    @property
    def licence(self) -> str: ...

    def __call__(
        self, noun: str, description: str = "", image: bytes | None = None, *, seed: int = 0
    ) -> Iterator[Model]:
        """Models of `noun`, the best first.

        Args:
            noun: what it is.
            description: prompt for the service; "" uses the noun.
            image: a picture of it, PNG or JPEG.
            seed: of the service's own chance, if it takes one.

        Raises:
            ProviderError: no usable answer.
        """
        ...


def check_glb(data: bytes) -> bytes:
    """`data`, if it is a whole binary glTF file of version 2.

    Raises:
        Passing: it is cut off.
        ProviderError: it is something else; shows its beginning.
    """
    if len(data) < _GLB_HEADER.size:
        if data and not b"glTF".startswith(data[:4]):
            raise ProviderError(f"expected a GLB file, got {brief(data)}")
        raise Passing(f"a GLB file of {len(data)} bytes is cut off")
    magic, version, length, _, kind = _GLB_HEADER.unpack_from(data)
    if magic != b"glTF":
        raise ProviderError(f"expected a GLB file, got {brief(data)}")
    if version != 2 or kind != b"JSON":
        raise ProviderError(f"a GLB file of version {version}: only version 2 is read")
    if length > len(data):
        raise Passing(f"a GLB file is cut off after {len(data):,} of {length:,} bytes")
    return data
