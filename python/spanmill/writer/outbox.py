"""Batches on their way: numbered, sent, sent again, and dropped only where nothing else is left."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from spanmill import _core
from spanmill.v1 import ingest_pb2
from spanmill.writer import retry
from spanmill.writer.columns import Columns, encode
from spanmill.writer.dictionary import Dictionary

SEND: Final = f"/{ingest_pb2.DESCRIPTOR.services_by_name['Ingest'].full_name}/Send"

UNDER_WAY_MAX: Final = 4
"""Batches sent and not answered. Far fewer than the 1,024 numbers that the daemon looks back."""

REPORT_EVERY_S: Final = 30.0

log = logging.getLogger("spanmill.writer")


class Unary(Protocol):
    """A method of gRPC, called without waiting."""

    def future(self, request: bytes, timeout: float) -> Any:  # noqa: ANN401  as gRPC has it
        """Begin a call."""


@dataclass(frozen=True)
class Cut:
    """Events that make a batch."""

    columns: Callable[[], Columns]
    """Called once, on the sending thread."""
    events: int
    dictionary: Dictionary
    entries: int
    """Entries of the dictionary that they need."""


@dataclass
class Pending:
    """A batch that was not answered yet."""

    message: ingest_pb2.SpanBatch
    dictionary: Dictionary
    entries: int
    size: int

    @property
    def seq(self) -> int:
        """Its number within its epoch."""
        return int(self.message.seq)


@dataclass
class Counts:
    """Events by what became of them."""

    acknowledged: int = 0
    """Durable at the daemon; those that it rejected included."""
    rejected: int = 0
    """Of those acknowledged, how many can never be counted."""
    dropped: int = 0
    """Given up: no room in the buffer, refused for good, or not sent before the end."""


class Outbox:
    """
    Sends batches in the order of their numbers, a few at a time, and keeps each until answered.

    All state is under `changed`; one thread sends.
    """

    def __init__(
        self,
        call: Unary,
        producer_id: bytes,
        *,
        buffer_bytes: int,
        timeout_s: float,
        changed: threading.Condition,
    ) -> None:
        self.counts = Counts()
        self._call = call
        self._producer_id = producer_id
        self._buffer_bytes = buffer_bytes
        self._timeout_s = timeout_s
        self._changed = changed
        self._seq = 0
        self._epoch = 0
        self._held_bytes = 0
        self._waiting: deque[Pending] = deque()
        self._under_way: dict[tuple[int, int], Pending] = {}
        self._answered: deque[tuple[Pending, Any]] = deque()
        self._backoff = retry.Backoff()
        self._not_before_s = 0.0
        self._losses: dict[str, int] = {}
        self._reported_at_s = float("-inf")

    @property
    def is_empty(self) -> bool:
        """Whether every batch was answered or dropped."""
        return not (self._waiting or self._under_way or self._answered)

    @property
    def has_answers(self) -> bool:
        """Whether there is an answer to look at."""
        return bool(self._answered)

    def take(self, cut: Cut) -> None:
        """Encode and number a batch; without room it is dropped. Not under the lock."""
        message = encode(cut.columns())
        size = message.ByteSize()
        with self._changed:
            if self._held_bytes + size > self._buffer_bytes:
                self.drop(cut.events, "the buffer is full")
                return
            if cut.dictionary.epoch != self._epoch:
                self._epoch, self._seq = cut.dictionary.epoch, 0
            self._seq += 1
            message.producer_id = self._producer_id
            message.epoch, message.seq = self._epoch, self._seq
            self._held_bytes += size
            self._waiting.append(Pending(message, cut.dictionary, cut.entries, size))

    def drop(self, events: int, reason: str) -> None:
        """Count events that are given up. Under the lock."""
        self.counts.dropped += events
        self._losses[reason] = self._losses.get(reason, 0) + events

    def drop_all(self, reason: str) -> None:
        """Give up every batch; one under way may still be counted. Under the lock."""
        for pending in (*self._waiting, *self._under_way.values()):
            self._forget(pending)
            self.drop(pending.message.n, reason)
        self._waiting.clear()
        self._under_way.clear()

    def turn(self) -> float | None:
        """Send what may be sent, and look at the answers; the wait until there is more to do."""
        with self._changed:
            answered, self._answered = self._answered, deque()
            for pending, answer in answered:
                self._settle(pending, answer)
            due, wait_s = self._due()
        for pending in due:
            self._send(pending)
        return wait_s

    def report(self, *, last: bool = False) -> None:
        """Say in the log what was dropped since the last time, now and then."""
        with self._changed:
            now_s = time.monotonic()
            if not self._losses or (not last and now_s - self._reported_at_s < REPORT_EVERY_S):
                return
            self._reported_at_s = now_s
            losses, self._losses = self._losses, {}
        for reason, events in losses.items():
            log.warning("dropped %d events: %s", events, reason)

    def _due(self) -> tuple[list[Pending], float | None]:
        """Take the batches that may go now."""
        due: list[Pending] = []
        wait_s = self._not_before_s - time.monotonic()
        if self._waiting and wait_s > 0:
            return due, wait_s
        while self._waiting and len(self._under_way) < UNDER_WAY_MAX:
            epoch = self._waiting[0].dictionary.epoch
            # Once a batch of a new epoch was seen, none of the old one is taken any more.
            if any(other != epoch for other, _ in self._under_way):
                break
            pending = self._waiting.popleft()
            self._under_way[epoch, pending.seq] = pending
            due.append(pending)
        return due, None

    def _send(self, pending: Pending) -> None:
        message, dictionary = pending.message, pending.dictionary
        # Whatever the daemon is not known to have, so that batches may overtake each other.
        message.dict_base = min(dictionary.known, pending.entries)
        del message.new_series[:]
        message.new_series.extend(dictionary.since(message.dict_base, pending.entries))
        request = _core.with_checksum(message.SerializeToString())
        future = self._call.future(request, timeout=self._timeout_s)

        def note(answer: Any) -> None:  # noqa: ANN401  as gRPC calls it
            with self._changed:
                self._answered.append((pending, answer))
                self._changed.notify_all()

        future.add_done_callback(note)

    def _settle(self, pending: Pending, answer: Any) -> None:  # noqa: ANN401  as gRPC has it
        if self._under_way.pop((pending.dictionary.epoch, pending.seq), None) is None:
            return
        error = answer.exception() if not answer.cancelled() else None
        if error is None and not answer.cancelled():
            try:
                ack = ingest_pb2.SpanBatchAck.FromString(answer.result())
            except DecodeError:
                # Whoever this was, it was no daemon of ours.
                self._again(pending, None)
                return
            self._acknowledge(pending, ack)
        elif error is not None and retry.wants_dictionary(error):
            pending.dictionary.known = 0
            self._again(pending, None)
        elif error is None or retry.may_succeed(error):
            self._again(pending, None if error is None else retry.asked_delay_s(error))
        else:
            self._forget(pending)
            self.drop(pending.message.n, f"{error.code().name}: {error.details()}")

    def _acknowledge(self, pending: Pending, ack: ingest_pb2.SpanBatchAck) -> None:
        self._backoff.succeeded()
        self._forget(pending)
        pending.dictionary.known = max(pending.dictionary.known, pending.entries)
        self.counts.acknowledged += pending.message.n
        if ack.rejected.rejected_spans:
            self.counts.rejected += ack.rejected.rejected_spans
            log.warning(
                "the daemon rejected %d of %d events: %s",
                ack.rejected.rejected_spans,
                pending.message.n,
                ack.rejected.error_message,
            )

    def _again(self, pending: Pending, asked_s: float | None) -> None:
        """Put a batch back where its number belongs."""
        self._not_before_s = time.monotonic() + self._backoff.next_s(asked_s)
        key = (pending.dictionary.epoch, pending.seq)
        place = 0
        while place < len(self._waiting) and _key(self._waiting[place]) < key:
            place += 1
        self._waiting.insert(place, pending)

    def _forget(self, pending: Pending) -> None:
        self._held_bytes -= pending.size


def _key(pending: Pending) -> tuple[int, int]:
    return pending.dictionary.epoch, pending.seq
