"""Durations and sizes mean what they say, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmill.model import parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (1.5, 1.5),
        (90.0, 90),
        (90.0, "90"),
        (90.0, "90s"),
        (0.5, "500ms"),
        (0.001, "1ms"),
        (300.0, "5m"),
        (5400.0, "1.5h"),
        (2_592_000.0, "30d"),
        (604_800.0, "1w"),
        (0.0, 0),
    ],
)
def test_seconds(seconds: float, written: object) -> None:
    """Each unit has its length, and a bare number is seconds."""
    assert seconds == parse_seconds(written)


@pytest.mark.parametrize(
    "written", ["", "s", "5 minutes", "-1s", -1, "1h30m", "nan", float("nan"), float("inf"), True]
)
def test_no_duration(written: object) -> None:
    """What is no duration is refused with an example of one."""
    with pytest.raises(ValueError, match="such as 90, 90s, 5m or 30d"):
        parse_seconds(written)


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (1_048_576, 1_048_576),
        (65_536, "64KiB"),
        (16_777_216, "16MiB"),
        (1_000_000_000, "1GB"),
        (1_610_612_736, "1.5GiB"),
    ],
)
def test_bytes(size: int, written: object) -> None:
    """Binary and decimal units keep apart, and a bare number is bytes."""
    assert size == parse_bytes(written)


@pytest.mark.parametrize("written", ["16M", "16mib", "-1", 0.5, "0.3B", None, False])
def test_no_size(written: object) -> None:
    """What is no size, or no whole number of bytes, is refused with an example of one."""
    with pytest.raises(ValueError, match="such as 1048576, 64KiB or 16MiB"):
        parse_bytes(written)


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_seconds_scale(number: int, unit: str) -> None:
    """A duration is its number times its unit, to the last bit a float holds."""
    unit_ms = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[unit]

    assert number * unit_ms / 1000 == parse_seconds(f"{number}{unit}")
