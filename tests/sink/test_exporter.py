"""Every sealed minute leaves once, whatever happens to the disk meanwhile."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanmill.sink import ExportConfig, Exporter, list_files
from spanmill.sink.exporter import DAY_S
from tests.cores import open_core
from tests.sink.minutes import Source, recent_minute, send_minutes

QUICK = ExportConfig(flush_after=0.01)


def exported(data_dir: Path) -> pa.Table:
    """Read the whole dataset back, in the order of its rows."""
    rows = pq.read_table(data_dir / "lake" / "rollup", partitioning=None)
    return rows.sort_by([(name, "ascending") for name in ("measure", "series_id", "window_start")])


def minutes(data_dir: Path) -> list[int]:
    """List the minutes in the dataset, one for each row, in Unix seconds."""
    return sorted(int(second) for second in exported(data_dir).column("sum").to_pylist())


def test_the_dataset_is_what_the_core_sealed(tmp_path: Path) -> None:
    """
    Passes between which minutes seal write every row of the core once, unchanged: counts,
    sums, extremes, digests and dimensions.
    """
    engine = open_core(tmp_path)
    exporter = Exporter(ExportConfig(minutes_per_file=3), engine, tmp_path)
    first_s = recent_minute(ago=20)

    send_minutes(engine, first_s, 5, seed=1)
    exporter.export_once()
    send_minutes(engine, first_s + 5 * 60, 6, seed=2)
    exporter.export_once()

    sealed = engine.sealed_range()
    assert sealed is not None
    order = [(name, "ascending") for name in ("measure", "series_id", "window_start")]
    assert pa.table(engine.rollup(*sealed)).sort_by(order).equals(exported(tmp_path))
    assert exported(tmp_path).num_rows == exporter.status.rows
    assert sealed[1] == exporter.status.exported_until_s


def test_counts_and_sums_are_those_of_the_events(tmp_path: Path) -> None:
    """Rows hold exactly the events that were sent: their number, sum, minimum and maximum."""
    engine = open_core(tmp_path)
    sent = send_minutes(engine, recent_minute(ago=20), 8)

    Exporter(ExportConfig(), engine, tmp_path).export_once()

    sealed = engine.sealed_range()
    assert sealed is not None
    events = sent.within(*sealed)
    rows = exported(tmp_path).to_pylist()
    ttft = [row for row in rows if row["measure"] == "ttft"]
    assert len(events.values) == sum(row["count"] for row in ttft)
    assert pytest.approx(events.values.sum(), rel=1e-9) == sum(row["sum"] for row in ttft)
    assert events.values.min() == min(row["min"] for row in ttft)
    assert events.values.max() == max(row["max"] for row in ttft)
    for row in ttft:
        weights = sum(centroid["weight"] for centroid in row["digest"]["centroids"])
        assert row["count"] == row["digest"]["count"] == weights


def test_a_pass_without_news_writes_nothing(tmp_path: Path) -> None:
    """Where nothing sealed since the last pass, or ever, no file appears."""
    engine = open_core(tmp_path)
    exporter = Exporter(ExportConfig(), engine, tmp_path)
    assert [] == exporter.export_once()

    send_minutes(engine, recent_minute(ago=20), 5)
    assert 1 == len(exporter.export_once())
    assert [] == exporter.export_once()


def test_a_file_holds_one_day_and_no_more_minutes_than_allowed(tmp_path: Path) -> None:
    """A pass that catches up starts a new file at midnight UTC and at `minutes_per_file`."""
    midnight_s = 20_000 * DAY_S
    source = Source(midnight_s - 5 * 60, midnight_s + 4 * 60)

    Exporter(ExportConfig(minutes_per_file=3), source, tmp_path).export_once()

    files = [(it.path.parent.name, it.rows) for it in list_files(tmp_path)]
    before, after = "dt=2024-10-03", "dt=2024-10-04"
    assert [(before, 3), (before, 2), (after, 3), (after, 1)] == files
    assert list(range(*source.held, 60)) == minutes(tmp_path)


def test_a_blocked_folder_delays_but_loses_nothing(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """
    While the lake cannot be written, passes fail, are counted and name the path; once it
    can, every minute that sealed meanwhile is there once.
    """
    (tmp_path / "lake").write_text("in the way")
    source = Source(0, 600)
    exporter = Exporter(QUICK, source, tmp_path)
    exporter.start()
    wait_until(lambda: exporter.status.failed_passes >= 2)
    assert str(tmp_path / "lake") in str(exporter.status.last_error)

    source.held = (0, 1200)
    (tmp_path / "lake").unlink()
    wait_until(lambda: exporter.status.exported_until_s == 1200)
    exporter.stop(final=False)

    assert list(range(0, 1200, 60)) == minutes(tmp_path)
    assert exporter.status.last_error is None
    assert 0 == exporter.status.minutes_skipped


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    """A write that fails half way names the file, leaves nothing behind, and is repeated."""
    exporter = Exporter(ExportConfig(), Source(0, 600), tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        with pytest.raises(OSError, match=str(tmp_path / "staging")):
            exporter.export_once()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]

    exporter.export_once()
    assert list(range(0, 600, 60)) == minutes(tmp_path)


def test_a_repeated_write_replaces_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where a file is in place but the pass failed after it, the next pass writes the same
    minutes under the same name, though more have sealed: no row is there twice.
    """
    source = Source(0, 600)
    exporter = Exporter(ExportConfig(), source, tmp_path)
    fsync, calls = os.fsync, []

    def fail_third(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    # File, new day's parent, then the day's folder: by then the file can be seen.
    monkeypatch.setattr(os, "fsync", fail_third)
    with pytest.raises(OSError, match="Input/output error"):
        exporter.export_once()
    assert 1 == len(list_files(tmp_path))

    source.held = (0, 900)
    exporter.export_once()
    assert list(range(0, 900, 60)) == minutes(tmp_path)


def test_minutes_lost_to_a_long_failure_are_counted(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """Minutes that the core retired while passes failed are counted as skipped, not passed over."""
    source = Source(0, 600)
    exporter = Exporter(QUICK, source, tmp_path)
    exporter.export_once()
    (tmp_path / "staging").rmdir()
    (tmp_path / "staging").write_text("in the way")
    source.held = (600, 1200)
    exporter.start()
    wait_until(lambda: exporter.status.failed_passes >= 1)

    source.held = (900, 1200)
    (tmp_path / "staging").unlink()
    (tmp_path / "staging").mkdir()
    wait_until(lambda: exporter.status.exported_until_s == 1200)
    exporter.stop(final=False)

    assert 5 == exporter.status.minutes_skipped
    assert [*range(0, 600, 60), *range(900, 1200, 60)] == minutes(tmp_path)


def test_a_later_process_adds_its_own_rows(tmp_path: Path) -> None:
    """
    After a restart the same minutes may be written again, beside the rows of the process
    before: a sum over both is right.
    """
    Exporter(ExportConfig(), Source(0, 600), tmp_path).export_once()
    Exporter(ExportConfig(), Source(0, 600), tmp_path).export_once()

    assert 2 == len(list_files(tmp_path))
    assert sorted([*range(0, 600, 60)] * 2) == minutes(tmp_path)


def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    """Half-written files are removed and counted; the lake is left alone."""
    Exporter(ExportConfig(), Source(0, 600), tmp_path).export_once()
    leftover = tmp_path / "staging" / "rollup-0-540-1.parquet"
    leftover.write_bytes(b"PAR1 half")

    exporter = Exporter(ExportConfig(), Source(600, 900), tmp_path)
    exporter.export_once()

    assert not leftover.exists()
    assert 1 == exporter.status.leftovers_removed
    assert list(range(0, 900, 60)) == minutes(tmp_path)


def test_stopping_writes_what_is_sealed(tmp_path: Path) -> None:
    """A final stop writes every sealed minute without waiting for the next pass."""
    exporter = Exporter(ExportConfig(flush_after="1h"), Source(0, 600), tmp_path)
    exporter.start()
    exporter.stop(final=True)

    assert list(range(0, 600, 60)) == minutes(tmp_path)


def test_disabled_export_touches_nothing(tmp_path: Path) -> None:
    """With `export.enabled: false` no folder is made and no thread runs, also at the stop."""
    exporter = Exporter(ExportConfig(enabled=False), Source(0, 600), tmp_path)
    exporter.start()
    exporter.stop(final=True)

    assert [] == list(tmp_path.iterdir())


def test_a_closed_core_ends_the_passes(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    """When the core is closed first, the thread ends by itself and counts no failure."""
    engine = open_core(tmp_path)
    send_minutes(engine, recent_minute(ago=20), 5)
    engine.close()
    exporter = Exporter(QUICK, engine, tmp_path)

    exporter.start()

    thread = exporter._thread
    assert thread is not None
    wait_until(lambda: not thread.is_alive())
    exporter.stop(final=True)
    assert 0 == exporter.status.failed_passes
