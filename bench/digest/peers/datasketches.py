"""`datasketches`: t-digest, KLL and REQ, in f64 and f32."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final, Protocol

import datasketches
import numpy as np

from bench.digest.contender import SLOW_SINGLES, Facts
from bench.digest.in_process import Peer, Sketch
from bench.digest.streams import Floats


class _Foreign(Protocol):
    """What the three have in common, and how each is read."""

    update: Callable[[Floats], object]
    merge: Callable[["_Foreign"], object]
    serialize: Callable[[], bytes]
    compress: Callable[[], object]
    get_quantile: Callable[[float], float]
    get_quantiles: Callable[..., list[float]]


class _Sketch(Sketch):
    """Any of the three: they are fed and merged alike."""

    def __init__(self, sketch: _Foreign) -> None:
        self.sketch = sketch
        self.add = self.add_one = sketch.update

    def nbytes(self) -> int:
        return len(self.sketch.serialize())


class _Digest(_Sketch):
    def finish(self) -> None:
        self.sketch.compress()

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        # It has no call for several.
        get = self.sketch.get_quantile
        return [get(rank) for rank in ranks]


class _Ranked(_Sketch):
    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        return self.sketch.get_quantiles(ranks, inclusive=True)


class _Req(_Ranked):
    """Takes arrays of f32 only."""

    def __init__(self, sketch: _Foreign) -> None:
        super().__init__(sketch)
        self.add = self._add

    def _add(self, values: Floats) -> None:
        self.sketch.update(values.astype(np.float32))


def _peer(
    name: str,
    kind: type[_Sketch],
    make: Callable[[int], _Foreign],
    parameters: Sequence[int],
    default: int,
) -> Peer:
    def combine(parts: Sequence[Sketch], parameter: float) -> Sketch:
        merged = make(int(parameter))
        for part in parts:
            merged.merge(part.sketch)  # type: ignore[attr-defined]
        return kind(merged)

    facts = Facts(
        name,
        "Python",
        version("datasketches"),
        "k",
        parameters,
        default,
        singles_max=SLOW_SINGLES,
    )
    return Peer(facts, lambda k: kind(make(int(k))), combine)


PEERS: Final = (
    _peer("datasketches t-digest", _Digest, datasketches.tdigest_double, range(10, 401), 200),
    _peer("datasketches t-digest f32", _Digest, datasketches.tdigest_float, range(10, 401), 200),
    _peer("datasketches KLL", _Ranked, datasketches.kll_doubles_sketch, range(8, 401), 200),
    _peer("datasketches KLL f32", _Ranked, datasketches.kll_floats_sketch, range(8, 401), 200),
    _peer("datasketches REQ f32", _Req, datasketches.req_floats_sketch, range(4, 51, 2), 12),
)
