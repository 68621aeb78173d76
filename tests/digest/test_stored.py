"""A digest as bytes, in a pickle, as a copy, and shared by threads."""

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spanmill
from spanmill.errors import DigestError
from tests.digest.oracle import STREAMS


def digest_of(n: int, *, seed: int = 0, max_bytes: int = 1600) -> spanmill.Digest:
    """Give a digest of n lognormal values."""
    digest = spanmill.Digest(max_bytes)
    digest.add(STREAMS["lognormal"](np.random.default_rng(seed), n))
    return digest


@pytest.mark.parametrize("n", [0, 1, 100, 5_000, 200_000])
def test_bytes_come_back_bit_for_bit(n: int) -> None:
    """What `to_bytes` wrote reads back equal, answers the same and writes the same."""
    digest = digest_of(n)

    back = spanmill.Digest.from_bytes(digest.to_bytes())

    assert digest == back
    assert digest.to_bytes() == back.to_bytes()
    assert np.array_equal(digest.quantiles([0.1, 0.9]), back.quantiles([0.1, 0.9]), equal_nan=True)
    assert (digest.count, digest.refused, digest.sum) == (back.count, back.refused, back.sum)


@given(st.integers(256, 20_000), st.integers(0, 30_000))
def test_bytes_stay_within_their_bound(max_bytes: int, n: int) -> None:
    """Whatever the bound and the count, `nbytes` is the length of the bytes, within the bound."""
    digest = digest_of(n, seed=n, max_bytes=max_bytes)

    assert digest.nbytes == len(digest.to_bytes()) <= max_bytes == digest.max_bytes


def test_a_stored_digest_grows_on() -> None:
    """One read from bytes takes more values as if it had always been there."""
    first = digest_of(1_000)
    back = spanmill.Digest.from_bytes(first.to_bytes())

    back.add([1e9])

    assert (first.count + 1, 1e9, first.min) == (back.count, back.max, back.min)


def test_a_large_digest_keeps_its_room() -> None:
    """One read from more bytes than the default keeps at least so many, and a wish can add."""
    data = digest_of(100_000, max_bytes=8_000).to_bytes()

    assert len(data) == spanmill.Digest.from_bytes(data).max_bytes
    assert 9_000 == spanmill.Digest.from_bytes(data, 9_000).max_bytes


def test_damage_is_told_from_strangers() -> None:
    """A flipped bit, a newer version, foreign and short bytes are each named for what they are."""
    data = bytearray(digest_of(5_000).to_bytes())
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1

    with pytest.raises(DigestError, match="checksum"):
        spanmill.Digest.from_bytes(bytes(flipped))
    with pytest.raises(DigestError, match="not a spanmill digest"):
        spanmill.Digest.from_bytes(b"PAR1" + bytes(data))
    with pytest.raises(DigestError):
        spanmill.Digest.from_bytes(bytes(data[:-3]))
    with pytest.raises(DigestError):
        spanmill.Digest.from_bytes(b"")


READERS = [
    spanmill.Digest.from_bytes,
    spanmill.Digest.from_trino,
    spanmill.Digest.from_datasketches,
    spanmill.Digest.from_tdunning,
]


@pytest.mark.parametrize("read", READERS, ids=lambda it: it.__name__)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_an_error(
    read: Callable[[bytes], spanmill.Digest], data: bytes
) -> None:
    """Bytes that are no digest raise `DigestError`, whatever they are, and nothing else."""
    try:
        digest = read(data)
    except DigestError:
        return
    assert digest.count >= 0


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_the_same_digest(protocol: int) -> None:
    """Pickling keeps every bit and the bound, under each protocol."""
    digest = digest_of(10_000, max_bytes=3_000)

    back = pickle.loads(pickle.dumps(digest, protocol))  # noqa: S301  our own bytes

    assert (digest, 3_000) == (back, back.max_bytes)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, spanmill.Digest.copy])
def test_a_copy_grows_apart(duplicate: Callable[[spanmill.Digest], spanmill.Digest]) -> None:
    """A copy is equal until one of the two changes."""
    digest = digest_of(10_000)

    copied = duplicate(digest)

    assert digest == copied
    copied.add(1.0)
    assert digest != copied
    assert 10_000 == digest.count


def test_equality_is_of_content() -> None:
    """Digests of the same values are equal, others and other objects are not; none is hashable."""
    assert digest_of(500) == digest_of(500)
    assert digest_of(500) != digest_of(501)
    assert digest_of(500) != "a digest"
    with pytest.raises(TypeError, match="unhashable"):
        hash(digest_of(1))


def test_threads_may_share_a_digest() -> None:
    """
    Values that eight threads add in pieces, while others ask, all count: count, sum and extremes
    are exact and no answer is torn.
    """
    values = STREAMS["lognormal"](np.random.default_rng(1), 400_000)
    digest = spanmill.Digest()
    done = threading.Event()

    def ask() -> int:
        asked = 0
        while not done.is_set():
            low, high = digest.quantiles([0.1, 0.9])
            assert not low > high
            asked += 1
        return asked

    with ThreadPoolExecutor(10) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        # Pieces on both sides of the size from which adding lets go of the interpreter.
        list(pool.map(digest.add, [*np.array_split(values, 64), values[:0]]))
        done.set()
        assert all(it.result() for it in asking)

    assert (len(values), values.min(), values.max()) == (digest.count, digest.min, digest.max)
    assert digest.sum == pytest.approx(values.sum(), rel=1e-9)


def test_digests_may_be_merged_into_each_other() -> None:
    """Two threads that merge two digests into each other, and one into itself, come to an end."""
    left, right = digest_of(1_000), digest_of(1_000, seed=1)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: pair[0].merge(pair[1]), [(left, right), (right, left)]))
    alone = digest_of(1_000)

    alone.merge(alone)

    assert 2_000 == alone.count
    # The second merge may see the first one's result, or not.
    assert {left.count, right.count} in ({2_000}, {2_000, 3_000})


def test_other_axes_do_not_merge() -> None:
    """A wide digest and a standard one refuse each other, and nothing of the call is merged."""
    standard, wide = digest_of(10), spanmill.Digest(wide=True)

    with pytest.raises(DigestError, match="wide digest"):
        standard.merge(digest_of(10), wide)
    assert 10 == standard.count
    with pytest.raises(TypeError):
        standard.merge("a digest")


def test_resident_bytes_grow_with_use() -> None:
    """A table of stored digests takes little more than their bytes; a growing one more."""
    grown = digest_of(100_000)
    stored = spanmill.Digest.from_bytes(grown.to_bytes())

    assert stored.resident_bytes < grown.resident_bytes
    assert grown.resident_bytes < 1_000_000
