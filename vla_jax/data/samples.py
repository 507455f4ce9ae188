"""What of the samples is trained on, what is held out, and how minibatches are mixed of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vla_jax.data.demonstrations import Demonstrations


class SampleSet(NamedTuple):
    """Samples of one kind, and how they are used."""

    data: Demonstrations
    rows: int  # in each minibatch
    placed: bool = True  # whether it is known where things are
    train: np.ndarray | None = None  # bool[M] what is trained on; None: all
    heldout: np.ndarray | None = None  # bool[M] what is looked at; None: nothing


def demonstration_set(
    data: Demonstrations, rows: int, share: float, seed: int, *, placed: bool = True
) -> tuple[SampleSet, np.ndarray]:
    """Demonstrations with a share of them held out, and the scenes that are so as a whole."""
    heldout, scenes = split_heldout(data.source, share, seed)
    return SampleSet(data, rows, placed, ~heldout, heldout), scenes


def split_heldout(source: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose samples that are not trained on: whole scenes, or whole episodes of too few scenes.

    Args:
        source: i32[M, 2] scene and episode of every sample.
        share: of the scenes (episodes) that is held out, in [0, 1).
        seed: of the choice.

    Returns:
        bool[M] true where held out, and the scenes i32[S] that are held out as a whole.

    Raises:
        ValueError: there is but one episode.
    """
    none = np.zeros(0, np.int32)
    if share == 0.0:
        return np.zeros(len(source), bool), none
    rng = np.random.default_rng([seed, 0x4E1D])
    scenes, episodes = np.unique(source[:, 0]), np.unique(source[:, 1])
    if whole := round(share * len(scenes)):
        chosen = rng.permutation(scenes)[: min(whole, len(scenes) - 1)]
        return np.isin(source[:, 0], chosen), chosen
    if len(episodes) < 2:
        raise ValueError("all samples are of one episode: none can be held out; set heldout to 0")
    count = min(max(round(share * len(episodes)), 1), len(episodes) - 1)
    return np.isin(source[:, 1], rng.permutation(episodes)[:count]), none


def pools(sets: Sequence[SampleSet]) -> list[np.ndarray]:
    """Numbers of the joined samples that are trained on, set by set.

    Raises:
        ValueError: a set has none.
    """
    found, first = [], 0
    for part in sets:
        size = len(part.data.action)
        rows = np.arange(size) if part.train is None else np.flatnonzero(part.train)
        if not len(rows):
            raise ValueError("no samples to train on: hold out less or record more")
        found.append(first + rows)
        first += size
    return found


def heldout_rows(sets: Sequence[SampleSet]) -> np.ndarray:
    """Numbers of the joined samples that are held out."""
    masks = [
        np.zeros(len(part.data.action), bool) if part.heldout is None else part.heldout
        for part in sets
    ]
    return np.flatnonzero(np.concatenate(masks))
