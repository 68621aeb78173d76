"""How much is being worked on, whether there is room for more, and when there will be."""

import random
import threading
import time
from typing import Final

DELAY_MIN_S: Final = 0.1
DELAY_MAX_S: Final = 30.0
DELAY_UNKNOWN_S: Final = 1.0
"""Before anything was finished there is no rate to go by."""

_RATE_OVER_S: Final = 1.0
_JITTER: Final = 0.5


class Admission:
    """
    Counts what is in flight, in bytes or requests, against a limit.

    The lock is held for a few additions at a time and never while waiting.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held = 0
        self._done = 0
        self._busy_since_s = 0.0
        self._rate: float | None = None

    @property
    def held(self) -> int:
        """How much is in flight now."""
        return self._held

    def enter(self, size: int) -> bool:
        """Take room for `size`; False where there is none."""
        with self._lock:
            if self._held + size > self._limit:
                return False
            if self._held == 0:
                # Idle time must not count as slowness.
                self._busy_since_s = time.monotonic()
                self._done = 0
            self._held += size
            return True

    def leave(self, size: int) -> None:
        """Give the room back; what was done counts towards the rate."""
        with self._lock:
            self._held -= size
            self._done += size
            now_s = time.monotonic()
            busy_s = now_s - self._busy_since_s
            if busy_s >= _RATE_OVER_S:
                self._rate = self._done / busy_s
                self._busy_since_s = now_s
                self._done = 0

    def retry_after_s(self, size: int) -> float:
        """
        Estimate when `size` will fit: what stands in its way, at the rate of the last busy second.

        Up to half as long again is added at random, so that the senders refused
        together do not come back together.
        """
        with self._lock:
            in_the_way = self._held + size - self._limit
            rate = self._rate
        delay_s = in_the_way / rate if rate else DELAY_UNKNOWN_S
        jittered_s = delay_s * (1 + _JITTER * random.random())  # noqa: S311  no secret
        return min(max(jittered_s, DELAY_MIN_S), DELAY_MAX_S)
