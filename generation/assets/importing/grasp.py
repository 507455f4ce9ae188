"""Whether a parallel gripper that comes from above can lift a body, and where it takes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generation.assets.importing.asset import Array
from generation.assets.importing.primitives import Primitive
from generation.placing.access import OPENING

MAX_WIDTH = 0.05  # m, leaves 3 mm on either side
MAX_MASS = 0.4  # kg

_FINGER = 0.011  # thickness of a finger along the closing axis, m
_FINGER_HALF = 0.012  # half width of a finger across it, m
_TIP = 0.009  # how far the finger tips lie below the grasp point, m
_PALM = 0.04  # how far the palm lies above it, m
_PALM_HALF = (0.056, 0.014)  # half lengths of the palm along and across the closing axis, m
_MIN_HEIGHT = 0.008  # m, below which the pads hold nothing
_PATCH = 0.0015  # m, depth of the layer that a pad touches
_MIN_PATCH = 0.004  # m, width of what a pad touches
_MAX_ASIDE = 0.006  # m, of its middle from the pad's middle
_MAX_TORQUE = 0.06  # N m about the pads, from holding it off its centre of mass
_MAX_OFFSET = 0.045  # m
_YAWS = 12


@dataclass(frozen=True)
class Grasp:
    """A grip from above: point x, y, z in m, yaw of the closing axis in rad, width in m."""

    x: float
    y: float
    z: float
    yaw: float
    width: float


def find_grasp(body: Sequence[Primitive], com: Array, mass: float) -> tuple[Grasp | None, str]:
    """The best grip, or None and why there is none.

    The open gripper comes straight down: its fingers and its palm must meet nothing, what lies
    between the fingers must be no wider than they open, and both pads must touch flatly, opposite
    each other and near the centre of mass.

    Args:
        body: colliding primitives in the body frame.
        com: [3] centre of mass.
        mass: kg.
    """
    points = np.concatenate([_filled(one) for one in body])
    top = float(points[:, 2].max())
    if mass > MAX_MASS:
        return None, f"too heavy: {mass:.2f} kg, the gripper lifts {MAX_MASS} kg"
    if top < _MIN_HEIGHT:
        return None, f"too flat: {top * 1e3:.0f} mm high, the pads need {_MIN_HEIGHT * 1e3:.0f} mm"
    heights = {max(_TIP, top - _PALM + 0.005), max(_TIP, min(float(com[2]), top - 0.004))}
    heights |= {max(_TIP, top - 0.012)}
    angles = [k * math.pi / _YAWS for k in range(_YAWS)]
    angles += [math.atan2(a[1], a[0]) for one in body for a in one.rotation.T if abs(a[2]) < 0.5]
    yaws = np.unique(np.round(np.mod(angles, math.pi), 6))
    best: tuple[float, Grasp] | None = None
    narrow = math.inf
    for yaw in yaws:
        axis, across = (
            np.array([math.cos(yaw), math.sin(yaw)]),
            np.array([-math.sin(yaw), math.cos(yaw)]),
        )
        u, v = points[:, :2] @ axis, points[:, :2] @ across
        middle = float(com[:2] @ across)
        for z in sorted(heights):
            for shift in (0.0, -0.01, 0.01, -0.02, 0.02, -0.04, 0.04):
                for grip, cost in _grips(u, v, points[:, 2], middle + shift, z):
                    narrow = min(narrow, grip[1])
                    offset = math.hypot(grip[0] - float(com[:2] @ axis), shift)
                    if offset > _MAX_OFFSET or mass * 9.81 * offset > _MAX_TORQUE:
                        continue
                    total = cost + offset + 0.3 * abs(z - float(com[2]))
                    if best is None or total < best[0] - 1e-9:
                        x, y = grip[0] * axis + (middle + shift) * across
                        best = (total, Grasp(float(x), float(y), float(z), float(yaw), grip[1]))
    if best is not None:
        return best[1], f"{best[1].width * 1e3:.0f} mm wide at {best[1].z * 1e3:.0f} mm"
    if math.isinf(narrow):
        width = min(float(np.ptp(points[:, :2] @ [math.cos(y), math.sin(y)])) for y in yaws)
        if width > MAX_WIDTH:
            return None, f"too wide: {width * 1e3:.0f} mm, the gripper takes {MAX_WIDTH * 1e3:.0f}"
        return None, "no two opposite faces that the open gripper reaches from above"
    return None, "can be gripped only far from its centre of mass"


def _grips(
    u: Array, v: Array, height: Array, centre: float, z: float
) -> list[tuple[tuple[float, float], float]]:
    """Grips on the line v = centre at height z: ((middle u, width), cost of a poor contact)."""
    band = np.abs(v - centre) <= _FINGER_HALF
    low = band & (height >= z - _TIP)
    if not low.any():
        return []
    along = np.sort(u[low])
    gaps = np.flatnonzero(np.diff(along) > _FINGER + 0.002)
    starts, ends = np.r_[0, gaps + 1], np.r_[gaps, len(along) - 1]
    out = []
    for start, end in zip(starts, ends, strict=True):
        first, last = float(along[start]), float(along[end])
        width, middle = last - first, (first + last) / 2
        if not 0.002 < width <= MAX_WIDTH:
            continue
        beyond = np.abs(along - middle)
        if ((beyond > OPENING / 2) & (beyond < OPENING / 2 + _FINGER)).any():
            continue
        between = (beyond <= OPENING / 2) & ((along < first) | (along > last))
        under = (np.abs(u - middle) < _PALM_HALF[0]) & (np.abs(v - centre) < _PALM_HALF[1])
        if between.any() or (height[under] > z + _PALM).any():
            continue
        pads = low & (np.abs(height - z) <= 0.012) & (u >= first - 1e-9) & (u <= last + 1e-9)
        cost = _contact(u[pads], v[pads] - centre, width)
        if cost is not None:
            out.append(((middle, width), cost))
    return out


def _contact(u: Array, v: Array, width: float) -> float | None:
    """Cost in m of how the pads touch, None if they would slip."""
    if len(u) < 6 or np.ptp(u) < 0.8 * width:
        return None
    sides = [v[u <= u.min() + _PATCH], v[u >= u.max() - _PATCH]]
    apart = abs(float(sides[0].mean() - sides[1].mean()))
    flat = min(float(np.ptp(side)) for side in sides)
    # A patch at the end of the pads is a corner or a slope: it slips out.
    aside = max(abs(float(side.mean())) for side in sides)
    if apart > 0.006 or flat < _MIN_PATCH or aside > _MAX_ASIDE:
        return None
    return apart - 0.2 * min(flat, 0.02)


def _filled(one: Primitive) -> Array:
    """Points [P, 3] in a primitive, its surface included, at most about 6 mm apart."""
    a, b, _ = one.size
    if one.shape == "sphere":
        half = np.array([a, a, a])
    elif one.shape == "capsule":
        half = np.array([a, a, a + b])
    else:
        half = np.array(one.size)
    counts = np.clip(np.ceil(2 * half / 0.006).astype(int) + 1, 3, 28)
    axes = [np.linspace(-h, h, n) for h, n in zip(half, counts, strict=True)]
    local = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    if one.shape in ("sphere", "capsule"):
        # Points outside are drawn in to the surface.
        middle = np.zeros_like(local)
        if one.shape == "capsule":
            middle[:, 2] = np.clip(local[:, 2], -b, b)
        out = local - middle
        local = middle + out * np.minimum(
            1.0, a / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        )
    return local @ one.rotation.T + one.pos
