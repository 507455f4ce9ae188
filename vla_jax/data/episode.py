"""A recorded episode, frame by frame, and the action chunks in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Episode(NamedTuple):
    """T frames of one episode on the host."""

    tasks: tuple[str, ...]  # what is asked for, frame by frame
    image: np.ndarray  # u8[T, H, W, 3] fixed camera
    wrist: np.ndarray  # u8[T, h, w, 3] wrist camera
    state: np.ndarray  # f32[T, P]
    action: np.ndarray  # f32[T, 7] what was done in that state


def action_chunks(action: np.ndarray, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    """What follows each frame of an episode.

    Args:
        action: f32[T, A].
        chunk: C, actions of a chunk.

    Returns:
        chunks f32[T, C, A], beyond the end the last action again, and bool[T, C] true where a step
        is only such a repetition.
    """
    steps = np.arange(len(action))[:, None] + np.arange(chunk)
    return action[np.minimum(steps, len(action) - 1)], steps >= len(action)
