"""What the daemon says about itself to Prometheus. Names start with `spanmill_`."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from spanmill import _core
from spanmill.api.journal_metrics import durability
from spanmill.errors import Closed

OUTCOMES: Final = ("counted", "duplicate", "late", "sampled_out")
"""Classes of the ledger; with `rejected` they sum up to `received`."""


class ExportFigures(Protocol):
    """What the exporter has done so far."""

    @property
    def files(self) -> int: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def bytes(self) -> int: ...  # noqa: D102
    @property
    def failed_passes(self) -> int: ...  # noqa: D102


class CoreCollector(Collector):
    """Reads the core's figures at each scrape; nothing is counted twice or kept here."""

    def __init__(self, engine: _core.Engine, export: Callable[[], ExportFigures]) -> None:
        self._engine = engine
        self._export = export

    def collect(self) -> Iterator[Metric]:
        """Give every metric family; none once the core is closed."""
        try:
            stats = json.loads(self._engine.stats())
            ledger = json.loads(self._engine.ledger())
            slos = json.loads(self._engine.slos())
        except Closed:
            return
        yield InfoMetricFamily("spanmill_build", "How the daemon was built.", _core.build_info())
        yield from _requests(stats)
        yield from _events(ledger)
        yield from _state(stats)
        yield from durability(stats)
        yield from _budgets(slos)
        yield from _exported(self._export())


def registry(engine: _core.Engine, export: Callable[[], ExportFigures]) -> CollectorRegistry:
    """Gather our own metrics and those of the process."""
    metrics = CollectorRegistry(auto_describe=False)
    metrics.register(CoreCollector(engine, export))
    ProcessCollector(registry=metrics)
    return metrics


def _requests(stats: Mapping[str, Any]) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "spanmill_requests_accepted_total",
        "OTLP requests folded.",
        stats["requests"]["accepted"],
    )
    refused = CounterMetricFamily(
        "spanmill_requests_refused_total",
        "OTLP requests refused as a whole; none of their events is in the ledger.",
        labels=["reason"],
    )
    for reason, count in stats["requests"]["refused"].items():
        refused.add_metric([reason], count)
    yield refused
    yield CounterMetricFamily(
        "spanmill_ingest_bytes_total", "Bytes of OTLP requests folded.", stats["ingest_bytes"]
    )


def _events(ledger: Mapping[str, Any]) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "spanmill_events_received_total",
        "Events in requests that could be decoded.",
        ledger["received"],
    )
    events = CounterMetricFamily(
        "spanmill_events_total",
        "Events by what became of them; the outcomes sum up to those received.",
        labels=["outcome"],
    )
    for outcome, count in _outcomes(ledger).items():
        events.add_metric([outcome], count)
    yield events
    rejected = CounterMetricFamily(
        "spanmill_events_rejected_total",
        "Events that no retry can save, by reason.",
        labels=["reason"],
    )
    for reason, count in ledger["rejected"].items():
        rejected.add_metric([reason], count)
    yield rejected
    yield CounterMetricFamily(
        "spanmill_events_at_least_once_total",
        "Events received that would count again if sent again: no ids, and no batch id.",
        ledger["at_least_once"],
    )
    yield GaugeMetricFamily(
        "spanmill_ledger_balanced",
        "1 while every event received is accounted for.",
        float(ledger["balanced"]),
    )
    for part, parties in ledger["by"].items():
        by_part = CounterMetricFamily(
            f"spanmill_{part}_events_total",
            f"Events by {part} and by what became of them.",
            labels=[part, "outcome"],
        )
        for party, counts in parties.items():
            for outcome, count in _outcomes(counts).items():
                by_part.add_metric([party, outcome], count)
        yield by_part


def _outcomes(counts: Mapping[str, Any]) -> dict[str, int]:
    named = {outcome: counts[outcome] for outcome in OUTCOMES}
    return named | {"rejected": sum(counts["rejected"].values())}


def _state(stats: Mapping[str, Any]) -> Iterator[Metric]:
    if stats["watermark_s"] is not None:
        yield GaugeMetricFamily(
            "spanmill_watermark_timestamp_seconds",
            "Event time before which windows are closed, as Unix time.",
            stats["watermark_s"],
        )
    yield CounterMetricFamily(
        "spanmill_digest_late_events_total",
        "Events counted behind the watermark, which percentiles do not hold.",
        stats["digest_late"],
    )
    series = GaugeMetricFamily("spanmill_series", "Series held, by view.", labels=["view"])
    for view, count in stats["series"].items():
        series.add_metric([view], count)
    yield series
    overflow = CounterMetricFamily(
        "spanmill_overflow_events_total",
        "Events whose value of a dimension was folded into __other__ at a limit.",
        labels=["view", "dimension"],
    )
    for view, dimensions in stats["overflow"].items():
        for dimension, count in dimensions.items():
            overflow.add_metric([view, dimension], count)
    yield overflow
    yield from _limits(stats)
    buckets = GaugeMetricFamily("spanmill_buckets", "Slices of event time held.", labels=["state"])
    buckets.add_metric(["open"], stats["open_buckets"])
    buckets.add_metric(["sealed"], stats["sealed_buckets"])
    yield buckets
    yield GaugeMetricFamily(
        "spanmill_memory_bytes", "Memory the core holds for series.", stats["memory_bytes"]
    )
    parts = GaugeMetricFamily(
        "spanmill_memory_part_bytes",
        "Memory the core holds, by what for; limits.memory bounds all but the counters.",
        labels=["part"],
    )
    for part, held in stats["memory_parts"].items():
        parts.add_metric([part], held)
    yield parts
    yield GaugeMetricFamily(
        "spanmill_memory_limit_bytes", "The budget, limits.memory.", stats["memory_limit_bytes"]
    )
    yield from _demoted(stats["demoted"])
    yield from _dedupe(stats["dedupe"])
    yield GaugeMetricFamily(
        "spanmill_dictionary_bytes",
        "Memory held for the dictionaries of senders of columns.",
        stats["dictionaries"]["bytes"],
    )


def _dedupe(held: Mapping[str, Any]) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "spanmill_dedupe_horizon_seconds",
        "How far back every request is known again; below limits.dedupe_horizon, events of a "
        "sender that tries longer may count twice.",
        held["horizon_s"],
    )
    yield GaugeMetricFamily(
        "spanmill_dedupe_requests", "Requests remembered, to know them again.", held["entries"]
    )
    yield GaugeMetricFamily(
        "spanmill_dedupe_bytes", "Memory held for remembered requests.", held["bytes"]
    )
    yield CounterMetricFamily(
        "spanmill_dedupe_forgotten_early_total",
        "Requests forgotten within limits.dedupe_horizon, for want of limits.dedupe_entries.",
        held["evicted_early"],
    )
    yield GaugeMetricFamily(
        "spanmill_dedupe_producers",
        "Senders of numbered batches that are remembered.",
        held["producers"],
    )
    yield CounterMetricFamily(
        "spanmill_dedupe_producers_forgotten_total",
        "Senders of numbered batches forgotten for want of limits.producers.",
        held["producers_evicted"],
    )


def _demoted(tiers: Mapping[str, Any]) -> Iterator[Metric]:
    buckets = CounterMetricFamily(
        "spanmill_demoted_buckets_total",
        "Sealed buckets given up for the memory budget, by their width.",
        labels=["tier"],
    )
    freed = CounterMetricFamily(
        "spanmill_demoted_bytes_total",
        "Memory of the buckets given up for the budget, by their width.",
        labels=["tier"],
    )
    for tier, held in tiers.items():
        buckets.add_metric([tier], held["buckets"])
        freed.add_metric([tier], held["bytes"])
    yield from (buckets, freed)


def _limits(stats: Mapping[str, Any]) -> Iterator[Metric]:
    by_tenant = CounterMetricFamily(
        "spanmill_overflow_tenant_events_total",
        "Events with a value folded into __other__ at a limit, by tenant.",
        labels=["view", "tenant"],
    )
    for view, tenants in stats["overflow_tenants"].items():
        for tenant, count in tenants.items():
            by_tenant.add_metric([view, tenant], count)
    yield by_tenant
    by_slo = CounterMetricFamily(
        "spanmill_slo_overflow_events_total",
        "Events in groups that others share; the objective's total has them all.",
        labels=["slo"],
    )
    for slo, count in stats["slo_overflow"].items():
        by_slo.add_metric([slo], count)
    yield by_slo
    retired = CounterMetricFamily(
        "spanmill_series_retired_total",
        "Series that fell silent and freed their place; their events stay counted.",
        labels=["view"],
    )
    for view, count in stats["series_retired"].items():
        retired.add_metric([view], count)
    yield retired
    held = GaugeMetricFamily(
        "spanmill_companion_bytes", "Memory held for `distinct` and `top`.", labels=["view"]
    )
    missed = CounterMetricFamily(
        "spanmill_companion_missed_events_total",
        "Events that `distinct` and `top` do not hold: behind the watermark, or no memory left.",
        labels=["view", "reason"],
    )
    shed = CounterMetricFamily(
        "spanmill_companion_shed_total",
        "Stretches of five minutes that `distinct` and `top` let go early, for want of memory.",
        labels=["view"],
    )
    for view, companions in stats["companions"].items():
        if companions is not None:
            held.add_metric([view], companions["bytes"])
            missed.add_metric([view, "late"], companions["late"])
            missed.add_metric([view, "no_memory"], companions["skipped"])
            shed.add_metric([view], companions["shed"])
    yield from (held, missed, shed)
    yield GaugeMetricFamily(
        "spanmill_clock_suspect",
        "1 while most sources are ahead of our clock and requests are refused, to be sent again.",
        float(stats["clock_suspect"]),
    )


def _budgets(slos: list[Mapping[str, Any]]) -> Iterator[Metric]:
    labels = ["slo", "group"]
    objective = GaugeMetricFamily(
        "spanmill_slo_objective_ratio", "Wanted share of good events.", labels=["slo"]
    )
    events = GaugeMetricFamily(
        "spanmill_slo_period_events",
        "Events of the rolling period by verdict; an empty group is all of them.",
        labels=[*labels, "verdict"],
    )
    left = GaugeMetricFamily(
        "spanmill_slo_budget_left_ratio",
        "Share of the error budget left; below 0 when overspent.",
        labels=labels,
    )
    burn = GaugeMetricFamily(
        "spanmill_slo_burn_ratio",
        "Speed of spending over a look-back; 1 spends the budget exactly at period end.",
        labels=[*labels, "window"],
    )
    for name, wanted in {slo["name"]: slo["objective"] for slo in slos}.items():
        objective.add_metric([name], wanted)
    for slo in slos:
        group = ",".join(f"{dimension}={value}" for dimension, value in slo["group"].items())
        key = [slo["name"], group]
        events.add_metric([*key, "good"], slo["good"])
        events.add_metric([*key, "bad"], slo["bad"])
        if slo["budget_left"] is not None:
            left.add_metric(key, slo["budget_left"])
        for window, rate in slo["burn"].items():
            if rate is not None:
                burn.add_metric([*key, window], rate)
    yield from (objective, events, left, burn)


def _exported(export: ExportFigures) -> Iterator[Metric]:
    yield CounterMetricFamily("spanmill_export_files_total", "Files exported.", export.files)
    yield CounterMetricFamily("spanmill_export_rows_total", "Rows exported.", export.rows)
    yield CounterMetricFamily("spanmill_export_bytes_total", "Bytes exported.", export.bytes)
    yield CounterMetricFamily(
        "spanmill_export_failed_passes_total",
        "Export passes that failed and will be repeated.",
        export.failed_passes,
    )
