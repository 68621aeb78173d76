"""What the HTTP API answers, key by key. Times are RFC 3339 in UTC, durations seconds."""

from typing import TypedDict


class Window(TypedDict):
    """A stretch of event time; `open` while events may still fall into it."""

    start: str
    end: str
    open: bool


class QuerySeries(TypedDict):
    """One row of a query: a combination of dimension values and its distribution."""

    dims: dict[str, str]
    count: int
    sum: float
    min: float
    max: float
    quantiles: dict[str, float]
    """Keyed by rank as text: `{"0.99": 1.42}`."""
    exact: bool
    """Whether the quantiles are those of a full sort."""
    rank_error: float
    """The share of events by which a quantile's rank may be off."""
    late: int
    """Events counted behind the watermark, which the quantiles do not hold."""


class QueryAnswer(TypedDict):
    """Answer of `/query`. A series without an event in the window is absent."""

    measure: str
    unit: str
    view: str
    window: Window
    watermark: str | None
    series: list[QuerySeries]


class Point(TypedDict):
    """One slice of a series in steps; `start` and `end` are its true edges."""

    start: str
    end: str
    count: int
    sum: float
    quantiles: dict[str, float]
    """Keyed by rank as text: `{"0.99": 1.42}`."""
    exact: bool
    rank_error: float
    late: int


class RangeSeries(TypedDict):
    """One row of a query in steps. A slice without an event is absent."""

    dims: dict[str, str]
    points: list[Point]


class RangeAnswer(TypedDict):
    """Answer of `/query_range`. A series without an event in the window is absent."""

    measure: str
    unit: str
    view: str
    window: Window
    """All slices together."""
    step: int
    """Seconds."""
    watermark: str | None
    series: list[RangeSeries]


class HeatmapColumn(TypedDict):
    """One slice of time; `counts` has one number for each range of values, summing to `count`."""

    start: str
    end: str
    count: int
    counts: list[int]
    late: int


class HeatmapSeries(TypedDict):
    """The columns of one combination of dimension values."""

    dims: dict[str, str]
    columns: list[HeatmapColumn]


class HeatmapAnswer(TypedDict):
    """Answer of `/heatmap`."""

    measure: str
    unit: str
    view: str
    window: Window
    step: int
    """Seconds a column is wide."""
    watermark: str | None
    edges: list[float]
    """`counts[i]` is of values v with `edges[i] <= v < edges[i + 1]`; empty without an event."""
    approximate: bool
    """Whether a digest estimated how values spread over the ranges; totals are exact."""
    columns: list[HeatmapColumn]
    """All events, column by column; one without an event is all zeros."""
    series: list[HeatmapSeries]
    """The same for each combination of the dimensions in `by`; empty without."""


class Bounded(TypedDict):
    """A value and the interval it lies in; an end is None where nothing bounds it."""

    value: float
    interval: tuple[float | None, float | None]


class QuantileShift(TypedDict):
    """One quantile on both sides; None where a side has no event."""

    a: Bounded | None
    b: Bounded | None
    shift: Bounded | None
    """`b - a`, in the measure's unit."""
    relative: Bounded | None
    """`(b - a) / a`; None where a is not above 0."""
    clear: bool
    """Whether the interval of the shift excludes 0."""


class CompareTotals(TypedDict):
    """One side of a row, but for its quantiles."""

    count: int
    sum: float
    min: float
    max: float
    exact: bool
    rank_error: float
    late: int


class CompareSeries(TypedDict):
    """One row of a comparison; a side without an event is None."""

    dims: dict[str, str]
    a: CompareTotals | None
    b: CompareTotals | None
    quantiles: dict[str, QuantileShift]


class CompareSide(TypedDict):
    """What one side is: its window and, between two values, the dimension's value."""

    dims: dict[str, str]
    window: Window


class CompareAnswer(TypedDict):
    """Answer of `/compare`."""

    measure: str
    unit: str
    view: str
    confidence: float
    """The share of intervals that hold the true value."""
    watermark: str | None
    a: CompareSide
    """What is compared with: the earlier window, or the first value."""
    b: CompareSide
    series: list[CompareSeries]


class DistinctSeries(TypedDict):
    """How many different values one combination of dimension values had."""

    dims: dict[str, str]
    distinct: int
    exact: bool
    relative_error: float
    """Standard error of `distinct` over it; 0 where exact."""


class DistinctAnswer(TypedDict):
    """Answer of `/distinct`. A series without a value in the window is absent."""

    dimension: str
    view: str
    window: Window
    watermark: str | None
    series: list[DistinctSeries]


class TopValue(TypedDict):
    """One value and its events; the true number lies from `at_least` to `at_most`."""

    value: str
    count: int
    at_least: int
    at_most: int


class TopSeries(TypedDict):
    """The values that came most in one combination of dimension values, most first."""

    dims: dict[str, str]
    count: int
    """Events that had a value."""
    exact: bool
    error: int
    """Events by which any count may be off, also that of a value which is not listed."""
    top: list[TopValue]


class TopAnswer(TypedDict):
    """Answer of `/top`. A series without a value in the window is absent."""

    dimension: str
    view: str
    window: Window
    watermark: str | None
    series: list[TopSeries]


class SeriesEntry(TypedDict):
    """One series of a view; `id` is never given again, `count` is events since it appeared."""

    id: int
    dims: dict[str, str]
    count: int


class ViewSeries(TypedDict):
    """One view with its series."""

    view: str
    dimensions: list[str]
    measures: list[str]
    series: list[SeriesEntry]


class SeriesList(TypedDict):
    """Answer of `/series`."""

    views: list[ViewSeries]


class MeasureEntry(TypedDict):
    """One measure: its unit (UCUM, or ISO 4217 for money), the views that have it, events seen."""

    name: str
    unit: str
    description: str
    views: list[str]
    count: int


class DimensionEntry(TypedDict):
    """One dimension."""

    name: str
    description: str


class Measures(TypedDict):
    """Answer of `/measures`."""

    measures: list[MeasureEntry]
    dimensions: list[DimensionEntry]


class LedgerCounts(TypedDict):
    """Events: received = counted + duplicate + late + rejected + sampled_out when balanced."""

    received: int
    counted: int
    duplicate: int
    late: int
    rejected: dict[str, int]
    sampled_out: int
    balanced: bool
    delivery: str
    """`exactly_once`, or `at_least_once` where some would be counted again if sent again."""
    at_least_once: int
    """How many would, of those received."""


class LedgerParts(TypedDict):
    """The same by source (`service.name`) and by tenant."""

    source: dict[str, LedgerCounts]
    tenant: dict[str, LedgerCounts]


class Ledger(LedgerCounts):
    """Answer of `/ledger`."""

    by: LedgerParts


class PeriodWindow(TypedDict):
    """The stretch of event time an objective's period covers now."""

    start: str
    end: str


class Budget(TypedDict):
    """One objective, or one group of it, in `/slo`."""

    name: str
    group: dict[str, str]
    description: str
    objective: float
    period: str
    """Such as `30d`."""
    good: int
    bad: int
    total: int
    budget_left: float | None
    """Share of the period's budget; below 0 when overspent, None without an event."""
    burn: dict[str, float | None]
    """Rate burn by look-back: `{"1h": 2.1}`; 1.0 spends the budget exactly at period end."""
    volume_burn: dict[str, float | None]
    """Share of the period's budget spent in the look-back."""
    burning_since: str | None
    window: PeriodWindow | None
    """The period; None before the first event."""
    data: str
    """`ok`, `no_data`, or `frozen` while no event arrives."""
    alert: str | None
    """None: no alert rules exist yet."""
    budget: str | None
    """`ok` or `exhausted`; None without an event."""
    layer: str
    runbook: str
