"""Small pictures made of characters."""

import math
from collections.abc import Sequence
from typing import Final

BLOCKS: Final = "▁▂▃▄▅▆▇█"
SHADES: Final = "░▒▓█"
SHADES_ASCII: Final = ".:+#"

_SPAN_MIN: Final = 0.1
"""A line that moves less than this share of its height is drawn flat, not as noise."""


def sparkline(values: Sequence[float | None], width: int) -> str:
    """
    Draw values as at most `width` blocks, from the lowest to the highest; None is a gap.

    Where there are more values than blocks, each block shows the highest of its values.
    """
    shown = _highest(values, width)
    present = [value for value in shown if value is not None]
    if not present:
        return " " * len(shown)
    low, high = min(present), max(present)
    span = max(high - low, _SPAN_MIN * max(abs(high), abs(low)))
    return "".join(" " if value is None else _block(value - low, span) for value in shown)


def values_a_block(count: int, width: int) -> int:
    """Say how many values one block of a sparkline shows."""
    return max(1, math.ceil(count / max(1, width)))


def intensities(rows: Sequence[Sequence[int]], levels: int) -> list[list[int]]:
    """
    Give each count a level from 1 to `levels`, 0 for none.

    By square root: a busy cell is told from a very busy one, and a single event is still seen.
    """
    most = max((count for row in rows for count in row), default=0)
    return [
        [math.ceil(math.sqrt(count / most) * levels) if count else 0 for count in row]
        for row in rows
    ]


def _block(above: float, span: float) -> str:
    place = int(above / span * len(BLOCKS)) if span > 0 else 0
    return BLOCKS[min(place, len(BLOCKS) - 1)]


def _highest(values: Sequence[float | None], width: int) -> list[float | None]:
    several = values_a_block(len(values), width)
    chunks = (values[at : at + several] for at in range(0, len(values), several))
    return [max((v for v in chunk if v is not None), default=None) for chunk in chunks]
