"""Moves each sealed minute from the core to every sink, once, and knows how far it came."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import structlog

from spanmill.errors import Closed
from spanmill.sink.parquet import ParquetSink
from spanmill.sink.schema import WINDOW_SECS, check_rollup
from spanmill.sink.section import ExportConfig

DAY_S: Final = 86_400

log = structlog.stdlib.get_logger(__name__)


class RollupSource(Protocol):
    """What an exporter asks of the core; `spanmill._core.Engine` answers it."""

    def sealed_range(self) -> tuple[int, int] | None:
        """Give [first, last) of the sealed minutes still held (Unix s); None before the first."""

    def rollup(self, start_s: int, end_s: int) -> object:
        """Give the sealed minutes that start in [start_s, end_s) as an Arrow stream."""


class Sink(Protocol):
    """One place sealed minutes go. A sink is one file and one name in `SINKS`."""

    def __init__(self, config: ExportConfig, data_dir: Path) -> None: ...

    def open(self) -> int:
        """Make ready; say how many half-written files of a dead process were removed."""

    def write(self, rows: pa.Table, first_s: int, last_s: int) -> Path:
        """
        Write the minutes that start from `first_s` to `last_s`, both of one UTC day.

        The same minutes again must replace what stands, because a write that failed half
        way is repeated.
        """


SINKS: Final[tuple[type[Sink], ...]] = (ParquetSink,)
"""Every sink there is."""


@dataclass(frozen=True)
class ExportStatus:
    """What an exporter has done since it was built."""

    files: int = 0
    rows: int = 0
    bytes: int = 0
    failed_passes: int = 0
    last_error: str | None = None
    """Why the newest pass failed; None once a pass succeeds."""
    leftovers_removed: int = 0
    """Half-written files of dead processes that were removed."""
    minutes_skipped: int = 0
    """Minutes the core had retired before they were written, because passes kept failing."""
    exported_until_s: int | None = None
    """Minutes that start before this (Unix s) are written; None before the first."""


class Exporter:
    """
    Writes sealed minutes in the background until it is stopped.

    A pass that fails is logged, counted and repeated `flush_after` later over the same
    minutes: nothing is passed over while the core still holds it.
    """

    def __init__(self, config: ExportConfig, engine: RollupSource, data_dir: Path) -> None:
        self._config = config
        self._engine = engine
        self._sinks = [sink(config, data_dir) for sink in SINKS]
        self._opened = False
        # A chunk keeps its bounds until every sink has it: they are in its file's name, so
        # a repeated write replaces itself even where only the last sync had failed.
        self._chunk: tuple[int, int] | None = None
        self._status = ExportStatus()
        self._one_pass = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> ExportStatus:
        """What was written and what failed so far."""
        return self._status

    def start(self) -> None:
        """Start the background passes; does nothing where export is not enabled."""
        if not self._config.enabled:
            return
        self._thread = threading.Thread(target=self._run, name="exporter", daemon=True)
        self._thread.start()

    def stop(self, *, final: bool) -> None:
        """End the background passes; with `final`, write what is sealed by now first."""
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        if final:
            self._try_pass()

    def export_once(self) -> list[Path]:
        """
        Write every sealed minute that is not written yet.

        Returns:
            The files written, oldest minute first.

        Raises:
            OSError: A file could not be written; the next pass repeats its minutes.
            Closed: The core was closed.
        """
        with self._one_pass:
            self._open()
            written: list[Path] = []
            while (chunk := self._next_chunk()) is not None:
                self._chunk = chunk
                written += self._write(*chunk)
                self._chunk = None
                self._status = replace(self._status, exported_until_s=chunk[1])
            return written

    def _run(self) -> None:
        while not self._stopping.wait(self._config.flush_after):
            if not self._try_pass():
                return

    def _try_pass(self) -> bool:
        """Make one pass and log how it failed; False when no later pass can succeed."""
        try:
            self.export_once()
        except Closed:
            return False
        except OSError as error:
            self._count_failure(f"{error.strerror}: {error.filename}")
            log.warning(
                "export failed, will retry",
                path=error.filename,
                errno=error.errno,
                reason=error.strerror,
                retry_in_s=self._config.flush_after,
            )
        except Exception as error:
            # Whatever it is, a later pass must still run: data waits in the core meanwhile.
            self._count_failure(f"{type(error).__name__}: {error}")
            log.exception("export failed, will retry", retry_in_s=self._config.flush_after)
        else:
            self._status = replace(self._status, last_error=None)
        return True

    def _open(self) -> None:
        if self._opened:
            return
        removed = sum(sink.open() for sink in self._sinks)
        self._opened = True
        self._status = replace(self._status, leftovers_removed=removed)
        if removed:
            log.info("removed half-written files of an earlier process", files=removed)

    def _next_chunk(self) -> tuple[int, int] | None:
        """Bound the next minutes to write: of one UTC day, and no more than a file may hold."""
        sealed = self._engine.sealed_range()
        if sealed is None:
            return None
        first_held_s, end_s = sealed
        start_s = self._start_from(first_held_s)
        if start_s >= end_s:
            return None
        if self._chunk is not None and self._chunk[1] > start_s:
            return self._chunk
        midnight_s = (start_s // DAY_S + 1) * DAY_S
        most_s = start_s + self._config.minutes_per_file * WINDOW_SECS
        return start_s, min(end_s, midnight_s, most_s)

    def _start_from(self, first_held_s: int) -> int:
        until_s = self._status.exported_until_s
        if until_s is not None and first_held_s <= until_s:
            return until_s
        # After a quiet hour the oldest minute held jumps too, over minutes without rows;
        # only while passes fail does a jump lose any.
        if until_s is not None and self._status.last_error is not None:
            skipped = (first_held_s - until_s) // WINDOW_SECS
            self._status = replace(
                self._status, minutes_skipped=self._status.minutes_skipped + skipped
            )
            log.error("minutes were retired before they could be exported", minutes=skipped)
        self._status = replace(self._status, exported_until_s=first_held_s)
        return first_held_s

    def _write(self, start_s: int, end_s: int) -> list[Path]:
        rows = pa.table(self._engine.rollup(start_s, end_s))
        check_rollup(rows.schema)
        if rows.num_rows == 0:
            return []
        paths = [sink.write(rows, start_s, end_s - WINDOW_SECS) for sink in self._sinks]
        self._status = replace(
            self._status,
            files=self._status.files + len(paths),
            rows=self._status.rows + rows.num_rows,
            bytes=self._status.bytes + sum(path.stat().st_size for path in paths),
        )
        return paths

    def _count_failure(self, reason: str) -> None:
        failed = self._status.failed_passes + 1
        self._status = replace(self._status, failed_passes=failed, last_error=reason)
