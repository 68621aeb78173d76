"""Bad events and bad requests are counted by reason and harm nothing beside them."""

import math
import time
from collections.abc import Callable

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests import traces
from tests.e2e.conftest import Daemon

TTFT = "gen_ai.server.time_to_first_token"


def bad_spans(now_ns: int) -> dict[str, list[Span]]:
    """Write spans that no retry can save, by the reason they are rejected for."""

    def span(**values: float) -> Span:
        return traces.span(now_ns, 1.0, {TTFT: values.get("ttft", 0.1)})

    no_end, no_start, backwards = span(), span(), span()
    no_end.end_time_unix_nano = 0
    no_start.start_time_unix_nano = 0
    backwards.start_time_unix_nano = now_ns + 1
    short_trace, zero_trace, long_span_id = span(), span(), span()
    short_trace.trace_id = b"\x01" * 15
    zero_trace.trace_id = bytes(16)
    long_span_id.span_id = b"\x01" * 9
    return {
        "no_time": [no_end, no_start],
        "end_before_start": [backwards],
        "future": [traces.span(now_ns + 3600 * 10**9, 1.0, {})],
        "bad_id": [short_trace, zero_trace, long_span_id],
        "not_finite": [span(ttft=math.nan), span(ttft=math.inf)],
        "negative": [span(ttft=-0.1)],
    }


def test_bad_events_are_counted_by_reason(daemon: Daemon) -> None:
    """
    Each bad event of a batch is counted under its reason and named in partial_success; the
    good ones beside them stand, and only they are in the answer.
    """
    now_ns = time.time_ns()
    bad = bad_spans(now_ns)
    good = [traces.span(now_ns, 1.0, {TTFT: 0.25}) for _ in range(5)]
    spans = [span for some in bad.values() for span in some]

    answer = ExportTraceServiceResponse.FromString(
        daemon.export(traces.request([*spans, *good]).SerializeToString())
    )

    assert len(spans) == answer.partial_success.rejected_spans
    assert all(reason in answer.partial_success.error_message for reason in bad)
    ledger = daemon.client.ledger()
    assert {reason: len(some) for reason, some in bad.items()} == ledger["rejected"]
    assert len(spans) + len(good) == ledger["received"]
    assert len(good) == ledger["counted"]
    assert ledger["balanced"]
    (row,) = daemon.client.query("ttft", q=[0, 1])["series"]
    assert (len(good), {"0": 0.25, "1": 0.25}) == (row["count"], row["quantiles"])


def test_bad_requests_change_nothing(daemon: Daemon, wait_until: Callable[..., None]) -> None:
    """
    Truncated, noisy and oversize requests get their OTLP status and are counted by reason
    on /metrics; no event of them is received, and an empty one is a success.
    """
    whole = traces.request([traces.span(time.time_ns(), 1.0, {})]).SerializeToString()
    statuses = []
    for request in (whole[:-1], b"\xff" * 100, bytes(16 * 1024**2 + 1)):
        with pytest.raises(grpc.RpcError) as raised:
            daemon.export(request)
        assert isinstance(raised.value, grpc.Call)
        statuses.append(raised.value.code())

    assert [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ] == statuses
    assert b"" == daemon.export(b"")
    refused = {
        'spanmill_requests_refused_total{reason="malformed"} 2.0',
        'spanmill_requests_refused_total{reason="undelivered"} 1.0',
    }
    wait_until(lambda: refused <= set(daemon.http.get("/metrics").text.splitlines()))
    assert 0 == daemon.client.ledger()["received"]
    assert b"" == daemon.export(whole)
    assert 1 == daemon.client.ledger()["counted"]


def test_shedding_asks_to_come_back(start: Callable[..., Daemon]) -> None:
    """
    Over the bytes in flight a sender is told UNAVAILABLE, not to drop its batch, and the
    daemon stays ready and takes what fits.
    """
    daemon = start(limits={"request_bytes": "64KiB", "inflight_bytes": "64KiB"})
    now_ns = time.time_ns()
    small = traces.request([traces.span(now_ns, 1.0, {})]).SerializeToString()
    big = traces.request(
        traces.span(now_ns, 1.0, {"padding": "x" * 1000}) for _ in range(55)
    ).SerializeToString()
    export = daemon.channel.unary_unary(traces.EXPORT)

    calls = [export.future(big, timeout=30) for _ in range(200)]
    codes = [call.code() for call in calls]

    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert 55 * codes.count(grpc.StatusCode.OK) == daemon.client.ledger()["received"]
    assert 200 == daemon.http.get("/readyz").status_code
    assert b"" == daemon.export(small)
