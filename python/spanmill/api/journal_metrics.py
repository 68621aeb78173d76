"""What the journal and its checkpoints say about themselves to Prometheus."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

TIERS: Final = ("10s", "1m", "5m", "1h", "6h")
"""Widths of sealed buckets, finest first, as the core gives them."""

LOSES: Final = {
    "sync": "nothing",
    "relaxed": "the last 100 ms with the power",
    "off": "everything with the process",
}
"""What an acknowledged event may be lost with, by durability."""


def durability(stats: Mapping[str, Any]) -> Iterator[Metric]:
    """Give what an acknowledgement promises, and how the journal keeps it."""
    mode = stats["durability"]
    yield InfoMetricFamily(
        "spanmill_durability",
        "What an acknowledged event survives, and what may lose it.",
        {"mode": mode, "loses": LOSES[mode]},
    )
    if (journal := stats["journal"]) is not None:
        yield from _journal(journal)
        yield from _checkpoint(stats["checkpoint"], journal)
        yield from _sealed(stats["sealed_files"])


def _journal(journal: Mapping[str, Any]) -> Iterator[Metric]:
    yield CounterMetricFamily("spanmill_journal_bytes_total", "Bytes written.", journal["bytes"])
    yield CounterMetricFamily(
        "spanmill_journal_records_total", "Records written.", journal["records"]
    )
    yield _histogram(
        "spanmill_journal_sync_seconds",
        "How long a sync of the journal took; every acknowledgement waits for one.",
        journal["sync_us"],
        unit=1e-6,
        total=journal["sync_ns"] / 1e9,
    )
    yield _histogram(
        "spanmill_journal_group_records",
        "Records made durable by one write and one sync.",
        journal["groups"],
        unit=1.0,
        total=float(journal["records"]),
    )
    yield GaugeMetricFamily(
        "spanmill_journal_segments", "Segments that hold records.", journal["segments"]
    )
    yield GaugeMetricFamily(
        "spanmill_journal_segment_bytes", "Their bytes on disk.", journal["segment_bytes"]
    )
    yield GaugeMetricFamily(
        "spanmill_journal_free_bytes",
        "Room in hand for records; requests are shed where there is none.",
        journal["free_bytes"],
    )
    yield GaugeMetricFamily(
        "spanmill_journal_full",
        "1 while the disk has no room for another segment.",
        float(journal["full"]),
    )
    yield GaugeMetricFamily(
        "spanmill_journal_failed",
        "1 once the journal cannot be written: nothing is acknowledged any more.",
        float(journal["failed"] is not None),
    )


def _checkpoint(last: Mapping[str, Any], journal: Mapping[str, Any]) -> Iterator[Metric]:
    yield CounterMetricFamily("spanmill_checkpoints_total", "Checkpoints made.", last["count"])
    yield CounterMetricFamily(
        "spanmill_checkpoints_failed_total",
        "Checkpoints that failed; the earlier one and the journal since hold everything.",
        last["failed"],
    )
    yield GaugeMetricFamily(
        "spanmill_checkpoint_bytes", "Bytes that the last one wrote.", last["bytes"]
    )
    yield GaugeMetricFamily(
        "spanmill_checkpoint_seconds", "How long the last one took.", last["seconds"]
    )
    yield GaugeMetricFamily(
        "spanmill_checkpoint_lag_records",
        "Records that a restart would replay now.",
        journal["durable"] - last["lsn"],
    )


def _sealed(held: Mapping[str, Any]) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "spanmill_sealed_files", "Files of sealed buckets on disk.", held["files"]
    )
    of_tier = GaugeMetricFamily(
        "spanmill_sealed_file_bytes", "Their bytes, by the width of their buckets.", labels=["tier"]
    )
    for tier, size in zip(TIERS, held["bytes"], strict=True):
        of_tier.add_metric([tier], size)
    yield of_tier
    yield CounterMetricFamily(
        "spanmill_sealed_files_shed_total",
        "Files of sealed buckets that went before their time, for want of limits.disk.",
        held["shed"],
    )
    yield GaugeMetricFamily(
        "spanmill_sealed_backlog_bytes",
        "Sealed buckets in memory that the disk did not take yet.",
        held["backlog_bytes"],
    )


def _histogram(
    name: str, documentation: str, steps: Sequence[int], *, unit: float, total: float
) -> Metric:
    """Write counts by powers of two: the n-th is of values from 2^(n-1) to below 2^n."""
    buckets, so_far = [], 0
    for power, count in enumerate(steps[:-1]):
        so_far += count
        buckets.append((repr(2**power * unit), so_far))
    buckets.append(("+Inf", so_far + steps[-1]))
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=total)
