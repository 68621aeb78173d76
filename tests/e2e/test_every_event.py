"""Every event that was acknowledged is in the very next answer, exactly once."""

import time
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

from tests.e2e import fleet
from tests.e2e.conftest import Daemon
from tests.e2e.fleet import Call


def send_by_sdk(daemon: Daemon, sent: Sequence[Call]) -> None:
    """Send as an application does: the OpenTelemetry SDK, its batches, its exporter."""
    provider = TracerProvider(
        resource=Resource({"service.name": "gateway"}), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint=str(daemon.ready["otlp_grpc"]), insecure=True)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=len(sent) + 1))
    tracer = provider.get_tracer("gateway")
    for call in sent:
        span = tracer.start_span(
            "chat",
            start_time=call.end_ns - round(call.duration_s * 1e9),
            attributes=call.attributes,
        )
        if call.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(call.end_ns)
    assert provider.force_flush()
    provider.shutdown()


def send_by_grpc(daemon: Daemon, sent: Sequence[Call]) -> None:
    """Send as a gateway of its own make does: messages over a plain channel."""
    for request in fleet.requests(sent, size=500):
        assert b"" == daemon.export(request)


@pytest.mark.parametrize(
    ("send", "count"),
    [(send_by_sdk, 3_000), (send_by_grpc, 20_000)],
    ids=["OpenTelemetry SDK", "raw gRPC"],
)
def test_every_event_is_found(
    send: Callable[[Daemon, Sequence[Call]], None], count: int, daemon: Daemon
) -> None:
    """
    Of thousands of events sent, the very next query finds each: counts and extremes are
    exact, quantiles lie within the rank error the answer states, good and bad are exact for
    every objective and group, and the ledger balances with received == sent.
    """
    sent = fleet.calls(count, time.time_ns())

    send(daemon, sent)

    groups = fleet.by_model_and_tenant(sent)
    answer = daemon.client.query("ttft", q=fleet.QUANTILES, by=["model", "tenant"], window="2m")
    assert list(groups) == [(it["dims"]["model"], it["dims"]["tenant"]) for it in answer["series"]]
    for row, calls in zip(answer["series"], groups.values(), strict=True):
        fleet.check_quantiles(row, [call.ttft_s for call in calls])
    (whole,) = daemon.client.query("ttft", q=fleet.QUANTILES, window="2m")["series"]
    fleet.check_quantiles(whole, [call.ttft_s for call in sent])
    check_budgets(daemon, sent)
    check_ledger(daemon, sent)


def check_budgets(daemon: Daemon, sent: Sequence[Call]) -> None:
    """Compare good and bad with a count of our own."""
    failed = sum(call.failed for call in sent)
    (errors,) = daemon.client.slo("errors")
    assert (len(sent) - failed, failed) == (errors["good"], errors["bad"])
    budgets = daemon.client.slo("ttft-fast")
    assert 1 + len(fleet.TENANTS) == len(budgets)
    for budget in budgets:
        tenants = budget["group"].values() or fleet.TENANTS
        mine = [
            call.ttft_s < fleet.TTFT_BELOW_S
            for call in sent
            if call.tenant in tenants and call.model != "tiny"
        ]
        assert (sum(mine), len(mine) - sum(mine)) == (budget["good"], budget["bad"])


def check_ledger(daemon: Daemon, sent: Sequence[Call]) -> None:
    """Account for everything sent, in total and by source and tenant."""
    ledger = daemon.client.ledger()
    assert ledger["balanced"]
    assert len(sent) == ledger["received"] == ledger["counted"]
    assert len(sent) == ledger["by"]["source"]["gateway"]["received"]
    for tenant in fleet.TENANTS:
        counts = ledger["by"]["tenant"][tenant]
        assert counts["balanced"]
        assert sum(call.tenant == tenant for call in sent) == counts["counted"]


def test_one_event_at_a_time(daemon: Daemon) -> None:
    """After each single acknowledgement the next query has exactly one event more."""
    now_ns = time.time_ns()
    for number, call in enumerate(fleet.calls(20, now_ns), start=1):
        daemon.export(next(fleet.requests([call], 1)))

        (row,) = daemon.client.query("duration", window="2m")["series"]
        assert number == row["count"]


def test_filters_count_the_same_events(daemon: Daemon) -> None:
    """Conditions split a count without loss: any of several values, all of several dimensions."""
    sent = fleet.calls(2_000, time.time_ns())
    send_by_grpc(daemon, sent)

    (row,) = daemon.client.query(
        "ttft", where={"model": ["large", "tiny"], "tenant": "acme"}, window="2m"
    )["series"]

    assert sum(call.model != "small" and call.tenant == "acme" for call in sent) == row["count"]
