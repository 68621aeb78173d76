"""What an error of the daemon asks of its sender."""

import random
from typing import Final

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

FIRST_DELAY_S: Final = 0.1
LAST_DELAY_S: Final = 30.0

_AGAIN: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNKNOWN,
    }
)
"""The same batch may succeed; if it was counted already, the daemon will know."""


def may_succeed(error: grpc.Call) -> bool:
    """Say whether the same batch should be sent again later."""
    return error.code() in _AGAIN or (
        error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and asked_delay_s(error) is not None
    )


def wants_dictionary(error: grpc.Call) -> bool:
    """Say whether the daemon has lost the dictionary."""
    return bool(error.code() is grpc.StatusCode.FAILED_PRECONDITION)


def asked_delay_s(error: grpc.Call) -> float | None:
    """Give the delay that the daemon asks for, None where it names none."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        # Details that contradict the code come from something between us.
        return None
    for detail in status.details if status is not None else ():
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return None


class Backoff:
    """How long to wait after one failure, and after the next: twice as long, at random."""

    def __init__(self) -> None:
        self._delay_s = FIRST_DELAY_S

    def succeeded(self) -> None:
        """Begin anew."""
        self._delay_s = FIRST_DELAY_S

    def next_s(self, asked_s: float | None) -> float:
        """Give the wait after another failure; at least what was asked for."""
        # Half of it is random, so that senders cut off together do not come back together.
        own_s = self._delay_s * (0.5 + 0.5 * random.random())  # noqa: S311  no secret
        self._delay_s = min(2 * self._delay_s, LAST_DELAY_S)
        return max(own_s, asked_s or 0.0)
