"""Percentiles in steps: lines of blocks in a terminal, a row for each slice elsewhere."""

from typing import TYPE_CHECKING

import typer

from spanmill.cli.drawing import sparkline, values_a_block
from spanmill.cli.figures import count, duration, percentile, quantity, stretch
from spanmill.cli.options import NO_EVENT, cells, console, draws, plain_table, print_trust
from spanmill.client import Point, RangeAnswer, RangeSeries
from spanmill.model import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from rich.console import Console

NARROW = 72
"""Terminals with fewer columns leave out the lowest and highest value of a line."""

BLOCKS_MIN = 10
_RANK_COLUMNS = 9
_FIGURE_COLUMNS = 10


def print_steps(answer: RangeAnswer, dimensions: list[str]) -> None:
    """Print an answer in steps, as the output can show it."""
    shown_on = console()
    if not answer["series"]:
        typer.echo(f"{_title(answer)}\n{NO_EVENT}")
        return
    if draws(shown_on):
        _draw(answer, dimensions, shown_on)
    else:
        _print_rows(answer, dimensions, shown_on)
    points = [point for row in answer["series"] for point in row["points"]]
    print_trust(
        max(point["rank_error"] for point in points),
        exact=all(point["exact"] for point in points),
        late=sum(point["late"] for point in points),
    )


def _print_rows(answer: RangeAnswer, dimensions: list[str], shown_on: "Console") -> None:
    typer.echo(_title(answer))
    ranks = _ranks(answer)
    table = plain_table(["start", *dimensions], ["events", *map(percentile, ranks)])
    for row in answer["series"]:
        names = cells(row["dims"], dimensions)
        for point in row["points"]:
            quantiles = (quantity(point["quantiles"][rank], answer["unit"]) for rank in ranks)
            table.add_row(point["start"], *names, count(point["count"]), *quantiles)
    shown_on.print(table)


def _draw(answer: RangeAnswer, dimensions: list[str], shown_on: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    starts = _starts(answer)
    figures = ("last",) if shown_on.width < NARROW else ("low", "high", "last")
    names = [_name(row, dimensions) for row in answer["series"]]
    name_columns = min(max(map(len, names)), max(shown_on.width // 4, BLOCKS_MIN))
    taken = name_columns + _RANK_COLUMNS + _FIGURE_COLUMNS * len(figures)
    room = max(shown_on.width - taken, BLOCKS_MIN)
    several = values_a_block(len(starts), room)
    shown = "" if several == 1 else ", the highest of it"
    block = f", a block is {duration(answer['step'] * several)}{shown}"
    shown_on.print(Text.assemble((_title(answer), "bold"), (block, "dim")))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(", ".join(dimensions), max_width=name_columns, overflow="ellipsis")
    table.add_column("")
    table.add_column("", no_wrap=True)
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in zip(names, answer["series"], strict=True):
        points = {point["start"]: point for point in row["points"]}
        for place, rank in enumerate(_ranks(answer)):
            values = [_value(points.get(start), rank) for start in starts]
            told = _figures(row["points"], rank)
            table.add_row(
                Text(name if place == 0 else "", no_wrap=True),
                percentile(rank),
                Text(sparkline(values, room), "cyan"),
                *(quantity(told[figure], answer["unit"]) for figure in figures),
            )
    shown_on.print(table)


def _figures(points: list[Point], rank: str) -> dict[str, float]:
    """Sum a line up; the last value stands even where events have stopped, the gap is seen."""
    values = [point["quantiles"][rank] for point in points]
    return {"low": min(values), "high": max(values), "last": values[-1]}


def _title(answer: RangeAnswer) -> str:
    return f"{answer['measure']}, {stretch(answer['window']['start'], answer['window']['end'])}"


def _ranks(answer: RangeAnswer) -> list[str]:
    return list(answer["series"][0]["points"][0]["quantiles"])


def _name(row: RangeSeries, dimensions: list[str]) -> str:
    return ", ".join(row["dims"].get(dimension, "–") for dimension in dimensions)


def _starts(answer: RangeAnswer) -> list[str]:
    """List the starts of all slices, those without an event too."""
    window, step_ns = answer["window"], answer["step"] * 1_000_000_000
    edges = range(parse_rfc3339(window["start"]), parse_rfc3339(window["end"]), step_ns)
    return [rfc3339(edge) for edge in edges]


def _value(point: Point | None, rank: str) -> float | None:
    return None if point is None else point["quantiles"][rank]
