"""`SpanBatchWriter`: events in, columns out."""

from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from spanmill.writer.event import Attributes, Measures

if TYPE_CHECKING:
    import grpc

    from spanmill.writer.table import Table


class SpanBatchWriter:
    """
    Sends events to a daemon as columns; each acknowledged one is counted exactly once.

    Recording never waits for the network: events are batched by number and age, and a
    thread sends them, again where it must, with the same numbers, so that the daemon
    knows what it has counted. What finds no room in the buffer is dropped, counted in
    `dropped` and said in the log `spanmill.writer`.

    Safe to share between threads. Not to be shared with a forked process: make one there.

        with SpanBatchWriter("127.0.0.1:4317", resource={"service.name": "gateway"}) as writer:
            writer.record({"gen_ai.request.model": "atlas"}, time.time(), 1.5, ttft_s=0.2)
    """

    def __init__(
        self,
        address: str,
        *,
        producer_id: bytes | None = None,
        resource: Attributes | None = None,
        batch_size: int = 4096,
        max_age_s: float = 1.0,
        buffer_bytes: int = 64 * 1024**2,
        timeout_s: float = 10.0,
        credentials: "grpc.ChannelCredentials | None" = None,
    ) -> None:
        """
        Begin to send to a daemon. It need not be up yet.

        Args:
            address: Its `listen.otlp_grpc`, as `host:port`.
            producer_id: 16 bytes that no other sender has; drawn at random by default.
            resource: Attributes of every event, behind its own, such as `service.name`.
            batch_size: Events of a batch, at most 131,072.
            max_age_s: How long an event waits for others at most.
            buffer_bytes: Encoded batches that wait for an answer.
            timeout_s: How long one answer may take before the batch is sent again.
            credentials: For TLS; without them the connection is not encrypted.

        Raises:
            ValueError: An argument is out of its range.
        """
        # gRPC, NumPy and pyarrow take a while to load; who never writes need not wait for them.
        from spanmill.writer.feed import Feed  # noqa: PLC0415

        self._feed = Feed(
            address,
            producer_id=producer_id,
            resource=resource,
            batch_size=batch_size,
            max_age_s=max_age_s,
            buffer_bytes=buffer_bytes,
            timeout_s=timeout_s,
            credentials=credentials,
        )

    @property
    def dropped(self) -> int:
        """Events given up so far."""
        return self._feed.counts.dropped

    @property
    def rejected(self) -> int:
        """Events that the daemon could never count, such as those in the future."""
        return self._feed.counts.rejected

    @property
    def acknowledged(self) -> int:
        """Events that are durable at the daemon; those that it rejected included."""
        return self._feed.counts.acknowledged

    def record(
        self,
        attributes: Attributes,
        start: float,
        duration_s: float,
        *,
        failed: bool = False,
        trace_id: bytes | None = None,
        span_id: bytes | None = None,
        **measures: Unpack[Measures],
    ) -> None:
        """
        Record one event.

        Args:
            attributes: What it has in common with others, by OTLP names. Each combination of
                values is kept for good, so ids of requests have no place here.
            start: Unix seconds, as `time.time()` gives; microseconds of it are kept.
            duration_s: To the microsecond.
            failed: Whether it was an error.
            trace_id: 16 bytes.
            span_id: 8 bytes.
            measures: What else it measures; see `spanmill.writer.Measures`.

        Raises:
            ValueError: A time is negative or no number, or an id has another length.
            TypeError: There is no such measure.
            RuntimeError: The writer was closed, or made by the process we were forked from.
        """
        times_s, ids = (start, duration_s), (trace_id, span_id)
        self._feed.record(attributes, times_s, ids, measures, failed=failed)

    def write(self, table: "Table") -> None:
        """
        Record the events of a table: arrays by name, or anything with `__arrow_c_stream__`.

        Columns `start` (Unix seconds, or timestamps), `duration_s`, and where they are there
        `failed`, `trace_id`, `span_id` and the measures of `record`; every other column is
        an attribute by its OTLP name. Missing values are absent.

        Raises:
            ValueError: A column is missing, has another length or values that are none of its
                kind. Nothing of the table was recorded.
            RuntimeError: The writer was closed, or made by the process we were forked from.
        """
        self._feed.write(table)

    def flush(self, timeout_s: float | None = None) -> bool:
        """
        Send everything recorded so far, and wait for the answers.

        Returns:
            Whether all was answered in time. Nothing is dropped where it was not.
        """
        return self._feed.flush(timeout_s)

    def close(self, timeout_s: float = 30.0) -> None:
        """Flush, then stop. What is not answered within `timeout_s` is dropped, and counted."""
        self._feed.close(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
