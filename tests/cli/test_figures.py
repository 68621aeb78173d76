"""Figures read well and lose nothing that matters."""

import pytest

from spanmill.cli.figures import count, duration, grouped, percentile, quantity, share, stretch


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("812 ms", 0.8123, "s"),
        ("1.42 s", 1.4233, "s"),
        ("2.5 min", 150.0, "s"),
        ("1,204", 1204.0, "{token}"),
        ("$0.1234", 0.12341, "USD"),
        ("–", None, "s"),
    ],
)
def test_quantity(text: str, value: float | None, unit: str) -> None:
    """A value has a unit of fitting size and three digits."""
    assert text == quantity(value, unit)


def test_other_figures() -> None:
    """Counts have thousands apart, shares are percent, durations have one unit."""
    assert "1,234,567" == count(1_234_567)
    assert ("99.9 %", "-250 %", "–") == (share(0.999), share(-2.5), share(None))
    assert ("30d", "6h", "5m", "90s") == tuple(map(duration, (2_592_000, 21_600, 300, 90)))
    assert "model=x tenant=y" == grouped({"model": "x", "tenant": "y"})


def test_times_and_ranks() -> None:
    """A stretch of time names its day once where it has one; ranks read as people say them."""
    assert "2026-11-21 13:00 to 14:00:10 UTC" == stretch(
        "2026-11-21T13:00:00Z", "2026-11-21T14:00:10Z"
    )
    assert "2026-11-21 23:00 to 2026-11-22 01:00 UTC" == stretch(
        "2026-11-21T23:00:00Z", "2026-11-22T01:00:00Z"
    )
    assert ("p50", "p99.9", "p100") == tuple(map(percentile, ("0.5", "0.999", "1")))
