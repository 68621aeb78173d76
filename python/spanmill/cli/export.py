"""`spanmill export`: what was written to the lake, and SQL over it."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanmill.cli.figures import count
from spanmill.cli.options import (
    DATA_DIR_DEFAULT,
    JsonOption,
    console,
    fail,
    failing_plainly,
    print_json,
)

if TYPE_CHECKING:
    from spanmill.sink import LakeFile

MIB = 1024**2

export_commands = typer.Typer(
    help="See and query the Parquet files that were exported.", no_args_is_help=True
)

LakeOption = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="SPANMILL_DATA_DIR",
        help="The daemon's data folder, which holds `lake/`.",
    ),
]


@export_commands.command("ls")
def list_lake(data_dir: LakeOption = DATA_DIR_DEFAULT, as_json: JsonOption = False) -> None:
    """
    List the exported files with their minutes, rows and bytes. No daemon needs to run.

    Example: spanmill export ls --data-dir /var/lib/spanmill

    Exit codes: 0 listed, also where there is no file yet; 1 a file cannot be read.
    """
    from spanmill.sink import list_files

    with failing_plainly():
        try:
            files = list_files(data_dir)
        except (OSError, ValueError) as error:
            fail(f"{error}; move a file that is not an export out of {data_dir / 'lake'}")
    if as_json:
        print_json([_plain(file, data_dir) for file in files])
    else:
        _print_files(files, data_dir)


@export_commands.command("sql")
def query_lake(
    sql: Annotated[str, typer.Argument(help="A SELECT over the view `rollup`.")],
    data_dir: LakeOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    Answer SQL over the exported files with DuckDB. No daemon needs to run.

    The view rollup holds every row. digest_quantile(digest, 0.99) and
    digest_quantiles(digest, [0.5, 0.99]) merge the digests of a group; name one view and
    one measure, because a digest of two would mean nothing.

    Example: spanmill export sql "SELECT model, sum(count), digest_quantile(digest, 0.99)
    FROM rollup WHERE view = 'requests' AND measure = 'ttft' GROUP BY model"

    Exit codes: 0 answered; 1 no file yet, or DuckDB is not installed; 2 not valid SQL.
    """
    from spanmill.sink import run_sql

    with failing_plainly():
        table = run_sql(data_dir, sql)
    if as_json:
        typer.echo(json.dumps(table.to_pylist(), indent=2, default=str))
        return
    columns = (table.column(number).to_pylist() for number in range(table.num_columns))
    _print_rows(table.column_names, list(zip(*columns, strict=True)))


def _plain(file: "LakeFile", data_dir: Path) -> dict[str, object]:
    return dataclasses.asdict(file) | {"path": str(file.path.relative_to(data_dir / "lake"))}


def _print_files(files: "list[LakeFile]", data_dir: Path) -> None:
    lake = data_dir / "lake"
    if not files:
        typer.echo(f"No file under {lake.absolute()} yet. Another folder? Name it with --data-dir.")
        return
    # No table: a name must be copied as one piece however narrow the terminal is.
    typer.echo("first minute       last minute            rows       MiB  file")
    for file in files:
        first, last = (f"{time[:16]}Z" for time in (file.first_window, file.last_window))
        path = file.path.relative_to(lake)
        typer.echo(f"{first}  {last}  {file.rows:>9,}  {file.bytes / MIB:>8.2f}  {path}")
    rows = sum(file.rows for file in files)
    size = sum(file.bytes for file in files) / MIB
    files_in_all = "1 file" if len(files) == 1 else f"{count(len(files))} files"
    typer.echo(f"{files_in_all}, {count(rows)} rows, {size:.2f} MiB in {lake}")


def _print_rows(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        numeric = any(isinstance(row[number], int | float) for row in rows)
        table.add_column(escape(heading), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    console().print(table)
