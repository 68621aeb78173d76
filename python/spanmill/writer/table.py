"""Events that come as a table: arrays by name, or anything that speaks Arrow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from spanmill.writer.columns import (
    KINDS,
    SPAN_ID_BYTES,
    TRACE_ID_BYTES,
    Columns,
    Integers,
    all_microseconds,
)
from spanmill.writer.event import Attributes

START: Final = "start"
DURATION: Final = "duration_s"
FAILED: Final = "failed"
TRACE_ID: Final = "trace_id"
SPAN_ID: Final = "span_id"

RESERVED: Final = frozenset({START, DURATION, FAILED, TRACE_ID, SPAN_ID, *KINDS})
"""Names of a table's columns that are no attributes."""

Place = Callable[[Attributes], int]
"""Number of a dictionary's entry."""


@runtime_checkable
class ArrowStream(Protocol):
    """A table of pyarrow, Polars, DuckDB, pandas and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand out the rows."""


Table = Mapping[str, ArrayLike] | ArrowStream


@dataclass
class Events:
    """A table's events, with what they have in common listed once."""

    columns: Columns
    """Their series stand for places in `common`."""
    common: list[Attributes]

    def __post_init__(self) -> None:
        self._places = np.full(len(self.common), -1, np.int64)

    def forget_places(self) -> None:
        """Another dictionary began."""
        self._places[:] = -1

    def part(self, start: int, end: int, place: Place) -> Columns:
        """Give the events in [start, end), with the dictionary's numbers as their series."""
        part = self.columns[start:end]
        for at in np.unique(part.series[self._places[part.series] < 0]):
            self._places[at] = place(self.common[at])
        part.series = self._places[part.series].astype(np.uint32)
        return part


def read(table: Table) -> Events:
    """
    Read a table's events.

    Raises:
        ValueError: A column is missing, or has another length, or no values of its kind.
    """
    columns = _columns(table)
    for name in (START, DURATION):
        if name not in columns:
            raise ValueError(f"the table has no column {name!r}")
    events = len(columns[START])
    for name, column in columns.items():
        if len(column) != events:
            raise ValueError(f"{name} has {len(column)} values, {START} has {events}")
    failed = columns.get(FAILED)
    series, common = _series(columns, events)
    read = Columns(
        series=series,
        start_us=_start_us(columns[START]),
        duration_us=all_microseconds(DURATION, _doubles(DURATION, columns[DURATION])),
        failed=np.zeros(events, np.bool_) if failed is None else _flags(failed),
        measures={name: _doubles(name, columns[name]) for name in KINDS if name in columns},
        trace_id=_ids(TRACE_ID, columns.get(TRACE_ID), TRACE_ID_BYTES),
        span_id=_ids(SPAN_ID, columns.get(SPAN_ID), SPAN_ID_BYTES),
    )
    return Events(read, common)


def _columns(table: Table) -> dict[str, pa.Array]:
    if isinstance(table, ArrowStream):
        read = pa.table(table)
        return {name: _one(read.column(name)) for name in read.column_names}
    return {name: _one(_array(values)) for name, values in table.items()}


def _array(values: ArrayLike) -> pa.Array:
    is_arrow = isinstance(values, pa.Array | pa.ChunkedArray)
    return values if is_arrow else pa.array(np.asarray(values), from_pandas=True)


def _one(array: Any) -> pa.Array:  # noqa: ANN401  pyarrow ships no types
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _doubles(name: str, column: pa.Array) -> NDArray[np.float64]:
    try:
        doubles = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{name} has values that are no numbers: {error}") from None
    return cast("NDArray[np.float64]", doubles)


def _flags(column: pa.Array) -> NDArray[np.bool_]:
    flags = column.cast(pa.bool_())
    flags = flags.fill_null(False)  # noqa: FBT003  pyarrow takes it so
    flags = flags.to_numpy(zero_copy_only=False)
    return cast("NDArray[np.bool_]", flags)


def _start_us(column: pa.Array) -> Integers:
    """Read Unix seconds, or times of Arrow or NumPy."""
    if pa.types.is_timestamp(column.type):
        # Rounding down to the microsecond is not an error here.
        unit = pa.timestamp("us", column.type.tz)
        column = column.cast(unit, safe=False).cast(pa.int64())
        if column.null_count:
            raise ValueError(f"{START} has {column.null_count} values that are missing")
        return cast("Integers", column.to_numpy())
    return all_microseconds(START, _doubles(START, column))


def _ids(name: str, column: pa.Array | None, length: int) -> bytes:
    if column is None:
        return b""
    ids = [bytes(length) if one is None else bytes(one) for one in column.to_pylist()]
    wrong = next((one for one in ids if len(one) != length), None)
    if wrong is not None:
        raise ValueError(f"{name} has {len(wrong)} bytes, {length} are needed")
    return b"".join(ids)


def _series(columns: Mapping[str, pa.Array], events: int) -> tuple[Integers, list[Attributes]]:
    """Number each combination of attributes, and list them."""
    names = sorted(columns.keys() - RESERVED)
    encoded = [columns[name].dictionary_encode() for name in names]
    codes = np.zeros(events, np.int64)
    for column in encoded:
        # A missing attribute is one more value.
        indices = column.indices.fill_null(len(column.dictionary)).to_numpy()
        # Numbered anew each time, or the products of many columns would not fit.
        _, codes = np.unique(codes * (len(column.dictionary) + 1) + indices, return_inverse=True)
    _, firsts = np.unique(codes, return_index=True)
    return codes, [_attributes(names, encoded, int(at)) for at in firsts]


def _attributes(names: list[str], encoded: list[Any], at: int) -> Attributes:
    values = ((name, column[at].as_py()) for name, column in zip(names, encoded, strict=True))
    return {name: value for name, value in values if value is not None}
