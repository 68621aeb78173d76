"""Files of bytes that may never change their meaning, shared with the core's own tests."""

from pathlib import Path
from typing import Final

GOLDEN: Final = Path(__file__).parents[2] / "rust" / "spanmill-core" / "tests" / "golden"

LAYOUT_VALUES: Final = [(i * 7919 % 5000 + 1) / 8 for i in range(5000)]
"""What the foreign implementations wrote `foreign-*` from: each eighth up to 625, shuffled."""
