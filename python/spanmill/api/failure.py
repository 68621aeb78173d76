"""Error answers: `{"error": {"code", "message", "hint"}}` with a fitting status."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from spanmill.errors import BadRequest, Closed, SpanmillError, UnknownName

NAMES_HINT = "GET /api/v1/measures lists measures and dimensions, /api/v1/series lists views"


class Failure(Exception):  # noqa: N818  it is an answer, too
    """A request that gets an error answer; `hint` says what to do about it."""

    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.hint = hint

    def answer(self) -> JSONResponse:
        """Write it as JSON."""
        error = {"code": self.code, "message": str(self), "hint": self.hint}
        return JSONResponse({"error": error}, self.status)


def bad_parameter(message: str, hint: str = "") -> Failure:
    """400: a parameter is missing, unknown or out of range."""
    return Failure(400, "bad_request", message, hint)


async def on_failure(_request: Request, error: Exception) -> JSONResponse:
    """Answer a `Failure`."""
    assert isinstance(error, Failure), "registered for Failure only"  # noqa: S101  ours
    return error.answer()


async def on_core_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer what the core refused."""
    match error:
        case UnknownName():
            return Failure(400, "unknown_name", str(error), NAMES_HINT).answer()
        case BadRequest():
            return Failure(400, "bad_request", str(error)).answer()
        case Closed():
            return Failure(503, "stopping", "the daemon is stopping", "ask again later").answer()
    return Failure(500, "internal", str(error), "the daemon's log says more").answer()


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a path or method that does not exist."""
    assert isinstance(error, HTTPException), "registered for these only"  # noqa: S101  ours
    path = request.url.path
    if error.status_code == 404:  # noqa: PLR2004  the status itself is the clearest name
        hint = (
            "the API is under /api/v1: query, query_range, heatmap, compare, distinct, top, "
            "series, measures, ledger, slo"
        )
        return Failure(404, "not_found", f"no endpoint {path}", hint).answer()
    answer = Failure(
        error.status_code, "method_not_allowed", f"{path} does not take {request.method}", "use GET"
    ).answer()
    answer.headers.update(error.headers or {})
    return answer


async def on_any_error(_request: Request, _error: Exception) -> JSONResponse:
    """Answer for a fault of ours; the server logs it with its traceback."""
    return Failure(500, "internal", "the daemon failed on this request", "see its log").answer()


HANDLERS = {
    Failure: on_failure,
    SpanmillError: on_core_error,
    HTTPException: on_http_error,
    Exception: on_any_error,
}
