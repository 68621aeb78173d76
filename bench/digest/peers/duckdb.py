"""DuckDB's `approx_quantile`, and the aggregate states that it exports."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

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

    def ask(self, table: pa.Table, query: str) -> pa.Table:
        self.connection.register("given", table)
        return self.connection.sql(query).to_arrow_table()


_ENGINE: Final = _Engine()


class _State(Sketch):
    def __init__(self, state: pa.Table | None = None) -> None:
        self.state = state
        self.add = self._add

    def _add(self, values: Floats) -> None:
        query = "select approx_quantile(value, 0.5) export_state as state from given"
        self.state = _ENGINE.ask(pa.table({"value": values}), query)

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        asked = f"[NULL, [{', '.join(map(repr, ranks))}]]"
        state = f"to_aggregate_state(state, 'approx_quantile', ['DOUBLE', 'FLOAT[]'], {asked})"
        query = f"select finalize({state}) as found from given"  # noqa: S608 - numbers of ours
        found = _ENGINE.ask(self.state, query)
        values: list[float] = found["found"][0].as_py()
        return values

    def nbytes(self) -> int:
        centroids = self.state["state"].combine_chunks().field("centroids")
        return _HEADER_BYTES + _CENTROID_BYTES * len(centroids.flatten())


def _combine(parts: Sequence[Sketch], _parameter: float) -> Sketch:
    return _State(
        _ENGINE.ask(
            pa.concat_tables([part.state for part in parts]),  # type: ignore[attr-defined]
            "select combine_aggr(to_aggregate_state(state, 'approx_quantile', "
            "['DOUBLE', 'FLOAT'], [NULL, 0.5])) as state from given",
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
