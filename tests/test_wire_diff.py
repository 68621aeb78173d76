"""The walker against Google's protobuf: every corner by name, and a bounded random sample."""

import pytest

from tests.peers.wire_cases import CORNERS
from tests.peers.wire_diff import Tally, compare_chunk, disagreement

SAMPLE_CHUNKS = 20


@pytest.mark.parametrize("data", CORNERS.values(), ids=CORNERS.keys())
def test_walker_agrees_on_every_corner_of_the_format(data: bytes) -> None:
    """Each subtle rule of protobuf's wire format is the walker's rule too."""
    assert None is disagreement(data)


def test_walker_agrees_with_protobuf_on_random_and_mutated_bytes() -> None:
    """
    On 20,000 random and mutated requests the walker accepts exactly what Google's
    protobuf accepts, reads the same fields, and never panics.
    """
    tally = Tally()
    for chunk in range(SAMPLE_CHUNKS):
        tally.add(compare_chunk(chunk))

    assert [] == tally.disagreements
    assert 20_000 == tally.cases
    # A sample that is nearly all valid or nearly all broken would test one half only.
    assert 0.2 < tally.accepted_in_full / tally.cases < 0.8
