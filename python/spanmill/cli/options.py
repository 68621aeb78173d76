"""Options that several commands share, and how every command fails."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from spanmill.cli.figures import count
from spanmill.errors import BadRequest, ConfigError, SpanmillError, UnknownName

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

ApiOption = Annotated[
    str | None,
    typer.Option(
        "--api", metavar="HOST:PORT", envvar="SPANMILL_API", help="Where the daemon's API listens."
    ),
]
DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="SPANMILL_DATA_DIR",
        help="The daemon's data folder; its address file finds the API.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="Config file; all defaults without one."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Set a config key; repeats."),
]

DATA_DIR_DEFAULT = Path("spanmill-data")

PIPED_COLUMNS = 160

NO_EVENT = "No event has this measure in this window."

FAILED = 1
"""Exit code: it did not work, or what was asked for does not hold."""

MISUSED = 2
"""Exit code: the command or the config is wrong."""


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print each line to stderr under our name and exit."""
    for line in message.splitlines():
        typer.echo(f"spanmill: {line}", err=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def failing_plainly() -> Iterator[None]:
    """Turn our errors into one line each and an exit code; others are bugs and keep their trace."""
    try:
        yield
    except (ConfigError, UnknownName, BadRequest) as error:
        fail(str(error), MISUSED)
    except SpanmillError as error:
        fail(str(error))


def console() -> "Console":
    """Give a console for tables; wide where no person's terminal bounds it."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS)


def draws(shown_on: "Console") -> bool:
    """Say whether pictures can be drawn there: a terminal that moves and knows our characters."""
    return shown_on.is_terminal and not shown_on.is_dumb_terminal and has_blocks(shown_on)


def has_blocks(shown_on: "Console") -> bool:
    """Say whether its encoding has block characters."""
    return shown_on.encoding.lower().startswith("utf")


def plain_table(names: Sequence[str], figures: Sequence[str]) -> "Table":
    """Give a table with columns of names to the left and of figures to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in names:
        table.add_column(heading)
    for heading in figures:
        table.add_column(heading, justify="right")
    return table


def cells(dims: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Give a row's values of the dimensions named, for a table; a dash where one is absent."""
    from rich.markup import escape

    return [escape(dims.get(name, "–")) for name in names]


def print_trust(rank_error: float, *, exact: bool, late: int) -> None:
    """Say what percentiles rest on: how exact they are, and what they do not hold."""
    typer.echo("exact" if exact else f"ranks hold to ±{rank_error * 1e6:,.0f} ppm")
    if late:
        typer.echo(f"{count(late)} events came too late for percentiles; they are counted")


def print_json(value: object) -> None:
    """Print a value as JSON to stdout."""
    typer.echo(json.dumps(value, indent=2))
