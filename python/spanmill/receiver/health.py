"""
The standard gRPC health service.

Our own, because the library's sends to a watcher while it holds the lock that gRPC's
one serving thread needs when another watcher leaves: the two then wait for each other,
and the whole listener with them.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from spanmill.receiver.workers import on_pool

SERVICE_NAME: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
"""`grpc.health.v1.Health`."""

REASON_KEY: Final = "spanmill-unready"
"""Trailing metadata of a check: why the answer is NOT_SERVING."""

_Answer: Final = health_pb2.HealthCheckResponse
Send = Callable[[Message], None]
"""Sends one `HealthCheckResponse` to a watcher."""


class Health:
    """
    Says SERVING for the services named, and for the server as a whole, until told to stop.

    While there is a reason for no traffic to come it says NOT_SERVING, with the reason in
    the trailing metadata of a check.
    """

    def __init__(self, services: frozenset[str], threads: ThreadPoolExecutor) -> None:
        self._services = services | {""}
        self._threads = threads
        self._lock = threading.Lock()
        self._stopped = False
        self._unready: str | None = None
        self._watchers: dict[object, Send] = {}

    def add_to(self, server: grpc.Server) -> None:
        """Serve on `server`; call before it starts."""
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(
                self._check,
                request_deserializer=health_pb2.HealthCheckRequest.FromString,
                response_serializer=_Answer.SerializeToString,
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                # Not blocking: a watcher costs no thread while nothing changes.
                on_pool(self._threads, self._watch, non_blocking=True),
                request_deserializer=health_pb2.HealthCheckRequest.FromString,
                response_serializer=_Answer.SerializeToString,
            ),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE_NAME, methods),)
        )

    def stop_serving(self) -> None:
        """Say NOT_SERVING from now on, to every watcher too; waits for none of them."""
        with self._lock:
            self._stopped = True
        self.set_unready("the daemon is stopping")

    def set_unready(self, reason: str | None) -> None:
        """Say NOT_SERVING for a reason, or SERVING again; tells watchers where that changes."""
        with self._lock:
            if self._stopped and reason is None:
                return
            changes = (self._unready is None) != (reason is None)
            self._unready = reason
            watchers = list(self._watchers.values()) if changes else []
        for send in watchers:
            self._threads.submit(send, self._status(""))

    def _check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Message:
        if request.service not in self._services:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        if (reason := self._unready) is not None:
            context.set_trailing_metadata(((REASON_KEY, reason),))
        return self._status(request.service)

    def _watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext, send: Send
    ) -> None:
        told = self._status(request.service)
        send(told)
        key = object()
        with self._lock:
            if request.service in self._services:
                self._watchers[key] = send
        if not context.add_callback(lambda: self._forget(key)):
            self._forget(key)
        # It may have changed before the watcher was known.
        now = self._status(request.service)
        if now != told:
            send(now)

    def _status(self, service: str) -> Message:
        status = _Answer.SERVING if self._unready is None else _Answer.NOT_SERVING
        known = service in self._services
        answer: Message = _Answer(status=status if known else _Answer.SERVICE_UNKNOWN)
        return answer

    def _forget(self, key: object) -> None:
        with self._lock:
            self._watchers.pop(key, None)
