"""What the environment shows: observations, transitions and the training-only privileged state."""

from __future__ import annotations

from dataclasses import dataclass

import jax


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observation:
    """All that the policy sees; no pose of any object is in it."""

    image: jax.Array  # u8[N, H, W, 3] fixed camera, sRGB
    wrist: jax.Array  # u8[N, h, w, 3] wrist camera, sRGB
    proprio: jax.Array  # f32[N, P] joint angles, finger opening, tool pose from the joints
    instruction: jax.Array  # i32[N, L] word tokens, 0 is padding


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Step:
    """One transition. After an automatic reset `observation` is the new episode's first."""

    observation: Observation
    reward: jax.Array  # f32[N]
    terminated: jax.Array  # bool[N] the task is solved, or the physics broke
    truncated: jax.Array  # bool[N] time is up
    success: jax.Array  # bool[N]
    info: dict[str, jax.Array]  # each [N]; see Env.step
