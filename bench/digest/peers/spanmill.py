"""`spanmill.Digest`: ours as Python sees it."""

from collections.abc import Sequence
from typing import Final

import spanmill
from bench.digest.contender import Facts
from bench.digest.in_process import Peer, Sketch
from bench.digest.streams import Floats
from spanmill import _core


class _Digest(Sketch):
    def __init__(self, digest: spanmill.Digest) -> None:
        self.digest = digest
        self.add = self.add_one = digest.add

    def add_weighted(self, values: Floats, weights: Floats) -> None:
        self.digest.add(values, weights)

    def finish(self) -> None:
        # Reading builds the digest that is stored and merged.
        self.digest.quantile(0.5)

    def quantiles(self, ranks: Sequence[float]) -> Floats:
        return self.digest.quantiles(ranks)

    def nbytes(self) -> int:
        return len(self.digest.to_bytes())


def _combine(parts: Sequence[Sketch], parameter: float) -> Sketch:
    merged = spanmill.Digest(max_bytes=int(parameter))
    merged.merge(*(part.digest for part in parts))  # type: ignore[attr-defined]
    return _Digest(merged)


PEERS: Final = (
    Peer(
        Facts(
            "spanmill.Digest",
            "Python",
            _core.build_info()["version"],
            "max_bytes",
            [1600],
            1600,
            weighted=True,
        ),
        lambda parameter: _Digest(spanmill.Digest(max_bytes=int(parameter))),
        _combine,
    ),
)
