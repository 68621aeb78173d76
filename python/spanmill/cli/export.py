"""`spanmill export`: what was written to the lake, and SQL over it."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spanmill.sink import LakeFile

app = typer.Typer(no_args_is_help=True, help="See and query the Parquet files that were exported.")

DataDir = Annotated[
    Path, typer.Option(help="The daemon's data folder.", envvar="SPANMILL_DATA_DIR")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]

_DEFAULT_DATA_DIR = Path("spanmill-data")
_MIB = 1024**2


@app.command("ls")
def list_lake(data_dir: DataDir = _DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """
    List the exported files with their minutes, rows and bytes.

    Example: spanmill export ls --data-dir /var/lib/spanmill
    """
    from spanmill.sink import list_files

    files = list_files(data_dir)
    if as_json:
        typer.echo(json.dumps([_plain(file, data_dir) for file in files], indent=2))
        return
    _print_files(files, data_dir)


@app.command("sql")
def query_lake(
    sql: Annotated[str, typer.Argument(help="A statement over the view `rollup`.")],
    data_dir: DataDir = _DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """
    Answer SQL over the exported files with DuckDB.

    The view `rollup` holds every row; digest_quantile(digest, 0.99) and
    digest_quantiles(digest, [0.5, 0.99]) merge the digests of a group. Digests never span
    measures or views, so name one of each.

    Example: spanmill export sql "SELECT model, sum(count), digest_quantile(digest, 0.99)
    FROM rollup WHERE view = 'requests' AND measure = 'ttft' GROUP BY model"
    """
    from spanmill.sink import run_sql

    table = run_sql(data_dir, sql)
    if as_json:
        typer.echo(json.dumps(table.to_pylist(), indent=2, default=str))
        return
    _print_rows(table.column_names, [list(row.values()) for row in table.to_pylist()])


def _plain(file: "LakeFile", data_dir: Path) -> dict[str, object]:
    return dataclasses.asdict(file) | {"path": str(file.path.relative_to(data_dir / "lake"))}


def _print_files(files: "list[LakeFile]", data_dir: Path) -> None:
    lake = data_dir / "lake"
    rows = [
        [
            str(file.path.relative_to(lake)),
            file.first_window,
            file.last_window,
            f"{file.rows:,}",
            f"{file.bytes / _MIB:.2f}",
        ]
        for file in files
    ]
    _print_rows(["file", "first minute", "last minute", "rows", "MiB"], rows)
    rows_in_all = sum(file.rows for file in files)
    size = sum(file.bytes for file in files) / _MIB
    typer.echo(f"{len(files)} files, {rows_in_all:,} rows, {size:.2f} MiB in {lake}")


def _print_rows(headings: list[str], rows: Sequence[Sequence[object]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        numeric = any(isinstance(row[number], int | float) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    Console().print(table)
