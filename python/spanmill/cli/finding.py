"""What `spanmill doctor` found, one line each."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What one check found; `advice` says what to do, empty when nothing is."""

    check: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""
