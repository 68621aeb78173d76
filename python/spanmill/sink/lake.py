"""Reads back what was exported: which files there are, and answers to SQL over them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from spanmill.errors import BadRequest, StartError

GLOB: Final = "rollup/dt=*/*.parquet"

# Columns differ between files where the views changed in between.
SQL_SETUP: Final = """\
SET TimeZone = 'UTC';
CREATE VIEW rollup AS
SELECT * FROM read_parquet([{files}], hive_partitioning = true, union_by_name = true);
CREATE MACRO digest_quantile(digest, q) AS finalize(combine_aggr(
    to_aggregate_state(digest, 'approx_quantile', ['DOUBLE', 'FLOAT'], [NULL, q])));
CREATE MACRO digest_quantiles(digest, qs) AS finalize(combine_aggr(
    to_aggregate_state(digest, 'approx_quantile', ['DOUBLE', 'FLOAT[]'], [NULL, qs])));
"""
"""A view over the dataset, and aggregates that merge digests; DuckDB 2.0 or newer."""


@dataclass(frozen=True)
class LakeFile:
    """One exported file; its minutes start from `first_window` to `last_window` (RFC 3339)."""

    path: Path
    rows: int
    bytes: int
    first_window: str
    last_window: str
    producer: str


def list_files(data_dir: Path) -> list[LakeFile]:
    """
    List the exported files, oldest minute first.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not one of ours.
    """
    files = [_describe(path) for path in (data_dir / "lake").glob(GLOB)]
    return sorted(files, key=lambda file: (file.first_window, file.path))


def run_sql(data_dir: Path, sql: str) -> pa.Table:
    """
    Answer SQL over the view `rollup`, with DuckDB.

    Raises:
        StartError: DuckDB is not installed, or there is no file yet; says what to do.
        BadRequest: DuckDB refuses the SQL; says why.
    """
    try:
        import duckdb  # noqa: PLC0415  optional
    except ModuleNotFoundError:
        raise StartError(
            "SQL needs DuckDB, which is not installed; run: pip install 'spanmill[demo]'"
        ) from None
    lake = data_dir / "lake"
    # Listed here, because a glob of DuckDB's would trip over brackets in the folder's name.
    files = ", ".join(_quoted(path) for path in sorted(lake.glob(GLOB)))
    if not files:
        raise StartError(
            f"no file under {lake.absolute()} yet; the first appears once the watermark has "
            f"passed a minute of event time. Another folder? Name it with --data-dir"
        )
    try:
        with duckdb.connect() as connection:
            connection.execute(SQL_SETUP.format(files=files))
            answer = connection.sql(sql)
            return answer.to_arrow_table()
    except duckdb.Error as error:
        raise BadRequest(str(error)) from None


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _describe(path: Path) -> LakeFile:
    about = pq.read_metadata(path)
    ours = about.metadata or {}
    try:
        first, last, producer = (
            ours[key].decode() for key in (b"first_window", b"last_window", b"producer")
        )
    except KeyError as missing:
        raise ValueError(f"{path} is not an export of spanmill: it has no {missing}") from None
    return LakeFile(path, about.num_rows, path.stat().st_size, first, last, producer)
