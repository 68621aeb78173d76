"""The judge of the digest bench: how far off a rank is, checked against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.digest.model import Truth

TOLERANCE = 1e-7


def truth(values: list[float], weights: list[float] | None = None) -> Truth:
    """Know everything about a few values."""
    return Truth(np.array(values), None if weights is None else np.array(weights), TOLERANCE)


@pytest.mark.parametrize(
    ("read", "rank", "error"),
    [
        (20, 0.5, 0.0),  # 20 spans the ranks from 0.25 to 0.75
        (20, 0.9, 0.15),
        (20, 0.1, 0.15),
        (25, 0.75, 0.0),  # between two values: exactly one rank
        (25, 0.5, 0.25),
        (5, 0.0, 0.0),
        (99, 0.5, 0.5),
        (float("inf"), 0.5, 0.5),
        (float("nan"), 0.5, 1.0),
    ],
)
def test_rank_errors_count_ties_as_an_interval(read: float, rank: float, error: float) -> None:
    """
    A read value stands for all ranks that its copies hold; its error is the distance to them.
    What is no number is as wrong as can be.
    """
    found = truth([10, 20, 20, 30]).rank_errors(np.array([read]), np.array([rank]))

    assert pytest.approx(error) == found[0]


def test_a_value_off_by_a_key_is_met() -> None:
    """What f32 and our keys cannot tell apart costs no ranks; ten times that does."""
    exact = truth([1.0, 2.0, 3.0])

    near, far = exact.rank_errors(np.array([2.0 - 1e-7, 2.0 - 4e-6]), np.array([0.6, 0.6]))

    assert 0 == near
    assert pytest.approx(0.6 - 1 / 3) == far


def test_weights_count_as_repeats() -> None:
    """A value of weight 3 is judged as the same value three times."""
    ranks = np.linspace(0, 1, 23)
    read = np.array([1.0, 2.0, 3.0, 4.0] * 6)[:23]

    weighted = truth([3, 1, 2], [2, 3, 1])
    repeated = truth([3, 3, 1, 1, 1, 2])

    assert repeated.total == weighted.total
    assert repeated.exact(ranks).tolist() == weighted.exact(ranks).tolist()
    assert repeated.rank_errors(read, ranks).tolist() == pytest.approx(
        weighted.rank_errors(read, ranks).tolist()
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_the_exact_value_has_no_error(values: list[float], rank: float) -> None:
    """Reading the exact quantile costs nothing, at every rank, ties and all."""
    exact = truth(values)
    ranks = np.array([rank])

    assert [0] == exact.rank_errors(exact.exact(ranks), ranks).tolist()


def test_value_errors_are_relative_and_skip_zero() -> None:
    """Off by a tenth is 0.1 wherever it is; next to an exact 0 nothing is relative."""
    exact = truth([0, 10, -1000])

    found = exact.value_errors(np.array([-900, 5, 11]), np.array([0.1, 0.5, 0.9]))

    assert pytest.approx(0.1) == found[0]
    assert np.isnan(found[1])
    assert pytest.approx(0.1) == found[2]
