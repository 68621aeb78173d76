"""Parquet files under `data_dir/lake/rollup/dt=YYYY-MM-DD/`, complete the moment they appear."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from spanmill.model import __version__, rfc3339
from spanmill.sink.schema import SCHEMA_VERSION, SORTED_BY, WINDOW_SECS, dimensions_of
from spanmill.sink.section import ExportConfig

ROW_GROUP_ROWS: Final = 128 * 1024
SECOND_NS: Final = 1_000_000_000

# Chosen by measurement: see docs/dataset.md, "How files are written".
_ENCODINGS: Final = {
    "series_id": "DELTA_BINARY_PACKED",
    "window_start": "DELTA_BINARY_PACKED",
    "count": "DELTA_BINARY_PACKED",
    "sum": "BYTE_STREAM_SPLIT",
    "min": "BYTE_STREAM_SPLIT",
    "max": "BYTE_STREAM_SPLIT",
    "digest.count": "DELTA_BINARY_PACKED",
    "digest.min": "BYTE_STREAM_SPLIT",
    "digest.max": "BYTE_STREAM_SPLIT",
    "digest.centroids.list.element.mean": "BYTE_STREAM_SPLIT",
}
_DICTIONARY: Final = ("view", "measure", "window_secs", "digest.centroids.list.element.weight")


class ParquetSink:
    """
    Rollups as Parquet, for DuckDB, Polars, Spark or ClickHouse.

    A file is staged in `data_dir/staging/`, on the same filesystem but outside every
    reader's glob, synced, and renamed into place. Its name is a function of its first and
    last minute and of this process's start, so that a repeated write replaces itself while
    a later process, which knows nothing of this one's rows, adds its own beside them.
    """

    def __init__(self, config: ExportConfig, data_dir: Path) -> None:
        self._config = config
        self._lake = data_dir / "lake" / "rollup"
        self._staging = data_dir / "staging"
        self._epoch = f"{time.time_ns():x}"

    def open(self) -> int:
        """
        Make the folders and remove what a dead process left half written.

        Returns:
            How many staged files were removed.

        Raises:
            OSError: A folder cannot be made or emptied.
        """
        self._lake.mkdir(parents=True, exist_ok=True)
        self._staging.mkdir(parents=True, exist_ok=True)
        leftovers = list(self._staging.glob("*.parquet"))
        for path in leftovers:
            path.unlink()
        return len(leftovers)

    def write(self, rows: pa.Table, first_s: int, last_s: int) -> Path:
        """
        Write the minutes that start from `first_s` to `last_s`, both of one UTC day.

        The same minutes again replace the file, so a caller may retry after any error.

        Raises:
            OSError: The file could not be written, synced or moved; nothing is half visible.
        """
        folder = self._lake / f"dt={datetime.fromtimestamp(first_s, UTC):%Y-%m-%d}"
        name = f"rollup-{first_s}-{last_s}-{self._epoch}.parquet"
        staged = self._staging / name
        try:
            with staged.open("wb") as file:
                self._encode(rows, first_s, last_s, file)
                file.flush()
                os.fsync(file.fileno())
            if not folder.is_dir():
                folder.mkdir()
                _sync_folder(self._lake)
            staged.replace(folder / name)
            _sync_folder(folder)
        except OSError as error:
            # A failed write names no file, and an operator needs to know which disk.
            error.filename = error.filename or str(staged)
            raise
        finally:
            staged.unlink(missing_ok=True)
        return folder / name

    def _encode(self, rows: pa.Table, first_s: int, last_s: int, file: object) -> None:
        about = {
            "schema_version": str(SCHEMA_VERSION),
            "producer": f"spanmill {__version__}",
            "process_epoch": self._epoch,
            "window_secs": str(WINDOW_SECS),
            "first_window": rfc3339(first_s * SECOND_NS),
            "last_window": rfc3339(last_s * SECOND_NS),
        }
        zstd = self._config.codec == "zstd"
        with pq.ParquetWriter(
            file,
            rows.schema,
            compression=self._config.codec,
            compression_level=self._config.codec_level if zstd else None,
            use_dictionary=[*_DICTIONARY, *dimensions_of(rows.schema)],
            column_encoding=_ENCODINGS,
            write_page_index=True,
            write_page_checksum=True,
            sorting_columns=pq.SortingColumn.from_ordering(
                rows.schema, [(name, "ascending") for name in SORTED_BY]
            ),
        ) as writer:
            writer.add_key_value_metadata(about)
            writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
