"""One method for each endpoint of the HTTP API."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast
from urllib.parse import quote

import httpx

from spanmill.client.answers import (
    Budget,
    CompareAnswer,
    DistinctAnswer,
    HeatmapAnswer,
    Ledger,
    Measures,
    QueryAnswer,
    RangeAnswer,
    SeriesList,
    TopAnswer,
)
from spanmill.client.find import Found, find_daemon
from spanmill.errors import BadRequest, RequestFailed, SpanmillError, UnknownName, Unreachable
from spanmill.model import Address

_TIMEOUT_S: Final = 10.0

Where = Mapping[str, str | Sequence[str]]
"""Dimension to a value, or to several of which any may match."""

_ERRORS: Final[Mapping[str, type[SpanmillError]]] = {
    "unknown_name": UnknownName,
    "bad_request": BadRequest,
}


class Client:
    """
    A connection to one daemon. Safe to share between threads; a context manager.

    Every method raises:
        Unreachable: No daemon answers there.
        UnknownName: No such measure, dimension, view or objective.
        BadRequest: A parameter is out of range.
        RequestFailed: Any other error answer.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        # No proxies: a daemon on loopback must not be asked for through one.
        self._http = httpx.Client(
            base_url=f"http://{found.address}", timeout=_TIMEOUT_S, trust_env=False
        )

    @property
    def address(self) -> Address:
        """Where the daemon's API listens."""
        return self._found.address

    def query(
        self,
        measure: str,
        *,
        q: Sequence[float] = (0.5, 0.95, 0.99),
        by: Sequence[str] = (),
        where: Where | None = None,
        window: str = "5m",
        end: str | None = None,
        view: str | None = None,
    ) -> QueryAnswer:
        """
        Ask for a measure's distribution over a window of event time.

        Args:
            measure: Such as `ttft`.
            q: Ranks in [0, 1].
            by: Dimensions that tell the answer's series apart.
            where: Dimension to a value, or to several of which any may match.
            window: Duration such as `5m`, in steps of 10 s.
            end: RFC 3339; the newest events where it is not given.
            view: The first that has all of these where it is not given.
        """
        params = [*_subject(measure, by, where, view), _ranks(q), ("window", window)]
        return cast("QueryAnswer", self._get("/query", [*params, *_given(end=end)]))

    def query_range(
        self,
        measure: str,
        *,
        q: Sequence[float] = (0.5, 0.95, 0.99),
        by: Sequence[str] = (),
        where: Where | None = None,
        window: str | None = None,
        start: str | None = None,
        end: str | None = None,
        step: str | None = None,
        view: str | None = None,
    ) -> RangeAnswer:
        """
        Ask for a measure's distribution in steps of event time.

        Args:
            measure: Such as `ttft`.
            q: Ranks in [0, 1].
            by: Dimensions that tell the answer's series apart.
            where: Dimension to a value, or to several of which any may match.
            window: Duration such as `1h`, instead of `start`; an hour without either.
            start: RFC 3339.
            end: RFC 3339; the newest events where it is not given.
            step: Duration such as `1m`, in steps of 10 s; one that gives at most 60 slices
                where it is not given.
            view: The first that has all of these where it is not given.
        """
        params = [*_subject(measure, by, where, view), _ranks(q)]
        times = _given(window=window, start=start, end=end, step=step)
        return cast("RangeAnswer", self._get("/query_range", [*params, *times]))

    def heatmap(
        self,
        measure: str,
        *,
        by: Sequence[str] = (),
        where: Where | None = None,
        window: str = "1h",
        end: str | None = None,
        cells: tuple[int, int] = (60, 24),
        view: str | None = None,
    ) -> HeatmapAnswer:
        """
        Ask how many events of which size there were at what time, for a picture.

        Args:
            measure: Such as `ttft`.
            by: Dimensions of each of whose combinations a picture is wanted as well.
            where: Dimension to a value, or to several of which any may match.
            window: Duration such as `1h`, in steps of 10 s.
            end: RFC 3339; the newest events where it is not given.
            cells: At most so many slices of time and ranges of values.
            view: The first that has all of these where it is not given.
        """
        columns, rows = cells
        params = [*_subject(measure, by, where, view), ("window", window)]
        given = _given(end=end, cells=f"{columns}x{rows}")
        return cast("HeatmapAnswer", self._get("/heatmap", [*params, *given]))

    def compare(
        self,
        measure: str,
        *,
        q: Sequence[float] = (0.5, 0.95, 0.99),
        by: Sequence[str] = (),
        where: Where | None = None,
        window: str = "1h",
        end: str | None = None,
        offset: str | None = None,
        before_end: str | None = None,
        between: tuple[str, str, str] | None = None,
        view: str | None = None,
    ) -> CompareAnswer:
        """
        Ask by how much each quantile shifted between two windows, or two values of a dimension.

        Args:
            measure: Such as `ttft`.
            q: Ranks in [0, 1].
            by: Dimensions that tell the answer's rows apart.
            where: Dimension to a value, or to several of which any may match.
            window: Duration such as `1h`, in steps of 10 s, of both windows.
            end: RFC 3339, of the newer window; the newest events where it is not given.
            offset: Compare with the window that ended so long before, such as `1d`.
            before_end: Compare with the window that ended then, RFC 3339. Without it, `offset`
                or `between`, with the window right before.
            between: Compare two values of a dimension in one window:
                `("model", "small", "large")`.
            view: The first that has all of these where it is not given.
        """
        dimension, a, b = between if between is not None else (None, None, None)
        params = [*_subject(measure, by, where, view), _ranks(q), ("window", window)]
        given = _given(end=end, offset=offset, before_end=before_end, dimension=dimension, a=a, b=b)
        return cast("CompareAnswer", self._get("/compare", [*params, *given]))

    def distinct(
        self,
        dimension: str,
        *,
        by: Sequence[str] = (),
        where: Where | None = None,
        window: str = "1h",
        end: str | None = None,
        view: str | None = None,
    ) -> DistinctAnswer:
        """
        Ask how many different values of a dimension there were.

        Args:
            dimension: Such as `user`; some view names it in `distinct`.
            by: Dimensions that tell the answer's series apart.
            where: Dimension to a value, or to several of which any may match.
            window: Duration such as `1h`, in steps of 10 s; widened to whole minutes.
            end: RFC 3339; the newest events where it is not given.
            view: The first that counts it by all of these where it is not given.
        """
        params = [("dimension", dimension), *_series(by, where, view), ("window", window)]
        return cast("DistinctAnswer", self._get("/distinct", [*params, *_given(end=end)]))

    def top_values(
        self,
        dimension: str,
        *,
        k: int = 10,
        by: Sequence[str] = (),
        where: Where | None = None,
        window: str = "1h",
        end: str | None = None,
        view: str | None = None,
    ) -> TopAnswer:
        """
        Ask which values of a dimension came most.

        Args:
            dimension: Such as `prompt`; some view names it in `top`.
            k: How many values to list, at most 1000.
            by: Dimensions that tell the answer's series apart.
            where: Dimension to a value, or to several of which any may match.
            window: Duration such as `1h`, in steps of 10 s; widened to whole minutes.
            end: RFC 3339; the newest events where it is not given.
            view: The first that ranks it by all of these where it is not given.
        """
        params = [("dimension", dimension), *_series(by, where, view), ("window", window)]
        return cast("TopAnswer", self._get("/top", [*params, ("k", str(k)), *_given(end=end)]))

    def series(self) -> SeriesList:
        """List every view with its series."""
        return cast("SeriesList", self._get("/series"))

    def measures(self) -> Measures:
        """List measures with their units, and dimensions."""
        return cast("Measures", self._get("/measures"))

    def ledger(self) -> Ledger:
        """Account for every event received."""
        return cast("Ledger", self._get("/ledger"))

    def slo(self, name: str | None = None) -> list[Budget]:
        """State the budgets of all objectives, or of one and its groups."""
        path = "/slo" if name is None else f"/slo/{quote(name, safe='')}"
        return cast("list[Budget]", self._get(path))

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Any:  # noqa: ANN401  JSON
        try:
            answer = self._http.get(f"/api/v1{path}", params=list(params))
        except httpx.TransportError as error:
            raise Unreachable(
                f"no daemon answers at {self._found.address} ({self._found.because}): "
                f"{str(error) or type(error).__name__}; start one with `spanmill serve`"
            ) from None
        try:
            body = answer.json()
            if answer.is_success:
                return body
            failure = body["error"]
            code, text = failure["code"], failure["message"]
            message = f"{text}; {failure['hint']}" if failure["hint"] else text
        except (ValueError, KeyError, TypeError):
            raise Unreachable(
                f"what answers at {self._found.address} ({self._found.because}) is not spanmill"
            ) from None
        if code in _ERRORS:
            raise _ERRORS[code](message)
        raise RequestFailed(message, answer.status_code, code)


def _subject(
    measure: str, by: Sequence[str], where: Where | None, view: str | None
) -> list[tuple[str, str]]:
    return [("measure", measure), *_series(by, where, view)]


def _series(by: Sequence[str], where: Where | None, view: str | None) -> list[tuple[str, str]]:
    params = [("by", ",".join(by))] if by else []
    for dimension, values in (where or {}).items():
        several = [values] if isinstance(values, str) else values
        params += [("where", f"{dimension}:{value}") for value in several]
    return [*params, *_given(view=view)]


def _ranks(q: Sequence[float]) -> tuple[str, str]:
    return "q", ",".join(f"{rank:.12g}" for rank in q)


def _given(**params: str | None) -> list[tuple[str, str]]:
    return [(name, value) for name, value in params.items() if value is not None]


def connect(addr: str | None = None, *, data_dir: Path | None = None) -> Client:
    """
    Connect to a daemon.

    Args:
        addr: `host:port` of its API.
        data_dir: Its data folder, whose address file tells where it listens. Without
            either, the default address is used.

    Raises:
        Unreachable: `addr` or the address file holds no address.
    """
    return Client(find_daemon(addr, data_dir))
