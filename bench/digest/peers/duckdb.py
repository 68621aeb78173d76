"""DuckDB's `approx_quantile`, and the aggregate states that it exports."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import duckdb
import pyarrow as pa

from bench.digest.contender import Facts
from bench.digest.in_process import Peer, Sketch
from bench.digest.streams import Floats

_HEADER_BYTES: Final = 24
"""Count, minimum and maximum."""

_CENTROID_BYTES: Final = 16
_ONLY_ALL: Final = 2**62
"""An aggregate sees a column; its pieces are the engine's own."""


class _Engine:
    """One connection, on one thread, with the table `given` in view."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})

    def ask(self, table: pa.Table, query: str) -> Any:
        self.connection.register("given", table)
        ((found,),) = self.connection.execute(query).fetchall()
        return found


_ENGINE: Final = _Engine()


class _State(Sketch):
    def __init__(self, state: Any = None) -> None:
        self.state = state
        self.add = self._add

    def _add(self, values: Floats) -> None:
        table = pa.table({"value": values})
        self.state = _ENGINE.ask(table, "select approx_quantile(value, 0.5) export_state from given")

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        asked = ", ".join(map(repr, ranks))
        found: list[float] = _ENGINE.ask(
            pa.table({"state": [self.state]}),
            "select finalize(to_aggregate_state(state, 'approx_quantile', ['DOUBLE', 'FLOAT[]'], "
            f"[NULL, [{asked}]])) from given",
        )
        return found

    def nbytes(self) -> int:
        return _HEADER_BYTES + _CENTROID_BYTES * len(self.state["centroids"])


def _combine(parts: Sequence[Sketch], _parameter: float) -> Sketch:
    table = pa.table({"state": [part.state for part in parts]})  # type: ignore[attr-defined]
    return _State(
        _ENGINE.ask(
            table,
            "select combine_aggr(to_aggregate_state(state, 'approx_quantile', "
            "['DOUBLE', 'FLOAT'], [NULL, 0.5])) from given",
        )
    )


PEERS: Final = (
    Peer(
        Facts(
            "DuckDB approx_quantile",
            "Python",
            version("duckdb"),
            "none",
            [0],
            0,
            batch_min=_ONLY_ALL,
        ),
        lambda _: _State(),
        _combine,
    ),
)
