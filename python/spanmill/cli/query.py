"""`spanmill query`."""

from typing import Annotated

import typer

from spanmill.cli.figures import count, quantity
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
from spanmill.client import QueryAnswer, connect


def query(
    measure: Annotated[str, typer.Argument(help="What to measure, such as ttft.")],
    *,
    by: Annotated[
        str, typer.Option(help="Dimensions that tell rows apart, separated by commas.")
    ] = "",
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="DIMENSION:VALUE", help="Only these events; repeats."),
    ] = None,
    q: Annotated[str, typer.Option(help="Ranks from 0 to 1.")] = "0.5,0.95,0.99",
    window: Annotated[str, typer.Option(help="How far to look back; steps of 10 s.")] = "5m",
    end: Annotated[
        str | None, typer.Option(help="RFC 3339 time to look back from; the newest events if none.")
    ] = None,
    view: Annotated[
        str | None, typer.Option(help="View to ask; the first that fits if none.")
    ] = None,
    api: ApiOption = None,
    data_dir: DataDirOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    Ask for a measure's percentiles.

    Example: spanmill query ttft --by model,region --where tenant:acme --window 15m

    Exit codes: 0 answered; 1 no daemon answers; 2 no such name, or out of range.
    """
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        answer = daemon.query(
            measure,
            q=_ranks(q),
            by=[name for name in by.split(",") if name],
            where=_conditions(where or []),
            window=window,
            end=end,
            view=view,
        )
    if as_json:
        print_json(answer)
    else:
        _print_table(answer, by)


def _ranks(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        fail(f"--q {text} is not valid; use ranks from 0 to 1 such as 0.5,0.99", MISUSED)


def _conditions(texts: list[str]) -> dict[str, list[str]]:
    conditions: dict[str, list[str]] = {}
    for text in texts:
        dimension, colon, value = text.partition(":")
        if not (dimension and colon):
            fail(f"--where {text} is not valid; use dimension:value such as tenant:acme", MISUSED)
        conditions.setdefault(dimension, []).append(value)
    return conditions


def _print_table(answer: QueryAnswer, by: str) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    window, unit, rows = answer["window"], answer["unit"], answer["series"]
    typer.echo(f"{answer['measure']}, {window['start']} to {window['end']}")
    if not rows:
        typer.echo("No event has this measure in this window.")
        return
    dimensions = [name for name in by.split(",") if name]
    ranks = list(rows[0]["quantiles"])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for dimension in dimensions:
        table.add_column(dimension)
    for heading in ("events", *(f"p{float(rank) * 100:g}" for rank in ranks), "max"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            *(escape(row["dims"].get(dimension, "–")) for dimension in dimensions),
            count(row["count"]),
            *(quantity(row["quantiles"][rank], unit) for rank in ranks),
            quantity(row["max"], unit),
        )
    console().print(table)
    worst = max(row["rank_error"] for row in rows)
    exact = all(row["exact"] for row in rows)
    typer.echo("exact" if exact else f"ranks hold to ±{worst * 1e6:,.0f} ppm")
    late = sum(row["late"] for row in rows)
    if late:
        typer.echo(f"{count(late)} events came too late for percentiles; they are counted")
