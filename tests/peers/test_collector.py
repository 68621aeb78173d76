"""The OpenTelemetry Collector as a sender, and as the peer that the bench compares with."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)

from bench import collector, servers
from bench.loader import EXPORT
from bench.payload import Pool

BATCH = 512
REQUESTS = 40

# The first run on a machine builds the Collector.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def binary() -> Path:
    """Give the Collector that the bench builds; skips where it cannot be built."""
    try:
        return collector.built()
    except collector.CollectorError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Give the bench's spans."""
    return Pool.encoded()


def send(target: str, pool: Pool) -> int:
    """Send some requests over gRPC; gives the number of spans in them."""
    with grpc.insecure_channel(target) as channel:
        export = channel.unary_unary(EXPORT, None, None)
        for n, request in enumerate(pool.requests(BATCH)[:REQUESTS]):
            export(request.fresh(time.time_ns(), 1 + n * BATCH), timeout=30, wait_for_ready=True)
    return REQUESTS * BATCH


def test_every_span_a_collector_forwards_is_counted(
    binary: Path, pool: Pool, wait_until: Callable[..., None]
) -> None:
    """
    A Collector whose OTLP exporter points at spanmill, with its own batching, queue and
    retries, delivers every span it received, and the ledger balances.
    """
    with (
        servers.spanmill() as spanmill,
        servers.peer("forward", binary, forward_to=spanmill.target) as forward,
    ):
        sent = send(forward.target, pool)

        wait_until(lambda: spanmill.accepted()["accepted"] == sent, within_s=30)
        assert {"accepted": sent, "balanced": True} == spanmill.accepted()
        assert None is forward.problem(sent)


class MetricsSink(MetricsServiceServicer):
    """Keeps the count of every exponential histogram point it was sent."""

    def __init__(self) -> None:
        self.counts: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        """Metric name to (attributes, count) of each point, in order of arrival."""

    def Export(  # noqa: N802  the service's name
        self, request: ExportMetricsServiceRequest, _context: grpc.ServicerContext
    ) -> ExportMetricsServiceResponse:
        """Take one request."""
        for metric in (
            metric
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ):
            for point in metric.exponential_histogram.data_points:
                key = tuple(sorted(f"{a.key}={a.value}" for a in point.attributes))
                self.counts.setdefault(metric.name, []).append((key, point.count))
        return ExportMetricsServiceResponse()


@pytest.fixture
def sink() -> Iterator[tuple[MetricsSink, str]]:
    """Serve a metrics sink on loopback; gives it and its address."""
    sink = MetricsSink()
    server = grpc.server(ThreadPoolExecutor(2))
    add_MetricsServiceServicer_to_server(sink, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield sink, f"127.0.0.1:{port}"
    server.stop(None).wait()


def exporting(name: str, folder: Path) -> Path:
    """Write the bench's config of a peer with its metrics sent out rather than thrown away."""
    config: dict[str, Any] = yaml.safe_load((servers.ROOT / "peers" / f"{name}.yaml").read_text())
    forward = yaml.safe_load((servers.ROOT / "peers" / "forward.yaml").read_text())
    config["exporters"] = forward["exporters"]
    config["service"]["pipelines"]["metrics"]["exporters"] = list(forward["exporters"])
    if "span_metrics" in config["connectors"]:
        config["connectors"]["span_metrics"]["metrics_flush_interval"] = "200ms"
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_signal_to_metrics_does_the_work_it_is_measured_for(
    binary: Path,
    pool: Pool,
    sink: tuple[MetricsSink, str],
    tmp_path: Path,
    wait_until: Callable[..., None],
) -> None:
    """
    The bench's equal-work peer puts every span into four exponential histograms by model
    and tenant.
    """
    kept, address = sink
    config = exporting("signal_to_metrics", tmp_path)
    with servers.peer("signal_to_metrics", binary, config=config, forward_to=address) as peer:
        sent = send(peer.target, pool)

        expected = dict.fromkeys(("ttft", "duration", "input_tokens", "output_tokens"), sent)
        # Each request is aggregated alone, so the points add up.
        wait_until(
            lambda: (
                {name: sum(n for _, n in points) for name, points in kept.counts.items()}
                == expected
            ),
            within_s=30,
        )
    assert 50 == len({key for key, _ in kept.counts["ttft"]})


def test_spanmetrics_does_the_work_it_is_measured_for(
    binary: Path,
    pool: Pool,
    sink: tuple[MetricsSink, str],
    tmp_path: Path,
    wait_until: Callable[..., None],
) -> None:
    """The bench's `spanmetrics` peer puts every span into one exponential histogram."""
    kept, address = sink
    config = exporting("spanmetrics", tmp_path)
    with servers.peer("spanmetrics", binary, config=config, forward_to=address) as peer:
        sent = send(peer.target, pool)

        # Cumulative: the last point of each set of attributes holds its whole count.
        wait_until(
            lambda: [sent] == [sum(dict(points).values()) for points in list(kept.counts.values())],
            within_s=30,
        )
