"""What may be added: any array-like, weights, and what is refused and counted."""

import array
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

import spanmill
from spanmill.errors import DigestError


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0, 3.0],
        (1, 2, 3),
        range(1, 4),
        np.array([1.0, 2.0, 3.0]),
        np.array([1, 2, 3], dtype=np.int64),
        np.array([1, 2, 3], dtype=np.float32),
        np.array([3.0, 2.0, 1.0])[::-1],
        np.array([[1.0, 9.0], [2.0, 9.0], [3.0, 9.0]])[:, 0],
        np.array([1.0, 2.0, 3.0], dtype=">f8"),
        array.array("d", [1.0, 2.0, 3.0]),
        memoryview(array.array("d", [1.0, 2.0, 3.0])),
        pa.array([1.0, 2.0, 3.0]),
    ],
    ids=lambda it: f"{type(it).__name__} {getattr(it, 'dtype', '')}",
)
def test_any_array_like_is_taken(values: ArrayLike) -> None:
    """Numbers arrive the same from every container, dtype, byte order and stride."""
    digest = spanmill.Digest()

    assert 0 == digest.add(values)
    assert ([1.0, 2.0, 3.0], 6.0) == (digest.quantiles([0.2, 0.5, 0.9]).tolist(), digest.sum)


@pytest.mark.parametrize("value", [2.5, np.float64(2.5), np.float32(2.5), np.array(2.5)])
def test_a_number_is_taken(value: ArrayLike) -> None:
    """One number is added as one value, whatever holds it."""
    digest = spanmill.Digest()
    digest.add(value)

    assert (1, 2.5) == (digest.count, digest.max)


@pytest.mark.parametrize("values", [[], np.array([]), np.empty((0, 3))])
def test_nothing_is_taken_as_nothing(values: ArrayLike) -> None:
    """An empty array adds nothing."""
    digest = spanmill.Digest()

    assert (0, 0) == (digest.add(values), digest.count)


def test_a_matrix_is_its_values() -> None:
    """Every element of an array counts, in either memory order, with its own weight."""
    rows = np.arange(6.0).reshape(2, 3)
    weights = np.array([[1, 2, 3], [4, 5, 6]])
    digests = [spanmill.Digest(), spanmill.Digest()]
    digests[0].add(rows, weights)
    digests[1].add(np.asfortranarray(rows), weights)

    assert 21 == digests[0].count
    assert digests[0] == digests[1]


@pytest.mark.parametrize("values", ["1.5", ["1.5"], 1j, None, [None], [1, "x"], {"a": 1}, b"12"])
def test_what_is_no_number_is_refused(values: ArrayLike) -> None:
    """Text, complex numbers and objects are a TypeError, not numbers by chance; none is added."""
    digest = spanmill.Digest()

    with pytest.raises(TypeError):
        digest.add(values)
    assert 0 == digest.count


def test_numpy_memory_is_read_in_place() -> None:
    """Adding 80 MB of float64 allocates no copy of it in Python."""
    values = np.random.default_rng(0).lognormal(0, 1, 10_000_000)
    digest = spanmill.Digest()

    tracemalloc.start()
    digest.add(values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(values) == digest.count
    assert peak < 1_000_000


@given(
    st.lists(
        st.one_of(
            st.floats(1e-6, 1e6),
            st.sampled_from([np.nan, np.inf, -np.inf, 1e-30, -1e25]),
        )
    )
)
def test_what_has_no_place_is_counted(values: list[float]) -> None:
    """
    NaN, infinities and values past the axis are returned and counted as refused, and the rest is
    added as if they had not been there.
    """
    kept = [it for it in values if 1e-6 <= it <= 1e6]
    digest, clean = spanmill.Digest(), spanmill.Digest()
    clean.add(kept)

    refused = digest.add(values)

    assert len(values) - len(kept) == refused == digest.refused
    assert (len(kept), clean.sum) == (digest.count, digest.sum)
    assert (clean.min, clean.max) == (digest.min, digest.max)


@given(st.lists(st.tuples(st.floats(0.001, 1e6), st.integers(1, 40)), min_size=1, max_size=30))
def test_a_weight_repeats_its_value(pairs: list[tuple[float, int]]) -> None:
    """A value of weight w counts as w values: count, sum and every quantile are the same."""
    values, weights = zip(*pairs, strict=True)
    weighted, repeated = spanmill.Digest(), spanmill.Digest()
    weighted.add(values, weights)
    repeated.add(np.repeat(values, weights))

    qs = np.linspace(0, 1, 101)
    assert sum(weights) == weighted.count == repeated.count
    assert weighted.sum == pytest.approx(repeated.sum, rel=1e-12, abs=1e-6)
    assert np.allclose(weighted.quantiles(qs), repeated.quantiles(qs), rtol=2e-7)


def test_weights_reach_a_trillion() -> None:
    """One value of weight 10**12 outweighs a million others by its weight."""
    digest = spanmill.Digest()
    digest.add([1.0, 2.0], [1, 10**12])

    assert 10**12 + 1 == digest.count
    assert [1.0, 2.0] == digest.quantiles([0.0, 1e-6]).tolist()
    assert digest.sum == 2e12 + 1


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1, 0], "weight 0 at place 1"),
        ([1, -1], "weight -1 at place 1"),
        ([2.5, 1], "weight 2.5 at place 0"),
        ([1, 10**12 + 1], "weight 1000000000001 at place 1"),
        ([1, np.nan], "weight NaN at place 1"),
        ([1, 1, 1], "2 values came with 3 weights"),
        (1, "2 values came with 1 weights"),
    ],
)
def test_a_wrong_weight_adds_nothing(weights: ArrayLike, said: str) -> None:
    """Weights that are not whole, in range and as many as the values say so; nothing is added."""
    digest = spanmill.Digest()
    digest.add([7.0])

    with pytest.raises(DigestError, match=said):
        digest.add([1.0, 2.0], weights)
    assert (1, 0, 7.0) == (digest.count, digest.refused, digest.quantile(0.5))


def test_a_refused_value_takes_its_weight_along() -> None:
    """A NaN of any weight adds nothing, and is one refused value."""
    digest = spanmill.Digest()

    assert 1 == digest.add([np.nan, 3.0], [5, 2])
    assert (2, 1) == (digest.count, digest.refused)


def test_answers_follow_what_is_added() -> None:
    """What was asked before does not stay when more is added."""
    digest = spanmill.Digest()
    seen = []
    for value in (1.0, 2.0, 3.0):
        digest.add(value)
        seen.append((digest.quantile(1.0), digest.cdf(1.0), digest.count))

    assert [(1.0, 1.0, 1), (2.0, 0.5, 2), (3.0, pytest.approx(1 / 3), 3)] == seen


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_rank_is_a_share(q: float) -> None:
    """A rank outside [0, 1] is an error that names it, and a ValueError as well."""
    digest = spanmill.Digest()
    digest.add([1.0, 2.0])

    for ask in (digest.quantile, digest.quantile_discrete, digest.rank_error):
        with pytest.raises(DigestError, match="not within 0 to 1"):
            ask(q)
    with pytest.raises(ValueError, match="not within 0 to 1"):
        digest.quantiles([0.5, q])


def test_an_array_is_answered_with_an_array() -> None:
    """Quantiles and shares of an array are a new, writable float64 array in the order asked."""
    digest = spanmill.Digest()
    digest.add([1.0, 2.0, 4.0, 8.0])

    found = digest.quantiles([0.9, 0.1])
    shares = digest.cdf(np.array([4.0, 0.5]))

    assert ([8.0, 1.0], [0.75, 0.0]) == (found.tolist(), shares.tolist())
    assert (np.float64, True) == (found.dtype, found.flags.writeable)
    assert isinstance(digest.cdf(4), float)


def test_too_few_bytes_are_refused() -> None:
    """A bound that no digest fits into says the least that works."""
    with pytest.raises(DigestError, match="give at least"):
        spanmill.Digest(16)
    with pytest.raises(DigestError, match="give at least"):
        spanmill.Digest(16, wide=True)


def test_a_digest_reads_well() -> None:
    """Its text says how many values it has and where they lie."""
    digest = spanmill.Digest()
    assert "<spanmill.Digest, empty>" == repr(digest)

    digest.add([0.5, 2.0])
    assert "<spanmill.Digest of 2 values from 0.5 to 2>" == repr(digest)
