"""Durations in seconds and sizes in bytes, as people write them."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES: Final = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def _quantity(value: object, units: Mapping[str, float], bare: str, example: str) -> float:
    problem = f"{value!r} is not {example}"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(problem)  # noqa: TRY004  pydantic collects no TypeError
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        unit = units.get(match[2] or bare) if match else None
        if match is None or unit is None:
            raise ValueError(problem)
        # Dividing keeps 500ms at exactly 0.5, where times 0.001 would not.
        value = float(match[1]) / (1 / unit) if unit < 1 else float(match[1]) * unit
    if not math.isfinite(value) or value < 0:
        raise ValueError(problem)
    return float(value)


def parse_seconds(value: object) -> float:
    """
    Read a duration: a number of seconds, or a number with one of ms, s, m, h, d, w.

    Raises:
        ValueError: Not a duration, negative or not finite.
    """
    return _quantity(value, _SECONDS, "s", "a duration such as 90, 90s, 5m or 30d")


def parse_bytes(value: object) -> int:
    """
    Read a size: a number of bytes, or a number with one of B, kB, MB, GB, KiB, MiB, GiB.

    Raises:
        ValueError: Not a size, negative, or not a whole number of bytes.
    """
    example = "a size such as 1048576, 64KiB or 16MiB"
    size = _quantity(value, _BYTES, "B", example)
    if size != int(size):
        raise ValueError(f"{value!r} is not {example}")
    return int(size)


Seconds = Annotated[
    float,
    BeforeValidator(parse_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d|w)?$"},
            ]
        }
    ),
]
"""A duration in seconds; written as 1.5, "90s", "5m" or "30d"."""

Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\d+(\.\d+)?(B|kB|MB|GB|KiB|MiB|GiB)?$"},
            ]
        }
    ),
]
"""A size in bytes; written as 1048576 or "1MiB"."""
