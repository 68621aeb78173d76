"""The API over a real server: the core's answers untouched, and every error in one form."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spanmill import _core
from spanmill.api import ApiServer
from spanmill.errors import AddressInUse
from spanmill.model import Address
from tests import cores, traces


@dataclass
class Exported:
    """What an exporter would report."""

    files: int = 3
    rows: int = 40
    bytes: int = 5000
    failed_passes: int = 1


@dataclass
class Rig:
    """A server on a real core; a test sets why it is unready."""

    engine: _core.Engine
    unready: str | None = None
    server: ApiServer = field(init=False)
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.server = ApiServer(
            self.engine, Address("127.0.0.1", 0), unready=lambda: self.unready, export=Exported
        )
        self.server.start()
        self.http = httpx.Client(base_url=f"http://{self.server.address}", trust_env=False)

    def error(self, path: str, status: int) -> dict[str, str]:
        """Ask for something that must fail; give the error."""
        answer = self.http.get(path)
        assert status == answer.status_code
        assert ["error"] == list(answer.json())
        error: dict[str, str] = answer.json()["error"]
        assert ["code", "message", "hint"] == list(error)
        return error


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Give a server on a core with two objectives and ten events."""
    slow = dict(cores.ERRORS) | {"name": "by-tenant", "group_by": ["tenant"]}
    rig = Rig(cores.open_core(tmp_path, objectives=[cores.ERRORS, slow]))
    now_ns = time.time_ns()
    spans = [
        traces.span(
            now_ns, 1.0, {"gen_ai.request.model": "m", "spanmill.tenant": "acme"}, failed=i < 2
        )
        for i in range(10)
    ]
    rig.engine.ingest_traces(traces.request(spans).SerializeToString())
    yield rig
    rig.http.close()
    rig.server.stop()
    rig.engine.close()


@pytest.mark.parametrize("name", ["series", "measures", "ledger"])
def test_core_answers_pass_untouched(name: str, rig: Rig) -> None:
    """What the core answers reaches the client byte for byte, as JSON."""
    answer = rig.http.get(f"/api/v1/{name}")

    assert getattr(rig.engine, name)() == answer.content
    assert "application/json" == answer.headers["content-type"]


def test_query(rig: Rig) -> None:
    """A query finds every event acknowledged before it."""
    answer = rig.http.get(
        "/api/v1/query", params={"measure": "duration", "by": "model,tenant", "q": "0.5"}
    ).json()

    (row,) = answer["series"]
    assert {"model": "m", "tenant": "acme"} == row["dims"]
    assert 10 == row["count"]
    assert {"0.5": 1.0} == row["quantiles"]
    assert "s" == answer["unit"]


def test_query_range(rig: Rig) -> None:
    """In steps every event is found once, in the slice that holds it."""
    answer = rig.http.get(
        "/api/v1/query_range", params={"measure": "duration", "window": "5m", "step": "10s"}
    ).json()

    (row,) = answer["series"]
    assert 10 == sum(point["count"] for point in row["points"])
    assert 10 == answer["step"]


def test_heatmap(rig: Rig) -> None:
    """A picture holds every event once, in the row of its value."""
    answer = rig.http.get(
        "/api/v1/heatmap", params={"measure": "duration", "window": "5m", "cells": "30x8"}
    ).json()

    (one,) = (column for column in answer["columns"] if column["count"])
    assert [10] == one["counts"]
    assert answer["edges"][0] <= 1.0 < answer["edges"][1]
    assert not answer["approximate"]


def test_compare(rig: Rig) -> None:
    """Two values of a dimension are compared; one without an event is null, not zero."""
    answer = rig.http.get(
        "/api/v1/compare",
        params={
            "measure": "duration",
            "dimension": "tenant",
            "a": "acme",
            "b": "birch",
            "q": "0.5",
        },
    ).json()

    (row,) = answer["series"]
    assert (10, None) == (row["a"]["count"], row["b"])
    assert 1.0 == row["quantiles"]["0.5"]["a"]["value"]
    assert row["quantiles"]["0.5"]["shift"] is None


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ("query_range?measure=duration&step=7s", "10 s"),
        ("heatmap?measure=duration&cells=501x8", "between 1 and 500"),
        ("compare?measure=duration&offset=10s", "3600 s"),
    ],
)
def test_other_questions_out_of_range(query: str, listed: str, rig: Rig) -> None:
    """A question that is out of range is a 400 that says the range."""
    error = rig.error(f"/api/v1/{query}", 400)

    assert "bad_request" == error["code"]
    assert listed in error["message"]


@pytest.mark.parametrize(
    ("query", "code", "listed"),
    [
        ("measure=tfft", "unknown_name", "ttft"),
        ("measure=ttft&by=modle", "unknown_name", "model"),
        ("measure=ttft&view=nope", "unknown_name", "requests"),
        ("measure=cost", "bad_request", "duration"),
        ("measure=ttft&window=7s", "bad_request", "10 s"),
    ],
)
def test_unknown_names_list_the_valid_ones(query: str, code: str, listed: str, rig: Rig) -> None:
    """An unknown name or a window between buckets is a 400 that says what would be right."""
    error = rig.error(f"/api/v1/query?{query}", 400)

    assert code == error["code"]
    assert listed in error["message"]


def test_slo_and_its_groups(rig: Rig) -> None:
    """
    `/slo` lists every objective with exact counts, in all and for each group; `/slo/{name}`
    one of them.
    """
    every = rig.http.get("/api/v1/slo").json()

    assert {("errors", ""), ("by-tenant", ""), ("by-tenant", "acme")} == {
        (one["name"], one["group"].get("tenant", "")) for one in every
    }
    assert {(8, 2)} == {(one["good"], one["bad"]) for one in every}
    assert [one for one in every if one["name"] == "errors"] == rig.http.get(
        "/api/v1/slo/errors"
    ).json()


def test_unknown_objective(rig: Rig) -> None:
    """An objective that does not exist is a 404 that names the nearest."""
    error = rig.error("/api/v1/slo/eror", 404)

    assert "unknown_name" == error["code"]
    assert "did you mean errors?" == error["hint"]


def test_unknown_endpoint(rig: Rig) -> None:
    """A path that does not exist is a 404 in the form of every error."""
    assert "not_found" == rig.error("/api/v2/query", 404)["code"]


def test_unknown_parameter_of_a_plain_endpoint(rig: Rig) -> None:
    """A parameter to an endpoint that takes none is a 400, not ignored."""
    assert "bad_request" == rig.error("/api/v1/ledger?by=tenant", 400)["code"]


def test_only_get(rig: Rig) -> None:
    """Another method is a 405 in the form of every error, and says which is allowed."""
    answer = rig.http.post("/api/v1/ledger")

    assert 405 == answer.status_code
    assert "method_not_allowed" == answer.json()["error"]["code"]
    assert "GET" in answer.headers["allow"]


def test_health(rig: Rig) -> None:
    """The daemon is live as soon as it answers, and ready unless there is a reason against it."""
    assert 200 == rig.http.get("/livez").status_code
    assert 200 == rig.http.get("/readyz").status_code

    rig.unready = "the daemon is stopping"

    assert 200 == rig.http.get("/livez").status_code
    assert "the daemon is stopping" == rig.error("/readyz", 503)["message"]


def test_closed_core(rig: Rig) -> None:
    """While the daemon stops its answers are 503, not 500: ask again later."""
    rig.engine.close()

    assert "stopping" == rig.error("/api/v1/ledger", 503)["code"]


def test_metrics_are_well_formed(rig: Rig) -> None:
    """
    Every metric of ours starts with spanmill_, has help, and has samples that a scraper parses;
    counters end in _total.
    """
    answer = rig.http.get("/metrics")
    families = list(text_string_to_metric_families(answer.text))
    ours = [family for family in families if not family.name.startswith("process_")]

    assert 20 < len(ours)
    for family in ours:
        assert family.name.startswith("spanmill_")
        assert family.documentation
        counted = family.type == "counter"
        assert all(counted == sample.name.endswith("_total") for sample in family.samples)


def test_metrics_tell_the_ledger(rig: Rig) -> None:
    """Outcomes on /metrics sum up to the events received, in total, by source and by tenant."""
    samples = [
        sample
        for family in text_string_to_metric_families(rig.http.get("/metrics").text)
        for sample in family.samples
    ]

    def total(name: str) -> float:
        return sum(sample.value for sample in samples if sample.name == name)

    received = json.loads(rig.engine.ledger())["received"]
    assert received == total("spanmill_events_received_total")
    assert received == total("spanmill_events_total")
    assert received == total("spanmill_source_events_total")
    assert received == total("spanmill_tenant_events_total")
    assert 1 == total("spanmill_ledger_balanced")
    assert 1 == total("spanmill_requests_accepted_total")
    assert 40 == total("spanmill_export_rows_total")


def test_metrics_tell_budgets(rig: Rig) -> None:
    """Each objective and group shows its events by verdict and what is left of its budget."""
    text = rig.http.get("/metrics").text

    assert 'spanmill_slo_period_events{group="",slo="errors",verdict="bad"} 2.0' in text
    assert (
        'spanmill_slo_period_events{group="tenant=acme",slo="by-tenant",verdict="good"} 8.0' in text
    )
    assert 'spanmill_slo_objective_ratio{slo="by-tenant"} 0.99' in text


def test_port_in_use(rig: Rig) -> None:
    """A port that is taken is one line that names the port and the key to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        second = ApiServer(rig.engine, address, unready=lambda: None, export=Exported)

        with pytest.raises(AddressInUse, match=rf"^{address} is in use .*listen\.api$"):
            second.start()
