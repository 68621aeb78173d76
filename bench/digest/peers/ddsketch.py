"""`ddsketch`: bounds the value's error instead of the rank's."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import ddsketch
from ddsketch.pb.proto import DDSketchProto

from bench.digest.contender import Facts
from bench.digest.in_process import Peer, Sketch
from bench.digest.streams import Floats


class _Sketch(Sketch):
    def __init__(self, sketch: ddsketch.DDSketch) -> None:
        self.sketch = sketch
        self.add_one = sketch.add
        self.add = self._add

    def _add(self, values: Floats) -> None:
        # It has no call for several.
        add = self.sketch.add
        for value in values.tolist():
            add(value)

    def add_weighted(self, values: Floats, weights: Floats) -> None:
        add = self.sketch.add
        for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
            add(value, weight)

    def quantiles(self, ranks: Sequence[float]) -> list[float | None]:
        get = self.sketch.get_quantile_value
        return [get(rank) for rank in ranks]

    def nbytes(self) -> int:
        return len(DDSketchProto.to_proto(self.sketch).SerializeToString())


def _combine(parts: Sequence[Sketch], parameter: float) -> Sketch:
    merged = ddsketch.DDSketch(parameter)
    for part in parts:
        merged.merge(part.sketch)  # type: ignore[attr-defined]
    return _Sketch(merged)


PEERS: Final = (
    Peer(
        Facts(
            "ddsketch",
            "Python",
            version("ddsketch"),
            "relative accuracy",
            # From 50 % to 0.01 % in steps of a twentieth.
            [0.5 * 0.95**step for step in range(167)],
            0.01,
            weighted=True,
            same_for_every_batch=True,
        ),
        lambda parameter: _Sketch(ddsketch.DDSketch(parameter)),
        _combine,
    ),
)
