"""Small inputs: every answer is one of the values that went in, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spanmill
from tests.digest.oracle import discrete

ON_AXIS = st.one_of(
    st.just(0.0),
    st.floats(min_value=1e-18, max_value=1e18),
    st.floats(min_value=-1e18, max_value=-1e-18),
)
FEW = st.lists(ON_AXIS, min_size=1, max_size=190)
RANKS = np.linspace(0.0, 1.0, 201)


@given(FEW)
def test_few_values_are_exact_at_every_rank(values: list[float]) -> None:
    """Up to 190 values, a quantile is the very float64 that NumPy's inverted CDF names."""
    digest = spanmill.Digest()
    digest.add(values)

    assert discrete(np.sort(values), RANKS).tolist() == digest.quantiles(RANKS).tolist()
    assert digest.exact
    assert 0.0 == digest.rank_error(0.5)


@given(FEW)
def test_few_values_are_exact_when_asked_discretely(values: list[float]) -> None:
    """`quantile_discrete` agrees with NumPy's inverted CDF while the digest is exact."""
    digest = spanmill.Digest()
    digest.add(values)

    expected = discrete(np.sort(values), RANKS).tolist()
    assert expected == [digest.quantile_discrete(q) for q in RANKS]


@given(FEW)
def test_count_and_extremes_are_exact(values: list[float]) -> None:
    """Count, minimum and maximum are those of the values, and the sum is within rounding."""
    digest = spanmill.Digest()
    digest.add(values)

    assert (len(values), min(values), max(values)) == (digest.count, digest.min, digest.max)
    # A nano-unit a value, or the rounding of values too large for one.
    slack = 1e-9 * len(values) + 1e-15 * np.abs(values).sum()
    assert digest.sum == pytest.approx(np.sum(values), rel=1e-12, abs=slack)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60))
def test_a_wide_digest_takes_every_finite_float(values: list[float]) -> None:
    """Subnormals and 1e308 alike come back as they went in, with nothing refused."""
    digest = spanmill.Digest(wide=True)

    assert 0 == digest.add(values)
    assert discrete(np.sort(values), RANKS).tolist() == digest.quantiles(RANKS).tolist()


def test_an_empty_digest_says_so() -> None:
    """
    Of nothing there is no quantile: None where one value is asked for, NaN in an array, which
    no digest ever holds; count and sum are 0.
    """
    digest = spanmill.Digest()

    scalars = [digest.quantile(0.5), digest.quantile_discrete(0.5), digest.cdf(1.0)]
    assert [None] * 6 == [*scalars, digest.rank_error(0.5), digest.min, digest.max]
    assert np.isnan(digest.quantiles([0.5, 0.9])).all()
    assert np.isnan(digest.cdf([0.5, 0.9])).all()
    assert (0, 0, 0.0) == (digest.count, digest.refused, digest.sum)


def test_one_value_is_every_quantile() -> None:
    """A single value is at every rank, and 0.05 does not come back as 0.0499999983."""
    digest = spanmill.Digest()
    digest.add(0.05)

    assert [0.05] * 3 == digest.quantiles([0.0, 0.3, 1.0]).tolist()
