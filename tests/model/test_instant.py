"""Times keep every nanosecond on the way to RFC 3339 and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmill.model import parse_rfc3339, rfc3339

YEAR_2100_NS = 4_102_444_800 * 10**9


@given(st.integers(0, YEAR_2100_NS))
def test_round_trip(time_ns: int) -> None:
    """Any nanosecond until 2100 reads back as itself."""
    assert time_ns == parse_rfc3339(rfc3339(time_ns))


@pytest.mark.parametrize(
    ("written", "time_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-21T14:00:00Z", 1_795_269_600 * 10**9),
        ("2026-11-21T14:00:00.250Z", 1_795_269_600_250_000_000),
        ("2026-11-21T14:00:00.000000001Z", 1_795_269_600_000_000_001),
    ],
)
def test_written(written: str, time_ns: int) -> None:
    """UTC ends in Z, and a fraction has as many digits as it takes, in threes."""
    assert written == rfc3339(time_ns)


def test_offset() -> None:
    """An offset moves the clock, not the instant."""
    assert parse_rfc3339("2026-11-21T14:00:00Z") == parse_rfc3339("2026-11-21T16:30:00+02:30")


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-21", "2026-11-21T14:00:00", "1795269600", "2026-13-01T00:00:00Z"]
)
def test_no_time(text: str) -> None:
    """A time without an offset, or none at all, is refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339(text)
