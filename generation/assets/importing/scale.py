"""Which way is up and how long is a unit, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from generation.assets.importing.asset import METRES, Array, Unit, Up
from generation.assets.importing.nouns import Prior

_UNIT_PENALTY = {"m": 0.0, "mm": 0.1, "cm": 0.15, "in": 0.6}
# Longest sides that generators and normalisers leave behind: unit cubes of side 1 and 2.
_NORMAL = ((0.9, 1.02), (1.8, 2.04))


@dataclass(frozen=True)
class Scale:
    """Metres per unit of the file, why, and how sure: 1 given, 0 guessed."""

    factor: float
    reason: str
    sure: float


def metric(
    longest: float, prior: Prior, *, size: float | None, unit: Unit, metres_by_standard: bool
) -> Scale:
    """Metres per unit of a mesh.

    A given size wins, then a given unit, then what makes the thing as long as its kind usually is.

    Args:
        longest: longest side in the file's units.
        prior: usual size of such a thing.
        size: longest side in m, if given.
        unit: of the file, if given or read.
        metres_by_standard: the format is defined in metres (glTF), although not all obey.
    """
    if size is not None:
        return Scale(size / longest, f"longest side given as {size:g} m", 1.0)
    if unit:
        return Scale(METRES[unit], f"unit {unit} given", 1.0)
    normalised = any(low <= longest <= high for low, high in _NORMAL)
    if metres_by_standard and prior.low / 2 <= longest <= prior.high * 2 and not normalised:
        return Scale(1.0, f"glTF is in metres, {longest:.3g} m is plausible", 0.9)
    middle, spread = math.sqrt(prior.low * prior.high), math.log(prior.high / prior.low) / 2

    def cost(name: str) -> float:
        off = abs(math.log(longest * METRES[name] / middle))
        return max(off - spread, 0.0) * 3 + off + _UNIT_PENALTY[name]

    best = min(_UNIT_PENALTY, key=cost)
    length = longest * METRES[best]
    # Toys and large sorts: metres are believed further from the usual than other units.
    slack = 2.2 if best == "m" else 1.6
    fits = prior.low / slack <= length <= prior.high * slack
    if fits and not (normalised and best != "m"):
        sure = 0.7 if prior.high < 6 * prior.low else 0.5
        return Scale(METRES[best], f"{longest:.4g} units are {length:.3g} m if {best}", sure)
    what = "normalised to a unit cube" if normalised else "in no unit that fits its kind"
    reason = f"{longest:.4g} units long, {what}: made {middle:.3g} m, usual for its kind"
    return Scale(middle / longest, reason, 0.3)


def up_vector(up: Up) -> Array | None:
    """The unit vector [3] of an axis name, None for ""."""
    if not up:
        return None
    vector = np.zeros(3)
    vector["xyz".index(up[-1])] = -1.0 if up.startswith("-") else 1.0
    return vector
