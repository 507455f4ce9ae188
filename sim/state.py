"""Settings and state of the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax

from sim.episode import Episode
from sim.physics.base import PhysicsState
from sim.randomize import Randomization

# A command that starts later than this part of the control period would not be carried out before
# the next one: the servos' targets take the rest to arrive (`sim.physics.base.ramp`).
_LATEST = 0.4


@dataclass(frozen=True)
class EnvConfig:
    """Settings of the environment; the defaults are the paper's task (5 Hz, 100 control steps)."""

    # Control steps per second; a multiple of the scenes' physics step fits between two.
    control_hz: float = 5.0
    # Control steps of an episode, and of an action chunk.
    episode_steps: int = 100
    chunk: int = 4
    # Control steps in a row that must satisfy the success test.
    hold_steps: int = 1
    # Sides of the fixed and the wrist camera's square pictures, pixels.
    image_size: int = 64
    wrist_size: int = 32
    # "sparse": 1 on success. "shaped": differences of the potential, and 1 on success.
    reward: str = "sparse"
    randomization: Randomization = Randomization()
    # The target pose leads the measured tool by at most this far, m.
    lead: float = 0.08

    def __post_init__(self) -> None:
        if self.reward not in ("sparse", "shaped"):
            raise ValueError(f"unknown reward {self.reward!r}: choose 'sparse' or 'shaped'")
        for name in ("episode_steps", "chunk", "hold_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if not self.control_hz > 0.0:
            raise ValueError(f"control_hz is {self.control_hz}: it must be positive")
        if self.episode_steps % self.chunk:
            raise ValueError(
                f"episode_steps {self.episode_steps} is no multiple of chunk {self.chunk}"
            )
        for name, part in (("latency", _LATEST), ("delay", 1.0)):
            longest = part / self.control_hz
            value = getattr(self.randomization, name)
            if value > longest * (1.0 + 1e-6):
                raise ValueError(
                    f"randomization: {name} is {value} s, but at {self.control_hz} control steps "
                    f"a second it can be {longest:.4g} s at most; lower it or control_hz"
                )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EnvState:
    """State of N environments."""

    physics: PhysicsState
    episode: Episode  # what was drawn at the last reset
    joints: jax.Array  # f32[N, J] commanded arm joint angles, rad
    tool: jax.Array  # f32[N, 3] commanded tool position, m
    tool_quat: jax.Array  # f32[N, 4] commanded tool orientation, wxyz
    closing: jax.Array  # f32[N] 1 where the gripper is commanded to close
    time: jax.Array  # i32[N] control steps since reset
    held: jax.Array  # i32[N] control steps in a row that satisfied the success test
    potential: jax.Array  # f32[N]
    key: jax.Array  # key[N]
    # f32[N, nq] configuration one control step ago; None without an observation delay
    previous: jax.Array | None = None

    @property
    def scene(self) -> jax.Array:
        """i32[N] index into the scene batch."""
        return self.episode.scene

    @property
    def phrase(self) -> jax.Array:
        """i32[N] which wording of the instruction."""
        return self.episode.phrase


class Outcome(NamedTuple):
    """What a chunk of control steps brought, before anything is reset; each [N]."""

    reward: jax.Array  # f32
    success: jax.Array  # bool
    saturated: jax.Array  # bool: the physics engine ran out of room for contacts
