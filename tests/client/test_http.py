"""The client gives answers as they are and errors as exceptions of ours."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import spanmill
from spanmill.api import ApiServer
from spanmill.client import Client
from spanmill.errors import BadRequest, RequestFailed, UnknownName, Unreachable
from spanmill.model import Address
from tests import cores, traces


class Nothing:
    """An exporter that has exported nothing."""

    files = rows = bytes = failed_passes = 0


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Give a client of a server on a core with three events."""
    engine = cores.open_core(tmp_path, objectives=[cores.ERRORS])
    now_ns = time.time_ns()
    spans = [
        traces.span(now_ns, seconds, {"spanmill.tenant": tenant})
        for seconds, tenant in ((1.0, "a"), (2.0, "b"), (3.0, "c:d"))
    ]
    engine.ingest_traces(traces.request(spans).SerializeToString())
    server = ApiServer(engine, Address("127.0.0.1", 0), unready=lambda: None, export=Nothing)
    server.start()
    with spanmill.connect(str(server.address)) as client:
        yield client
    server.stop()
    engine.close()


def test_query(client: Client) -> None:
    """All arguments of a query arrive: alternatives, values with colons, ranks."""
    answer = client.query(
        "duration", q=[0, 1], by=["tenant"], where={"tenant": ["a", "c:d"]}, window="1m"
    )

    assert ["a", "c:d"] == [row["dims"]["tenant"] for row in answer["series"]]
    assert [{"0": 1.0, "1": 1.0}, {"0": 3.0, "1": 3.0}] == [
        row["quantiles"] for row in answer["series"]
    ]


def test_query_range(client: Client) -> None:
    """All arguments of a query in steps arrive, a look-back or a start."""
    answer = client.query_range(
        "duration", q=[0.5], by=["tenant"], where={"tenant": "c:d"}, window="1m", step="10s"
    )
    (row,) = answer["series"]
    (point,) = row["points"]
    assert ({"tenant": "c:d"}, 1, {"0.5": 3.0}) == (row["dims"], point["count"], point["quantiles"])

    window = answer["window"]
    again = client.query_range("duration", start=window["start"], end=window["end"], step="1m")
    assert 3 == sum(point["count"] for point in again["series"][0]["points"])


def test_heatmap(client: Client) -> None:
    """All arguments of a picture arrive: its cells, and a picture for each group."""
    answer = client.heatmap("duration", by=["tenant"], window="1m", cells=(6, 4))

    assert 6 == len(answer["columns"])
    assert 4 >= len(answer["edges"]) - 1
    assert ["a", "b", "c:d"] == [row["dims"]["tenant"] for row in answer["series"]]
    assert 3 == sum(sum(column["counts"]) for column in answer["columns"])


def test_compare(client: Client) -> None:
    """All arguments of a comparison arrive: two values, or two windows."""
    values = client.compare("duration", q=[0.5], between=("tenant", "a", "b"), window="1m")
    median = values["series"][0]["quantiles"]["0.5"]
    assert median["shift"] is not None
    assert (1.0, [None, None]) == (median["shift"]["value"], median["shift"]["interval"])

    windows = client.compare("duration", by=["tenant"], window="1m", offset="2m")
    assert [None, None, None] == [row["a"] for row in windows["series"]]
    named = client.compare("duration", window="1m", before_end=windows["a"]["window"]["end"])
    assert windows["a"]["window"]["start"] == named["a"]["window"]["start"]


def test_companions(tmp_path: Path) -> None:
    """Counts of users and rankings of prompts arrive by tenant, exact while they are few."""
    view = {"name": "v", "dimensions": ["tenant"], "measures": ["duration"]}
    wide = {"distinct": ["user"], "top": ["prompt"]}
    engine = cores.open_core(tmp_path, views=[view | wide])
    now_ns = time.time_ns()
    spans = [
        traces.span(
            now_ns,
            1.0,
            {"spanmill.tenant": "a", "user.id": f"u{n % 3}", "gen_ai.prompt.name": f"p{n // 6}"},
        )
        for n in range(10)
    ]
    engine.ingest_traces(traces.request(spans).SerializeToString())
    server = ApiServer(engine, Address("127.0.0.1", 0), unready=lambda: None, export=Nothing)
    server.start()
    with spanmill.connect(str(server.address)) as client:
        users = client.distinct("user", by=["tenant"], where={"tenant": "a"}, window="1m")
        prompts = client.top_values("prompt", k=1, window="1m", view="v")
        with pytest.raises(BadRequest, match=r"v with top \(prompt\) by tenant"):
            client.top_values("model")
    server.stop()
    engine.close()

    assert [{"dims": {"tenant": "a"}, "distinct": 3, "exact": True, "relative_error": 0.0}] == [
        dict(row) for row in users["series"]
    ]
    (row,) = prompts["series"]
    assert (10, True, 0) == (row["count"], row["exact"], row["error"])
    assert [{"value": "p0", "count": 6, "at_least": 6, "at_most": 6}] == row["top"]


def test_every_list(client: Client) -> None:
    """Ledger, series, measures and budgets arrive with their events."""
    assert 3 == client.ledger()["counted"]
    assert 3 == len(client.series()["views"][0]["series"])
    assert "ttft" in {one["name"] for one in client.measures()["measures"]}
    assert [3] == [one["good"] for one in client.slo()]
    assert client.slo() == client.slo("errors")


def test_errors_are_ours(client: Client) -> None:
    """An error answer becomes the exception of its kind, with the daemon's own words."""
    with pytest.raises(UnknownName, match="ttft"):
        client.query("tfft")
    with pytest.raises(BadRequest, match="window=soon is not valid"):
        client.query("ttft", window="soon")
    with pytest.raises(UnknownName, match="did you mean errors"):
        client.slo("eror")


def test_nobody_there() -> None:
    """Where no daemon answers the error says which address and where it came from."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with (
        spanmill.connect(f"127.0.0.1:{port}") as client,
        pytest.raises(Unreachable, match=rf"no daemon answers at 127\.0\.0\.1:{port} \(as told\)"),
    ):
        client.ledger()


class Other(http.server.BaseHTTPRequestHandler):
    """A server that is not ours."""

    def do_GET(self) -> None:
        """Answer something."""
        body = b'{"error": {"code": "teapot", "message": "short", "hint": "stout"}}'
        ours = self.path.endswith("/ledger")
        self.send_response(418 if ours else 200)
        self.end_headers()
        self.wfile.write(body if ours else b"<html>")

    def log_message(self, *_arguments: object) -> None:
        """Stay silent."""


def test_somebody_else_there() -> None:
    """An answer that is no JSON is not taken for a daemon's; an error of unknown code is kept."""
    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with spanmill.connect(f"127.0.0.1:{server.server_port}") as client:
            with pytest.raises(Unreachable, match="is not spanmill"):
                client.series()
            with pytest.raises(RequestFailed, match="short; stout") as raised:
                client.ledger()
        server.shutdown()

    assert (418, "teapot") == (raised.value.status, raised.value.code)
