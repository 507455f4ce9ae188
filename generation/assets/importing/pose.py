"""Which of its resting poses a mesh is meant to stand in, and its frame on the table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from generation.assets.importing.asset import Array, Rest, Up
from generation.assets.importing.hold import height_map, hollow
from generation.assets.importing.nouns import Prior
from generation.assets.importing.rest import choose, down_of, rotation_down
from generation.assets.importing.scale import up_vector
from generation.assets.importing.solid import Solid
from generation.assets.mass import matrix_to_quat, quat_to_matrix

HOLDERS = frozenset(
    "mug cup bowl dish plate saucer pan pot saucepan skillet wok tray basket crate bin bucket "
    "container vase glass goblet tumbler pitcher jug teacup basin".split()
)
_NEAR = math.radians(20)  # a resting pose this near a direction is that direction's
_USUAL = {"z": 0.45, "y": 0.38}  # how much being an axis that modellers point up counts


def choose_rest(
    rests: Sequence[Rest], solid: Solid, hull_points: Array, prior: Prior, noun: str, up: Up
) -> tuple[Rest, str, float]:
    """The resting pose that becomes the body frame, why, and how sure that is from 0 to 1.

    A known up axis decides. Else every axis is tried: modellers point z or y up, things are
    heavier below, a vessel's hollow opens upwards, and what has no upright pose lies as it falls.

    Args:
        rests: stable poses in the frame of the mesh.
        solid: in the same frame.
        hull_points: [P, 3] corners of its hull.
        up: known upward axis, or "".

    Raises:
        AssetError: it rests in no pose.
    """
    known = up_vector(up)
    if known is not None:
        rest, reason = choose(rests, known, sure=prior.stands)
        return rest, f"{up} is up: {reason}", 0.9
    best: tuple[float, Rest, str] | None = None
    longest = max(float(np.ptp(hull_points[:, k])) for k in range(3))
    holder = noun.split()[-1:] and noun.split()[-1] in HOLDERS
    for name in ("z", "y", "x", "-z", "-y", "-x"):
        direction = up_vector(name)  # type: ignore[arg-type]  # the six names
        assert direction is not None
        near = [r for r in rests if math.acos(_cosine(r, direction)) < _NEAR]
        if not near:
            continue
        rest = max(near, key=lambda r: r.probability)
        height = float(np.ptp(hull_points @ direction))
        share = rest.height / max(height, 1e-9)
        score = _USUAL.get(name, 0.0) + 0.5 * min(
            rest.tip / math.radians(10 if prior.stands else 15), 1.0
        )
        score += 0.8 * (0.5 - share) + (0.05 if prior.stands else 1.0) * rest.probability
        if prior.stands:  # what stands is rather tall than flat
            score += 0.15 * height / longest
        if _opens(solid, direction):
            score += 0.7 if holder else 0.2
        if best is None or score > best[0]:
            best = (score, rest, name)
    if best is None:
        rest, reason = choose(rests, None, sure=False)
        return rest, reason, 0.4
    _, rest, name = best
    return rest, f"{name} taken as up: tips over at {math.degrees(rest.tip):.0f}°", 0.6


def _cosine(rest: Rest, direction: Array) -> float:
    return float(np.clip(-down_of(rest) @ direction, -1.0, 1.0))


def _opens(solid: Solid, direction: Array) -> bool:
    """Whether the solid has a hollow that opens in the direction of an axis."""
    axis = int(np.argmax(np.abs(direction)))
    cells = np.moveaxis(solid.cells, axis, 2)
    if direction[axis] < 0:
        cells = cells[:, :, ::-1]
    # Lengths relative to the size, as of a thing 0.1 m long: the scale may not be known yet.
    pitch = 0.1 / max(cells.shape)
    return hollow(height_map(cells, pitch / 2, pitch), (0.0, 0.0), pitch) is not None


def table_frame(rest: Rest, points: Array) -> tuple[Array, Array]:
    """Rotation [3, 3] and translation [3] from the mesh's to the body frame, in that order.

    z is up, the lowest of `points` [P, 3] at 0, the origin in the middle of the footprint, whose
    longer side lies along x; a footprint that is nearly aligned with the axes stays as it is.
    """
    turn = quat_to_matrix(rest.quat)
    flat = points @ turn.T
    yaw = _straight(flat[:, :2])
    c, s = math.cos(yaw), math.sin(yaw)
    rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ turn
    placed = points @ rotation.T
    low, high = placed.min(axis=0), placed.max(axis=0)
    return rotation, -np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])


def _straight(flat: Array) -> float:
    """The turn that lays the smallest bounding rectangle's longer side along x, rad."""
    steps = np.radians(np.arange(0.0, 90.0, 1.0))
    u = flat[:, :1] * np.cos(steps) - flat[:, 1:] * np.sin(steps)
    v = flat[:, :1] * np.sin(steps) + flat[:, 1:] * np.cos(steps)
    wide, deep = np.ptp(u, axis=0), np.ptp(v, axis=0)
    area = wide * deep
    k = int(np.argmin(area))
    if area[0] < 1.03 * area[k]:
        k = 0
    return float(steps[k] + (math.pi / 2 if deep[k] > 1.02 * wide[k] else 0.0))


def in_body_frame(rests: Sequence[Rest], chosen: Rest, rotation: Array) -> tuple[Rest, ...]:
    """The poses seen from the body frame, the chosen one first (as the identity)."""
    out = [Rest((1.0, 0.0, 0.0, 0.0), chosen.height, chosen.tip, chosen.probability)]
    for rest in rests:
        if rest is not chosen:
            turn = rotation_down(rotation @ down_of(rest))
            out.append(Rest(_quat(turn), rest.height, rest.tip, rest.probability))
    return tuple(out)


def _quat(matrix: Array) -> tuple[float, float, float, float]:
    w, x, y, z = (round(float(v), 9) + 0.0 for v in matrix_to_quat(matrix))
    return (w, x, y, z)
