"""Query strings are read strictly: each parameter means what it says or is refused."""

import json
from collections.abc import Callable

import pytest
from starlette.datastructures import QueryParams

from spanmill.api.failure import Failure
from spanmill.api.params import (
    check_names,
    core_compare,
    core_distinct,
    core_heatmap,
    core_query,
    core_query_range,
    core_top,
)


def read(text: str) -> dict[str, object]:
    """Read a query string into the core's request."""
    request: dict[str, object] = json.loads(core_query(QueryParams(text)))
    return request


SUBJECT = {"measure": "ttft", "by": [], "where": [], "view": None}
RANKS = {"q": [0.5, 0.95, 0.99]}
HOUR = {"window_s": 3600.0, "end_ns": None}
END = "end=2026-11-21T14:00:00Z"
END_NS = 1_795_269_600_000_000_000


def test_defaults() -> None:
    """With a measure alone the last five minutes are asked for, at three ranks."""
    assert {
        "measure": "ttft",
        "q": [0.5, 0.95, 0.99],
        "by": [],
        "where": [],
        "window_s": 300.0,
        "end_ns": None,
        "view": None,
    } == read("measure=ttft")


def test_everything_given() -> None:
    """Each parameter arrives in the core's request."""
    assert {
        "measure": "ttft",
        "q": [0.0, 0.5, 1.0],
        "by": ["model", "region"],
        "where": [["tenant", ["acme"]]],
        "window_s": 3600.0,
        "end_ns": 1_795_269_600_000_000_000,
        "view": "requests",
    } == read(
        "measure=ttft&q=0,0.5,1&by=model,region&where=tenant:acme&window=1h"
        "&end=2026-11-21T14:00:00Z&view=requests"
    )


def test_range() -> None:
    """Without more an hour is asked for in steps that the core chooses; a start replaces it."""
    asked = json.loads(core_query_range(QueryParams("measure=ttft")))
    assert SUBJECT | RANKS | HOUR | {"start_ns": None, "step_s": None} == asked

    text = f"measure=ttft&start=2026-11-21T13:00:00Z&{END}&step=1m"
    asked = json.loads(core_query_range(QueryParams(text)))
    assert (END_NS - 3600 * 10**9, END_NS, 60.0) == (
        asked["start_ns"],
        asked["end_ns"],
        asked["step_s"],
    )


def test_heatmap() -> None:
    """A picture has 60 columns and 24 rows unless others are asked for."""
    asked = json.loads(core_heatmap(QueryParams("measure=ttft")))
    assert SUBJECT | HOUR | {"columns": 60, "rows": 24} == asked

    asked = json.loads(core_heatmap(QueryParams("measure=ttft&cells=120x40&by=model&window=5m")))
    assert (120, 40, ["model"], 300.0) == (
        asked["columns"],
        asked["rows"],
        asked["by"],
        asked["window_s"],
    )


@pytest.mark.parametrize(
    ("against", "text"),
    [
        ("before", ""),
        ({"offset": 86_400.0}, "&offset=1d"),
        ({"end": END_NS}, f"&before_{END}"),
        ({"value": {"dimension": "model", "a": "x", "b": ""}}, "&dimension=model&a=x&b="),
    ],
)
def test_compare(against: object, text: str) -> None:
    """A comparison is with the window before, one named by distance or end, or another value."""
    asked = json.loads(core_compare(QueryParams(f"measure=ttft{text}")))

    assert SUBJECT | RANKS | HOUR | {"against": against} == asked


@pytest.mark.parametrize(
    ("message", "hint", "core", "text"),
    [
        (
            "start and window exclude each other",
            "one of",
            core_query_range,
            f"window=1h&start{END[3:]}",
        ),
        ("start=noon is not valid", "RFC 3339", core_query_range, "start=noon"),
        ("step=often is not valid", "a duration", core_query_range, "step=often"),
        ("end=0001-01-01T00:00:00Z is not valid", "1678", core_query, "end=0001-01-01T00:00:00Z"),
        ("unknown parameter 'q'", "", core_heatmap, "q=0.5"),
        ("cells=60 is not valid", "60x24", core_heatmap, "cells=60"),
        ("cells=-1x4 is not valid", "60x24", core_heatmap, "cells=-1x4"),
        (
            "offset and dimension exclude",
            "one of",
            core_compare,
            "offset=1h&dimension=model&a=x&b=y",
        ),
        ("b missing", "dimension=model", core_compare, "dimension=model&a=x"),
        ("dimension missing", "dimension=model", core_compare, "a=x&b=y"),
        ("offset=-1h is not valid", "a duration", core_compare, "offset=-1h"),
    ],
)
def test_refused_beyond_queries(
    message: str, hint: str, core: Callable[[QueryParams], str], text: str
) -> None:
    """What the other questions cannot mean is a 400 that says what they can."""
    with pytest.raises(Failure) as raised:
        core(QueryParams(f"measure=ttft&{text}"))

    assert (400, "bad_request") == (raised.value.status, raised.value.code)
    assert message in str(raised.value)
    assert hint in raised.value.hint


def test_conditions() -> None:
    """
    A condition splits at its first colon; values of one dimension are alternatives, and
    different dimensions all have to match.
    """
    request = read("measure=ttft&where=model:a:b&where=tenant:x&where=model:c&where=region:")

    assert [["model", ["a:b", "c"]], ["tenant", ["x"]], ["region", [""]]] == request["where"]


@pytest.mark.parametrize(
    ("message", "hint", "text"),
    [
        ("measure is missing", "such as measure=ttft", ""),
        ("unknown parameter 'mesure'", "did you mean measure?", "mesure=ttft"),
        ("measure is given twice", "give it once", "measure=a&measure=b"),
        ("q=p99 is not valid", "use ranks from 0 to 1", "measure=a&q=p99"),
        ("q=1.01 is not valid", "use ranks from 0 to 1", "measure=a&q=1.01"),
        ("q=nan is not valid", "use ranks from 0 to 1", "measure=a&q=nan"),
        ("q= is not valid", "use ranks from 0 to 1", "measure=a&q="),
        ("where=acme is not valid", "use dimension:value", "measure=a&where=acme"),
        ("window=5x is not valid", "use a duration", "measure=a&window=5x"),
        ("end=now is not valid", "use an RFC 3339 time", "measure=a&end=now"),
    ],
)
def test_refused(message: str, hint: str, text: str) -> None:
    """What is not understood is a 400 that shows the parameter and what a right one looks like."""
    with pytest.raises(Failure) as raised:
        read(text)

    assert (400, "bad_request", message) == (
        raised.value.status,
        raised.value.code,
        str(raised.value),
    )
    assert hint in raised.value.hint


def test_an_endpoint_without_parameters_takes_none() -> None:
    """A parameter where there is none is refused, not ignored."""
    with pytest.raises(Failure, match="unknown parameter 'by'"):
        check_names(QueryParams("by=model"), ())


def test_companions() -> None:
    """A dimension alone is asked for over an hour; how many values to list arrives as a number."""
    asked = {"dimension": "user", "by": [], "where": [], "view": None, "end_ns": None}
    assert asked | {"window_s": 3600.0, "k": None} == json.loads(
        core_distinct(QueryParams("dimension=user"))
    )
    assert asked | {"window_s": 60.0, "k": 3, "by": ["model"]} == json.loads(
        core_top(QueryParams("dimension=user&k=3&by=model&window=1m"))
    )


@pytest.mark.parametrize(
    ("message", "hint", "text"),
    [
        ("dimension is missing", "such as dimension=user", ""),
        ("unknown parameter 'measure'", "known: by", "measure=ttft"),
        ("k=ten is not valid", "use how many values to list", "dimension=user&k=ten"),
    ],
)
def test_companions_refused(message: str, hint: str, text: str) -> None:
    """What a count or ranking does not take is a 400 that shows what a right one looks like."""
    with pytest.raises(Failure, match=message) as raised:
        core_top(QueryParams(text))

    assert hint in raised.value.hint
