"""Building blocks of the object families: painted primitives, and round bodies made of boxes.

Round things collide as a cross of two boxes. Its convex hull is a regular octagon, which is what a
flat finger or a table feels, so a can stands and is gripped like a can at the cost of two boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from generation.assets.mass import extents, mass_properties, quat_to_matrix
from generation.spec import Part, Provenance, Shape, Texture

# Clear of a circle of radius 1: corners just outside, faces just inside, so neither shows much.
_OCTAGON = 1.03
MASS_RANGE = (0.02, 0.4)  # kg, what a tabletop object of this size weighs


@dataclass(frozen=True)
class Paint:
    """Colours and texture of a part; `scale` is the texture's period in metres."""

    rgb: tuple[float, float, float]
    rgb2: tuple[float, float, float] | None = None
    texture: Texture = "plain"
    scale: float = 0.02

    def mixed(self, other: tuple[float, float, float], share: float) -> Paint:
        """The same paint with both colours moved towards `other` by `share`."""
        r, g, b = (
            a * (1 - share) + b * share for a, b in zip(self.rgb, other, strict=True)
        )  # fmt: skip
        return replace(self, rgb=(r, g, b), rgb2=None, texture="plain")

    def darker(self, share: float = 0.3) -> Paint:
        return self.mixed((0.0, 0.0, 0.0), share)

    def lighter(self, share: float = 0.4) -> Paint:
        return self.mixed((1.0, 1.0, 1.0), share)


@dataclass(frozen=True)
class Draft:
    """A finished shape: what `ObjectSpec` needs besides name, role and pose. See `ObjectSpec`."""

    parts: tuple[Part, ...]
    density: float
    friction: float
    grasp: tuple[float, float, float, float, float]
    place: tuple[float, float, float, float]
    height: float
    radius: float
    material: str = ""
    provenance: Provenance | None = None


def rounded(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """Values to the micrometre (and its like): short JSON, stable hashes, no -0.0."""
    return tuple(round(float(v), 6) + 0.0 for v in values)


def yaw_quat(yaw: float) -> tuple[float, ...]:
    """Quaternion wxyz of a rotation by `yaw` about z."""
    return (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))


def pick(rng: np.random.Generator, low: float, high: float, size: str = "") -> float:
    """A number from [low, high]; "small" and "large" take the lower and the upper 40 %."""
    share = rng.uniform()
    if size == "small":
        share = 0.4 * share
    elif size == "large":
        share = 0.6 + 0.4 * share
    return low + (high - low) * share


def primitive(
    shape: Shape,
    size: Sequence[float],
    pos: Sequence[float],
    paint: Paint | None,
    *,
    quat: Sequence[float] = (1.0, 0.0, 0.0, 0.0),
    collide: bool = True,
) -> Part:
    """One part; without paint it is invisible. `size` may leave out unused entries."""
    full = rounded([*size, 0.0, 0.0][:3])
    look = paint or Paint((0.5, 0.5, 0.5))
    return Part(
        shape=shape,
        size=(full[0], full[1], full[2]),
        pos=rounded(pos),  # type: ignore[arg-type]  # three values, checked by pydantic
        quat=rounded(quat),  # type: ignore[arg-type]  # four values, checked by pydantic
        rgba=rounded([*look.rgb, 1.0]),  # type: ignore[arg-type]  # four values
        rgba2=rounded([*(look.rgb2 or look.rgb), 1.0]),  # type: ignore[arg-type]  # four values
        texture=look.texture,
        texture_scale=round(look.scale, 6),
        collide=collide,
        visible=paint is not None,
    )


def span(
    rng: np.random.Generator,
    size: str,
    compact: bool,
    easy: tuple[float, float],
    full: tuple[float, float],
) -> float:
    """`pick` from the range of the difficulty."""
    return pick(rng, *(easy if compact else full), size)


def chance(rng: np.random.Generator, share: float = 0.5) -> bool:
    """Whether an instance has a feature that `share` of its family have."""
    return bool(rng.uniform() < share)


def box(
    half: Sequence[float], pos: Sequence[float], paint: Paint | None, *, yaw: float = 0.0
) -> Part:
    """A colliding box with half sizes `half`; hidden without paint."""
    return primitive("box", half, pos, paint, quat=yaw_quat(yaw))


def tube(
    radius: float, length: float, pos: Sequence[float], paint: Paint, *, across: bool = False
) -> Part:
    """A drawn cylinder lying along x, or along y if `across`."""
    half = math.sqrt(0.5)
    quat = (half, half, 0.0, 0.0) if across else (half, 0.0, half, 0.0)
    return primitive("cylinder", (radius, length / 2), pos, paint, quat=quat, collide=False)


def disc(radius: float, bottom: float, top: float, paint: Paint) -> Part:
    """A drawn upright cylinder between two heights."""
    return primitive(
        "cylinder", (radius, (top - bottom) / 2), (0, 0, (top + bottom) / 2), paint, collide=False
    )


def ellipsoid(
    half: Sequence[float], pos: Sequence[float], paint: Paint, *, yaw: float = 0.0
) -> Part:
    """A drawn ellipsoid with half axes `half`."""
    return primitive("ellipsoid", half, pos, paint, quat=yaw_quat(yaw), collide=False)


def octagon(radius: float, bottom: float, top: float) -> list[Part]:
    """Hidden colliding stand-in for an upright cylinder: two crossed boxes, hull an octagon."""
    long = radius * _OCTAGON * math.cos(math.pi / 8)
    short = radius * _OCTAGON * math.sin(math.pi / 8)
    middle, half = (top + bottom) / 2, (top - bottom) / 2
    return [
        box((long, short, half), (0, 0, middle), None),
        box((short, long, half), (0, 0, middle), None),
    ]


def hexagon(apothem: float, bottom: float, top: float) -> list[Part]:
    """Hidden colliding hexagonal slab: three boxes, each from one side to the opposite one."""
    middle, half = (top + bottom) / 2, (top - bottom) / 2
    size = (apothem, apothem * math.tan(math.pi / 6), half)
    return [box(size, (0, 0, middle), None, yaw=k * math.pi / 3) for k in range(3)]


def walls(
    apothems: Sequence[float],
    sides: int,
    bottom: float,
    height: float,
    thickness: float,
    flare: float,
    paint: Paint,
) -> list[Part]:
    """Walls of a regular or rectangular container, leaning outwards by `flare` rad.

    `apothems` are the distances from the axis to the inner faces at height `bottom`, cycled over
    the sides; for a rectangle these are its half length and half width.
    """
    parts = []
    for k in range(sides):
        yaw = 2 * math.pi * k / sides
        apothem, neighbour = apothems[k % len(apothems)], apothems[(k + 1) % len(apothems)]
        reach = height * math.sin(flare)  # how far the upper rim stands out
        # At mid height, each wall is as long as its polygon's side, to close the corners.
        if sides == 4:
            half_length = neighbour + reach / 2 + (thickness if k % 2 == 0 else 0.0)
        else:
            half_length = (apothem + reach / 2 + thickness) * math.tan(math.pi / sides)
        up = np.array([math.sin(flare), 0.0, math.cos(flare)])
        out = np.array([math.cos(flare), 0.0, -math.sin(flare)])
        centre = np.array([apothem, 0, bottom]) + up * height / 2 + out * thickness / 2
        turn = quat_to_matrix(yaw_quat(yaw))
        tilt = (math.cos(flare / 2), 0.0, math.sin(flare / 2), 0.0)
        parts.append(
            primitive(
                "box",
                (thickness / 2, half_length, height / 2),
                (turn @ centre).tolist(),
                paint,
                quat=_multiply(yaw_quat(yaw), tilt),
            )
        )
    return parts


def _multiply(p: Sequence[float], q: Sequence[float]) -> tuple[float, ...]:
    a, b, c, d = p
    e, f, g, h = q
    return (
        a * e - b * f - c * g - d * h,
        a * f + b * e + c * h - d * g,
        a * g - b * h + c * e + d * f,
        a * h + b * g - c * f + d * e,
    )


def corners(part: Part) -> np.ndarray:
    """Corners [8, 3] of the part's oriented bounding box in the body frame."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    return (signs * extents(part)) @ quat_to_matrix(part.quat).T + np.array(part.pos)


# A part that ends this far above the table takes no weight, m.
_CLEAR = 1e-3


def stand_on_one(parts: Sequence[Part]) -> list[Part]:
    """Let only the colliding part with the largest base reach the table.

    Every part that stands on the table costs the solver up to four contacts in every step and adds
    nothing: the others end a millimetre higher and catch the object if it tilts.
    """
    ends = {i: corners(part) for i, part in enumerate(parts) if part.collide}
    standing = {i: c for i, c in ends.items() if c[:, 2].min() < 1e-4}
    if not standing:
        return list(parts)
    base = max(standing, key=lambda i: float(np.prod(np.ptp(standing[i][:, :2], axis=0))))
    return [raised(part) if i in standing and i != base else part for i, part in enumerate(parts)]


def raised(part: Part) -> Part:
    """The part with its lower end `_CLEAR` higher; an upright box keeps its top where it is."""
    upright = part.quat[1] == part.quat[2] == 0.0
    if part.shape == "box" and upright and part.size[2] > _CLEAR:
        size = rounded((*part.size[:2], part.size[2] - _CLEAR / 2))
        pos = rounded((*part.pos[:2], part.pos[2] + _CLEAR / 2))
    else:
        size, pos = part.size, rounded((*part.pos[:2], part.pos[2] + _CLEAR))
    return part.model_copy(update={"size": size, "pos": pos})


def finish(
    parts: Sequence[Part],
    *,
    density: float,
    friction: float,
    grasp: tuple[float, float] | None = None,
    place: tuple[float, float] | None = None,
    round_radius: float | None = None,
) -> Draft:
    """Measures the parts and closes the draft.

    `grasp` is (height, width) of a grip on the body's axis closing along y; without it, the rim.
    `place` is (height, usable radius) of a receptacle's floor. `round_radius` bounds a footprint
    that is rounder than its parts' corners. The density is moved, if it must, to keep the mass in
    `MASS_RANGE`: a shape drawn at random can be too light to be real.
    """
    parts = stand_on_one(parts)
    points = np.concatenate([corners(part) for part in parts])
    height = float(points[:, 2].max())
    radius = round_radius or float(np.linalg.norm(points[:, :2], axis=1).max())
    volume = mass_properties(parts, 1.0).volume
    density = min(max(density, MASS_RANGE[0] / volume), MASS_RANGE[1] / volume)
    z, width = grasp or (height, 0.0)
    floor, usable = place or (height, 0.0)
    return Draft(
        parts=tuple(parts),
        density=math.ceil(density * 10) / 10,
        friction=round(friction, 3),
        grasp=rounded((0.0, 0.0, z, math.pi / 2, width)),  # type: ignore[arg-type]  # five
        place=rounded((0.0, 0.0, floor, usable)),  # type: ignore[arg-type]  # four
        height=round(height, 6),
        radius=round(radius, 6),
    )


def graspable(
    rng: np.random.Generator,
    parts: Sequence[Part],
    density: float,
    grip: tuple[float, float],
    *,
    round_radius: float | None = None,
    flat: float = 0.0,
) -> Draft:
    """`finish` for a thing to pick, with an ordinary dry surface.

    `grip` is (height, width) of the grip; `flat` the usable radius of a flat top.
    """
    place = None
    if flat:
        place = (max(float(corners(part)[:, 2].max()) for part in parts), flat)
    return finish(
        parts, density=density, friction=rng.uniform(0.8, 1.0), grasp=grip, place=place,
        round_radius=round_radius,
    )  # fmt: skip
