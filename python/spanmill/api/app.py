"""The endpoints. What the core answers is JSON already and is passed on untouched."""

import json
from collections.abc import Callable
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from spanmill import _core
from spanmill.api.failure import HANDLERS, Failure
from spanmill.api.params import (
    check_names,
    core_compare,
    core_distinct,
    core_heatmap,
    core_query,
    core_query_range,
    core_top,
)
from spanmill.model import did_you_mean

Unready = Callable[[], str | None]
"""Says why the daemon should get no traffic now; None when it should."""


class Endpoints:
    """
    One method for each endpoint.

    They are plain functions, so each runs on a thread of the server's pool: the core
    answers detached from the interpreter, and neither blocks the event loop nor ingest.
    """

    def __init__(self, engine: _core.Engine, unready: Unready, metrics: CollectorRegistry) -> None:
        self._engine = engine
        self._unready = unready
        self._metrics = metrics

    def query(self, request: Request) -> Response:
        """GET /api/v1/query."""
        return _json(self._engine.query(core_query(request.query_params)))

    def query_range(self, request: Request) -> Response:
        """GET /api/v1/query_range."""
        return _json(self._engine.query_range(core_query_range(request.query_params)))

    def heatmap(self, request: Request) -> Response:
        """GET /api/v1/heatmap."""
        return _json(self._engine.heatmap(core_heatmap(request.query_params)))

    def compare(self, request: Request) -> Response:
        """GET /api/v1/compare."""
        return _json(self._engine.compare(core_compare(request.query_params)))

    def distinct(self, request: Request) -> Response:
        """GET /api/v1/distinct."""
        return _json(self._engine.distinct(core_distinct(request.query_params)))

    def top(self, request: Request) -> Response:
        """GET /api/v1/top."""
        return _json(self._engine.top(core_top(request.query_params)))

    def series(self, request: Request) -> Response:
        """GET /api/v1/series."""
        check_names(request.query_params, ())
        return _json(self._engine.series())

    def measures(self, request: Request) -> Response:
        """GET /api/v1/measures."""
        check_names(request.query_params, ())
        return _json(self._engine.measures())

    def ledger(self, request: Request) -> Response:
        """GET /api/v1/ledger."""
        check_names(request.query_params, ())
        return _json(self._engine.ledger())

    def slos(self, request: Request) -> Response:
        """GET /api/v1/slo."""
        check_names(request.query_params, ())
        return _json(self._engine.slos())

    def slo(self, request: Request) -> Response:
        """GET /api/v1/slo/{name}: that objective and each of its groups."""
        check_names(request.query_params, ())
        name = request.path_params["name"]
        every = json.loads(self._engine.slos())
        named = [one for one in every if one["name"] == name]
        if not named:
            hint = did_you_mean(name, {one["name"] for one in every})
            raise Failure(HTTPStatus.NOT_FOUND, "unknown_name", f"no objective {name!r}", hint)
        return _json(json.dumps(named).encode())

    def livez(self, _request: Request) -> Response:
        """GET /livez: the process answers."""
        return PlainTextResponse("ok\n")

    def readyz(self, _request: Request) -> Response:
        """GET /readyz: 503 with the reason while no traffic should come."""
        reason = self._unready()
        if reason is not None:
            raise Failure(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", reason, "wait, ask again")
        return PlainTextResponse("ready\n")

    def metrics(self, request: Request) -> Response:
        """GET /metrics, for Prometheus."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._metrics), media_type=media_type)


def build_app(engine: _core.Engine, unready: Unready, metrics: CollectorRegistry) -> Starlette:
    """Lay the endpoints out."""
    here = Endpoints(engine, unready, metrics)
    routes = [
        Route("/api/v1/query", here.query),
        Route("/api/v1/query_range", here.query_range),
        Route("/api/v1/heatmap", here.heatmap),
        Route("/api/v1/compare", here.compare),
        Route("/api/v1/distinct", here.distinct),
        Route("/api/v1/top", here.top),
        Route("/api/v1/series", here.series),
        Route("/api/v1/measures", here.measures),
        Route("/api/v1/ledger", here.ledger),
        Route("/api/v1/slo", here.slos),
        Route("/api/v1/slo/{name}", here.slo),
        Route("/livez", here.livez),
        Route("/readyz", here.readyz),
        Route("/metrics", here.metrics),
    ]
    return Starlette(routes=routes, exception_handlers=dict(HANDLERS))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
