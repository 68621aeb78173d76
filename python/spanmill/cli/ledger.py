"""`spanmill ledger`."""

import typer

from spanmill.cli.figures import count
from spanmill.cli.options import (
    DATA_DIR_DEFAULT,
    FAILED,
    ApiOption,
    DataDirOption,
    JsonOption,
    console,
    fail,
    failing_plainly,
    print_json,
)
from spanmill.client import Ledger, LedgerCounts, connect


def ledger(
    api: ApiOption = None, data_dir: DataDirOption = DATA_DIR_DEFAULT, as_json: JsonOption = False
) -> None:
    """
    Account for every event received: counted, duplicate, late, rejected, sampled out.

    Example: spanmill ledger --json

    Exit codes: 0 the ledger balances; 1 it does not, or no daemon answers.
    """
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        answer = daemon.ledger()
    if as_json:
        print_json(answer)
    else:
        _print_table(answer)
    if not answer["balanced"]:
        fail("the ledger does not balance: events are unaccounted for; report this", FAILED)


def _print_table(answer: Ledger) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("events")
    for heading in ("received", "counted", "duplicate", "late", "rejected", "sampled out"):
        table.add_column(heading, justify="right")
    table.add_row("all", *_figures(answer), end_section=True)
    for part in ("source", "tenant"):
        for name, counts in answer["by"][part].items():
            table.add_row(escape(f"{part} {name}"), *_figures(counts))
        table.add_section()
    console().print(table)
    for reason, rejected in answer["rejected"].items():
        typer.echo(f"rejected for {reason}: {count(rejected)}")
    for source, counts in answer["by"]["source"].items():
        if counts["at_least_once"]:
            again = count(counts["at_least_once"])
            typer.echo(f"at least once: {again} events of {source} have no ids, nor a batch id")
    typer.echo("balanced" if answer["balanced"] else "NOT BALANCED")


def _figures(counts: LedgerCounts) -> list[str]:
    return [
        count(counts["received"]),
        count(counts["counted"]),
        count(counts["duplicate"]),
        count(counts["late"]),
        count(sum(counts["rejected"].values())),
        count(counts["sampled_out"]),
    ]
