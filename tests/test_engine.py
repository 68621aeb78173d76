"""The core gets its whole config, its folder and its clock."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from spanmill import _core
from spanmill.engine import EngineConfig, Maintenance, core_config, known_names, open_engine
from spanmill.errors import Closed, FolderInUse, JournalFailed, SpanmillError, StartError
from tests import cores, traces


def test_the_core_is_told_everything() -> None:
    """The core's JSON has every key it needs: it has no defaults of its own."""
    told = json.loads(core_config(EngineConfig(data_dir=Path("/d")), [cores.ERRORS]))

    assert {
        "data_dir": "/d",
        "durability": "sync",
        "window": {"lateness_s": 60.0, "future_skew_s": 5.0, "idle_s": 30.0},
        "views": [
            {
                "name": "requests",
                "where": [],
                "dimensions": ["service", "model", "region", "tenant"],
                "measures": [
                    "duration",
                    "ttft",
                    "tpot",
                    "queue_time",
                    "input_tokens",
                    "output_tokens",
                ],
                "distinct": [],
                "top": [],
            }
        ],
        "objectives": [cores.ERRORS],
        "retention": {
            "10s": 360.0,
            "1m": 3960.0,
            "5m": 23_400.0,
            "1h": 273_600.0,
            "6h": 2_678_400.0,
        },
        "limits": {
            "series": 100_000,
            "tenant_series": 25_000,
            "groups": 1000,
            "dimension_values": 100_000,
            "dimension_bytes": 256,
            "sources": 1000,
            "request_bytes": 16_777_216,
            "companion_bytes": 268_435_456,
            "memory": 2_147_483_648,
            "disk": 17_179_869_184,
            "dedupe_horizon": 900.0,
            "dedupe_entries": 8_000_000,
            "producers": 100_000,
        },
    } == told


def test_names_come_from_the_core() -> None:
    """Names are checked against what the core has, with its units."""
    reading = known_names(Path("/etc"))

    assert "s" == reading.measures["ttft"]
    assert "{token}" == reading.measures["input_tokens"]
    assert "USD" == reading.measures["cost"]
    assert {"service", "model", "tenant", "prompt_version"} <= set(reading.dimensions)


def test_one_daemon_a_folder(tmp_path: Path) -> None:
    """A folder has one owner at a time: a second is refused, until the first closes."""
    first = cores.open_core(tmp_path)

    with pytest.raises(FolderInUse, match=str(tmp_path)):
        cores.open_core(tmp_path)

    first.close()
    cores.open_core(tmp_path).close()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """A folder that cannot be created is one line that names it and the key to change."""
    (tmp_path / "file").touch()

    with pytest.raises(StartError, match=r"cannot create the data folder .*; set data_dir"):
        cores.open_core(tmp_path / "file" / "data")


def test_the_core_refuses_what_it_does_not_have(tmp_path: Path) -> None:
    """An objective over a measure that does not exist is refused by the core itself, too."""
    sli = {"kind": "latency", "measure": "tfft", "below": 1.0}

    with pytest.raises(SpanmillError, match="tfft"):
        open_engine(EngineConfig(data_dir=tmp_path), [dict(cores.ERRORS) | {"sli": sli}])


class Ticking:
    """Counts ticks; each may be made to fail."""

    def __init__(self) -> None:
        self.ticks = 0
        self.ticked = threading.Event()
        self.stopped = threading.Event()
        self.error: Exception | None = None
        self.reason: str | None = None
        self.demoted = 0

    def stats(self) -> bytes:
        """Tell what was given up for the memory budget."""
        demoted = {"1m": {"buckets": self.demoted, "bytes": 100 * self.demoted}}
        held = {"memory_bytes": 2000, "memory_limit_bytes": 1900}
        return json.dumps(held | {"demoted": demoted}).encode()

    def unready(self) -> str | None:
        """Say why no traffic should come."""
        return self.reason

    def tick(self) -> None:
        """Count, or fail."""
        self.ticks += 1
        self.ticked.set()
        if self.error:
            raise self.error


@pytest.fixture
def maintain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], Maintenance]]:
    """Give a function that starts maintenance at a hundred times its pace."""
    monkeypatch.setattr("spanmill.engine.TICK_S", 0.01)
    started: list[Maintenance] = []

    def start(engine: Any) -> Maintenance:  # noqa: ANN401  stands in for the core
        stopped = getattr(engine, "stopped", threading.Event())
        started.append(Maintenance(engine, on_failure=stopped.set))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_ticks_until_stopped(maintain: Callable[[Any], Maintenance]) -> None:
    """The core is ticked from the start on, and no more once stopped."""
    engine = Ticking()
    maintenance = maintain(engine)
    assert engine.ticked.wait(10)

    maintenance.stop()

    before = engine.ticks
    engine.ticked.clear()
    assert not engine.ticked.wait(0.05)
    assert before == engine.ticks


def test_a_failed_tick_is_not_the_last(
    maintain: Callable[[Any], Maintenance], wait_until: Callable[..., None]
) -> None:
    """A tick that fails is followed by another: without any nothing would ever seal."""
    engine = Ticking()
    engine.error = RuntimeError("once")
    maintain(engine)

    wait_until(lambda: engine.ticks > 2)


def test_a_failed_journal_stops_the_daemon(
    maintain: Callable[[Any], Maintenance], wait_until: Callable[..., None]
) -> None:
    """Once the journal cannot be written who wants to know is told, and the daemon is to stop."""
    engine = Ticking()
    engine.error = JournalFailed("journal 1.log: Input/output error")
    told: list[str | None] = []

    maintain(engine).tell(told.append)

    wait_until(engine.stopped.is_set)
    assert 1 == engine.ticks
    assert {"journal 1.log: Input/output error"} >= set(told)


def test_a_full_disk_is_waited_out(
    maintain: Callable[[Any], Maintenance], wait_until: Callable[..., None]
) -> None:
    """A tick that says why it failed is logged once, is no standstill, and others follow."""
    engine = Ticking()
    engine.error = StartError("data: No space left on device")
    with structlog.testing.capture_logs() as logged:
        maintenance = maintain(engine)
        wait_until(lambda: engine.ticks > 3)

    assert 1 == [line["event"] for line in logged].count("maintenance failed, will retry")
    assert not maintenance.is_stalled


def test_a_core_that_stands_still_is_noticed(
    maintain: Callable[[Any], Maintenance],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[..., None],
) -> None:
    """While ticks fail for too long the daemon is not ready; with the next good one it is."""
    monkeypatch.setattr("spanmill.engine.STALLED_AFTER_S", 0.03)
    engine = Ticking()
    engine.error = RuntimeError("again and again")
    maintenance = maintain(engine)
    wait_until(lambda: maintenance.is_stalled)

    engine.error = None

    wait_until(lambda: not maintenance.is_stalled)


def test_a_closed_core_needs_no_clock(
    maintain: Callable[[Any], Maintenance], wait_until: Callable[..., None]
) -> None:
    """Once the core is closed its thread ends by itself."""
    engine = Ticking()
    engine.error = Closed("closed")
    maintain(engine)

    wait_until(lambda: "maintenance" not in {thread.name for thread in threading.enumerate()})


def test_a_doubt_is_passed_on(
    maintain: Callable[[Any], Maintenance], wait_until: Callable[..., None]
) -> None:
    """Why no traffic should come is told after each tick, and that there is no reason any more."""
    engine, told = Ticking(), list[str | None]()
    maintain(engine).tell(told.append)
    wait_until(lambda: bool(told))

    engine.reason = "the clock"
    wait_until(lambda: told[-1] == "the clock")
    engine.reason = None

    wait_until(lambda: told[-1] is None)


def test_a_spent_memory_budget_is_logged_once(
    maintain: Callable[[Any], Maintenance], wait_until: Callable[..., None]
) -> None:
    """One line says that the memory budget begins to cost buckets, however long it does."""
    engine = Ticking()
    with structlog.testing.capture_logs() as lines:
        maintain(engine)
        for more in range(3):
            engine.demoted += 1 + more
            ticks = engine.ticks
            wait_until(lambda: engine.ticks > ticks + 25)  # noqa: B023  waits within the round

    said = [line for line in lines if "memory budget" in line["event"]]
    assert [1900] == [line["limit_bytes"] for line in said]


def test_maintenance_seals(
    tmp_path: Path, maintain: Callable[[Any], Maintenance], wait_until: Callable[..., None]
) -> None:
    """On a real core ticking moves the watermark on, while no event arrives."""
    engine: _core.Engine = cores.open_core(tmp_path, window={"idle": "50ms", "lateness": "0s"})
    maintain(engine)
    end_ns = 1_795_269_600 * 10**9
    engine.ingest_traces(traces.request([traces.span(end_ns, 1.0, {})]).SerializeToString())

    wait_until(lambda: end_ns / 1e9 <= json.loads(engine.stats())["watermark_s"])
    engine.close()
