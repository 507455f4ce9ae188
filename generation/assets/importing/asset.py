"""What an imported mesh becomes, what the importer reads, and why it can refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from generation.assets.parts import Draft
from generation.spec import Provenance

Array = NDArray[np.float64]
Faces = NDArray[np.int64]
Up = Literal["", "x", "y", "z", "-x", "-y", "-z"]
Unit = Literal["", "m", "dm", "cm", "mm", "in", "ft"]
METRES: dict[str, float] = {
    "m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "in": 0.0254, "ft": 0.3048,
}  # fmt: skip
MIN_LENGTH, MAX_LENGTH = 0.005, 1.0  # m, longest side of what can be on the table
NAMING_FOLDERS = 3  # folders above a mesh file whose names can say what it is


class AssetError(ValueError):
    """A mesh that cannot become an asset; the message is the reason, in one line."""


@dataclass(frozen=True)
class Piece:
    """A triangle mesh with its colours. All pieces of one asset share one frame.

    At most one of `face_rgb`, `vertex_rgb` and (`uv`, `image`) is used, in this order; what has
    none is `rgb` all over. Colours are sRGB in [0, 1].

    Attributes:
        vertices: [V, 3] positions, finite.
        faces: [F, 3] indices into the vertices.
        rgb: colour of the whole piece; it also multiplies the texture, as in glTF. None: unknown.
        face_rgb: [F, 3].
        vertex_rgb: [V, 3].
        uv: [V, 2] texture coordinates, (0, 0) at the bottom left of the image.
        image: [H, W, 3] u8 texture.
        name: of the material or group, for messages only.
    """

    vertices: Array
    faces: Faces
    rgb: tuple[float, float, float] | None = None
    face_rgb: Array | None = None
    vertex_rgb: Array | None = None
    uv: Array | None = None
    image: NDArray[np.uint8] | None = None
    name: str = ""

    def moved(self, vertices: Array) -> Piece:
        """The same piece with its vertices elsewhere."""
        return Piece(
            vertices, self.faces, self.rgb, self.face_rgb, self.vertex_rgb, self.uv, self.image,
            self.name,
        )  # fmt: skip


@dataclass(frozen=True)
class Rest:
    """A pose in which the asset comes to rest on a table.

    Attributes:
        quat: wxyz, from the body frame to the resting pose.
        height: of the centre of mass above the table, m.
        tip: smallest angle by which it must be tilted to fall over, rad.
        probability: of ending in this pose when dropped in a random orientation (quasi-static).
    """

    quat: tuple[float, float, float, float]
    height: float
    tip: float
    probability: float


@dataclass(frozen=True)
class ImportedAsset:
    """A mesh made ready for scenes.

    Attributes:
        id: 16 hex digits of the SHA-256 of its content.
        noun: what instructions call it.
        draft: parts, density, friction, grasp, place, height, radius, material, provenance.
        graspable: whether the gripper can lift it.
        receptacle: goals that it can serve, () if it holds nothing.
        rests: resting poses, the body frame's first.
        hulls: convex hulls [V, 3] of the solid, body frame, m.
        visual: binary glTF, body frame (z up, metres), with colours or a texture.
        report: what was found, repaired and measured; plain JSON values.
        provenance: source and licence.
        colour: nearest name of `generation.assets.colours.COLOURS`.
        tags: such as "container", "surface", "flat", "rolling", "heavy".
    """

    id: str
    noun: str
    draft: Draft
    graspable: bool
    receptacle: tuple[Literal["on", "in"], ...]
    rests: tuple[Rest, ...]
    hulls: tuple[Array, ...]
    visual: bytes
    report: dict[str, Any] = field(hash=False)
    provenance: Provenance
    colour: str = ""
    tags: tuple[str, ...] = ()
