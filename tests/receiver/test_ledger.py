"""The ledger on the OTLP port says what the API's ledger says."""

import json
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from google.protobuf import json_format

from spanmill.errors import Closed
from spanmill.receiver.ledger import SERVICE_NAME, LedgerService, encode
from spanmill.v1 import ledger_pb2

LEDGER = {
    "received": 12,
    "counted": 7,
    "duplicate": 0,
    "late": 1,
    "rejected": {"bad_id": 2, "future": 2},
    "sampled_out": 0,
    "balanced": True,
    "delivery": "at_least_once",
    "at_least_once": 5,
}


class Engine:
    """Answers a ledger, or says that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def ledger(self) -> bytes:
        """Answer as the core does."""
        if self.closed:
            raise Closed("the engine was closed")
        return json.dumps(LEDGER | {"by": {"source": {"edge": LEDGER}, "tenant": {}}}).encode()


@pytest.fixture
def engine() -> Engine:
    """Give an engine that a test may close."""
    return Engine()


@pytest.fixture
def channel(engine: Engine) -> Iterator[grpc.Channel]:
    """Give a channel to a server that has the service."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    LedgerService(engine).add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    server.stop(None).wait()


def ask(channel: grpc.Channel) -> ledger_pb2.GetLedgerResponse:
    """Call GetLedger."""
    call = channel.unary_unary(
        f"/{SERVICE_NAME}/GetLedger",
        request_serializer=ledger_pb2.GetLedgerRequest.SerializeToString,
        response_deserializer=ledger_pb2.GetLedgerResponse.FromString,
    )
    return call(ledger_pb2.GetLedgerRequest(), timeout=10)


def test_the_service_keeps_its_name() -> None:
    """Senders call `spanmill.v1.LedgerService`; the name never changes."""
    assert "spanmill.v1.LedgerService" == SERVICE_NAME


def test_every_number_of_the_ledger_is_answered(channel: grpc.Channel) -> None:
    """The answer holds the whole ledger, in total and by source, with its balance."""
    answer = ask(channel)

    assert 12 == answer.total.received
    assert {"bad_id": 2, "future": 2} == dict(answer.total.rejected)
    assert answer.total.balanced
    assert 7 == answer.by_source["edge"].counted
    assert ("at_least_once", 5) == (answer.total.delivery, answer.total.at_least_once)
    assert {} == dict(answer.by_tenant)


def test_a_closed_engine_is_unavailable(engine: Engine, channel: grpc.Channel) -> None:
    """While the daemon stops, the sender is told to come back, not that its call was wrong."""
    engine.closed = True

    with pytest.raises(grpc.RpcError) as refused:
        ask(channel)

    assert grpc.StatusCode.UNAVAILABLE == refused.value.code()


def test_a_number_without_a_field_is_refused() -> None:
    """A ledger that grew a number which the message lacks is an error, never a silent loss."""
    with pytest.raises(json_format.ParseError, match="lost_in_space"):
        encode(LEDGER | {"lost_in_space": 1, "by": {"source": {}, "tenant": {}}})
