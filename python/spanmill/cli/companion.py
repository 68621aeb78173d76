"""`spanmill distinct` and `spanmill top-values`."""

from typing import Annotated

import typer

from spanmill.cli.figures import count, share, stretch
from spanmill.cli.options import (
    DATA_DIR_DEFAULT,
    ApiOption,
    DataDirOption,
    JsonOption,
    cells,
    console,
    failing_plainly,
    plain_table,
    print_json,
)
from spanmill.cli.subject import (
    ByOption,
    EndOption,
    ViewOption,
    WhereOption,
    WindowOption,
    read_conditions,
    read_names,
)
from spanmill.client import DistinctAnswer, TopAnswer, connect

NO_VALUE = "No event has a value of it in this window."


def distinct(
    dimension: Annotated[str, typer.Argument(help="What to count, such as user.")],
    *,
    by: ByOption = "",
    where: WhereOption = None,
    window: WindowOption = "1h",
    end: EndOption = None,
    view: ViewOption = None,
    api: ApiOption = None,
    data_dir: DataDirOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    Count the different values of a dimension that a view names in `distinct`.

    Example: spanmill distinct user --by model --window 1h

    Exit codes: 0 answered; 1 no daemon answers; 2 no such name, or no view counts it.
    """
    dimensions, conditions = read_names(by), read_conditions(where)
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        answer = daemon.distinct(
            dimension, by=dimensions, where=conditions, window=window, end=end, view=view
        )
    if as_json:
        print_json(answer)
    else:
        _print_counts(answer, dimensions)


def top_values(
    dimension: Annotated[str, typer.Argument(help="What to rank, such as prompt.")],
    *,
    k: Annotated[int, typer.Option("-k", "--k", min=1, max=1000, help="How many.")] = 10,
    by: ByOption = "",
    where: WhereOption = None,
    window: WindowOption = "1h",
    end: EndOption = None,
    view: ViewOption = None,
    api: ApiOption = None,
    data_dir: DataDirOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    List the values that come most of a dimension that a view names in `top`.

    Example: spanmill top-values prompt -k 5 --by tenant

    Exit codes: 0 answered; 1 no daemon answers; 2 no such name, or no view ranks it.
    """
    dimensions, conditions = read_names(by), read_conditions(where)
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        answer = daemon.top_values(
            dimension, k=k, by=dimensions, where=conditions, window=window, end=end, view=view
        )
    if as_json:
        print_json(answer)
    else:
        _print_ranking(answer, dimensions)


def _print_counts(answer: DistinctAnswer, dimensions: list[str]) -> None:

    window = answer["window"]
    typer.echo(f"distinct {answer['dimension']}, {stretch(window['start'], window['end'])}")
    if not answer["series"]:
        typer.echo(NO_VALUE)
        return
    table = plain_table(dimensions, ["distinct"])
    for row in answer["series"]:
        about = "" if row["exact"] else "~"
        table.add_row(*cells(row["dims"], dimensions), about + count(row["distinct"]))
    console().print(table)
    error = max(row["relative_error"] for row in answer["series"])
    typer.echo(f"~ stands for a standard error of {share(error)}" if error else "exact")


def _print_ranking(answer: TopAnswer, dimensions: list[str]) -> None:
    from rich.markup import escape

    window = answer["window"]
    typer.echo(f"top {answer['dimension']}, {stretch(window['start'], window['end'])}")
    if not answer["series"]:
        typer.echo(NO_VALUE)
        return
    table = plain_table([*dimensions, answer["dimension"]], ["events", "share"])
    for row in answer["series"]:
        shown = cells(row["dims"], dimensions)
        about = "" if row["exact"] else "~"
        for one in row["top"]:
            events = about + count(one["count"])
            table.add_row(*shown, escape(one["value"]), events, share(one["count"] / row["count"]))
            shown = [""] * len(dimensions)
        table.add_section()
    console().print(table)
    error = max(row["error"] for row in answer["series"])
    typer.echo(f"~ may be off by up to {count(error)} events" if error else "exact")
