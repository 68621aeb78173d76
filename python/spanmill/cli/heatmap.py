"""`spanmill heatmap`."""

import math
from typing import TYPE_CHECKING, Final

import typer

from spanmill.cli.drawing import SHADES, SHADES_ASCII, intensities
from spanmill.cli.figures import clock, count, duration, quantity, stretch
from spanmill.cli.options import (
    DATA_DIR_DEFAULT,
    NO_EVENT,
    ApiOption,
    DataDirOption,
    JsonOption,
    console,
    failing_plainly,
    has_blocks,
    print_json,
)
from spanmill.cli.subject import (
    EndOption,
    MeasureArgument,
    ViewOption,
    WhereOption,
    WindowOption,
    read_conditions,
)
from spanmill.client import HeatmapAnswer, connect

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

COLUMNS_MAX: Final = 240
PIPED_COLUMNS: Final = 100
COLUMNS_MIN: Final = 10
ROWS_MIN: Final = 6
ROWS_MAX: Final = 24

LABEL_COLUMNS: Final = 11
"""Room for the value at the lower edge of a row, and the axis."""

OTHER_LINES: Final = 7
"""Title, axis, times, legend, and room for the prompt."""

TIME_COLUMNS: Final = 12
"""Columns that one time on the axis takes at least."""

_ROUND: Final = 0.5
"""`math.frexp` of a power of two."""

_LABELS_MIN: Final = 3

COLOURS: Final = (
    "#2c115f",
    "#51127c",
    "#721f81",
    "#932b80",
    "#b73779",
    "#d8456c",
    "#f1605d",
    "#fc8961",
    "#feb078",
    "#fed799",
)
"""Few to many events: magma, which reads in grey and to the colour-blind, too."""


def heatmap(
    measure: MeasureArgument,
    *,
    where: WhereOption = None,
    window: WindowOption = "1h",
    end: EndOption = None,
    view: ViewOption = None,
    api: ApiOption = None,
    data_dir: DataDirOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    Draw how many events of which size there were at what time.

    Example: spanmill heatmap ttft --where model:large --window 1h

    Exit codes: 0 answered; 1 no daemon answers; 2 no such name, or out of range.
    """
    conditions = read_conditions(where)
    shown_on = console()
    width = shown_on.width if shown_on.is_terminal else PIPED_COLUMNS
    columns = min(max(width - LABEL_COLUMNS, COLUMNS_MIN), COLUMNS_MAX)
    rows = ROWS_MAX
    if shown_on.is_terminal:
        rows = min(max(shown_on.height - OTHER_LINES, ROWS_MIN), ROWS_MAX)
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        answer = daemon.heatmap(
            measure, where=conditions, window=window, end=end, cells=(columns, rows), view=view
        )
    if as_json:
        print_json(answer)
        return
    title = f"{answer['measure']}, {stretch(answer['window']['start'], answer['window']['end'])}"
    if not answer["columns"]:
        typer.echo(f"{title}\n{NO_EVENT}")
        return
    # A picture of few columns is drawn wider, in whole characters.
    wide = max(1, columns // len(answer["columns"]))
    typer.echo(f"{title}, a column is {duration(answer['step'])}")
    _print_rows(answer, wide, shown_on)
    typer.echo(_time_axis(answer, wide))
    _print_legend(answer, shown_on)


def _print_rows(answer: HeatmapAnswer, wide: int, shown_on: "Console") -> None:
    from rich.text import Text

    # From the largest values down, as a chart has them.
    counts = list(zip(*(column["counts"] for column in answer["columns"]), strict=True))[::-1]
    labels = _labels(answer)[::-1]
    bar = "│" if has_blocks(shown_on) else "|"
    for label, levels in zip(labels, intensities(counts, _levels(shown_on)), strict=True):
        line = Text(f"{label:>{LABEL_COLUMNS - 2}} {bar}", no_wrap=True)
        for level in levels:
            line.append_text(_cell(level, wide, shown_on))
        line.rstrip()
        shown_on.print(line, soft_wrap=True)


def _labels(answer: HeatmapAnswer) -> list[str]:
    """Name rows by their lower edge: the round ones, or every second; all would be a table."""
    edges = answer["edges"][:-1]
    below = sum(edge <= 0 for edge in edges)
    round_ones = [edge > 0 and math.frexp(edge)[0] == _ROUND for edge in edges]
    few = sum(round_ones) < _LABELS_MIN or sum(round_ones) > len(edges) / 2
    return [
        _label(edge, answer["unit"])
        if row < below or (round_ones[row] if not few else (row - below) % 2 == 0)
        else ""
        for row, edge in enumerate(edges)
    ]


def _label(edge: float, unit: str) -> str:
    return "< 0" if edge < 0 else "0" if edge == 0 else quantity(edge, unit)


def _levels(shown_on: "Console") -> int:
    return len(COLOURS) if _is_coloured(shown_on) else len(SHADES)


def _cell(level: int, wide: int, shown_on: "Console") -> "Text":
    from rich.text import Text

    if level == 0:
        return Text(" " * wide)
    if _is_coloured(shown_on):
        return Text("█" * wide, COLOURS[level - 1])
    shades = SHADES if has_blocks(shown_on) else SHADES_ASCII
    return Text(shades[level - 1] * wide)


def _is_coloured(shown_on: "Console") -> bool:
    return shown_on.color_system is not None and not shown_on.no_color and has_blocks(shown_on)


def _time_axis(answer: HeatmapAnswer, wide: int) -> str:
    columns = answer["columns"]
    apart = max(1, -(-TIME_COLUMNS // wide))
    line = " " * LABEL_COLUMNS
    for place in range(0, len(columns), apart):
        at = LABEL_COLUMNS + place * wide
        text = clock(columns[place]["start"])
        # The last one may not reach past the picture.
        if at + len(text) <= LABEL_COLUMNS + len(columns) * wide:
            line = line.ljust(at) + text
    return line


def _print_legend(answer: HeatmapAnswer, shown_on: "Console") -> None:
    from rich.text import Text

    most = max(max(column["counts"]) for column in answer["columns"])
    events = sum(column["count"] for column in answer["columns"])
    legend = Text(" " * LABEL_COLUMNS + f"{count(events)} events; a cell: 1 ")
    for level in range(1, _levels(shown_on) + 1):
        legend.append_text(_cell(level, 1, shown_on))
    legend.append(f" {count(most)}")
    shown_on.print(legend, soft_wrap=True, highlight=False)
    if answer["approximate"]:
        typer.echo(" " * LABEL_COLUMNS + "totals are exact, how they spread is estimated")
    late = sum(column["late"] for column in answer["columns"])
    if late:
        typer.echo(f"{count(late)} events came too late for the picture; they are counted")
