"""`fastdigest`."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import fastdigest

from bench.digest.contender import Facts
from bench.digest.in_process import Peer, Sketch
from bench.digest.streams import Floats


class _Digest(Sketch):
    def __init__(self, digest: fastdigest.TDigest) -> None:
        self.digest = digest
        self.add = digest.batch_update
        self.add_one = digest.update

    def add_weighted(self, values: Floats, weights: Floats) -> None:
        self.digest.batch_update(values, weights)

    def finish(self) -> None:
        # Reading merges what single values left in the buffer.
        self.digest.quantile(0.5)

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        return self.digest.quantile_vec(ranks)

    def nbytes(self) -> int:
        return len(self.digest.to_bytes())


def _combine(parts: Sequence[Sketch], parameter: float) -> Sketch:
    digests = [part.digest for part in parts]  # type: ignore[attr-defined]
    return _Digest(fastdigest.merge_all(digests, int(parameter)))


PEERS: Final = (
    Peer(
        Facts(
            "fastdigest",
            "Python",
            version("fastdigest"),
            "max_centroids",
            range(10, 1001),
            1000,
            weighted=True,
        ),
        lambda parameter: _Digest(fastdigest.TDigest(int(parameter))),
        _combine,
    ),
)
