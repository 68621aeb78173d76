"""
`spanmill.v1.Ingest`: batches of columns, passed on undecoded like any other request.

A unary batch takes a worker of the exports. A stream has a thread of its own for as long as
it is open, so streams have a pool and a limit of their own and never delay an export.
"""

from collections.abc import Callable, Iterator
from typing import Final

import grpc

from spanmill.receiver import status
from spanmill.receiver.admission import Admission
from spanmill.receiver.workers import Workers, on_pool
from spanmill.v1 import ingest_pb2

SERVICE_NAME: Final = ingest_pb2.DESCRIPTOR.services_by_name["Ingest"].full_name
"""For the health and reflection services: `spanmill.v1.Ingest`."""

SEND: Final = f"/{SERVICE_NAME}/Send"
STREAM: Final = f"/{SERVICE_NAME}/Stream"

Take = Callable[[bytes, grpc.ServicerContext], bytes]
"""Folds one batch, or ends its call with a status: encoded `SpanBatch` in, ack out."""


class IngestService:
    """Answers `Send` on the exports' workers, and `Stream` on threads of its own."""

    def __init__(
        self, take: Take, workers: Workers, streams: int, on_refused: Callable[[str], None]
    ) -> None:
        """
        Take batches with `take`.

        Args:
            streams: Streams open at once.
            on_refused: Called with the reason for each stream that was refused.
        """
        self._take = take
        self._workers = workers
        self._open = Admission(streams)
        self._threads = Workers(
            streams, "ingest-stream", on_end=lambda: self._open.leave(1), on_undelivered=_nothing
        )
        self._on_refused = on_refused
        self._shed = grpc.stream_stream_rpc_method_handler(self._refuse)

    def add_to(self, server: grpc.Server) -> None:
        """Serve on `server`; call before it starts."""
        methods = {
            "Send": grpc.unary_unary_rpc_method_handler(on_pool(self._workers, self._send)),
            "Stream": grpc.stream_stream_rpc_method_handler(on_pool(self._threads, self._stream)),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE_NAME, methods),)
        )

    def at_the_door(self) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """Let a stream in; where there are too many, give what refuses it instead."""
        return None if self._open.enter(1) else self._shed

    def stop(self) -> None:
        """Wait for streams to end; the server has told them to."""
        self._threads.shutdown()

    def _send(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._workers.arrived()
        return self._take(request, context)

    def _stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        # One at a time: a sender that wants more under way opens more streams, or uses `Send`.
        for request in requests:
            yield self._take(request, context)

    def _refuse(self, _requests: object, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._on_refused("over_streams")
        message = f"{self._open.held} streams are open, over limits.streams; use Send instead"
        context.abort_with_status(status.retry_later(message, self._open.retry_after_s(1)))


def _nothing() -> None:
    """Nothing to count: a stream may end before its first batch."""
