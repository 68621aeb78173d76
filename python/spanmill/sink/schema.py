"""
Columns of the rollup dataset, as docs/dataset.md describes them.

Signed integers only (Spark and Iceberg have no others), microsecond timestamps (ditto
nanoseconds), and a digest in the layout of DuckDB's own aggregate state, so that an
engine merges digests without our code.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 1
"""Version of the dataset's columns and their meaning; written to every file."""

WINDOW_SECS: Final = 60
"""Length of one rollup window (s)."""

SORTED_BY: Final = ("view", "measure", "series_id", "window_start")
"""Order of the rows in every file."""

_CENTROID: Final = pa.struct(
    [pa.field("mean", pa.float64()), pa.field("weight", pa.float64())],
)

DIGEST: Final = pa.struct(
    [
        pa.field("count", pa.int64()),
        pa.field("min", pa.float64()),
        pa.field("max", pa.float64()),
        pa.field("centroids", pa.list_(pa.field("element", _CENTROID))),
    ],
)

LEADING: Final = (
    ("view", pa.string()),
    ("measure", pa.string()),
    ("series_id", pa.int64()),
)

TRAILING: Final = (
    ("window_start", pa.timestamp("us", tz="UTC")),
    ("window_secs", pa.int32()),
    ("count", pa.int64()),
    ("sum", pa.float64()),
    ("min", pa.float64()),
    ("max", pa.float64()),
    ("digest", DIGEST),
)


def rollup_columns(dimensions: Sequence[str]) -> list[tuple[str, pa.DataType]]:
    """List name and type of every column, where the views use `dimensions`."""
    return [*LEADING, *((name, pa.string()) for name in dimensions), *TRAILING]


def dimensions_of(schema: pa.Schema) -> list[str]:
    """List the dimension columns of a rollup: those between the leading and the trailing ones."""
    return list(schema.names[len(LEADING) : -len(TRAILING)])


def check_rollup(schema: pa.Schema) -> None:
    """
    Refuse rows that the documented dataset would not recognise.

    Raises:
        TypeError: A column is missing, misplaced or of another type; names the first such.
    """
    expected = rollup_columns(dimensions_of(schema))
    found = [(field.name, field.type) for field in schema]
    if len(found) != len(expected):
        raise TypeError(f"a rollup has at least {len(expected)} columns, not {len(found)}")
    for (name, kind), (found_name, found_kind) in zip(expected, found, strict=True):
        if (name, kind) != (found_name, found_kind):
            raise TypeError(f"rollup column {name} ({kind}) came as {found_name} ({found_kind})")
