"""The exact answer, by sorting every value: what each estimate is held against."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

KEY_SLACK: Final = 1.2e-7
"""Relative width of one step of the key axis: values closer than this are one value."""


def rank_errors(ordered: Floats, qs: Floats, values: Floats) -> Floats:
    """
    Measure how far each value's ranks are from where it was asked for.

    Args:
        ordered: Every value, sorted.
        qs: Ranks asked for, in [0, 1].
        values: What was answered.

    Returns:
        Shares of the count: distances from q to the ranks [below, at or below] of the answer.
    """
    slack = np.abs(values) * KEY_SLACK
    below = np.searchsorted(ordered, values - slack, "left") / len(ordered)
    through = np.searchsorted(ordered, values + slack, "right") / len(ordered)
    return np.maximum(0.0, np.maximum(below - qs, qs - through))


def discrete(ordered: Floats, qs: Floats) -> Floats:
    """Give the smallest value that at least a share q is at or below, without interpolating."""
    return np.quantile(ordered, qs, method="inverted_cdf")


Stream = Callable[[np.random.Generator, int], Floats]


def _bimodal(rng: np.random.Generator, n: int) -> Floats:
    fast, slow = rng.lognormal(np.log(5), 0.2, n), rng.lognormal(np.log(1500), 0.3, n)
    return np.where(rng.random(n) < 0.96, fast, slow)


def _log_uniform(rng: np.random.Generator, n: int) -> Floats:
    return 10.0 ** rng.uniform(-18, 18, n)


def _drift(rng: np.random.Generator, n: int) -> Floats:
    return rng.lognormal(0, 0.5, n) * np.linspace(1, 10, n)


def _mixed_sign(rng: np.random.Generator, n: int) -> Floats:
    return rng.normal(0, 1, n)


STREAMS: Final[Mapping[str, Stream]] = MappingProxyType(
    {
        "lognormal": lambda rng, n: rng.lognormal(4, 1, n),
        "uniform": lambda rng, n: rng.uniform(0, 1, n),
        "exponential": lambda rng, n: rng.exponential(1, n),
        "pareto": lambda rng, n: 1 + rng.pareto(1.5, n),
        "bimodal": _bimodal,
        "drift": _drift,
        "mixed sign": _mixed_sign,
        "log-uniform": _log_uniform,
        "sorted": lambda rng, n: np.sort(rng.lognormal(4, 1, n)),
    }
)
"""Continuous laws of a million values and more, which the accuracy gates are stated for."""

GAPS: Final = frozenset({"bimodal"})
"""Streams with a stretch of the axis that holds nothing, beside which a digest errs most."""
