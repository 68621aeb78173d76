"""Minutes of traffic for tests of the export: in a real core, and as a source without one."""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanmill import _core
from spanmill.sink.schema import WINDOW_SECS, rollup_columns
from tests.traces import request, span

SECOND_NS: Final = 1_000_000_000
MODELS: Final = ("model-a", "model-b")


@dataclass(frozen=True)
class Sent:
    """First-token latencies (s) that were sent: of which model, ending in which minute (Unix s)."""

    values: NDArray[np.float64]
    model: NDArray[np.int64]
    minute_s: NDArray[np.int64]

    def within(self, start_s: int, end_s: int) -> "Sent":
        """Keep what ended in the minutes that start in [start_s, end_s)."""
        kept = (start_s <= self.minute_s) & (self.minute_s < end_s)
        return Sent(self.values[kept], self.model[kept], self.minute_s[kept])


def recent_minute(ago: int) -> int:
    """Give the start of a minute so many minutes ago, Unix seconds."""
    now_s = int(time.time())
    return now_s - now_s % WINDOW_SECS - ago * WINDOW_SECS


def send_minutes(
    engine: _core.Engine, first_s: int, minutes: int, *, per_minute: int = 20, seed: int = 1
) -> Sent:
    """Ingest minutes of heavy-tailed first-token latency, oldest first, and let them seal."""
    rng = np.random.default_rng(seed)
    n = minutes * per_minute
    sent = Sent(
        values=rng.lognormal(-1.5, 0.6, n) + (rng.random(n) < 0.02) * rng.pareto(1.5, n),
        model=rng.integers(0, len(MODELS), n),
        minute_s=first_s + WINDOW_SECS * np.repeat(np.arange(minutes), per_minute),
    )
    end_ns = sent.minute_s * SECOND_NS + rng.integers(0, 59 * SECOND_NS, n)
    for minute in range(minutes):
        rows = range(minute * per_minute, (minute + 1) * per_minute)
        spans = [
            span(
                int(end_ns[row]),
                float(sent.values[row]) + 1.0,
                {
                    "gen_ai.request.model": MODELS[sent.model[row]],
                    "gen_ai.server.time_to_first_token": float(sent.values[row]),
                },
            )
            for row in rows
        ]
        engine.ingest_traces(request(spans).SerializeToString())
    engine.tick()
    return sent


class Source:
    """Sealed minutes without a core: one row for each minute, with its own start as the sum."""

    def __init__(self, first_s: int, end_s: int) -> None:
        self.held = (first_s, end_s)

    def sealed_range(self) -> tuple[int, int] | None:
        """Give what is held."""
        return self.held

    def rollup(self, start_s: int, end_s: int) -> object:
        """Give the minutes asked for that are still held."""
        first_s, last_s = max(start_s, self.held[0]), min(end_s, self.held[1])
        return rollup_table(range(first_s, last_s, WINDOW_SECS))


def rollup_table(minutes: range) -> pa.Table:
    """Give one row for each minute (Unix s), in the columns of the dataset."""
    digest = {"count": 1, "min": 0.5, "max": 0.5, "centroids": [{"mean": 0.5, "weight": 1.0}]}
    row = {"view": "requests", "measure": "ttft", "series_id": 7, "model": "model-a"}
    row |= {"window_secs": WINDOW_SECS, "count": 1, "min": 0.5, "max": 0.5, "digest": digest}
    rows = [row | {"window_start": at * 1_000_000, "sum": float(at)} for at in minutes]
    schema = pa.schema([pa.field(name, kind) for name, kind in rollup_columns(["model"])])
    return pa.Table.from_pylist(rows, schema=schema)
