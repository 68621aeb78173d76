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
    fail,
    failing_plainly,
    print_json,
)
from spanmill.client import Budget, connect

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
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not budgets:
        console.print("No objectives. Write some in a file and name it in slo.files.")
        return
    looks = list(budgets[0]["burn"])
    table = Table(title="error budgets")
    for heading in ("objective", "group"):
        table.add_column(heading)
    for heading in (
        "wanted",
        "over",
        "good",
        "bad",
        "budget left",
        *(f"burn {it}" for it in looks),
    ):
        table.add_column(heading, justify="right")
    table.add_column("burning since")
    for one in budgets:
        overspent = one["budget_left"] is not None and one["budget_left"] < 0
        table.add_row(
            one["name"],
            escape(grouped(one["group"])),
            share(one["objective"]),
            duration(one["period"]),
            count(one["good"]),
            count(one["bad"]),
            share(one["budget_left"]),
            *(_burn(one["burn"][it]) for it in looks),
            one["burning_since"] or "–",
            style="red" if overspent else None,
        )
    console.print(table)


def _burn(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.3g}×"
