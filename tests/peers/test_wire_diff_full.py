"""The walker against Google's protobuf on a million cases, on every core."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.peers.wire_diff import CASES_PER_CHUNK, Tally, compare_chunk

CASES = 1_000_000
FIRST_CHUNK = 1_000_000
"""Far from the chunks of the bounded sample, so that the two never repeat each other."""


@pytest.mark.timeout(1800, method="thread")
def test_walker_agrees_with_protobuf_on_a_million_cases() -> None:
    """
    On 10^6 random and mutated requests the walker accepts exactly what Google's
    protobuf accepts, reads the same fields, and never panics.
    """
    tally = Tally()
    # Spawned, not forked: a child of a process that has threads may hang at once. A crash
    # of the walker breaks the pool, which fails this test.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        chunks = range(FIRST_CHUNK, FIRST_CHUNK + CASES // CASES_PER_CHUNK)
        for part in pool.map(compare_chunk, chunks, chunksize=10):
            tally.add(part)

    assert [] == tally.disagreements
    assert tally.cases == CASES
    assert 0.2 < tally.accepted_in_full / tally.cases < 0.8
