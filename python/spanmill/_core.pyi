"""The Rust core, as Python sees it: bytes in, bytes out, one Arrow stream."""

from typing import final

__all__ = ["Engine", "RollupStream", "build_info", "explain_traces", "signals"]

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

    def ingest_traces(self, request: bytes) -> bytes:
        """
        Fold one `ExportTraceServiceRequest`, detached from the interpreter.

        Returns:
            The encoded `ExportTraceServiceResponse`: empty on full success, else a
            partial success that counts spans no retry can save.

        Raises:
            WireError: The bytes are not valid OTLP; nothing was folded.
            ClockSuspect: Our clock is in doubt, nothing was folded; retry after `retry_after_s`.
            Closed: The engine was closed.
        """

    def count_refused_request(self, reason: str) -> None:
        """Count a request that was refused before its bytes reached the core."""

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
