"""A flood of junk names over gRPC: promises stay intact and sums stay exact."""

import time

from tests import traces
from tests.e2e.conftest import Start

TENANTS = ("acme", "birch", "cedar")
JUNK = 3_000


def test_a_flood_of_junk_models(start: Start) -> None:
    """
    One tenant sends thousands of junk model names, past the limits of series, tenant and values.
    Every objective's groups and every known series keep their exact counts, the neighbours get
    the series that they ask for after the flood, and `__other__` plus known series are all events.
    """
    limits = {"series": 200, "tenant_series": 50, "dimension_values": 500}
    daemon = start(limits=limits)
    now_ns = time.time_ns()

    def send(tenant: str, *models: str) -> None:
        spans = [
            traces.span(
                now_ns,
                1.0,
                {
                    "gen_ai.request.model": model,
                    "spanmill.tenant": tenant,
                    "gen_ai.server.time_to_first_token": 0.5,
                },
            )
            for model in models
        ]
        assert b"" == daemon.export(traces.request(spans).SerializeToString())

    for tenant in TENANTS:
        send(tenant, "large", "known")
    for first in range(0, JUNK, 500):
        send("acme", *(f"junk-{n}" for n in range(first, first + 500)))
    for tenant in (*TENANTS, "newcomer"):
        send(tenant, "large", "small", "known")

    total = 2 * len(TENANTS) + JUNK + 3 * (len(TENANTS) + 1)
    rows = daemon.client.query("duration", by=["tenant", "model"], window="2m")["series"]
    counts = {(row["dims"]["tenant"], row["dims"]["model"]): row["count"] for row in rows}
    assert total == sum(counts.values())
    for tenant in (*TENANTS, "newcomer"):
        seen = 1 if tenant == "newcomer" else 2
        assert (seen, 1, seen) == tuple(counts[tenant, it] for it in ("large", "small", "known"))
    slos = {(one["name"], one["group"].get("tenant")): one["total"] for one in daemon.client.slo()}
    assert {
        ("ttft-fast", None): 11,
        ("ttft-fast", "acme"): 3,
        ("ttft-fast", "birch"): 3,
        ("ttft-fast", "cedar"): 3,
        ("ttft-fast", "newcomer"): 2,
        ("errors", None): total,
    } == slos
    metrics = daemon.http.get("/metrics").text
    assert f'dimension="model",view="requests"}} {counts["acme", "__other__"]}.0' in metrics
    assert 'spanmill_slo_overflow_events_total{slo="ttft-fast"} 0.0' in metrics
