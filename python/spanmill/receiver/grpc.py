"""
OTLP over gRPC: takes request bytes and passes them on undecoded.

`Export` below is the hot path's second hop. No Python object is made per span, and
shedding happens here rather than in gRPC: its own limit answers RESOURCE_EXHAUSTED
without a delay, on which clients drop the batch, and refuses health checks too.
"""

import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

import grpc
import structlog
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from spanmill import _core
from spanmill.errors import (
    Closed,
    DictionaryUnknown,
    JournalFailed,
    Overloaded,
    StartError,
    WireError,
    cannot_listen,
)
from spanmill.model import Address
from spanmill.receiver import batch, health, ingest, ledger, status
from spanmill.receiver.admission import Admission
from spanmill.receiver.section import ReceiverLimits
from spanmill.receiver.workers import Workers, on_pool

TRACE_SERVICE: Final = trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name
STREAMS_PER_CONNECTION: Final = 100
CONNECTION_AGE_MS: Final = 20 * 60 * 1000
"""Connections are closed at this age, so that senders spread again after a scale-out."""

_CONNECTION_GRACE_MS: Final = 60 * 1000
_UNARY: Final = frozenset({f"/{TRACE_SERVICE}/Export", ingest.SEND})
"""What takes a worker."""

_DRAIN_POLL_S: Final = 0.02
_LAST_ANSWERS_S: Final = 0.25
_CONTROL_WORKERS: Final = 4

log = structlog.stdlib.get_logger(__name__)


class GrpcReceiver:
    """The gRPC listener for spans and columns, with health, reflection and ledger beside them."""

    def __init__(
        self, engine: _core.Engine, address: Address, limits: ReceiverLimits, request_bytes: int
    ) -> None:
        self._engine = engine
        self._address = address
        self._bytes = Admission(limits.inflight_bytes)
        self._requests = Admission(limits.inflight_requests)
        # Events have workers of their own, so that stalled senders never delay a health
        # check, and streams (reflection) have theirs, so that they never hold either.
        self._workers = Workers(
            limits.workers,
            "export",
            on_end=lambda: self._requests.leave(1),
            on_undelivered=lambda: self._count_refused("undelivered"),
        )
        self._control = ThreadPoolExecutor(_CONTROL_WORKERS, "grpc-control")
        self._streams = ThreadPoolExecutor(_CONTROL_WORKERS, "grpc-stream")
        self._ingest = ingest.IngestService(
            self._columns, self._workers, limits.streams, self._count_refused
        )
        services = frozenset({TRACE_SERVICE, ingest.SERVICE_NAME})
        self._health = health.Health(services, self._control)
        self._server = self._build(request_bytes)

    @property
    def address(self) -> Address:
        """Where it listens; the port is known once started."""
        return self._address

    @property
    def open_requests(self) -> int:
        """Exports and batches of columns that are open or queued now."""
        return self._requests.held

    def start(self) -> None:
        """
        Bind and accept.

        Raises:
            AddressInUse: Another process listens there.
            StartError: The address cannot be bound for another reason.
        """
        _check_free(self._address)
        try:
            port = self._server.add_insecure_port(str(self._address))
        except RuntimeError as error:
            raise StartError(f"cannot listen on {self._address}: {error}") from None
        self._address = Address(self._address.host, port)
        self._server.start()

    def set_unready(self, reason: str | None) -> None:
        """Let the health service say NOT_SERVING for a reason, or SERVING again."""
        self._health.set_unready(reason)

    def stop(self, grace_s: float) -> None:
        """Say NOT_SERVING, take no new request, and wait up to `grace_s` for those under way."""
        self._health.stop_serving()
        stopped = self._server.stop(grace_s)
        while self.open_requests and not stopped.wait(_DRAIN_POLL_S):
            pass
        # Answers are on their way; health watchers would stay for the whole grace.
        if not stopped.wait(_LAST_ANSWERS_S):
            self._server.stop(None)
        for pool in (self._workers, self._control, self._streams):
            pool.shutdown()
        self._ingest.stop()

    def export(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer `TraceService/Export`: request bytes in, response bytes out."""
        self._workers.arrived()
        return self._take(request, context, self._traces)

    def _traces(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        name = batch.name_of(context.invocation_metadata())
        if name is None:
            return self._engine.ingest_traces(request)
        return self._engine.ingest_traces(request, tenant=name.tenant, batch_id=name.batch_id)

    def _columns(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        return self._take(request, context, self._fold_columns)

    def _fold_columns(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        return self._engine.ingest_columns(request)

    def _take(
        self,
        request: bytes,
        context: grpc.ServicerContext,
        fold: Callable[[bytes, grpc.ServicerContext], bytes],
    ) -> bytes:
        """Fold a request if there is room for its bytes, else end its call."""
        size = len(request)
        if not self._bytes.enter(size):
            _abort(context, self._no_room(size))
        try:
            return fold(request, context)
        except BaseException as error:  # noqa: BLE001  a panic of the core is no Exception
            _abort(context, self._refusal(error))
        finally:
            self._bytes.leave(size)

    def _refuse_at_the_door(self, _request: object, context: grpc.ServicerContext) -> bytes:
        self._count_refused("over_inflight_requests")
        message = f"{self._requests.held} requests are under way, over limits.inflight_requests"
        _abort(context, status.retry_later(message, self._requests.retry_after_s(1)))

    def _no_room(self, size: int) -> grpc.Status:
        self._count_refused("over_inflight_bytes")
        return status.retry_later(
            f"{self._bytes.held} B are under way, {size} B more are over limits.inflight_bytes",
            self._bytes.retry_after_s(size),
        )

    def _refusal(self, error: BaseException) -> grpc.Status:
        match error:
            case WireError():
                answer = status.bad_request(str(error))
            case batch.BatchNameError():
                self._count_refused("bad_batch_id")
                answer = status.bad_request(str(error))
            case DictionaryUnknown():
                answer = status.out_of_step(str(error))
            case Overloaded():
                answer = status.retry_later(str(error), error.retry_after_s)
            case Closed():
                answer = status.unavailable("the daemon is stopping")
            case JournalFailed():
                # Nobody knows whether it was kept: who comes next must be asked again.
                answer = status.unavailable(str(error))
            case _:
                answer = self._failed(error)
        return answer

    def _failed(self, error: BaseException) -> grpc.Status:
        log.error("request failed inside the core", exc_info=error)
        self._count_refused("internal")
        return status.internal("the daemon failed on this request; its log says how")

    def _count_refused(self, reason: str) -> None:
        with contextlib.suppress(Closed):
            self._engine.count_refused_request(reason)

    def _build(self, request_bytes: int) -> grpc.Server:
        server = grpc.server(
            self._control,
            interceptors=[_Door(self._requests, self._refuse_at_the_door, self._ingest)],
            options=(
                ("grpc.max_receive_message_length", request_bytes),
                ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
                ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
                ("grpc.max_connection_age_grace_ms", _CONNECTION_GRACE_MS),
                # Two daemons on one port would each see half of the events.
                ("grpc.so_reuseport", 0),
            ),
        )
        export = grpc.unary_unary_rpc_method_handler(on_pool(self._workers, self.export))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(TRACE_SERVICE, {"Export": export}),)
        )
        self._ingest.add_to(server)
        ledger.LedgerService(self._engine).add_to(server)
        self._health.add_to(server)
        ours = (TRACE_SERVICE, ingest.SERVICE_NAME, ledger.SERVICE_NAME)
        names = (*ours, health.SERVICE_NAME, reflection.SERVICE_NAME)
        servicer = reflection.ReflectionServicer(names)
        reflect = on_pool(self._streams, servicer.ServerReflectionInfo)
        servicer.ServerReflectionInfo = reflect  # type: ignore[method-assign]
        add_ServerReflectionServicer_to_server(servicer, server)
        return server


class _Door(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Bounds the requests and streams that are open or queued, before one takes a worker."""

    def __init__(
        self,
        requests: Admission,
        refuse: Callable[[object, grpc.ServicerContext], bytes],
        streams: ingest.IngestService,
    ) -> None:
        self._requests = requests
        self._streams = streams
        # Declared as a stream, a call is refused without waiting for its message.
        self._shed = grpc.stream_unary_rpc_method_handler(refuse)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401  as gRPC declares it
        method = handler_call_details.method
        if method in _UNARY and not self._requests.enter(1):
            return self._shed
        if method == ingest.STREAM and (shed := self._streams.at_the_door()) is not None:
            return shed
        return continuation(handler_call_details)


def _abort(context: grpc.ServicerContext, refusal: grpc.Status) -> NoReturn:
    context.abort_with_status(refusal)


def _check_free(address: Address) -> None:
    """Bind once by hand: gRPC would not tell why it cannot, and would fill the log instead."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address.host, address.port))
    except OSError as error:
        raise cannot_listen(address, "listen.otlp_grpc", error) from None
