"""The Rust core, as Python sees it: bytes in, bytes out, Arrow, and the digest by itself."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Digest",
    "DigestColumn",
    "Engine",
    "RollupStream",
    "build_info",
    "examine_folder",
    "explain_traces",
    "repair_folder",
    "signals",
    "with_checksum",
]

def build_info() -> dict[str, str]:
    """Say how the core was built: `version`, `profile` (`release` or `debug`), `target`."""

def signals() -> bytes:
    """List the `measures`, `dimensions` and `conventions` the core knows, as JSON bytes."""

def explain_traces(request: bytes) -> bytes:
    """
    Decode one `ExportTraceServiceRequest` and list every field the walker reads, as JSON.

    Raises:
        WireError: The bytes are not valid OTLP.
    """

def with_checksum(batch: bytes) -> bytes:
    """
    Add its checksum to an encoded `SpanBatch`.

    Raises:
        WireError: The bytes are no protobuf message.
    """

def examine_folder(path: Path) -> bytes:
    """
    Say what is in a data folder that no daemon holds, as JSON; changes nothing.

    Raises:
        FolderInUse: A daemon holds it.
        DataDamaged: Another version wrote it. Damage itself is no error, it is what this reports.
        StartError: It cannot be read.
    """

def repair_folder(path: Path) -> bytes:
    """
    Cut the journal where it is damaged, and say what was given up and kept, as JSON.

    Raises:
        FolderInUse, DataDamaged, StartError: As for `examine_folder`.
    """

@final
class RollupStream:
    """Sealed minutes as an Arrow C stream; hand it to `pyarrow.table`."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the rows once; a second call raises `ValueError`."""

@final
class Engine:
    """Everything behind the receiver: windows, budgets, ledger. Threads may share it."""

    def __new__(cls, config_json: str) -> Engine:
        """
        Build from the JSON that `spanmill.engine` writes.

        Raises:
            ConfigError: A section names something the core does not have.
            FolderInUse: Another daemon holds the data folder.
        """

    def ingest_traces(self, request: bytes, tenant: str = "", batch_id: str | None = None) -> bytes:
        """
        Fold one `ExportTraceServiceRequest`, and wait until it is durable.

        Args:
            request: The bytes as they came.
            tenant: Whose batch ids these are.
            batch_id: The sender's own name for the batch, the same when it sends it again.

        Returns:
            The encoded `ExportTraceServiceResponse`: empty on full success, else a
            partial success that counts spans no retry can save.

        Raises:
            WireError: The bytes are not valid OTLP; nothing was folded.
            BatchConflict: The batch id was used for other content; nothing was folded.
            ClockSuspect: Our clock is in doubt, nothing was folded; retry after `retry_after_s`.
            DiskFull: The journal has no room, nothing was folded; retry after `retry_after_s`.
            JournalFailed: The journal cannot be written; whether it was folded is not known.
            Closed: The engine was closed.
        """

    def ingest_columns(self, request: bytes) -> bytes:
        """
        Fold one `SpanBatch`, detached from the interpreter, and wait until it is durable.

        Returns:
            The encoded `SpanBatchAck`.

        Raises:
            WireError: It is no batch that can be taken; nothing was folded.
            DictionaryUnknown: It builds on entries that we do not have; nothing was folded.
            BatchConflict: It is too far behind its producer's newest to tell whether it was here.
            ClockSuspect: Our clock is in doubt, nothing was folded; retry after `retry_after_s`.
            DiskFull: The journal has no room, nothing was folded; retry after `retry_after_s`.
            JournalFailed: The journal cannot be written; whether it was folded is not known.
            Closed: The engine was closed.
        """

    def count_refused_request(self, reason: str) -> None:
        """Count a request that was refused before its bytes reached the core."""

    def recovered(self) -> bytes:
        """
        Say what the start found in the data folder.

        Returns:
            JSON: `checkpoint` and `records` (numbers), `torn_bytes`, `seconds`, `warnings` (lines).

        Raises:
            Closed: The engine was closed.
        """

    def unready(self) -> str | None:
        """Say why no traffic should come now: our clock is in doubt. None while it should."""

    def tick(self) -> None:
        """Move the idle watermark, seal what it passed, retire what is old. Once a second."""

    def query(self, request_json: str) -> bytes:
        """
        Answer `GET /api/v1/query` as JSON bytes.

        Raises:
            UnknownName: The measure, dimension or view does not exist; lists those that do.
            BadRequest: The window, a quantile or the time is out of range; says the range.
        """

    def query_range(self, request_json: str) -> bytes:
        """
        Answer `GET /api/v1/query_range` as JSON bytes.

        Raises:
            UnknownName: The measure, dimension or view does not exist; lists those that do.
            BadRequest: A time, step or quantile is out of range, or there are too many points;
                says the range.
        """

    def heatmap(self, request_json: str) -> bytes:
        """
        Answer `GET /api/v1/heatmap` as JSON bytes.

        Raises:
            UnknownName: The measure, dimension or view does not exist; lists those that do.
            BadRequest: The window is out of range, or there are too many cells; says the range.
        """

    def compare(self, request_json: str) -> bytes:
        """
        Answer `GET /api/v1/compare` as JSON bytes.

        Raises:
            UnknownName: The measure, dimension or view does not exist; lists those that do.
            BadRequest: A window or quantile is out of range, or the two overlap; says the range.
        """

    def distinct(self, request_json: str) -> bytes:
        """
        Answer `GET /api/v1/distinct` as JSON bytes.

        Raises:
            UnknownName: The dimension or view does not exist; lists those that do.
            BadRequest: No view keeps that, or the window is out of range.
        """

    def top(self, request_json: str) -> bytes:
        """
        Answer `GET /api/v1/top` as JSON bytes.

        Raises:
            UnknownName: The dimension or view does not exist; lists those that do.
            BadRequest: No view keeps that, or `k` or the window is out of range.
        """

    def series(self) -> bytes:
        """List views with their series and counts, as JSON bytes."""

    def measures(self) -> bytes:
        """List measures with units and counts, and dimensions, as JSON bytes."""

    def ledger(self) -> bytes:
        """Account for every event received, in total and by source and tenant, as JSON bytes."""

    def slos(self) -> bytes:
        """State every objective's budget and burn, as JSON bytes."""

    def stats(self) -> bytes:
        """Give the numbers behind `/metrics`, as JSON bytes."""

    def rollup(self, start_s: int, end_s: int) -> RollupStream:
        """Export the sealed minutes that start in [start_s, end_s), Unix seconds."""

    def sealed_range(self) -> tuple[int, int] | None:
        """Give [first, last) of the sealed minutes held, Unix seconds; None before the first."""

    def close(self) -> None:
        """Refuse further calls with `Closed` and release the data folder."""

@final
class Digest:
    """
    A distribution in at most `max_bytes` bytes: quantiles with a stated error, exact while small.

    Adding keeps a working copy finer than what is stored; asking, `to_bytes` and the exporters
    see the stored one, which is computed once and kept until the next `add` or `merge`. Threads
    may share a digest. Two are equal when they store the same bits; none is hashable.

    Args:
        max_bytes: Bound of `nbytes`. Error falls about as it grows.
        wide: Take every finite float64, at 1.3e-6 relative, instead of 2**-64 to 2**64
            (5e-20 to 1.8e19) and zero at 8e-8. Both signs either way.

    Raises:
        DigestError: `max_bytes` is too small for any digest.
    """

    __hash__: None  # type: ignore[assignment]

    def __new__(cls, max_bytes: int = 1600, *, wide: bool = False) -> Self: ...
    def add(self, values: ArrayLike, weights: ArrayLike | None = None) -> int:
        """
        Add values, each as often as its weight says.

        Args:
            values: A number or numbers. Contiguous float64 (NumPy, `array.array`, any buffer) is
                read in place and while other threads run; the rest NumPy converts to float64.
            weights: One whole number a value, 1 to 10**12; a weight repeats its value.

        Returns:
            How many values were refused: NaN, infinite, or past the axis (see `wide`). They
            change nothing but `refused`, where they stand with their weight.

        Raises:
            DigestError: A weight is out of range, or they are not as many as the values.
                Nothing was added.
            TypeError: Not numbers.
        """

    def merge(self, *others: Digest) -> Self:
        """
        Add what other digests hold, and give this one back.

        Raises:
            DigestError: One has another axis. Nothing was added.
        """

    def quantile(self, q: float) -> float | None:
        """
        Estimate the value below which a share `q` of the values lies; None while empty.

        While `exact`, the smallest value that at least this share is at or below. `min` at 0,
        `max` at 1.

        Raises:
            DigestError: `q` is outside [0, 1].
        """

    def quantiles(self, qs: ArrayLike) -> NDArray[np.float64]:
        """
        Estimate several quantiles in one pass.

        Args:
            qs: Shares in [0, 1]; any order, kept in the answer.

        Returns:
            float64, one for each of `qs`. NaN while empty: no digest holds a NaN, so it means
            nothing else.

        Raises:
            DigestError: One is outside [0, 1].
        """

    def quantile_discrete(self, q: float) -> float | None:
        """
        Estimate a quantile without ever naming a value from inside a gap; None while empty.

        Raises:
            DigestError: `q` is outside [0, 1].
        """

    @overload
    def cdf(self, x: float) -> float | None:
        """
        Estimate the share of values at or below `x`: the inverse of `quantile`.

        Returns:
            A float for a number, None while empty; float64 for an array, NaN while empty. NaN
            for NaN.
        """

    @overload
    def cdf(self, x: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]: ...
    def rank_error(self, q: float) -> float | None:
        """
        Estimate how far the rank of `quantile(q)` is from `q`; 0 while `exact`, None while empty.

        An estimate, not a bound: data made to defeat a digest can pass it.

        Raises:
            DigestError: `q` is outside [0, 1].
        """

    def centroids(self) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
        """Give ascending means and their weights, as foreign engines store them."""

    @property
    def count(self) -> int:
        """How many values were taken; one of weight w counts w times."""

    @property
    def refused(self) -> int:
        """How many values were not taken: NaN, infinite, or past the axis."""

    @property
    def sum(self) -> float:
        """Sum of the values; the same for any order of adding."""

    @property
    def sum_is_exact(self) -> bool:
        """Whether `sum` is that of the values, not of the centroids of a foreign digest."""

    @property
    def min(self) -> float | None:
        """Smallest value, exactly; None while empty."""

    @property
    def max(self) -> float | None:
        """Largest value, exactly; None while empty."""

    @property
    def exact(self) -> bool:
        """Whether it still holds every value as it came."""

    @property
    def wide(self) -> bool:
        """Whether it takes every finite float64."""

    @property
    def max_bytes(self) -> int:
        """Bound of `nbytes`."""

    @property
    def nbytes(self) -> int:
        """Length of `to_bytes()`."""

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory held, the finer working copy and cached answers included."""

    def to_bytes(self) -> bytes:
        """Serialise: versioned, with a checksum; the same bits on every machine."""

    @staticmethod
    def from_bytes(data: bytes, max_bytes: int = 1600) -> Digest:
        """
        Read what `to_bytes` wrote, by this release or an older one.

        Args:
            data: All of the bytes.
            max_bytes: Bound once more is added; no less than `len(data)`.

        Raises:
            DigestError: Not a digest, damaged, or from a newer release; says which.
        """

    def copy(self) -> Digest:
        """Copy, working copy included; the two grow apart."""

    def to_duckdb(self) -> dict[str, Any]:
        """Give DuckDB's state of `approx_quantile`: `count`, `min`, `max`, `centroids`."""

    @staticmethod
    def from_duckdb(state: Mapping[str, Any], *, wide: bool = False) -> Digest:
        """
        Read DuckDB's state of `approx_quantile`, as `export_state` or a Parquet row gives it.

        Raises:
            DigestError: It contradicts itself, or holds what no digest does.
        """

    def to_trino(self) -> bytes:
        """Give the bytes of Trino's `tdigest`: `CAST(… AS tdigest)` of a varbinary."""

    @staticmethod
    def from_trino(data: bytes, *, wide: bool = False) -> Digest:
        """
        Read the bytes of Trino's `tdigest`.

        Raises:
            DigestError: Not its bytes, or they hold what no digest does.
        """

    def to_datasketches(self) -> bytes:
        """Give the bytes of Apache DataSketches' t-digest of doubles."""

    @staticmethod
    def from_datasketches(data: bytes, *, wide: bool = False) -> Digest:
        """
        Read the bytes of Apache DataSketches' t-digest, of doubles or of floats.

        Raises:
            DigestError: Not its bytes, or they hold what no digest does.
        """

    def to_tdunning(self) -> bytes:
        """Give the reference implementation's bytes, verbose: `MergingDigest.fromBytes`."""

    @staticmethod
    def from_tdunning(data: bytes, *, wide: bool = False) -> Digest:
        """
        Read the reference implementation's bytes, verbose or small.

        Raises:
            DigestError: Not its bytes, or they hold what no digest does.
        """

    @staticmethod
    def column(digests: Iterable[Digest | None]) -> DigestColumn:
        """Lay digests out as one Arrow column of DuckDB states, nulls where None stands."""

    def __arrow_c_schema__(self) -> object:
        """Give the Arrow type of a DuckDB state."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Give an Arrow array of one DuckDB state."""

    def __copy__(self) -> Digest: ...
    def __reduce__(self) -> tuple[object, tuple[bytes, int]]: ...
    def __eq__(self, value: object, /) -> bool: ...

@final
class DigestColumn:
    """Digests as an Arrow column; hand it to `pyarrow.array`, Polars or DuckDB."""

    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object:
        """Give the Arrow type of a DuckDB state."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Give the states; as often as asked."""
