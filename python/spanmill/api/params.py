"""Query strings, read strictly: what is not understood is refused, never ignored."""

import json
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import QueryParams

from spanmill.api.failure import Failure, bad_parameter
from spanmill.model import did_you_mean, parse_rfc3339, parse_seconds

WINDOW_DEFAULT: Final = "5m"
QUANTILES_DEFAULT: Final = "0.5,0.95,0.99"

_QUERY: Final = ("measure", "q", "by", "where", "window", "end", "view")
_REPEATED: Final = ("where",)


def check_names(params: QueryParams, known: Sequence[str]) -> None:
    """
    Refuse parameters that an endpoint does not have, and those given twice.

    Raises:
        Failure: 400, naming the nearest.
    """
    for name in params:
        if name not in known:
            hint = did_you_mean(name, known) if known else "this endpoint takes none"
            raise bad_parameter(f"unknown parameter {name!r}", hint)
        if name not in _REPEATED and len(params.getlist(name)) > 1:
            raise bad_parameter(f"{name} is given twice", "give it once")


def core_query(params: QueryParams) -> str:
    """
    Turn the parameters of `/query` into the core's request.

    Raises:
        Failure: 400, saying which parameter is wrong and what a right one looks like.
    """
    check_names(params, _QUERY)
    if not params.get("measure"):
        raise bad_parameter(
            "measure is missing", "such as measure=ttft; GET /api/v1/measures lists them"
        )
    end = params.get("end")
    return json.dumps(
        {
            "measure": params["measure"],
            "q": _quantiles(params.get("q", QUANTILES_DEFAULT)),
            "by": _names(params.get("by", "")),
            "where": _where(params.getlist("where")),
            "window_s": _window_s(params.get("window", WINDOW_DEFAULT)),
            "end_ns": None if end is None else _end_ns(end),
            "view": params.get("view"),
        }
    )


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _quantiles(text: str) -> list[float]:
    try:
        ranks = [float(part) for part in text.split(",")]
    except ValueError:
        ranks = []
    if not ranks or not all(0 <= rank <= 1 for rank in ranks):
        raise _wrong("q", text, "ranks from 0 to 1 such as q=0.5,0.99")
    return ranks


def _where(conditions: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Gather conditions by dimension: several values of one dimension are alternatives."""
    values: dict[str, list[str]] = {}
    for condition in conditions:
        dimension, colon, value = condition.partition(":")
        if not (dimension and colon):
            raise _wrong("where", condition, "dimension:value such as where=tenant:acme")
        values.setdefault(dimension, []).append(value)
    return list(values.items())


def _window_s(text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError:
        raise _wrong("window", text, "a duration such as 30s, 5m or 1h") from None


def _end_ns(text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise _wrong("end", text, "an RFC 3339 time such as 2026-11-21T14:00:00Z") from None


def _wrong(name: str, value: str, right: str) -> Failure:
    return bad_parameter(f"{name}={value} is not valid", f"use {right}")
