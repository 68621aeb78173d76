"""`pytdigest`."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import numpy as np
import pytdigest

from bench.digest.contender import SLOW_SINGLES, Facts
from bench.digest.in_process import Peer, Sketch
from bench.digest.streams import Floats


class _Digest(Sketch):
    def __init__(self, digest: pytdigest.TDigest) -> None:
        self.digest = digest
        self.add = self.add_one = digest.update

    def add_weighted(self, values: Floats, weights: Floats) -> None:
        self.digest.update(values, weights)

    def finish(self) -> None:
        self.digest.force_merge()

    def quantiles(self, ranks: Sequence[float]) -> Sequence[float]:
        found: Sequence[float] = self.digest.inverse_cdf(np.asarray(ranks))
        return found

    def nbytes(self) -> int:
        # It has no bytes of its own: a digest is made again from these and the compression.
        return 8 + int(self.digest.get_centroids().nbytes)


def _combine(parts: Sequence[Sketch], _parameter: float) -> Sketch:
    digests = [part.digest for part in parts]  # type: ignore[attr-defined]
    return _Digest(pytdigest.TDigest.combine(digests))


PEERS: Final = (
    Peer(
        Facts(
            "pytdigest",
            "Python",
            version("pytdigest"),
            "compression",
            range(20, 401),
            100,
            weighted=True,
            singles_max=SLOW_SINGLES,
        ),
        lambda parameter: _Digest(pytdigest.TDigest(int(parameter))),
        _combine,
    ),
)
