"""`crick`."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import crick

from bench.digest.contender import Facts
from bench.digest.in_process import Peer, Sketch
from bench.digest.streams import Floats

_HEADER_BYTES: Final = 32
"""What it pickles beside the centroids: compression, weight, minimum and maximum, 8 B each."""


class _Digest(Sketch):
    def __init__(self, digest: crick.TDigest) -> None:
        self.digest = digest
        self.add = digest.update
        self.add_one = digest.add

    def add_weighted(self, values: Floats, weights: Floats) -> None:
        self.digest.update(values, weights)

    def finish(self) -> None:
        # Reading merges what is in the buffer.
        self.digest.quantile(0.5)

    def quantiles(self, ranks: Sequence[float]) -> Sequence[float]:
        found: Sequence[float] = self.digest.quantile(ranks)
        return found

    def nbytes(self) -> int:
        return _HEADER_BYTES + int(self.digest.centroids().nbytes)


def _combine(parts: Sequence[Sketch], parameter: float) -> Sketch:
    merged = crick.TDigest(parameter)
    merged.merge(*(part.digest for part in parts))  # type: ignore[attr-defined]
    return _Digest(merged)


PEERS: Final = (
    Peer(
        Facts(
            "crick", "Python", version("crick"), "compression", range(20, 401), 100, weighted=True
        ),
        lambda parameter: _Digest(crick.TDigest(parameter)),
        _combine,
    ),
)
