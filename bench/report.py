"""Turns trials into markdown: ratios against what was wanted, wins and losses, and figures."""

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bench.scenario import IN_CORE, UNASKED
from bench.trial import Trial, median

RUNS_MIN: Final = 5
"""Fewer trials than this and a median says little."""


def ratio(trials: list[Trial], scenario: str, other: str, figure: str = "spans_per_cpu_s") -> float:
    """
    Compare a figure of the server: spanmill's over `other`'s, the median over the rounds.

    NaN where no round has both.
    """
    figures = {
        (trial.round, trial.server): getattr(trial, figure)
        for trial in trials
        if trial.scenario == scenario and trial.problem is None
    }
    found = [
        value / figures[turn, other]
        for (turn, server), value in figures.items()
        if server == "spanmill" and (turn, other) in figures
    ]
    return statistics.median(found) if found else math.nan


@dataclass(frozen=True)
class Target:
    """One figure that the design asks for."""

    scenario: str
    claim: str
    wanted: float
    measured: Callable[[list[Trial]], float]
    unit: str = ""
    at_most: bool = False

    def row(self, trials: list[Trial]) -> str | None:
        """Write its line of the table; `None` where the scenario or the peer did not run."""
        measured = self.measured(trials)
        if math.isnan(measured):
            return None
        met = measured <= self.wanted if self.at_most else measured >= self.wanted
        sign = "≤" if self.at_most else "≥"
        return (
            f"| {self.scenario} | {self.claim} | {measured:.2f}{self.unit} "
            f"| {sign} {self.wanted:g}{self.unit} | {'met' if met else '**missed**'} |"
        )


def _wall(scenario: str) -> Callable[[list[Trial]], float]:
    return lambda trials: median(_of(trials, scenario, "spanmill"), "spans_per_s") / 1e6


def _per_cpu(scenario: str) -> Callable[[list[Trial]], float]:
    return lambda trials: median(_of(trials, scenario, "spanmill"), "spans_per_cpu_s") / 1e6


def _sent_bytes(trials: list[Trial]) -> float:
    found = [_span_bytes(trial) for trial in _of(trials, "spanbatch-4096", "spanmill")]
    return statistics.median(found) if found else math.nan


def _over(scenario: str, other: str) -> Callable[[list[Trial]], float]:
    return lambda trials: ratio(trials, scenario, other)


def _unmoved(trials: list[Trial]) -> float:
    return ratio(trials, "query-ingest", UNASKED, "spans_per_s")


def _durable(batch: int) -> Callable[[list[Trial]], float]:
    return lambda trials: ratio(trials, f"durability-{batch}", "spanmill, off", "spans_per_s")


def _record_bytes(trials: list[Trial]) -> float:
    found = [_span_bytes(trial) for trial in _of(trials, "journal", "spanmill")]
    return statistics.median(found) if found else math.nan


def _ack_p99(trials: list[Trial]) -> float:
    return _ack(_of(trials, "ack-latency", "spanmill"), "p99")


def _query_p99(trials: list[Trial]) -> float:
    took = [ms for trial in _of(trials, "query-latency", "spanmill") for ms in trial.query_ms]
    return statistics.quantiles(took, n=100)[-1] if took else math.nan


TARGETS: Final = (
    Target("core", "spans/s, one thread", 4.0, _wall("core"), " M"),
    Target("journal", "spans/s recovered, one thread", 6.0, _wall("journal"), " M"),
    Target("journal", "bytes a span on the disk", 40, _record_bytes, " B", at_most=True),
    Target("e2e-4096", "spans/s, loader on the same cores", 1.5, _wall("e2e-4096"), " M"),
    Target("e2e-4096", "spans per CPU-second, × floor", 0.5, _over("e2e-4096", "floor"), " ×"),
    Target("e2e-4096", "spans per CPU-second, × nop", 4, _over("e2e-4096", "nop"), " ×"),
    Target("e2e-4096", "the same, × spanmetrics", 7, _over("e2e-4096", "spanmetrics"), " ×"),
    Target(
        "e2e-4096",
        "the same, × signal_to_metrics",
        12,
        _over("e2e-4096", "signal_to_metrics"),
        " ×",
    ),
    Target("e2e-512", "spans/s, loader on the same cores", 0.9, _wall("e2e-512"), " M"),
    Target("e2e-512", "spans per CPU-second, × floor", 0.65, _over("e2e-512", "floor"), " ×"),
    Target(
        "e2e-512", "the same, × signal_to_metrics", 8, _over("e2e-512", "signal_to_metrics"), " ×"
    ),
    Target("spanbatch-4096", "events per CPU-second", 8, _per_cpu("spanbatch-4096"), " M"),
    Target("spanbatch-4096", "bytes an event", 32, _sent_bytes, " B", at_most=True),
    Target("durability-4096", "spans/s, synced × off", 0.85, _durable(4096), " ×"),
    Target("durability-512", "spans/s, synced × off", 0.85, _durable(512), " ×"),
    Target("ack-latency", "acknowledged, p99", 10, _ack_p99, " ms", at_most=True),
    Target("query-latency", "ten queries a second, p99", 50, _query_p99, " ms", at_most=True),
    Target("query-ingest", "spans/s, × the same without queries", 0.9, _unmoved, " ×"),
)
"""What the design wants of these scenarios. Where it is not the question, durability is sync."""


_FIGURES_HEAD: Final = (
    "| scenario | server | M spans/s | MB/s | M spans per server CPU-second | RSS MB "
    "| ack p50 / p99 / max ms |"
)


def summary(trials: list[Trial], *, notes: Iterable[str]) -> str:
    """Write the tables as markdown, ready for the README: ratios, then figures, then notes."""
    rows = [row for target in TARGETS if (row := target.row(trials)) is not None]
    lines = ["| scenario | figure | measured | wanted | |", "|---|---|---:|---:|---|", *rows, ""]
    lines += _figures(trials)
    lines += [
        f"- Not counted: {t.scenario} on {t.server}, round {t.round}: {' '.join(t.problem.split())}"
        for t in trials
        if t.problem is not None
    ]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines) + "\n"


def line(trial: Trial) -> str:
    """Write one trial as a line of progress."""
    head = f"{trial.scenario:12} {trial.server:18} round {trial.round}: "
    if trial.problem is not None:
        return f"{head}NOT COUNTED: {trial.problem}"
    per_cpu = f"{trial.spans_per_cpu_s / 1e6:.2f} M per CPU-second"
    return f"{head}{trial.spans_per_s / 1e6:.2f} M spans/s, {per_cpu}"


def _figures(trials: list[Trial]) -> list[str]:
    lines = [_FIGURES_HEAD, "|---|---|---:|---:|---:|---:|---|"]
    for scenario, server in dict.fromkeys((t.scenario, t.server) for t in trials):
        of = _of(trials, scenario, server)
        if not of:
            continue
        rate, per_cpu = median(of, "spans_per_s"), median(of, "spans_per_cpu_s")
        acks = "–" if scenario in IN_CORE else _acks(of)
        rss = "–" if scenario in IN_CORE else f"{median(of, 'rss_mb'):.0f}"
        lines.append(
            f"| {scenario} | {server} | {rate / 1e6:.2f} | {rate * _span_bytes(of[0]) / 1e6:.0f} "
            f"| {per_cpu / 1e6:.2f} | {rss} | {acks} |"
        )
    lines.append("")
    for scenario in dict.fromkeys(t.scenario for t in trials):
        queries = [ms for t in _of(trials, scenario, "spanmill") for ms in t.query_ms]
        if queries:
            middle, slowest = statistics.median(queries), max(queries)
            lines.append(
                f"{len(queries)} API queries beside {scenario}: median {middle:.1f} ms, "
                f"slowest {slowest:.1f} ms."
            )
    return [*lines, ""]


def _of(trials: list[Trial], scenario: str, server: str) -> list[Trial]:
    return [t for t in trials if (t.scenario, t.server) == (scenario, server) and t.problem is None]


def _span_bytes(trial: Trial) -> float:
    if trial.scenario in IN_CORE:
        return float(trial.load["bytes"] / trial.load["spans"])
    return float(trial.load["span_bytes"])


def _ack(trials: list[Trial], figure: str) -> float:
    found = [trial.load["ack_ms"][figure] for trial in trials]
    return float(statistics.median(found)) if found else math.nan


def _acks(trials: list[Trial]) -> str:
    return " / ".join(f"{_ack(trials, figure):.1f}" for figure in ("p50", "p99", "max"))
