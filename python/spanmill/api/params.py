"""Query strings, read strictly: what is not understood is refused, never ignored."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from starlette.datastructures import QueryParams

from spanmill.api.failure import Failure, bad_parameter
from spanmill.model import did_you_mean, parse_rfc3339, parse_seconds

WINDOW_DEFAULT: Final = "5m"
QUANTILES_DEFAULT: Final = "0.5,0.95,0.99"

LONG_WINDOW_DEFAULT: Final = "1h"
"""The look-back of what is drawn or compared."""

CELLS_DEFAULT: Final = "60x24"
"""Columns and rows of a picture."""

_SUBJECT: Final = ("measure", "by", "where", "view")
_QUERY: Final = (*_SUBJECT, "q", "window", "end")
_RANGE: Final = (*_QUERY, "start", "step")
_HEATMAP: Final = (*_SUBJECT, "window", "end", "cells")
_COMPARE: Final = (*_QUERY, "before_end", "offset", "dimension", "a", "b")
_COMPANION: Final = ("dimension", "by", "where", "view", "window", "end")
_TOP: Final = (*_COMPANION, "k")
_TIME_NS_MIN: Final = -(2**63)
_TIME_NS_MAX: Final = 2**63 - 1
_REPEATED: Final = ("where",)

_Value = TypeVar("_Value")

_WHOLE: Final = re.compile(r"\d{1,6}")
_CELLS: Final = re.compile(r"(\d{1,6})x(\d{1,6})")


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
    return json.dumps(_subject(params) | _ranks(params) | _look_back(params, WINDOW_DEFAULT))


def core_query_range(params: QueryParams) -> str:
    """
    Turn the parameters of `/query_range` into the core's request.

    Raises:
        Failure: 400, saying which parameter is wrong and what a right one looks like.
    """
    check_names(params, _RANGE)
    _only_one(params, "start", "window")
    return json.dumps(
        _subject(params)
        | _ranks(params)
        | _look_back(params, LONG_WINDOW_DEFAULT)
        | {
            "start_ns": _read(params, "start", _time_ns),
            "step_s": _read(params, "step", _seconds),
        }
    )


def core_heatmap(params: QueryParams) -> str:
    """
    Turn the parameters of `/heatmap` into the core's request.

    Raises:
        Failure: 400, saying which parameter is wrong and what a right one looks like.
    """
    check_names(params, _HEATMAP)
    text = params.get("cells", CELLS_DEFAULT)
    cells = _CELLS.fullmatch(text)
    if cells is None:
        raise _wrong("cells", text, "columns x rows such as cells=60x24")
    return json.dumps(
        _subject(params)
        | _look_back(params, LONG_WINDOW_DEFAULT)
        | {"columns": int(cells[1]), "rows": int(cells[2])}
    )


def core_compare(params: QueryParams) -> str:
    """
    Turn the parameters of `/compare` into the core's request.

    Raises:
        Failure: 400, saying which parameter is wrong and what a right one looks like.
    """
    check_names(params, _COMPARE)
    _only_one(params, "before_end", "offset", "dimension")
    return json.dumps(
        _subject(params)
        | _ranks(params)
        | _look_back(params, LONG_WINDOW_DEFAULT)
        | {"against": _against(params)}
    )


def core_distinct(params: QueryParams) -> str:
    """
    Turn the parameters of `/distinct` into the core's request.

    Raises:
        Failure: 400, saying which parameter is wrong and what a right one looks like.
    """
    check_names(params, _COMPANION)
    return json.dumps(_companion(params) | {"k": None})


def core_top(params: QueryParams) -> str:
    """
    Turn the parameters of `/top` into the core's request.

    Raises:
        Failure: 400, saying which parameter is wrong and what a right one looks like.
    """
    check_names(params, _TOP)
    text = params.get("k")
    if text is not None and not _WHOLE.fullmatch(text):
        raise _wrong("k", text, "how many values to list, such as k=10")
    return json.dumps(_companion(params) | {"k": None if text is None else int(text)})


def _companion(params: QueryParams) -> dict[str, Any]:
    if not params.get("dimension"):
        raise bad_parameter(
            "dimension is missing", "such as dimension=user; a view names it in distinct or top"
        )
    return (
        {"dimension": params["dimension"]}
        | _series(params)
        | _look_back(params, LONG_WINDOW_DEFAULT)
    )


def _subject(params: QueryParams) -> dict[str, Any]:
    if not params.get("measure"):
        raise bad_parameter(
            "measure is missing", "such as measure=ttft; GET /api/v1/measures lists them"
        )
    return {"measure": params["measure"]} | _series(params)


def _series(params: QueryParams) -> dict[str, Any]:
    return {
        "by": _names(params.get("by", "")),
        "where": _where(params.getlist("where")),
        "view": params.get("view"),
    }


def _ranks(params: QueryParams) -> dict[str, Any]:
    return {"q": _quantiles(params.get("q", QUANTILES_DEFAULT))}


def _look_back(params: QueryParams, window_default: str) -> dict[str, Any]:
    return {
        "window_s": _seconds("window", params.get("window", window_default)),
        "end_ns": _read(params, "end", _time_ns),
    }


def _against(params: QueryParams) -> object:
    """Say what the window is compared with: the one right before where nothing else is named."""
    value = {name: params.get(name) for name in ("dimension", "a", "b")}
    if any(part is not None for part in value.values()):
        missing = [name for name, part in value.items() if part is None]
        if missing:
            raise bad_parameter(
                f"{' and '.join(missing)} missing", "such as dimension=model&a=small&b=large"
            )
        return {"value": value}
    if "offset" in params:
        return {"offset": _seconds("offset", params["offset"])}
    if "before_end" in params:
        return {"end": _time_ns("before_end", params["before_end"])}
    return "before"


def _only_one(params: QueryParams, *names: str) -> None:
    given = [name for name in names if name in params]
    if len(given) > 1:
        raise bad_parameter(f"{' and '.join(given)} exclude each other", "give one of them")


def _read(params: QueryParams, name: str, read: Callable[[str, str], _Value]) -> _Value | None:
    text = params.get(name)
    return None if text is None else read(name, text)


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


def _seconds(name: str, text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError:
        raise _wrong(name, text, "a duration such as 30s, 5m or 1h") from None


def _time_ns(name: str, text: str) -> int:
    try:
        time_ns = parse_rfc3339(text)
    except ValueError:
        raise _wrong(name, text, "an RFC 3339 time such as 2026-11-21T14:00:00Z") from None
    if not _TIME_NS_MIN <= time_ns <= _TIME_NS_MAX:
        raise _wrong(name, text, "a time in the years 1678 to 2262, which nanoseconds can hold")
    return time_ns


def _wrong(name: str, value: str, right: str) -> Failure:
    return bad_parameter(f"{name}={value} is not valid", f"use {right}")
