"""Times as RFC 3339 writes them, and Unix nanoseconds as we count them."""

import re
from datetime import UTC, datetime
from typing import Final

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)"
)


def rfc3339(time_ns: int) -> str:
    """Write Unix nanoseconds as UTC, with as many fraction digits (0, 3, 6 or 9) as it takes."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def parse_rfc3339(text: str) -> int:
    """
    Read an RFC 3339 time as Unix nanoseconds.

    Raises:
        ValueError: Not such a time, or without an offset.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-11-21T14:00:00Z")
    day, clock, fraction, offset = match.groups()
    whole = datetime.fromisoformat(f"{day}T{clock}{offset.upper()}")
    return int(whole.timestamp()) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
