"""Statistics of states and actions, in the shape of openpi's files.

A stream of rows is summed up in one pass: mean and variance exactly (Chan's merge in float64), the
quantiles by a histogram whose bins double in width, two old bins making one new, whenever a value
falls outside. They are right to one bin, at most 1/2048 of the range from minimum to maximum.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_BINS = 8192


@dataclass(frozen=True)
class FeatureStats:
    """Statistics of one vector, each f64[D]."""

    mean: np.ndarray
    std: np.ndarray
    q01: np.ndarray
    q99: np.ndarray
    min: np.ndarray
    max: np.ndarray


class RunningStats:
    """Sums up rows as they come.

    Args:
        size: D, numbers in a row.
    """

    def __init__(self, size: int):
        self.count = 0
        self._mean = np.zeros(size)
        self._squares = np.zeros(size)  # sum of squared deviations from the mean
        self._min, self._max = np.full(size, np.inf), np.full(size, -np.inf)
        self._low, self._width = np.zeros(size), np.zeros(size)
        self._histogram = np.zeros((size, _BINS), np.int64)

    def update(self, rows: np.ndarray) -> None:
        """Add [..., D] rows; ValueError if they have another size or are not finite."""
        size = self._mean.size
        if rows.shape[-1:] != (size,):
            raise ValueError(f"rows of shape {rows.shape} do not have the {size} numbers expected")
        rows = rows.reshape(-1, size).astype(np.float64)
        if not len(rows):
            return
        if not np.isfinite(rows).all():
            raise ValueError("the data holds NaN or infinite numbers: repair or drop those rows")
        mean = rows.mean(0)
        squares = ((rows - mean) ** 2).sum(0)
        total = self.count + len(rows)
        gap = mean - self._mean
        self._squares += squares + gap**2 * (self.count * len(rows) / total)
        self._mean += gap * (len(rows) / total)
        self._min = np.minimum(self._min, rows.min(0))
        self._max = np.maximum(self._max, rows.max(0))
        for d in range(size):
            self._cover(d)
            bins = ((rows[:, d] - self._low[d]) / self._width[d]).astype(np.int64)
            # Rounding may put the maximum itself on the upper edge.
            self._histogram[d] += np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)
        self.count = total

    def _cover(self, d: int) -> None:
        """Make the histogram of one dimension reach from the minimum to the maximum."""
        low, high = self._min[d], self._max[d]
        if not self.count:
            smallest = max(abs(low), abs(high), 1e-6) * 1e-12
            self._low[d] = low
            self._width[d] = max(2.0 * (high - low), smallest) / _BINS
        half = _BINS // 2
        while low < self._low[d] or high > self._low[d] + _BINS * self._width[d]:
            merged = self._histogram[d].reshape(half, 2).sum(1)
            up = low >= self._low[d]
            if not up:
                self._low[d] -= _BINS * self._width[d]
            self._histogram[d] = np.concatenate(
                [merged, np.zeros(half, np.int64)][:: 1 if up else -1]
            )
            self._width[d] *= 2.0

    def quantile(self, q: float) -> np.ndarray:
        """The q-quantile f64[D] for q in [0, 1], to one bin."""
        below = np.cumsum(self._histogram, axis=1)
        wanted = q * self.count
        found = np.zeros(self._mean.size)
        for d in range(self._mean.size):
            i = min(int(np.searchsorted(below[d], wanted)), _BINS - 1)
            inside = self._histogram[d, i]
            part = (wanted - (below[d, i] - inside)) / inside if inside else 0.0
            found[d] = self._low[d] + (i + part) * self._width[d]
        return np.clip(found, self._min, self._max)

    def finish(self) -> FeatureStats:
        """The statistics so far; ValueError if there were no rows."""
        if not self.count:
            raise ValueError("no rows to sum up: the dataset is empty")
        return FeatureStats(
            mean=self._mean.copy(),
            std=np.sqrt(self._squares / self.count),
            q01=self.quantile(0.01),
            q99=self.quantile(0.99),
            min=self._min.copy(),
            max=self._max.copy(),
        )


def save_norm_stats(path: Path, stats: dict[str, FeatureStats]) -> None:
    """Write statistics by name ("state", "actions") in the shape of openpi's `norm_stats.json`."""
    plain: dict[str, Any] = {
        name: {key: value.tolist() for key, value in vars(feature).items()}
        for name, feature in stats.items()
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps({"norm_stats": plain}, indent=1))
