"""`spanmill query`."""

from typing import Annotated

import typer

from spanmill.cli.figures import count, percentile, quantity
from spanmill.cli.options import (
    DATA_DIR_DEFAULT,
    NO_EVENT,
    ApiOption,
    DataDirOption,
    JsonOption,
    cells,
    console,
    failing_plainly,
    plain_table,
    print_json,
    print_trust,
)
from spanmill.cli.steps import print_steps
from spanmill.cli.subject import (
    RANKS_DEFAULT,
    ByOption,
    EndOption,
    MeasureArgument,
    RanksOption,
    ViewOption,
    WhereOption,
    WindowOption,
    read_conditions,
    read_names,
    read_ranks,
)
from spanmill.client import QueryAnswer, connect


def query(
    measure: MeasureArgument,
    *,
    by: ByOption = "",
    where: WhereOption = None,
    q: RanksOption = RANKS_DEFAULT,
    window: WindowOption = "5m",
    step: Annotated[
        str | None, typer.Option(help="Answer in steps of so long, drawn in a terminal.")
    ] = None,
    end: EndOption = None,
    view: ViewOption = None,
    api: ApiOption = None,
    data_dir: DataDirOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    Ask for a measure's percentiles, over a window or in steps.

    Example: spanmill query ttft --by model,region --where tenant:acme --window 1h --step 1m

    Exit codes: 0 answered; 1 no daemon answers; 2 no such name, or out of range.
    """
    ranks, dimensions, conditions = read_ranks(q), read_names(by), read_conditions(where)
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        if step is not None:
            steps = daemon.query_range(
                measure,
                q=ranks,
                by=dimensions,
                where=conditions,
                window=window,
                end=end,
                step=step,
                view=view,
            )
            print_json(steps) if as_json else print_steps(steps, dimensions)
            return
        answer = daemon.query(
            measure, q=ranks, by=dimensions, where=conditions, window=window, end=end, view=view
        )
    if as_json:
        print_json(answer)
    else:
        _print_table(answer, dimensions)


def _print_table(answer: QueryAnswer, dimensions: list[str]) -> None:
    window, unit, rows = answer["window"], answer["unit"], answer["series"]
    typer.echo(f"{answer['measure']}, {window['start']} to {window['end']}")
    if not rows:
        typer.echo(NO_EVENT)
        return
    ranks = list(rows[0]["quantiles"])
    table = plain_table(dimensions, ["events", *map(percentile, ranks), "max"])
    for row in rows:
        table.add_row(
            *cells(row["dims"], dimensions),
            count(row["count"]),
            *(quantity(row["quantiles"][rank], unit) for rank in ranks),
            quantity(row["max"], unit),
        )
    console().print(table)
    print_trust(
        max(row["rank_error"] for row in rows),
        exact=all(row["exact"] for row in rows),
        late=sum(row["late"] for row in rows),
    )
