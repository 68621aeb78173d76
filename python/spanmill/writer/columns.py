"""Events as arrays, and the arrays of a `SpanBatch`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanmill.v1 import ingest_pb2
from spanmill.writer.event import Measures

SCHEMA_VERSION: Final = 1
TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8

_MICRO: Final = 1_000_000
_U32_MAX: Final = 2**32 - 1
_STATUS_ERROR: Final = 2
_LONG_S: Final = 9_000_000_000.0
"""Nanoseconds of it fit 64 bits."""

Integers = NDArray[np.integer[Any]]
Doubles = NDArray[np.float64]


class _Kind(NamedTuple):
    """How a measure is written."""

    number: int
    per_unit: int
    """Steps of its fixed point in one unit."""
    rounds: bool
    """Values between two steps are rounded; else they are sent as doubles."""


KINDS: Final = {
    "ttft_s": _Kind(ingest_pb2.MEASURE_TTFT, _MICRO, rounds=True),
    "tpot_s": _Kind(ingest_pb2.MEASURE_TPOT, _MICRO, rounds=False),
    "queue_time_s": _Kind(ingest_pb2.MEASURE_QUEUE_TIME, _MICRO, rounds=True),
    "prefill_time_s": _Kind(ingest_pb2.MEASURE_PREFILL_TIME, _MICRO, rounds=True),
    "decode_time_s": _Kind(ingest_pb2.MEASURE_DECODE_TIME, _MICRO, rounds=True),
    "cold_start_time_s": _Kind(ingest_pb2.MEASURE_COLD_START_TIME, _MICRO, rounds=True),
    "input_tokens": _Kind(ingest_pb2.MEASURE_INPUT_TOKENS, 1, rounds=False),
    "output_tokens": _Kind(ingest_pb2.MEASURE_OUTPUT_TOKENS, 1, rounds=False),
    "cached_tokens": _Kind(ingest_pb2.MEASURE_CACHED_TOKENS, 1, rounds=False),
    "reasoning_tokens": _Kind(ingest_pb2.MEASURE_REASONING_TOKENS, 1, rounds=False),
    "cost_usd": _Kind(ingest_pb2.MEASURE_COST, _MICRO, rounds=False),
}
"""
Every measure by its name here.

Times the sender's clock took are whole microseconds: it is no finer. A time per token is a
quotient, and prices are tiny, so those keep every bit they have.
"""

ROW_BYTES: Final = 400
"""What one recorded event takes before it is encoded, about."""


class Row(NamedTuple):
    """One recorded event."""

    series: int
    start_us: int
    duration_us: int
    failed: bool
    trace_id: bytes | None
    span_id: bytes | None
    measures: Measures


@dataclass
class Columns:
    """Events as arrays of one length."""

    series: Integers
    start_us: Integers
    """Unix microseconds."""
    duration_us: Integers
    failed: NDArray[np.bool_]
    measures: dict[str, Doubles] = field(default_factory=dict)
    """NaN where absent."""
    trace_id: bytes = b""
    """16 bytes an event, or none at all."""
    span_id: bytes = b""
    """8 bytes an event, or none at all."""

    def __len__(self) -> int:
        return len(self.series)

    def __getitem__(self, part: slice) -> "Columns":
        """Give the events of a part, without a step."""
        start, stop, _ = part.indices(len(self))
        return Columns(
            series=self.series[part],
            start_us=self.start_us[part],
            duration_us=self.duration_us[part],
            failed=self.failed[part],
            measures={name: values[part] for name, values in self.measures.items()},
            trace_id=self.trace_id[start * TRACE_ID_BYTES : stop * TRACE_ID_BYTES],
            span_id=self.span_id[start * SPAN_ID_BYTES : stop * SPAN_ID_BYTES],
        )


def from_rows(rows: Sequence[Row]) -> Columns:
    """Turn recorded events, at least one, into arrays."""
    series, start_us, duration_us, failed, trace_id, span_id, measures = zip(*rows, strict=True)
    names = {name for of_row in measures for name in of_row}
    return Columns(
        series=np.array(series, np.uint32),
        start_us=np.array(start_us, np.int64),
        duration_us=np.array(duration_us, np.int64),
        failed=np.array(failed, np.bool_),
        measures={
            name: np.array([of_row.get(name, np.nan) for of_row in measures], np.float64)
            for name in names
        },
        trace_id=_ids(trace_id, TRACE_ID_BYTES),
        span_id=_ids(span_id, SPAN_ID_BYTES),
    )


def _ids(ids: Sequence[bytes | None], length: int) -> bytes:
    if not any(ids):
        return b""
    return b"".join(one or bytes(length) for one in ids)


def join(parts: Sequence[Columns]) -> Columns:
    """Put events, at least one part of them, behind one another."""
    if len(parts) == 1:
        return parts[0]
    names = {name for part in parts for name in part.measures}
    return Columns(
        series=np.concatenate([part.series for part in parts]),
        start_us=np.concatenate([part.start_us for part in parts]),
        duration_us=np.concatenate([part.duration_us for part in parts]),
        failed=np.concatenate([part.failed for part in parts]),
        measures={
            name: np.concatenate(
                [part.measures.get(name, np.full(len(part), np.nan)) for part in parts]
            )
            for name in names
        },
        trace_id=_join_ids([(part.trace_id, len(part)) for part in parts], TRACE_ID_BYTES),
        span_id=_join_ids([(part.span_id, len(part)) for part in parts], SPAN_ID_BYTES),
    )


def _join_ids(parts: Sequence[tuple[bytes, int]], length: int) -> bytes:
    if not any(ids for ids, _ in parts):
        return b""
    return b"".join(ids or bytes(length * events) for ids, events in parts)


def encode(columns: Columns) -> ingest_pb2.SpanBatch:
    """Write everything of a batch that does not change when it is sent again."""
    base_us = int(columns.start_us.min())
    batch = ingest_pb2.SpanBatch(
        schema_version=SCHEMA_VERSION,
        base_time_ns=base_us * 1000,
        n=len(columns),
        series_idx=columns.series.astype("<u4").tobytes(),
        start_delta_us=_unsigned(columns.start_us - base_us),
        duration_us=_unsigned(columns.duration_us),
        trace_id=columns.trace_id,
        span_id=columns.span_id,
    )
    if columns.failed.any():
        batch.status = (columns.failed * np.uint8(_STATUS_ERROR)).astype(np.uint8).tobytes()
    for name, values in sorted(columns.measures.items(), key=lambda it: KINDS[it[0]].number):
        _add(batch, KINDS[name], values)
    return batch


def _unsigned(values: Integers) -> bytes:
    return values.astype("<u4" if values.max() <= _U32_MAX else "<u8").tobytes()


def _add(batch: ingest_pb2.SpanBatch, kind: _Kind, values: Doubles) -> None:
    present = ~np.isnan(values)
    if not present.any():
        return
    column = batch.columns.add(measure=kind.number)
    if not present.all():
        column.present = np.packbits(present, bitorder="little").tobytes()
        values = values[present]
    steps = np.rint(values * kind.per_unit)
    # What does not fit goes as it is; what is no measure at all the daemon refuses, and counts.
    fits = bool(np.all((values >= 0) & (steps <= _U32_MAX)))
    if fits and (kind.rounds or bool(np.all(steps / kind.per_unit == values))):
        column.fixed = steps.astype("<u4").tobytes()
    else:
        column.doubles = values.astype("<f8").tobytes()


def checked_id(name: str, value: bytes | None, length: int) -> bytes | None:
    """
    Give an id back as it is.

    Raises:
        ValueError: It has another length.
    """
    if value is not None and len(value) != length:
        raise ValueError(f"{name} has {len(value)} bytes, {length} are needed")
    return value


def microseconds(name: str, seconds: float) -> int:
    """
    Round a time to whole microseconds.

    Raises:
        ValueError: It is negative or no number.
    """
    if not 0 <= seconds < _LONG_S:
        raise ValueError(f"{name} is {seconds}, not a time in seconds")
    return round(seconds * _MICRO)


def all_microseconds(name: str, seconds: Doubles) -> Integers:
    """
    Round times to whole microseconds.

    Raises:
        ValueError: One is negative or no number.
    """
    wrong = ~((seconds >= 0) & (seconds < _LONG_S))
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(
            f"{name} has {wrong.sum()} values that are no time in seconds; "
            f"the first is {seconds[at]}, at {at}"
        )
    return np.rint(seconds * _MICRO).astype(np.int64)
