"""Query strings are read strictly: each parameter means what it says or is refused."""

import json

import pytest
from starlette.datastructures import QueryParams

from spanmill.api.failure import Failure
from spanmill.api.params import check_names, core_query


def read(text: str) -> dict[str, object]:
    """Read a query string into the core's request."""
    request: dict[str, object] = json.loads(core_query(QueryParams(text)))
    return request


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
