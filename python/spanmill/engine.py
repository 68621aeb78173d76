"""The core's share of the config, the core itself, and the thread that keeps its time."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import structlog
from pydantic import AfterValidator, Field

from spanmill import _core
from spanmill.errors import Closed, JournalFailed, SpanmillError, StartError
from spanmill.model import (
    AnyDimensionName,
    Bytes,
    ConfigPath,
    DimensionName,
    MeasureName,
    Reading,
    Seconds,
    Section,
    Where,
)

TICK_S: Final = 1.0
"""How often the core looks at the clock; its finest counters are this wide."""

MEMORY_EVERY_TICKS: Final = 10
"""Buckets are sealed, and so given up, this often at most."""

MEMORY_CALM_TICKS: Final = 600
"""The memory budget is worth another line in the log after so long without need of it."""

STALLED_AFTER_S: Final = 10.0
"""Without a finished tick for this long the daemon is not ready."""

log = structlog.stdlib.get_logger(__name__)


class WindowConfig(Section):
    """How event time is followed."""

    lateness: Annotated[Seconds, Field(le=3600)] = 60.0
    """How far the watermark trails the newest event; digests take nothing older. At most 1h."""

    future_skew: Annotated[Seconds, Field(le=3600)] = 5.0
    """How far ahead of our clock an event may end; any further and it is rejected."""

    idle: Annotated[Seconds, Field(gt=0, le=86_400)] = 30.0
    """After this long without an event the watermark moves to the newest event."""


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names something twice")
    return names


class ViewConfig(Section):
    """One table of distributions: which events, told apart by what, measuring what."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100)]
    """Unique; names the view in queries and exports."""

    where: Where = Field(default={})
    """Which events: dimension to a value or a list of values. All events without it."""

    dimensions: Annotated[tuple[DimensionName, ...], AfterValidator(_distinct)]
    """What tells series apart. Each combination of values costs memory."""

    measures: Annotated[tuple[MeasureName, ...], AfterValidator(_distinct), Field(min_length=1)]
    """What each series measures."""

    distinct: Annotated[tuple[AnyDimensionName, ...], AfterValidator(_distinct)] = ()
    """Dimensions whose different values each series counts, however many; `user` may stand here."""

    top: Annotated[tuple[DimensionName, ...], AfterValidator(_distinct)] = ()
    """Dimensions of which each series knows the values that come most, however many there are."""

    def to_core(self) -> dict[str, Any]:
        """Write it as the core's config expects it."""
        return {
            "name": self.name,
            "where": [[dimension, list(values)] for dimension, values in self.where.items()],
            "dimensions": list(self.dimensions),
            "measures": list(self.measures),
            "distinct": list(self.distinct),
            "top": list(self.top),
        }


def _named_once(views: tuple[ViewConfig, ...]) -> tuple[ViewConfig, ...]:
    names = [view.name for view in views]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two views are named {name!r}; rename one")
    return views


DEFAULT_VIEW: Final = ViewConfig(
    name="requests",
    dimensions=("service", "model", "region", "tenant"),
    measures=("duration", "ttft", "tpot", "queue_time", "input_tokens", "output_tokens"),
)
"""The view there is where the config has none."""


class EngineLimits(Section):
    """How much the core may hold. Over a limit values collapse to `__other__`, and are counted."""

    series: Annotated[int, Field(ge=1)] = 100_000
    """Series of one view. An objective's dimensions are the last that collapse."""

    tenant_series: Annotated[int, Field(ge=1)] = 25_000
    """Series of one named tenant in one view; past it only that tenant's own values collapse."""

    groups: Annotated[int, Field(ge=1)] = 1000
    """Groups of one objective that keep a budget of their own."""

    dimension_values: Annotated[int, Field(ge=1)] = 100_000
    """Values of one dimension that are told apart; what the config names always is."""

    dimension_bytes: Annotated[Bytes, Field(ge=1)] = 256
    """Length of one dimension value."""

    sources: Annotated[int, Field(ge=1)] = 1000
    """Sources, and tenants, that the ledger tells apart."""

    request_bytes: Annotated[Bytes, Field(ge=1024)] = 16 * 1024**2
    """Size of one request, decompressed."""

    memory: Annotated[Bytes, Field(ge=16 * 1024**2)] = 2 * 1024**3
    """
    Memory for distributions and for what tells series apart. Over it the oldest buckets go,
    those of series that an objective uses last; counters and the open edge never.
    """

    disk: Annotated[Bytes, Field(ge=16 * 1024**2)] = 16 * 1024**3
    """
    Sealed buckets on disk: what recovery and windows longer than memory read. Over it the
    oldest of the finest go first. The journal and checkpoints come on top.
    """

    companion_bytes: Annotated[Bytes, Field(ge=1024**2)] = 256 * 1024**2
    """Memory for `distinct` and `top` of one view; past it the oldest of them goes first."""

    dedupe_horizon: Annotated[Seconds, Field(ge=60, le=3600)] = 15 * 60.0
    """
    How long a request is remembered at least, so that it counts once when its sender gives up
    waiting and sends it again. Longer than senders go on trying; at most 1h.
    """

    dedupe_entries: Annotated[int, Field(ge=1000, le=500_000_000)] = 8_000_000
    """
    Requests remembered, 50 B each. Past it the oldest are forgotten early, and
    `spanmill_dedupe_horizon_seconds` says how far back it still reaches.
    """

    producers: Annotated[int, Field(ge=1)] = 100_000
    """Senders that number their batches, 300 B each; past it the longest silent is forgotten."""


class RetentionConfig(Section):
    """How long sealed buckets stay on disk, by their width: at least as long as in memory."""

    buckets_10s: Annotated[Seconds, Field(ge=360)] = 360.0
    """Ten seconds wide. While they are there, a window may start at any of them."""

    buckets_1m: Annotated[Seconds, Field(ge=3960)] = 3960.0
    """A minute wide."""

    buckets_5m: Annotated[Seconds, Field(ge=23_400)] = 23_400.0
    """Five minutes wide: how far back windows reach for series that no objective uses."""

    buckets_1h: Annotated[Seconds, Field(ge=273_600)] = 273_600.0
    """An hour wide; only of series that an objective uses."""

    buckets_6h: Annotated[Seconds, Field(ge=2_678_400)] = 2_678_400.0
    """Six hours wide; only of series that an objective uses."""

    def to_core(self) -> dict[str, float]:
        """Write it as the core's config expects it."""
        return {
            name.removeprefix("buckets_"): getattr(self, name) for name in type(self).model_fields
        }


class EngineConfig(Section):
    """What the core is built from."""

    data_dir: Annotated[ConfigPath, Field(validate_default=True)] = Path("spanmill-data")
    """Folder for everything kept; one daemon at a time. Starts at the config file's folder."""

    durability: Literal["sync", "relaxed", "off"] = "sync"
    """
    What an acknowledged event survives. `sync`: the loss of power. `relaxed`: the end of the
    process; the loss of power may take the last 100 ms. `off`: nothing, it lives in memory.
    """

    window: WindowConfig = WindowConfig()
    """How event time is followed."""

    views: Annotated[tuple[ViewConfig, ...], AfterValidator(_named_once), Field(min_length=1)] = (
        DEFAULT_VIEW,
    )
    """Which distributions are kept."""

    retention: RetentionConfig = RetentionConfig()
    """How long sealed buckets stay on disk; `limits.disk` may end it earlier."""

    limits: EngineLimits = EngineLimits()
    """How much may be held at once."""


def known_names(base: Path) -> Reading:
    """Ask the core which measures and dimensions exist, to read files in `base` against."""
    signals = json.loads(_core.signals())
    return Reading(
        base=base,
        measures={one["name"]: one["unit"] for one in signals["measures"]},
        dimensions=[one["name"] for one in signals["dimensions"]],
    )


def core_config(config: EngineConfig, objectives: Sequence[Mapping[str, Any]]) -> str:
    """Write the JSON the core is built from; it has no defaults of its own."""
    return json.dumps(
        {
            "data_dir": str(config.data_dir.absolute()),
            "durability": config.durability,
            "window": {
                "lateness_s": config.window.lateness,
                "future_skew_s": config.window.future_skew,
                "idle_s": config.window.idle,
            },
            "views": [view.to_core() for view in config.views],
            "objectives": list(objectives),
            "retention": config.retention.to_core(),
            "limits": {name: getattr(config.limits, name) for name in EngineLimits.model_fields},
        }
    )


def open_engine(config: EngineConfig, objectives: Sequence[Mapping[str, Any]]) -> _core.Engine:
    """
    Create the data folder where it is missing, and build the core on it.

    Raises:
        StartError: The folder cannot be created.
        FolderInUse: Another daemon holds it.
        ConfigError: The core refuses a section.
    """
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"cannot create the data folder {config.data_dir}: {error.strerror}; set data_dir"
        ) from None
    engine = _core.Engine(core_config(config, objectives))
    _log_recovered(json.loads(engine.recovered()))
    return engine


def _log_recovered(found: dict[str, Any]) -> None:
    """Say what a start took up again; nothing where there was nothing."""
    warnings = found.pop("warnings")
    if found["checkpoint"] or found["records"]:
        log.info("recovered", **found)
    for warning in warnings:
        log.warning("recovery", told=warning)


class Maintenance:
    """Ticks the core once a second, so that buckets seal and retire while no event arrives."""

    def __init__(self, engine: _core.Engine, on_failure: Callable[[], None]) -> None:
        """
        Tick this core; `start` begins.

        Args:
            on_failure: Called once, when the journal cannot be written any more.
        """
        self._engine = engine
        self._on_failure = on_failure
        self._told: Callable[[str | None], None] | None = None
        self._unready: str | None = None
        self._failing: str | None = None
        self._ticks = 0
        self._demoted = 0
        self._demoted_at_tick = 0
        self._stopping = threading.Event()
        self._ticked_at_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def start(self) -> None:
        """Start ticking."""
        self._thread.start()

    def tell(self, told: Callable[[str | None], None]) -> None:
        """Call `told` after each tick with why no traffic should come; None while it should."""
        self._told = told

    def stop(self) -> None:
        """Stop at once; a tick under way is finished."""
        self._stopping.set()
        self._thread.join()

    @property
    def is_stalled(self) -> bool:
        """Whether no tick has finished for `STALLED_AFTER_S`."""
        return time.monotonic() - self._ticked_at_s > STALLED_AFTER_S

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                self._engine.tick()
                self._failing = None
                self._ticked_at_s = time.monotonic()
                self._look(self._engine.unready())
                self._ticks += 1
                if self._ticks % MEMORY_EVERY_TICKS == 0:
                    self._mind_memory(json.loads(self._engine.stats()))
            except Closed:
                return
            except JournalFailed as error:
                log.critical("journal failed, stopping", reason=str(error))
                self._tell(str(error))
                self._on_failure()
                return
            except SpanmillError as error:
                # A disk that is full, most likely: the next tick may find room.
                self._ticked_at_s = time.monotonic()
                if str(error) != self._failing:
                    log.error("maintenance failed, will retry", reason=str(error))  # noqa: TRY400  one line
                self._failing = str(error)
                self._look(self._engine.unready())
            except Exception:
                # Without ticks nothing would ever seal: the next one may succeed.
                log.exception("maintenance failed, will retry", retry_in_s=TICK_S)

    def _mind_memory(self, stats: Mapping[str, Any]) -> None:
        """Log once where the memory budget begins to cost sealed buckets."""
        demoted = sum(held["buckets"] for held in stats["demoted"].values())
        if demoted == self._demoted:
            return
        if self._demoted == 0 or self._ticks - self._demoted_at_tick > MEMORY_CALM_TICKS:
            log.warning(
                "memory budget reached, the oldest distributions go first",
                held_bytes=stats["memory_bytes"],
                limit_bytes=stats["memory_limit_bytes"],
                remedy="raise limits.memory, or keep fewer series",
            )
        self._demoted, self._demoted_at_tick = demoted, self._ticks

    def _look(self, unready: str | None) -> None:
        """Log once where what the core says changes, and tell who wants to know."""
        if unready is not None and self._unready is None:
            log.error("refusing requests, to be sent again", reason=unready)
        elif unready is None and self._unready is not None:
            log.info("taking requests again")
        self._unready = unready
        self._tell(unready)

    def _tell(self, unready: str | None) -> None:
        if self._told is not None:
            self._told(unready)
