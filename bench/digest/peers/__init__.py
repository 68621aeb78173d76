"""The Python contenders, one file a package. Those of Rust are in `bench/peers/digest`."""

from typing import Final

MODULES: Final = (
    "spanmill",
    "datasketches",
    "fastdigest",
    "crick",
    "ddsketch",
    "pytdigest",
    "duckdb",
)
"""In the order of the tables."""
