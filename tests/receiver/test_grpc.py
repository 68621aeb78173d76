"""Every request over gRPC gets the status OTLP asks for, and is counted where it belongs."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanmill import _core
from spanmill.errors import AddressInUse, JournalFailed
from spanmill.model import Address
from spanmill.receiver import GrpcReceiver, ReceiverLimits
from spanmill.receiver.grpc import TRACE_SERVICE
from tests import cores, traces

REQUEST_BYTES = 64 * 1024
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

Export = Callable[[bytes], bytes]


class Stalled:
    """An export whose message is kept back until released."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._released = threading.Event()
        self.call = channel.stream_unary(traces.EXPORT).future(self._message())

    def _message(self) -> Iterator[bytes]:
        self._released.wait()
        yield b""

    def release(self) -> None:
        """Let the message go."""
        self._released.set()


class Rig:
    """A receiver on a real core, and a channel to it."""

    def __init__(self, engine: _core.Engine, limits: ReceiverLimits) -> None:
        self.engine = engine
        self.receiver = GrpcReceiver(engine, Address("127.0.0.1", 0), limits, REQUEST_BYTES)
        self.receiver.start()
        self.channel = grpc.insecure_channel(str(self.receiver.address))
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def export(self, request: bytes, **options: Any) -> bytes:  # noqa: ANN401  gRPC's own
        """Send one request."""
        answer: bytes = self.channel.unary_unary(traces.EXPORT)(request, timeout=10, **options)
        return answer

    def failure(self, request: bytes, **options: Any) -> grpc.Call:  # noqa: ANN401  gRPC's own
        """Send one request that must fail."""
        with pytest.raises(grpc.RpcError) as raised:
            self.export(request, **options)
        assert isinstance(raised.value, grpc.Call)
        return raised.value

    def stall(self) -> "Stalled":
        """Open an export and keep its message back."""
        return Stalled(self.channel)

    def refused(self) -> dict[str, int]:
        """Give refused requests by reason."""
        counts: dict[str, int] = json.loads(self.engine.stats())["requests"]["refused"]
        return counts

    def received(self) -> int:
        """Give events received."""
        count: int = json.loads(self.engine.ledger())["received"]
        return count

    def close(self) -> None:
        """Stop everything."""
        self.channel.close()
        self.receiver.stop(0)
        self.engine.close()


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Give a function that starts a receiver with limits of the test's own."""
    rigs: list[Rig] = []

    def start(engine: _core.Engine | None = None, **limits: int) -> Rig:
        rigs.append(Rig(engine or cores.open_core(tmp_path), ReceiverLimits(**limits)))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(build: Callable[..., Rig]) -> Rig:
    """Give a receiver with default limits."""
    return build()


def good_request(spans: int = 3) -> bytes:
    """Write a request whose spans end now."""
    now_ns = time.time_ns()
    return traces.request(
        traces.span(now_ns, 1.0, {"gen_ai.request.model": "m"}) for _ in range(spans)
    ).SerializeToString()


def details(call: grpc.Call, kind: type[Any]) -> list[Any]:
    """Give the details of one kind in an error answer."""
    status = rpc_status.from_call(call)
    found = []
    for packed in status.details if status else ():
        detail = kind()
        if packed.Unpack(detail):
            found.append(detail)
    return found


def nested(depth: int) -> bytes:
    """Write a span attribute that holds a list in a list, this deep."""
    value = b""
    for _ in range(depth):
        value = _field(5, _field(1, value))
    attribute = _field(1, b"gen_ai.request.model") + _field(2, value)
    return _field(1, _field(2, _field(2, _field(9, attribute))))


def _field(number: int, content: bytes) -> bytes:
    length, encoded = len(content), b""
    while length > 0x7F:
        encoded += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + content


def test_success_is_silent(rig: Rig) -> None:
    """A request taken in full is answered with an empty message: no partial_success is set."""
    assert b"" == rig.export(good_request(3))
    assert 3 == rig.received()


def test_empty_request_succeeds(rig: Rig) -> None:
    """A request without a span succeeds and counts no event, as OTLP asks."""
    assert b"" == rig.export(b"")
    assert 0 == rig.received()
    assert {} == rig.refused()


def test_gzip_is_understood(rig: Rig) -> None:
    """A request compressed by gzip is taken like a plain one."""
    assert b"" == rig.export(good_request(3), compression=grpc.Compression.Gzip)
    assert 3 == rig.received()


def test_partial_success_counts_the_hopeless(rig: Rig) -> None:
    """Spans no retry can save are counted in partial_success; the rest of the batch stands."""
    now_ns = time.time_ns()
    spans = [traces.span(now_ns, 1.0, {}) for _ in range(3)]
    spans[1].end_time_unix_nano = 0

    answer = ExportTraceServiceResponse.FromString(
        rig.export(traces.request(spans).SerializeToString())
    )

    assert 1 == answer.partial_success.rejected_spans
    assert "no_time" in answer.partial_success.error_message
    assert 3 == rig.received()


@pytest.mark.parametrize(
    "request_bytes",
    [
        good_request()[:-1],
        b"\xff\xff\xff",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\xff\xff\xff\xff\x7f",
        b"\x0b\x0b\x0b",
        bytes(1000),
    ],
    ids=["truncated", "noise", "huge varint", "length past end", "groups", "zeros"],
)
def test_malformed_is_refused_whole(request_bytes: bytes, rig: Rig) -> None:
    """
    Bytes that are not OTLP get INVALID_ARGUMENT with a BadRequest detail, are counted as
    malformed, and change nothing else.
    """
    call = rig.failure(request_bytes)

    assert grpc.StatusCode.INVALID_ARGUMENT == call.code()
    assert 1 == len(details(call, error_details_pb2.BadRequest))
    assert {"malformed": 1} == rig.refused()
    assert 0 == rig.received()


def test_depth_is_not_followed(rig: Rig) -> None:
    """
    A value nested 8,000 deep costs nothing: it is skipped, and its span is judged like any
    other. Following it has brought other collectors down.
    """
    answer = ExportTraceServiceResponse.FromString(rig.export(nested(8_000)))

    assert 1 == answer.partial_success.rejected_spans
    assert 1 == rig.received()


@pytest.mark.parametrize(
    "options", [{}, {"compression": grpc.Compression.Gzip}], ids=["plain", "bomb"]
)
def test_oversize_is_refused_and_counted(
    options: dict[str, Any], rig: Rig, wait_until: Callable[..., None]
) -> None:
    """
    A message over the limit, also one that only inflates to it, gets RESOURCE_EXHAUSTED
    without RetryInfo, so that nobody sends it again, and is counted as undelivered.
    """
    call = rig.failure(bytes(REQUEST_BYTES + 1), **options)

    assert grpc.StatusCode.RESOURCE_EXHAUSTED == call.code()
    assert [] == details(call, error_details_pb2.RetryInfo)
    wait_until(lambda: {"undelivered": 1} == rig.refused())
    assert 0 == rig.received()


def test_no_room_for_bytes(build: Callable[..., Rig]) -> None:
    """
    Over the bytes in flight a request gets UNAVAILABLE with the delay to retry after, is
    counted, and gives its room back: a smaller one still succeeds.
    """
    rig = build(inflight_bytes=1024)

    call = rig.failure(good_request(50))

    assert grpc.StatusCode.UNAVAILABLE == call.code()
    (retry,) = details(call, error_details_pb2.RetryInfo)
    assert 0.1 <= retry.retry_delay.ToTimedelta().total_seconds() <= 30
    assert {"over_inflight_bytes": 1} == rig.refused()
    assert b"" == rig.export(good_request(1))


def test_no_room_for_requests(build: Callable[..., Rig], wait_until: Callable[..., None]) -> None:
    """
    Over the requests in flight, those still arriving included, the next one gets UNAVAILABLE
    with a delay at once; when they end there is room again.
    """
    rig = build(inflight_requests=1)
    stalled = rig.stall()
    wait_until(lambda: 1 == rig.receiver.open_requests)

    call = rig.failure(good_request())

    assert grpc.StatusCode.UNAVAILABLE == call.code()
    assert 1 == len(details(call, error_details_pb2.RetryInfo))
    assert {"over_inflight_requests": 1} == rig.refused()
    stalled.release()
    wait_until(lambda: 0 == rig.receiver.open_requests)
    assert b"" == rig.export(good_request())


def test_stalled_senders_delay_no_health_check(
    build: Callable[..., Rig], wait_until: Callable[..., None]
) -> None:
    """With every export worker held by a sender that stalls, health still answers."""
    rig = build(workers=1)
    stalled = [rig.stall(), rig.stall()]
    wait_until(lambda: len(stalled) == rig.receiver.open_requests)

    answer = rig.health.Check(health_pb2.HealthCheckRequest(service=TRACE_SERVICE), timeout=5)

    assert SERVING == answer.status
    for one in stalled:
        one.release()
    assert [b"", b""] == [one.call.result(timeout=10) for one in stalled]


def test_watchers_come_and_go(rig: Rig) -> None:
    """
    Watchers that arrive while others leave never bring the listener to a halt, which they
    do to gRPC's own health service; and a service nobody has is said to be unknown.
    """
    ask = health_pb2.HealthCheckRequest
    leaving = rig.health.Watch(ask(), timeout=30)
    for _ in range(100):
        coming = rig.health.Watch(ask(service=TRACE_SERVICE), timeout=30)
        leaving.cancel()
        assert SERVING == next(coming).status
        leaving = coming

    unknown = next(rig.health.Watch(ask(service="nope"), timeout=30)).status
    assert health_pb2.HealthCheckResponse.SERVICE_UNKNOWN == unknown
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        rig.health.Check(ask(service="nope"), timeout=30)
    assert b"" == rig.export(good_request())


def test_a_sender_that_gives_up_is_counted(rig: Rig, wait_until: Callable[..., None]) -> None:
    """A call whose message never arrives is counted as undelivered and holds nothing."""
    stalled = rig.stall()
    wait_until(lambda: 1 == rig.receiver.open_requests)

    stalled.call.cancel()
    stalled.release()

    wait_until(lambda: {"undelivered": 1} == rig.refused())
    wait_until(lambda: 0 == rig.receiver.open_requests)


def from_source(name: str, ahead_s: float) -> bytes:
    """Write a request of one source whose clock is ahead of ours."""
    end_ns = time.time_ns() + round(ahead_s * 1e9)
    return traces.request(
        [traces.span(end_ns, 1.0, {})], {"service.name": name}
    ).SerializeToString()


def test_our_own_clock_in_doubt(rig: Rig) -> None:
    """
    When most sources are ahead of our clock a request gets UNAVAILABLE with the delay to retry
    after and the reason, is counted, and is taken once the sources agree with us again.
    """
    for name in ("a", "b"):
        answer = ExportTraceServiceResponse.FromString(rig.export(from_source(name, 3600)))
        assert "future" in answer.partial_success.error_message

    call = rig.failure(from_source("c", 3600))

    assert grpc.StatusCode.UNAVAILABLE == call.code()
    assert "3 of 3 sources" in (call.details() or "")
    (retry,) = details(call, error_details_pb2.RetryInfo)
    assert 5 == retry.retry_delay.ToTimedelta().total_seconds()
    assert {"clock_suspect": 1} == rig.refused()
    assert 2 == rig.received()
    assert "set the clock" in (rig.engine.unready() or "")
    assert grpc.StatusCode.UNAVAILABLE == rig.failure(from_source("a", 0)).code()
    assert b"" == rig.export(from_source("b", 0))
    assert rig.engine.unready() is None


def test_health_says_why(rig: Rig) -> None:
    """
    While there is a reason for no traffic to come, checks say NOT_SERVING with the reason in
    the trailing metadata, watchers are told, and both hear when it is over; a stop is for good.
    """
    watched = rig.health.Watch(health_pb2.HealthCheckRequest(), timeout=30)
    assert SERVING == next(watched).status

    rig.receiver.set_unready("the clock is in doubt")

    assert NOT_SERVING == next(watched).status
    answer, call = rig.health.Check.with_call(health_pb2.HealthCheckRequest(), timeout=5)
    assert NOT_SERVING == answer.status
    assert ("spanmill-unready", "the clock is in doubt") in call.trailing_metadata()
    rig.receiver.set_unready(None)
    assert SERVING == next(watched).status
    answer, call = rig.health.Check.with_call(health_pb2.HealthCheckRequest(), timeout=5)
    assert SERVING == answer.status


def test_closed_core_sends_them_elsewhere(rig: Rig) -> None:
    """Once the core is closed senders get UNAVAILABLE: they keep their batch and try again."""
    rig.engine.close()

    assert grpc.StatusCode.UNAVAILABLE == rig.failure(good_request()).code()


def without_ids(spans: int = 3) -> bytes:
    """Write a request whose spans have no ids, so that it may equal another."""
    now_ns = time.time_ns()
    bare = [traces.span(now_ns, 1.0, {}) for _ in range(spans)]
    for span in bare:
        span.trace_id = span.span_id = b""
    return traces.request(bare).SerializeToString()


def test_a_batch_id_tells_batches_apart(rig: Rig) -> None:
    """
    The same bytes under one batch id count once, under another id or of another tenant again,
    also where no span has an id; without a batch id such bytes count each time.
    """
    request = without_ids(3)
    named = [("x-batch-id", "b-1")]

    for metadata in (named, named, [("x-batch-id", "b-2")], [*named, ("x-tenant", "acme")]):
        assert b"" == rig.export(request, metadata=metadata)

    ledger = json.loads(rig.engine.ledger())
    assert (12, 9, 3) == (ledger["received"], ledger["counted"], ledger["duplicate"])
    assert ("exactly_once", 0) == (ledger["delivery"], ledger["at_least_once"])
    for _ in range(2):
        assert b"" == rig.export(request)
    ledger = json.loads(rig.engine.ledger())
    assert (15, "at_least_once", 6) == (
        ledger["counted"],
        ledger["delivery"],
        ledger["at_least_once"],
    )


def test_a_batch_id_used_twice_is_refused(rig: Rig) -> None:
    """A batch id that comes with other bytes gets INVALID_ARGUMENT and is counted; nothing is."""
    metadata = [("x-batch-id", "b-1")]
    assert b"" == rig.export(good_request(3), metadata=metadata)

    call = rig.failure(good_request(3), metadata=metadata)

    assert grpc.StatusCode.INVALID_ARGUMENT == call.code()
    assert '"b-1"' in (call.details() or "")
    assert {"batch_conflict": 1} == rig.refused()
    assert 3 == rig.received()


def test_an_unusable_batch_id_is_refused(rig: Rig) -> None:
    """A batch id that is too long gets INVALID_ARGUMENT with its length, and is counted."""
    call = rig.failure(good_request(), metadata=[("x-batch-id", "b" * 300)])

    assert grpc.StatusCode.INVALID_ARGUMENT == call.code()
    assert "300 characters" in (call.details() or "")
    assert 1 == len(details(call, error_details_pb2.BadRequest))
    assert {"bad_batch_id": 1} == rig.refused()
    assert 0 == rig.received()


class Breaking:
    """A core that fails in a way it never should."""

    def __init__(self, engine: _core.Engine, error: BaseException) -> None:
        self._engine = engine
        self._error = error

    def ingest_traces(self, request: bytes, tenant: str = "", batch_id: str | None = None) -> bytes:
        """Fail."""
        assert request
        assert (tenant, batch_id) == ("", None)
        raise self._error

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)


class Panic(BaseException):
    """What a Rust panic looks like: no Exception."""


@pytest.mark.parametrize("error", [RuntimeError("text of a bug"), Panic("text of a bug")])
def test_our_fault_is_counted_and_says_nothing(
    error: BaseException, build: Callable[..., Rig], tmp_path: Path
) -> None:
    """A bug of ours answers INTERNAL at once, is counted, and tells the sender no detail."""
    breaking: Any = Breaking(cores.open_core(tmp_path), error)
    rig = build(breaking)

    call = rig.failure(good_request())

    assert grpc.StatusCode.INTERNAL == call.code()
    assert "text of a bug" not in (call.details() or "")
    assert {"internal": 1} == rig.refused()


def test_a_failed_journal_keeps_senders_trying(build: Callable[..., Rig], tmp_path: Path) -> None:
    """
    Where nobody can tell whether a request was kept, it gets UNAVAILABLE: its sender sends it
    again to whoever comes next.
    """
    breaking: Any = Breaking(cores.open_core(tmp_path), JournalFailed("the disk is gone"))
    rig = build(breaking)

    call = rig.failure(good_request())

    assert grpc.StatusCode.UNAVAILABLE == call.code()
    assert "the disk is gone" in (call.details() or "")


def test_stopping_says_not_serving_and_finishes(rig: Rig, wait_until: Callable[..., None]) -> None:
    """When told to stop, health turns NOT_SERVING first, and a request under way is answered."""
    statuses = rig.health.Watch(health_pb2.HealthCheckRequest())
    assert SERVING == next(statuses).status
    stalled = rig.stall()
    wait_until(lambda: 1 == rig.receiver.open_requests)
    stopping = threading.Thread(target=rig.receiver.stop, args=(10,))

    stopping.start()

    assert NOT_SERVING == next(statuses).status
    stalled.release()
    assert b"" == stalled.call.result(timeout=10)
    statuses.cancel()
    stopping.join(10)
    assert not stopping.is_alive()


def test_reflection_lists_services(rig: Rig) -> None:
    """Tools that ask by reflection find the trace service and the health service."""
    stub = reflection_pb2_grpc.ServerReflectionStub(rig.channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")

    (answer,) = stub.ServerReflectionInfo(iter([ask]))

    names = {service.name for service in answer.list_services_response.service}
    assert {TRACE_SERVICE, "grpc.health.v1.Health", "spanmill.v1.LedgerService"} <= names


def test_port_in_use(rig: Rig) -> None:
    """A port that is taken is one line that names the port and the key to change."""
    second = GrpcReceiver(rig.engine, rig.receiver.address, ReceiverLimits(), REQUEST_BYTES)

    with pytest.raises(AddressInUse, match=r"is in use by another process; .*listen\.otlp_grpc"):
        second.start()
