"""What stands behind `SpanBatchWriter`: gathers events, and has a thread that sends them."""

import atexit
import os
import secrets
import threading
import time
from typing import Final

import grpc

from spanmill.writer import table as tables
from spanmill.writer.columns import (
    KINDS,
    ROW_BYTES,
    SPAN_ID_BYTES,
    TRACE_ID_BYTES,
    Columns,
    Row,
    checked_id,
    from_rows,
    join,
    microseconds,
)
from spanmill.writer.dictionary import ENTRIES_MAX, Dictionary
from spanmill.writer.event import Attributes, Measures
from spanmill.writer.outbox import SEND, Counts, Cut, Outbox, log

BATCH_SIZE_MAX: Final = 1 << 17
"""Events that the daemon takes in one batch."""

_PRODUCER_ID_BYTES: Final = 16
_EXIT_WITHIN_S: Final = 5.0

_OPTIONS: Final = (
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
)


class Feed:
    """Gathers events into batches by number and age; its thread encodes and sends them."""

    def __init__(
        self,
        address: str,
        *,
        producer_id: bytes | None,
        resource: Attributes | None,
        batch_size: int,
        max_age_s: float,
        buffer_bytes: int,
        timeout_s: float,
        credentials: grpc.ChannelCredentials | None,
    ) -> None:
        if not 1 <= batch_size <= BATCH_SIZE_MAX:
            raise ValueError(f"batch_size is {batch_size}, it must be 1 to {BATCH_SIZE_MAX}")
        own_id = secrets.token_bytes(_PRODUCER_ID_BYTES) if producer_id is None else producer_id
        if len(own_id) != _PRODUCER_ID_BYTES or not any(own_id):
            raise ValueError(f"producer_id needs {_PRODUCER_ID_BYTES} bytes, not all zero")
        self._batch_size = batch_size
        self._max_age_s = max_age_s
        self._resource = dict(resource or {})
        self._changed = threading.Condition()
        self._dictionary = Dictionary(self._resource)
        self._rows: list[Row] = []
        self._parts: list[Columns] = []
        self._part_events = 0
        self._oldest_s = 0.0
        self._cuts: list[Cut] = []
        self._cut_events = 0
        self._cut_events_max = max(buffer_bytes // ROW_BYTES, batch_size)
        self._closing = False
        self._stopped = False
        self._pid = os.getpid()
        self._channel = (
            grpc.insecure_channel(address, _OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, _OPTIONS)
        )
        self._outbox = Outbox(
            self._channel.unary_unary(SEND, None, None),
            own_id,
            buffer_bytes=buffer_bytes,
            timeout_s=timeout_s,
            changed=self._changed,
        )
        self._thread = threading.Thread(target=self._run, name="spanmill-writer", daemon=True)
        self._thread.start()
        atexit.register(self._exit)

    @property
    def counts(self) -> Counts:
        """What became of events so far."""
        return self._outbox.counts

    def record(
        self,
        attributes: Attributes,
        times_s: tuple[float, float],
        ids: tuple[bytes | None, bytes | None],
        measures: Measures,
        *,
        failed: bool,
    ) -> None:
        """Take one event: its start and duration, its trace and span id."""
        if not measures.keys() <= KINDS.keys():
            unknown = ", ".join(sorted(measures.keys() - KINDS.keys()))
            raise TypeError(f"no measure {unknown}; there are {', '.join(KINDS)}")
        start_us = microseconds("start", times_s[0])
        duration_us = microseconds("duration_s", times_s[1])
        trace_id = checked_id("trace_id", ids[0], TRACE_ID_BYTES)
        span_id = checked_id("span_id", ids[1], SPAN_ID_BYTES)
        with self._changed:
            self._check_open()
            series = self._dictionary.place(attributes)
            self._begin()
            row = Row(series, start_us, duration_us, failed, trace_id, span_id, measures)
            self._rows.append(row)
            self._end()

    def write(self, table: tables.Table) -> None:
        """Take the events of a table."""
        self._check_open()
        events = tables.read(table)
        with self._changed:
            self._check_open()
            step = min(self._batch_size, ENTRIES_MAX)
            for start in range(0, len(events.columns), step):
                dictionary = self._dictionary
                part = events.part(start, start + step, dictionary.place)
                self._begin()
                self._parts.append(part)
                self._part_events += len(part)
                self._end()
                if self._dictionary is not dictionary:
                    events.forget_places()

    def flush(self, timeout_s: float | None) -> bool:
        """Send everything taken so far, and wait; whether all was answered in time."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            self._cut()
            self._changed.notify_all()
            while not self._is_idle():
                left_s = None if deadline_s is None else deadline_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return False
                self._changed.wait(left_s)
            return True

    def close(self, timeout_s: float) -> None:
        """Flush, then stop. What is not answered within `timeout_s` is dropped, and counted."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
        atexit.unregister(self._exit)
        if os.getpid() != self._pid:
            return
        done = self.flush(timeout_s)
        with self._changed:
            if not done:
                self._outbox.drop(self._cut_events, "not sent before the end")
                self._cuts.clear()
                self._cut_events = 0
                self._outbox.drop_all("not acknowledged before the end")
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()
        self._channel.close()
        self._outbox.report(last=True)

    def _exit(self) -> None:
        self.close(_EXIT_WITHIN_S)

    def _check_open(self) -> None:
        if self._closing:
            raise RuntimeError("the writer is closed")
        if os.getpid() != self._pid:
            raise RuntimeError("this process was forked from the writer's; make one of its own")

    def _events(self) -> int:
        return len(self._rows) + self._part_events

    def _begin(self) -> None:
        """Another event comes, or a part of a table."""
        if self._events() == 0:
            self._oldest_s = time.monotonic()
            # The thread waits for nothing until there is something.
            self._changed.notify_all()

    def _end(self) -> None:
        if self._events() >= self._batch_size or self._dictionary.is_full:
            self._cut()
            self._changed.notify_all()

    def _cut(self) -> None:
        """Make a batch of what is recorded, under the lock."""
        events = self._events()
        dictionary = self._dictionary
        if events == 0:
            return
        if self._cut_events + events > self._cut_events_max:
            self._outbox.drop(events, "the buffer is full")
        else:
            rows, parts = self._rows, self._parts

            def columns() -> Columns:
                return join([*parts, from_rows(rows)] if rows else parts)

            self._cuts.append(Cut(columns, events, dictionary, len(dictionary)))
            self._cut_events += events
        self._rows, self._parts, self._part_events = [], [], 0
        if dictionary.is_full:
            self._dictionary = Dictionary(self._resource, after=dictionary.epoch)

    def _is_idle(self) -> bool:
        return not self._cuts and self._cut_events == 0 and self._outbox.is_empty

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                self._cut_if_old()
                cuts, self._cuts = self._cuts, []
            for cut in cuts:
                self._take(cut)
            wait_s = self._outbox.turn()
            self._outbox.report()
            self._wait(wait_s)

    def _take(self, cut: Cut) -> None:
        try:
            self._outbox.take(cut)
        except Exception:  # noqa: BLE001  whatever it is, it is said in the log
            # The thread must outlive what is wrong with one batch.
            log.exception("a batch cannot be encoded")
            with self._changed:
                self._outbox.drop(cut.events, "they cannot be encoded")
        finally:
            with self._changed:
                self._cut_events -= cut.events

    def _cut_if_old(self) -> None:
        if self._events() and time.monotonic() - self._oldest_s >= self._max_age_s:
            self._cut()

    def _wait(self, until_retry_s: float | None) -> None:
        """Wait until something is to be done; an answer, a batch or the end wakes us."""
        with self._changed:
            self._changed.notify_all()
            waits = [] if until_retry_s is None else [until_retry_s]
            if self._events():
                waits.append(self._oldest_s + self._max_age_s - time.monotonic())
            if self._cuts or self._stopped or self._outbox.has_answers:
                return
            if not waits or min(waits) > 0:
                self._changed.wait(min(waits, default=None))
