"""The walker against Google's protobuf: every corner by name, and a bounded random sample."""

import json
from itertools import islice
from pathlib import Path

import pytest

from spanmill.errors import WireError
from tests.cores import open_core
from tests.peers.wire_cases import CORNERS, CaseMaker
from tests.peers.wire_diff import Tally, compare_chunk, disagreement, span_count

SAMPLE_CHUNKS = 20
INGESTED_CASES = 5_000

# A walker that runs for ever never comes back to Python: no signal would end it.
pytestmark = pytest.mark.timeout(60, method="thread")


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


def test_ingest_refuses_exactly_what_protobuf_refuses(tmp_path: Path) -> None:
    """
    The path that folds events accepts and refuses the same bytes as Google's protobuf; every
    refusal is counted, and the ledger has every span of what it accepted.
    """
    core = open_core(tmp_path)
    spans = refused = 0
    for data in (*CORNERS.values(), *islice(CaseMaker("ingest").cases(), INGESTED_CASES)):
        expected = span_count(data)
        if expected is None:
            with pytest.raises(WireError):
                core.ingest_traces(data)
            refused += 1
        else:
            core.ingest_traces(data)
            spans += expected

    ledger, stats = json.loads(core.ledger()), json.loads(core.stats())
    assert (spans, True) == (ledger["received"], ledger["balanced"])
    assert {"malformed": refused} == stats["requests"]["refused"]
    core.close()
