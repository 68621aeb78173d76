"""What every test may use."""

import os
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import settings

# A busy machine is not a failing property; in CI the same inputs come every time.
settings.register_profile("spanmill", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("spanmill")

POLL_EVERY_S = 0.01


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Give a function that polls until a condition holds, and fails when it does not in time."""

    def poll(condition: Callable[[], object], *, within_s: float = 10.0) -> None:
        deadline = time.monotonic() + within_s
        pause = threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"{condition} did not hold within {within_s} s")
            pause.wait(POLL_EVERY_S)

    return poll
