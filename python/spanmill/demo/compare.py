"""Compares the daemon's percentiles, and DuckDB's over the Parquet it wrote, with the truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from spanmill.demo.api import Answer
from spanmill.demo.fleet import Floats
from spanmill.errors import StartError

RANK_PPM_MAX: Final = 1000.0
"""How far an estimate's rank may be off, in millionths of the events."""

MERGE_SQL: Final = """\
SELECT model, sum(count) AS events,
  finalize(combine_aggr(to_aggregate_state(
    digest, 'approx_quantile', ['DOUBLE', 'FLOAT'], [NULL, 0.99]))) AS p99
FROM read_parquet('{lake}/rollup/*/*.parquet')
WHERE view = 'requests' AND measure = 'ttft'
  AND window_start >= to_timestamp({start_s})
  AND window_start < to_timestamp({end_s})
GROUP BY ROLLUP (model) ORDER BY model NULLS FIRST"""
"""Merges the digests of one measure; the row without a model is of all models."""


@dataclass(frozen=True)
class Agreement:
    """One p99 (s), three times over; ranks are off by so many millionths of the events."""

    model: str | None
    """None is all models together."""
    events: int
    exact: float
    daemon_events: int
    daemon: float
    daemon_ppm: float
    lake_events: int
    duckdb: float
    duckdb_ppm: float


def require_duckdb() -> None:
    """
    Check that DuckDB can be used, before anything else is started.

    Raises:
        StartError: It is not installed.
    """
    try:
        import duckdb  # noqa: F401, PLC0415  optional
    except ModuleNotFoundError:
        raise StartError(
            "the demo reads its Parquet with DuckDB, which is not installed; "
            "run: pip install 'spanmill[demo]'"
        ) from None


def merge_in_duckdb(lake: Path, start_s: int, end_s: int) -> dict[str | None, tuple[int, float]]:
    """Give events and p99 of first-token latency by model; None is all models together."""
    import duckdb  # noqa: PLC0415  optional

    sql = MERGE_SQL.format(lake=lake, start_s=start_s, end_s=end_s)
    with duckdb.connect() as connection:
        return {model: (events, p99) for model, events, p99 in connection.sql(sql).fetchall()}


def agree(
    model: str | None, values: Floats, answer: Answer, duckdb: tuple[int, float]
) -> Agreement:
    """Hold the daemon's answer and DuckDB's (events, p99) against the values that were sent."""
    daemon_p99 = answer["quantiles"]["0.99"]
    duckdb_events, duckdb_p99 = duckdb
    return Agreement(
        model=model,
        events=len(values),
        exact=float(np.quantile(values, 0.99)),
        daemon_events=answer["count"],
        daemon=daemon_p99,
        daemon_ppm=rank_error_ppm(values, 0.99, daemon_p99),
        lake_events=duckdb_events,
        duckdb=duckdb_p99,
        duckdb_ppm=rank_error_ppm(values, 0.99, duckdb_p99),
    )


def rank_error_ppm(values: Floats, q: float, estimate: float) -> float:
    """
    How far the rank of `estimate` among `values` is from `q`, in millionths of the values.

    Equal values share a range of ranks, and any rank in it is right.

    >>> rank_error_ppm(np.array([1.0, 2.0, 2.0, 3.0]), 0.5, 2.0)
    0.0
    >>> rank_error_ppm(np.array([1.0, 2.0, 2.0, 3.0]), 0.5, 3.0)
    250000.0
    """
    # A millisecond on the wire and the same time in seconds differ in their last bit.
    slack = 1e-9 * abs(estimate)
    below = np.count_nonzero(values < estimate - slack)
    up_to = np.count_nonzero(values <= estimate + slack)
    rank = q * len(values)
    return float(max(below - rank, rank - up_to, 0.0)) / len(values) * 1e6
