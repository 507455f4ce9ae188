"""How far the transfer domain lies from the training domain: every gap and its size."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Sizes and the largest value that makes sense.
_LIMITS = {
    "timestep": 0.05,
    "contact_time": 0.1,
    "torsion": 0.1,
    "mass": 0.95,
    "friction": 0.95,
    "stiffness": 0.95,
    "damping": 0.95,
    "latency": 1.0,
    "delay": 1.0,
    "camera": 0.2,
    "camera_turn": 0.5,
    "camera_fov": 0.5,
    "lights": 1.0,
    "gloss": 1.0,
    "haze": 0.9,
    "gamma": 1.0,
    "white_balance": 0.5,
    "blur": 8.0,
    "noise": 64.0,
}


@dataclass(frozen=True)
class TransferConfig:
    """Sizes of the gaps; zero or False closes one.

    A size is exact, only its direction is drawn: with a mass of 0.2 every object is 20 % heavier or
    20 % lighter than in training. Directions are fixed for an episode and descend from its seed.
    What an episode has anyway, from the randomization of the training domain, stays and is added.

    Raises:
        ValueError: a size is negative, not finite or too large.
    """

    # Objects collide as the convex hulls of what is seen of them, not as boxes in their place.
    hulls: bool = True
    # Another solver: implicit integration, friction ten times as stiff as contact (training: three
    # times), as many iterations as it wants, and several contacts for each pair of hulls.
    solver: bool = True
    # Physics step, s; 0 keeps training's. A control period must be a multiple of it.
    timestep: float = 0.01
    # Time constant of contacts, s; 0 keeps training's. MuJoCo makes it two physics steps at least,
    # which are 0.04 s in training.
    contact_time: float = 0.03
    # Torsional friction, m; training has none.
    torsion: float = 0.003

    # Every object's mass, all sliding friction, position and velocity gains: as a fraction.
    mass: float = 0.25
    friction: float = 0.2
    stiffness: float = 0.15
    damping: float = 0.2
    # From a command until the servos start, and age of what is seen, s; together with what training
    # has, at most 0.4 control periods and one.
    latency: float = 0.06
    delay: float = 0.1

    # Displacement of the fixed camera, m; both cameras' turn, rad, and field of view, a fraction.
    camera: float = 0.02
    camera_turn: float = 0.045
    camera_fov: float = 0.04

    # Another table top and another room.
    surfaces: bool = True
    # From training's lights (0) to three lamps elsewhere (1).
    lights: float = 1.0
    # Share of mirrored light: highlights on everything, and a table that reflects.
    gloss: float = 0.3
    # Share of fog between the fixed camera and what it looks at.
    haze: float = 0.05

    # What the camera makes of it: exponent and gain of the channels (natural logarithms), Gaussian
    # blur (pixels, standard deviation) and noise (8-bit steps), JPEG quality (0 does not compress).
    gamma: float = 0.2
    white_balance: float = 0.08
    blur: float = 0.5
    noise: float = 4.0
    jpeg: int = 70

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= limit):
                raise ValueError(f"transfer: {name} is {value}: give 0 ... {limit:g}")
        if not 0 <= self.jpeg <= 95:
            raise ValueError(f"transfer: jpeg is {self.jpeg}: give 0 (off) ... 95")

    @classmethod
    def none(cls) -> TransferConfig:
        """No gap but MuJoCo's renderer: physics exactly as in training on the native engine."""
        return cls(
            hulls=False, solver=False, surfaces=False, jpeg=0, **dict.fromkeys(_LIMITS, 0.0)
        )  # fmt: skip

    @property
    def changes_models(self) -> bool:
        """Whether scenes compile to other physics than in training."""
        sizes = (self.timestep, self.contact_time, self.torsion)
        return self.hulls or self.solver or any(sizes)


USUAL = TransferConfig()
"""The transfer domain that results are reported for."""
