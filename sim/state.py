"""Settings and state of the environment."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from sim.physics.base import PhysicsState
from sim.randomize import Randomization


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


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EnvState:
    """State of N environments."""

    physics: PhysicsState
    scene: jax.Array  # i32[N] index into the scene batch
    phrase: jax.Array  # i32[N] which wording of the instruction
    joints: jax.Array  # f32[N, J] commanded arm joint angles, rad
    tool: jax.Array  # f32[N, 3] commanded tool position, m
    tool_quat: jax.Array  # f32[N, 4] commanded tool orientation, wxyz
    closing: jax.Array  # f32[N] 1 where the gripper is commanded to close
    camera: jax.Array  # f32[N, 3] displacement of the fixed camera, m
    ambient: jax.Array  # f32[N, 3] ambient light
    time: jax.Array  # i32[N] control steps since reset
    held: jax.Array  # i32[N] control steps in a row that satisfied the success test
    potential: jax.Array  # f32[N]
    key: jax.Array  # key[N]
