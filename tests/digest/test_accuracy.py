"""Large inputs: the stated gates, on a million values, through Python."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spanmill
from tests.digest.oracle import GAPS, STREAMS, Floats, discrete, rank_errors

N = 1_000_000
BATCH = 5_000
SEEDS = range(4)
PPM = 1e6

RANKS = np.array([0.5, 0.9, 0.99, 0.999, 0.9999])
GATES_PPM = np.array([80, 80, 40, 12, 5])
GRID = np.linspace(0.001, 0.999, 999)
GRID_MAX_PPM = 300
GRID_MAX_GAPS_PPM = 600


def filled(values: Floats, max_bytes: int = 1600, *, wide: bool = False) -> spanmill.Digest:
    """Give a digest of the values, added in batches as a stream brings them."""
    digest = spanmill.Digest(max_bytes, wide=wide)
    for start in range(0, len(values), BATCH):
        assert 0 == digest.add(values[start : start + BATCH])
    return digest


@pytest.mark.parametrize("law", STREAMS)
def test_ranks_stay_within_the_gates(law: str) -> None:
    """
    At 1,600 B and a million values added 5,000 at a time, the rank error at p50 to p99.99 and
    the largest on the grid 0.001 to 0.999 stay within the stated gates, at p95 over seeds.
    """
    at_ranks, at_grid = [], []
    for seed in SEEDS:
        values = STREAMS[law](np.random.default_rng(seed), N)
        digest = filled(values)
        values.sort()
        at_ranks.append(rank_errors(values, RANKS, digest.quantiles(RANKS)) * PPM)
        at_grid.append(rank_errors(values, GRID, digest.quantiles(GRID)).max() * PPM)
        assert 1600 >= digest.nbytes

    assert (np.quantile(at_ranks, 0.95, axis=0) <= GATES_PPM).all(), at_ranks
    assert (GRID_MAX_GAPS_PPM if law in GAPS else GRID_MAX_PPM) >= np.quantile(at_grid, 0.95)


def test_three_hundred_decades_fit_a_wide_digest() -> None:
    """Log-uniform data over ±150 decades, which defeats t-digests on a linear axis, is as good."""
    values = 10.0 ** np.random.default_rng(0).uniform(-150, 150, N)
    digest = filled(values, wide=True)
    values.sort()

    assert GRID_MAX_PPM >= rank_errors(values, GRID, digest.quantiles(GRID)).max() * PPM


def test_half_of_each_value_is_half_of_each_value() -> None:
    """Two values at 50/50 are two values: no rank between them is answered with a third."""
    values = np.tile([0.05, 1.2], N // 2)

    answers = filled(values).quantiles([0.1, 0.49, 0.51, 0.9])

    assert np.allclose([0.05, 0.05, 1.2, 1.2], answers, rtol=1e-7)


def test_a_discrete_quantile_is_never_in_a_gap() -> None:
    """Where no request took 8 to 1,499 ms, none of 1,000 discrete quantiles lies there."""
    rng = np.random.default_rng(1)
    values = np.where(rng.random(200_000) < 0.95, rng.uniform(2, 8, 200_000), 1500.0)
    digest = filled(values)

    answers = np.array([digest.quantile_discrete(q) for q in np.linspace(0, 1, 1000)])

    assert not ((answers > 8.0 * (1 + 1e-7)) & (answers < 1500.0 * (1 - 1e-7))).any()


@pytest.mark.parametrize("law", STREAMS)
def test_more_of_a_share_is_never_less_of_a_value(law: str) -> None:
    """Over 10,000 ranks the quantile never falls, nor does the share at or below it."""
    digest = filled(STREAMS[law](np.random.default_rng(7), 100_000))

    values = digest.quantiles(np.linspace(0, 1, 10_000))

    assert (np.diff(values) >= 0).all()
    assert (np.diff(digest.cdf(values)) >= 0).all()


@pytest.mark.parametrize("law", STREAMS)
def test_cdf_inverts_quantile(law: str) -> None:
    """The share at or below the q-quantile is q again, to the resolution of the axis."""
    digest = filled(STREAMS[law](np.random.default_rng(8), 100_000))
    qs = np.linspace(0.01, 0.99, 197)

    assert np.abs(digest.cdf(digest.quantiles(qs)) - qs).max() < 2e-5


@pytest.mark.parametrize("law", STREAMS)
def test_weights_sum_to_the_count(law: str) -> None:
    """However a stream is compressed, its centroids ascend and weigh as much as it had values."""
    means, weights = filled(STREAMS[law](np.random.default_rng(9), 100_000)).centroids()

    assert 100_000 == weights.sum()
    assert (np.diff(means) >= 0).all()


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from(sorted(STREAMS)))
def test_merged_parts_answer_for_the_whole(seed: int, parts: int, law: str) -> None:
    """
    Parts merged in one call are as good as one digest within twice its error, and count,
    extremes and refusals add up exactly.
    """
    values = STREAMS[law](np.random.default_rng(seed), 20_000)
    split = [filled(part) for part in np.array_split(values, parts)]

    merged = spanmill.Digest().merge(*split)

    ordered = np.sort(values)
    assert (len(values), ordered[0], ordered[-1]) == (merged.count, merged.min, merged.max)
    # To half a nano-unit a value, which is what a sum is kept in.
    assert merged.sum == pytest.approx(values.sum(), rel=1e-12, abs=0.5e-9 * len(values))
    grid = np.linspace(0.01, 0.99, 99)
    assert 3000 >= rank_errors(ordered, grid, merged.quantiles(grid)).max() * PPM


def test_merging_with_empty_changes_nothing() -> None:
    """A merge with an empty digest, on either side, keeps every bit."""
    digest = filled(STREAMS["lognormal"](np.random.default_rng(3), 50_000))
    before = digest.to_bytes()

    assert before == digest.merge(spanmill.Digest()).to_bytes()
    assert before == spanmill.Digest().merge(digest).to_bytes()


def test_parts_of_one_merge_have_no_order() -> None:
    """The bits of a merge are the same for any order of its arguments."""
    values = STREAMS["bimodal"](np.random.default_rng(4), 30_000)
    parts = [filled(part) for part in np.array_split(values, 4)]

    stored = {spanmill.Digest().merge(*them).to_bytes() for them in itertools.permutations(parts)}

    assert 1 == len(stored)


def test_a_larger_bound_gives_smaller_errors() -> None:
    """Four times the bytes make the largest error on the grid a good deal smaller."""
    values = STREAMS["lognormal"](np.random.default_rng(5), 300_000)
    ordered = np.sort(values)
    errors = {}
    for max_bytes in (800, 3200):
        digest = filled(values, max_bytes)
        assert max_bytes >= digest.nbytes
        errors[max_bytes] = rank_errors(ordered, GRID, digest.quantiles(GRID)).max()

    assert errors[800] > 1.5 * errors[3200]


def test_the_stated_error_holds() -> None:
    """On every law of the gates, at every rank of the grid, the real error is within the stated."""
    for law, stream in STREAMS.items():
        values = stream(np.random.default_rng(6), 200_000)
        digest = filled(values)
        errors = rank_errors(np.sort(values), GRID, digest.quantiles(GRID))
        stated = np.array([digest.rank_error(q) for q in GRID])

        assert (errors <= stated + 1e-6).all(), law


def test_discrete_and_smooth_agree_where_there_is_no_gap() -> None:
    """On smooth data, naming a value costs no more than the spacing of the centroids."""
    values = STREAMS["uniform"](np.random.default_rng(2), 100_000)
    digest = filled(values)
    qs = np.linspace(0.05, 0.95, 19)

    smooth = digest.quantiles(qs)

    assert np.allclose(discrete(np.sort(values), qs), smooth, atol=1e-3)
    assert np.allclose(smooth, [digest.quantile_discrete(q) for q in qs], atol=2e-2)
