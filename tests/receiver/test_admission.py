"""What is in flight stays within its limit, and the delay told is one that helps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmill.receiver.admission import DELAY_MAX_S, DELAY_MIN_S, Admission


@given(st.lists(st.integers(1, 100)), st.integers(1, 300))
def test_never_over_the_limit(sizes: list[int], limit: int) -> None:
    """Whatever asks for room, what is held never passes the limit, and all of it comes back."""
    admission = Admission(limit)
    held = [size for size in sizes if admission.enter(size)]

    assert sum(held) == admission.held <= limit
    for size in held:
        admission.leave(size)
    assert 0 == admission.held


def test_delay_is_what_stands_in_the_way_at_the_measured_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    At 1,000 a second, 5,000 too many take 5 s; up to half is added so that senders do not
    come back together.
    """
    clock_s = 100.0
    monkeypatch.setattr("spanmill.receiver.admission.time.monotonic", lambda: clock_s)
    admission = Admission(10_000)
    admission.enter(2_000)
    clock_s = 102.0
    admission.leave(2_000)
    admission.enter(10_000)

    assert 5.0 <= admission.retry_after_s(5_000) <= 7.5


def test_idle_time_is_not_slowness(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour without a request leaves the rate as it was."""
    clock_s = 100.0
    monkeypatch.setattr("spanmill.receiver.admission.time.monotonic", lambda: clock_s)
    admission = Admission(1_000)
    admission.enter(1_000)
    clock_s = 101.0
    admission.leave(1_000)
    clock_s = 4_000.0
    admission.enter(1)
    admission.leave(1)
    admission.enter(1_000)

    assert 1.0 <= admission.retry_after_s(1_000) <= 1.5


@given(st.integers(1, 10**12))
def test_delay_is_bounded(size: int) -> None:
    """However much stands in the way, the delay stays between a tenth and 30 seconds."""
    admission = Admission(10)
    admission.enter(10)

    assert DELAY_MIN_S <= admission.retry_after_s(size) <= DELAY_MAX_S
