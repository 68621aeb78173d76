"""The exact answers: every value kept and sorted, and how far off a read value's rank is."""

from typing import Final

import numpy as np

from bench.digest.streams import Floats

NAMED_RANKS: Final = (0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
"""Ranks that the tables name."""

GRID: Final = tuple(step / 1000 for step in range(1, 1000))
"""Ranks whose worst error is the grid maximum."""

RANKS: Final = (*GRID, NAMED_RANKS[-1])
"""What is read from every digest: the grid, and the one named rank off it."""

PPM: Final = 1e6


class Truth:
    """
    All values of a stream, sorted.

    Args:
        values: The stream.
        weights: How often each value counts; `None`: once.
        tolerance: How far off a read value may be, relative to itself, before its rank counts.
    """

    def __init__(self, values: Floats, weights: Floats | None, tolerance: float) -> None:
        order = np.argsort(values, kind="stable")
        self._sorted = values[order]
        counted = np.ones(len(values)) if weights is None else weights[order]
        self._weight = np.concatenate([[0.0], np.cumsum(counted)])
        self._tolerance = tolerance

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self._weight[-1])

    def exact(self, ranks: Floats) -> Floats:
        """Give the smallest value whose share of values at or below it reaches each rank."""
        place = np.searchsorted(self._weight[1:], ranks * self.total, side="left")
        return self._sorted[np.minimum(place, len(self._sorted) - 1)]

    def rank_errors(self, read: Floats, ranks: Floats) -> Floats:
        """
        Measure each read value's distance in rank.

        Returns:
            From each rank to the interval [share below, share at or below] of the value read there,
            a share in [0, 1]. 1 where the value is no number.
        """
        slack = np.where(np.isfinite(read), np.abs(read) * self._tolerance, 0.0)
        below = self._share(read - slack, "left")
        through = self._share(read + slack, "right")
        off = np.maximum(np.maximum(below - ranks, ranks - through), 0.0)
        return np.where(np.isnan(read), 1.0, off)

    def value_errors(self, read: Floats, ranks: Floats) -> Floats:
        """Measure each read value's distance from the exact one, relative; NaN where that is 0."""
        exact = self.exact(ranks)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return np.where(exact == 0, np.nan, np.abs(read / exact - 1))

    def _share(self, edges: Floats, side: str) -> Floats:
        return self._weight[np.searchsorted(self._sorted, edges, side=side)] / self.total
