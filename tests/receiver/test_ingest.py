"""Batches of columns get the status that their senders act on, and never hold up exports."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from spanmill import _core
from spanmill.model import Address
from spanmill.receiver import GrpcReceiver, ReceiverLimits
from spanmill.receiver.ingest import SEND, SERVICE_NAME, STREAM
from spanmill.v1 import ingest_pb2
from spanmill.writer.columns import Columns, encode
from spanmill.writer.dictionary import Dictionary
from tests import cores, traces


def batch(seq: int, *, dict_base: int = 0, events: int = 3) -> bytes:
    """Write a batch of one sender and series that ended just now."""
    dictionary = Dictionary({"service.name": "gateway"})
    dictionary.place({"gen_ai.request.model": "atlas"})
    message = encode(
        Columns(
            series=np.zeros(events, np.uint32),
            start_us=np.full(events, (time.time_ns() // 1000) - 2_000_000),
            duration_us=np.full(events, 1_000_000),
            failed=np.zeros(events, np.bool_),
        )
    )
    message.producer_id, message.epoch, message.seq = b"p" * 16, 1, seq
    message.dict_base = dict_base
    message.new_series.extend(dictionary.since(dict_base, 1))
    return _core.with_checksum(message.SerializeToString())


class Rig:
    """A receiver on a real core, and a channel to it."""

    def __init__(self, engine: _core.Engine, limits: ReceiverLimits) -> None:
        self.engine = engine
        self.receiver = GrpcReceiver(engine, Address("127.0.0.1", 0), limits, 64 * 1024)
        self.receiver.start()
        self.channel = grpc.insecure_channel(str(self.receiver.address))

    def send(self, request: bytes) -> ingest_pb2.SpanBatchAck:
        """Send one batch."""
        answer = self.channel.unary_unary(SEND, None, None)(request, timeout=10)
        return ingest_pb2.SpanBatchAck.FromString(answer)

    def failure(self, request: bytes) -> grpc.Call:
        """Send one batch that must fail."""
        with pytest.raises(grpc.RpcError) as raised:
            self.send(request)
        assert isinstance(raised.value, grpc.Call)
        return raised.value

    def stream(self, batches: Iterator[bytes]) -> Any:  # noqa: ANN401  gRPC's own
        """Open a stream."""
        return self.channel.stream_stream(STREAM, None, None)(batches, timeout=10)

    def refused(self) -> dict[str, int]:
        """Give refused requests by reason."""
        counts: dict[str, int] = json.loads(self.engine.stats())["requests"]["refused"]
        return counts

    def received(self) -> int:
        """Give events received."""
        count: int = json.loads(self.engine.ledger())["received"]
        return count


@pytest.fixture
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Rig]]:
    """Give a function that starts a receiver with limits of the test's own."""
    rigs: list[Rig] = []

    def start(**limits: int) -> Rig:
        core = cores.open_core(tmp_path_factory.mktemp("data"))
        rigs.append(Rig(core, ReceiverLimits(**limits)))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.channel.close()
        rig.receiver.stop(0)
        rig.engine.close()


def detail(call: grpc.Call, kind: type[Any]) -> Any:  # noqa: ANN401  of that kind
    """Give the detail of one kind in an error answer."""
    (packed,) = rpc_status.from_call(call).details
    found = kind()
    assert packed.Unpack(found)
    return found


class Batches:
    """A stream's requests, given one at a time."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def put(self, request: bytes | None) -> None:
        """Send one more; None ends the stream."""
        self._queue.put(request)

    def __iter__(self) -> Iterator[bytes]:
        while (request := self._queue.get()) is not None:
            yield request


def test_a_batch_is_answered_with_its_number(build: Callable[..., Rig]) -> None:
    """An ack names its batch, and says when the batch was here before."""
    rig = build()
    first, again = rig.send(batch(7)), rig.send(batch(7))

    assert (7, False, False) == (first.seq, first.duplicate, first.HasField("rejected"))
    assert (7, True) == (again.seq, again.duplicate)
    assert 6 == rig.received()


def test_a_lost_dictionary_is_a_failed_precondition(build: Callable[..., Rig]) -> None:
    """A batch that builds on entries we lack says so in a way that its sender tells apart."""
    rig = build()
    call = rig.failure(batch(1, dict_base=1))

    assert grpc.StatusCode.FAILED_PRECONDITION == call.code()
    assert "resend dictionary" in call.details()
    (violation,) = detail(call, error_details_pb2.PreconditionFailure).violations
    assert "DICTIONARY" == violation.type
    assert {"dictionary_unknown": 1} == rig.refused()
    assert 0 == rig.received()


def test_what_is_no_batch_is_refused_for_good(build: Callable[..., Rig]) -> None:
    """Bytes that are no SpanBatch, or were changed on the way, are an invalid argument."""
    rig = build()
    changed = bytearray(batch(1))
    changed[-1] ^= 1
    for request, said in ((b"\xff", "not a valid SpanBatch"), (bytes(changed), "crc32c")):
        call = rig.failure(request)
        assert grpc.StatusCode.INVALID_ARGUMENT == call.code()
        assert said in call.details()

    assert {"malformed": 2} == rig.refused()


def test_batches_share_the_room_of_exports(build: Callable[..., Rig]) -> None:
    """A batch over the bytes in flight is refused with a delay, like an export."""
    rig = build(inflight_bytes=1024)
    call = rig.failure(batch(1, events=200))

    assert grpc.StatusCode.UNAVAILABLE == call.code()
    assert 0 < detail(call, error_details_pb2.RetryInfo).retry_delay.ToNanoseconds()
    assert {"over_inflight_bytes": 1} == rig.refused()


def test_open_streams_never_hold_up_exports(build: Callable[..., Rig]) -> None:
    """With every stream there may be open and idle, exports and batches are taken as before."""
    rig = build(workers=1, streams=2)
    idle = [Batches(), Batches()]
    streams = [rig.stream(iter(batches)) for batches in idle]
    for seq, (stream, batches) in enumerate(zip(streams, idle, strict=True), 1):
        batches.put(batch(seq))
        assert seq == ingest_pb2.SpanBatchAck.FromString(next(stream)).seq
    span = traces.span(time.time_ns(), 1.0, {})
    request = traces.request([span]).SerializeToString()
    rig.channel.unary_unary(traces.EXPORT)(request, timeout=10)
    assert 3 == rig.send(batch(3)).seq
    one_more = rig.stream(iter([batch(4)]))
    with pytest.raises(grpc.RpcError) as raised:
        next(one_more)
    assert grpc.StatusCode.UNAVAILABLE == raised.value.code()
    assert "2 streams are open, over limits.streams" in raised.value.details()
    assert {"over_streams": 1} == rig.refused()
    for batches in idle:
        batches.put(None)


def test_a_stream_that_ends_makes_room(build: Callable[..., Rig]) -> None:
    """A place is free again once its stream has ended, also where it ended in an error."""
    rig = build(streams=1)
    for seq in range(1, 4):
        (answer,) = rig.stream(iter([batch(seq)]))
        assert seq == ingest_pb2.SpanBatchAck.FromString(answer).seq
        eventually(lambda: rig.receiver._ingest._open.held == 0)
        with pytest.raises(grpc.RpcError, match="not a valid SpanBatch"):
            list(rig.stream(iter([b"\xff"])))
        eventually(lambda: rig.receiver._ingest._open.held == 0)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    done = threading.Event()
    for _ in range(1_000):
        if holds():
            return
        done.wait(0.01)
    raise AssertionError


def test_the_service_is_found_and_healthy(build: Callable[..., Rig]) -> None:
    """Health knows the service by its name."""
    health = health_pb2_grpc.HealthStub(build().channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service=SERVICE_NAME))

    assert health_pb2.HealthCheckResponse.SERVING == answer.status
