"""`spanmill slo`: promises and what is left of their budgets."""

from pathlib import Path
from typing import Annotated

import typer

from spanmill.cli.figures import count, duration, grouped, share
from spanmill.cli.options import (
    DATA_DIR_DEFAULT,
    MISUSED,
    ApiOption,
    DataDirOption,
    JsonOption,
    console,
    fail,
    failing_plainly,
    print_json,
)
from spanmill.client import Budget, connect
from spanmill.model import parse_seconds

slo_commands = typer.Typer(help="Promises and what is left of their budgets.", no_args_is_help=True)


@slo_commands.command()
def show(
    name: Annotated[str | None, typer.Argument(help="One objective; all if none.")] = None,
    api: ApiOption = None,
    data_dir: DataDirOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    Show budgets and how fast they burn.

    Example: spanmill slo show ttft-fast

    Exit codes: 0 answered; 1 no daemon answers; 2 no such objective.
    """
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        budgets = daemon.slo(name)
    if as_json:
        print_json(budgets)
    else:
        _print_table(budgets)


@slo_commands.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Objective files.")],
    as_json: JsonOption = False,
) -> None:
    """
    Check objective files and print what they promise.

    Example: spanmill slo check slo/*.yaml

    Exit codes: 0 all are good; 2 they are not, and every problem is printed.
    """
    from spanmill import slo
    from spanmill.engine import known_names

    objectives, problems = slo.load([file.absolute() for file in files], known_names(Path.cwd()))
    if problems:
        fail("\n".join(problems), MISUSED)
    if as_json:
        print_json([objective.model_dump(mode="json") for objective in objectives])
        return
    for objective in objectives:
        typer.echo(
            f"{objective.name}: {share(objective.objective)} of events good over "
            f"{duration(objective.period)}, {share(1 - objective.objective)} may be bad"
        )


def _print_table(budgets: list[Budget]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    if not budgets:
        typer.echo("No objectives. Write some in a file and name it in slo.files.")
        return
    looks = sorted(budgets[0]["burn"], key=parse_seconds)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("objective", "group"):
        table.add_column(heading)
    for heading in ("promise", "bad", "of", "left", *looks):
        table.add_column(heading, justify="right")
    table.add_column("burning since", no_wrap=True)
    for one in budgets:
        overspent = one["budget_left"] is not None and one["budget_left"] < 0
        table.add_row(
            one["name"],
            escape(grouped(one["group"])),
            f"{share(one['objective'])} in {one['period']}",
            count(one["bad"]),
            count(one["total"]),
            share(one["budget_left"]),
            *(_burn(one["burn"][look]) for look in looks),
            one["burning_since"] or "–",
            style="red" if overspent else None,
        )
    console().print(table)
    typer.echo(f"left: of the error budget. {', '.join(looks)}: burn rate; 1× lasts the period.")


def _burn(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.3g}×"
