"""An event counts once, however often its sender had to send it; where not, the ledger says so."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Final

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanmill.client import LedgerCounts
from spanmill.receiver.grpc import TRACE_SERVICE
from tests import traces
from tests.e2e.conftest import Daemon, Start, run

SPANS: Final = 40
GIVE_UP_S: Final = 1.0
Metadata = Sequence[tuple[str, str]]

BY_CONTENT: Final[Metadata] = ()
BY_BATCH_ID: Final[Metadata] = (("x-batch-id", "batch-1"), ("x-tenant", "acme"))


def request(source: str = "gateway", *, ids: bool = True, spans: int = SPANS) -> bytes:
    """Write a request of one source, with or without ids in its spans."""
    now_ns = time.time_ns()
    some = [traces.span(now_ns, 1.0, {"gen_ai.request.model": "m"}) for _ in range(spans)]
    if not ids:
        for span in some:
            span.trace_id = span.span_id = b""
    return traces.request(some, {"service.name": source}).SerializeToString()


def send(
    channel: grpc.Channel, body: bytes, metadata: Metadata = (), timeout_s: float = 30.0
) -> bytes:
    """Send one request by raw gRPC."""
    call = channel.unary_unary(traces.EXPORT)
    answer: bytes = call(body, metadata=metadata, timeout=timeout_s)
    return answer


def classes(counts: LedgerCounts) -> tuple[int, int, int]:
    """Give what was received, counted, and known to have been counted; all of it balances."""
    assert counts["balanced"]
    return counts["received"], counts["counted"], counts["duplicate"]


def counted(daemon: Daemon) -> int:
    """Give how many events the percentiles hold."""
    return sum(row["count"] for row in daemon.client.query("duration")["series"])


class LosesAnswers:
    """Passes requests on to a daemon, and keeps its answers: the sender waits in vain."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.answers: list[bytes] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(TRACE_SERVICE, {"Export": handler}),)
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def _export(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        ours = [(key, value) for key, value in context.invocation_metadata() if key[:2] == "x-"]
        self.answers.append(send(self._daemon.channel, body, ours))
        given_up = threading.Event()
        if context.add_callback(given_up.set):
            given_up.wait()
        return b""

    def close(self) -> None:
        """Stop everything."""
        self.channel.close()
        self._server.stop(None).wait()


@pytest.fixture
def lose_answers() -> Iterator[Callable[[Daemon], LosesAnswers]]:
    """Give a function that puts a network that loses answers in front of a daemon."""
    between: list[LosesAnswers] = []

    def put(daemon: Daemon) -> LosesAnswers:
        between.append(LosesAnswers(daemon))
        return between[-1]

    yield put
    for one in between:
        one.close()


@pytest.mark.parametrize(
    ("metadata", "ids"),
    [(BY_CONTENT, True), (BY_BATCH_ID, False)],
    ids=["by content", "by batch id"],
)
def test_a_timeout_after_the_commit(
    metadata: Metadata,
    ids: bool,
    daemon: Daemon,
    lose_answers: Callable[[Daemon], LosesAnswers],
) -> None:
    """
    A sender that gives up after the daemon committed, and sends the same again, gets OK; its
    events count once, and the repetition is counted as duplicate, by source as well.
    """
    body = request(ids=ids)
    network = lose_answers(daemon)
    with pytest.raises(grpc.RpcError) as gave_up:
        send(network.channel, body, metadata, timeout_s=GIVE_UP_S)
    assert isinstance(gave_up.value, grpc.Call)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == gave_up.value.code()
    assert [b""] == network.answers

    assert b"" == send(daemon.channel, body, metadata)

    ledger = daemon.client.ledger()
    assert (2 * SPANS, SPANS, SPANS) == classes(ledger)
    assert (2 * SPANS, SPANS, SPANS) == classes(ledger["by"]["source"]["gateway"])
    assert ("exactly_once", 0) == (ledger["delivery"], ledger["at_least_once"])
    assert SPANS == counted(daemon)


@pytest.mark.parametrize(
    ("metadata", "ids"),
    [(BY_CONTENT, True), (BY_BATCH_ID, False)],
    ids=["by content", "by batch id"],
)
def test_across_a_kill(metadata: Metadata, ids: bool, start: Start) -> None:
    """
    A batch acknowledged before `kill -9` is known again by the daemon that comes after: sent
    again, it counts once, and the ledger has both.
    """
    body = request(ids=ids)
    first = start()
    assert b"" == send(first.channel, body, metadata)
    first.process.kill()
    first.process.wait()
    (first.folder / "ready.json").unlink()

    second = start()

    assert (SPANS, SPANS, 0) == classes(second.client.ledger())
    assert b"" == send(second.channel, body, metadata)
    assert (2 * SPANS, SPANS, SPANS) == classes(second.client.ledger())
    assert SPANS == counted(second)


def test_a_repetition_gets_the_first_answer(daemon: Daemon) -> None:
    """What was refused of a batch is said again when it comes again, in the same bytes."""
    now_ns = time.time_ns()
    spans = [traces.span(now_ns, 1.0, {}) for _ in range(3)]
    spans[1].end_time_unix_nano = 0
    body = traces.request(spans).SerializeToString()

    first, again = send(daemon.channel, body), send(daemon.channel, body)

    assert first == again
    assert 1 == ExportTraceServiceResponse.FromString(again).partial_success.rejected_spans
    ledger = daemon.client.ledger()
    assert (6, 2, 3) == classes(ledger)
    assert {"no_time": 1} == ledger["rejected"]


def test_copies_at_one_time(daemon: Daemon) -> None:
    """Of twenty copies that arrive together one counts, and each is answered OK."""
    body = request()
    call = daemon.channel.unary_unary(traces.EXPORT)

    copies = [call.future(body, timeout=30) for _ in range(20)]

    assert [b""] * 20 == [copy.result() for copy in copies]
    assert (20 * SPANS, SPANS, 19 * SPANS) == classes(daemon.client.ledger())
    assert SPANS == counted(daemon)


def test_equal_bytes_without_ids(daemon: Daemon) -> None:
    """
    Two producers with the same bytes and no ids are both counted, and the ledger says
    at-least-once of their source; a neighbour whose spans have ids stays exactly-once.
    """
    bare = request("bare", ids=False)
    with grpc.insecure_channel(str(daemon.ready["otlp_grpc"])) as other:
        assert [b"", b""] == [send(daemon.channel, bare), send(other, bare)]
    assert b"" == send(daemon.channel, request("sound"))

    ledger = daemon.client.ledger()
    assert (3 * SPANS, 3 * SPANS, 0) == classes(ledger)
    assert ("at_least_once", 2 * SPANS) == (ledger["delivery"], ledger["at_least_once"])
    by = ledger["by"]["source"]
    assert ("at_least_once", 2 * SPANS) == (by["bare"]["delivery"], by["bare"]["at_least_once"])
    assert ("exactly_once", 0) == (by["sound"]["delivery"], by["sound"]["at_least_once"])
    assert 3 * SPANS == counted(daemon)
    said = run("ledger", "--api", daemon.ready["api"]).stdout
    assert "at least once: 80 events of bare have no ids, nor a batch id" in said.splitlines()


def test_one_batch_id_for_two_batches(daemon: Daemon, wait_until: Callable[..., None]) -> None:
    """
    A batch id that comes with other bytes is refused for good, and counted; what it stood for
    is not touched, and for another tenant the id is free.
    """
    assert b"" == send(daemon.channel, request(), BY_BATCH_ID)
    with pytest.raises(grpc.RpcError) as refused:
        send(daemon.channel, request(), BY_BATCH_ID)

    assert isinstance(refused.value, grpc.Call)
    assert grpc.StatusCode.INVALID_ARGUMENT == refused.value.code()
    assert "batch-1" in (refused.value.details() or "")
    conflict = 'spanmill_requests_refused_total{reason="batch_conflict"} 1.0'
    wait_until(lambda: conflict in daemon.http.get("/metrics").text.splitlines())
    assert (SPANS, SPANS, 0) == classes(daemon.client.ledger())
    assert b"" == send(daemon.channel, request(), (("x-batch-id", "batch-1"), ("x-tenant", "b")))
    assert (2 * SPANS, 2 * SPANS, 0) == classes(daemon.client.ledger())
