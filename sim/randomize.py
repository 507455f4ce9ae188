"""Domain randomization: what varies from episode to episode, in one frozen dataclass.

The default list and its ranges are the paper's (arXiv 2603.18532): object position and yaw, joint
angles, camera position, ambient light. The terms it left out are off by default; `full()` turns
all of them on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Terms and the largest value that makes sense.
_LIMITS = {
    "object_xy": 10.0,
    "object_yaw": 2.0 * math.pi,
    "joints": math.pi,
    "camera": 10.0,
    "ambient_low": 10.0,
    "ambient_high": 10.0,
    "light_cone": 1.0,  # the light comes 0.52 rad from the vertical: it stays above the table
    "light_intensity": 1.0,
    "light_colour": 1.0,
    "fill": 10.0,
    "textures": 1.0,
    "surfaces": 1.0,
    "colour": 0.06,  # up to here every shade of a colour word stays nearest to its own word
    "camera_turn": 0.5,
    "camera_fov": 0.5,
    "blur": 0.8,  # what a kernel of three pixels can do
    "image_noise": 64.0,
    "jpeg": 90.0,
    "mass": 0.95,
    "friction": 0.95,
    "stiffness": 0.95,
    "damping": 0.95,
    "latency": 10.0,  # EnvConfig knows the control period and is stricter
    "delay": 10.0,
}
_DYNAMICS = ("mass", "friction", "stiffness", "damping", "latency")


@dataclass(frozen=True)
class Randomization:
    """Half-widths of uniform ranges around the scene's own value, unless said otherwise.

    Zero switches a term off, and a term that is off costs nothing.

    Raises:
        ValueError: a value is negative, not finite or too large, or a range is empty.
    """

    # Shift of every object on the table, m.
    object_xy: float = 0.15
    # Rotation of every object about the vertical, rad.
    object_yaw: float = 3.14159265
    # Start angle of every arm joint, rad.
    joints: float = 0.1
    # Position of the fixed camera, m.
    camera: float = 0.05
    # Ambient light per colour channel, from ... to.
    ambient_low: float = 0.0
    ambient_high: float = 0.6
    # Objects stay inside this rectangle of the table (x low, x high, y low, y high), m.
    workspace: tuple[float, float, float, float] = (0.16, 0.38, -0.22, 0.22)

    # Direction of the key light: half-angle of a cone around the usual one, rad.
    light_cone: float = 0.0
    # Strength of the key light, and of each of its colour channels, as a fraction.
    light_intensity: float = 0.0
    light_colour: float = 0.0
    # A second light without shadow from the other side: strength from 0 to this (the key light's
    # is 0.75).
    fill: float = 0.0
    # Probability that an episode takes its table and room from another scene of the batch.
    textures: float = 0.0
    # Each of the two colours of the table top and of those of the room without a panorama, sRGB in
    # [0, 1] per channel: with 0.3 there are table tops that no designer would choose.
    surfaces: float = 0.0
    # Colour of every object and robot link, sRGB in [0, 1] per channel.
    colour: float = 0.0
    # Orientation of both cameras, rad about each of their axes.
    camera_turn: float = 0.0
    # Field of view of both cameras, as a fraction.
    camera_fov: float = 0.0
    # Blur of every picture: standard deviation from 0 to this, pixels.
    blur: float = 0.0
    # Standard deviation of the noise of every pixel and channel, in 8-bit steps; Gaussian.
    image_noise: float = 0.0
    # Compression as JPEG, of a quality from 100 down to 100 minus this.
    jpeg: float = 0.0

    # Mass of every object, sliding friction of every surface, position gain of the servos, and
    # their velocity gain with the damping of the joints: as a fraction.
    mass: float = 0.0
    friction: float = 0.0
    stiffness: float = 0.0
    damping: float = 0.0
    # Time from a command until the servos start: from 0 to this, s; at most 0.4 control periods.
    latency: float = 0.0
    # Age of pictures and proprioception when they are seen: from 0 to this, s; at most one
    # control period.
    delay: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= limit):
                raise ValueError(f"randomization: {name} is {value}: give 0 ... {limit:g}")
        if self.ambient_low > self.ambient_high:
            raise ValueError(
                f"randomization: ambient_low {self.ambient_low} is above ambient_high "
                f"{self.ambient_high}"
            )
        if len(self.workspace) != 4 or not (
            self.workspace[0] <= self.workspace[1] and self.workspace[2] <= self.workspace[3]
        ):
            raise ValueError(
                f"randomization: workspace is {self.workspace}: give (x low, x high, y low, y high)"
            )

    @classmethod
    def none(cls) -> Randomization:
        """No randomization at all: every episode of a scene starts alike."""
        return cls(
            object_xy=0.0,
            object_yaw=0.0,
            joints=0.0,
            camera=0.0,
            ambient_low=0.3,
            ambient_high=0.3,
        )

    @classmethod
    def full(cls) -> Randomization:
        """Every term, at ranges for transfer to a real robot at 5 Hz."""
        return cls(
            light_cone=0.5,
            light_intensity=0.3,
            light_colour=0.1,
            fill=0.3,
            textures=0.5,
            surfaces=0.25,
            colour=0.04,
            camera_turn=0.05,
            camera_fov=0.05,
            blur=0.6,
            image_noise=3.0,
            jpeg=50.0,
            mass=0.3,
            friction=0.3,
            stiffness=0.15,
            damping=0.3,
            latency=0.04,
            delay=0.08,
        )

    @property
    def varies_dynamics(self) -> bool:
        """Whether any term needs physics of its own for every environment."""
        return any(getattr(self, name) > 0.0 for name in _DYNAMICS)
