"""`spanmill compare`."""

from typing import TYPE_CHECKING, Annotated

import typer

from spanmill.cli.figures import count, percentile, quantity, stretch
from spanmill.cli.options import (
    DATA_DIR_DEFAULT,
    MISUSED,
    ApiOption,
    DataDirOption,
    JsonOption,
    cells,
    console,
    fail,
    failing_plainly,
    has_blocks,
    plain_table,
    print_json,
)
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
from spanmill.client import Bounded, CompareAnswer, CompareSeries, QuantileShift, connect
from spanmill.model import parse_rfc3339, parse_seconds

if TYPE_CHECKING:
    from rich.console import Console

LESS_IS_BETTER = ("s", "USD")
"""Units in which a shift upwards is drawn as bad news."""

NARROW = 84
"""Terminals with fewer columns leave out the interval."""


def compare(
    measure: MeasureArgument,
    *,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="AGO|TIME",
            help="Compare with the window that ended so long before, such as 1h-ago, or then.",
        ),
    ] = None,
    dimension: Annotated[
        str | None, typer.Option(help="Compare two values of this dimension instead.")
    ] = None,
    between: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="The two values.")
    ] = None,
    by: ByOption = "",
    where: WhereOption = None,
    q: RanksOption = RANKS_DEFAULT,
    window: WindowOption = "1h",
    end: EndOption = None,
    view: ViewOption = None,
    api: ApiOption = None,
    data_dir: DataDirOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    Ask by how much percentiles shifted, and whether that can be chance.

    The last hour against the one before, unless another is named.

    Example: spanmill compare ttft --against 1d-ago --window 1h

    Example: spanmill compare ttft --dimension model --between small large

    Exit codes: 0 answered; 1 no daemon answers; 2 no such name, or out of range.
    """
    ranks, dimensions, conditions = read_ranks(q), read_names(by), read_conditions(where)
    values = _values(dimension, between, against)
    offset, before_end = _earlier(against)
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        answer = daemon.compare(
            measure,
            q=ranks,
            by=dimensions,
            where=conditions,
            window=window,
            end=end,
            offset=offset,
            before_end=before_end,
            between=values,
            view=view,
        )
    if as_json:
        print_json(answer)
    else:
        _print_table(answer, dimensions, console())


def _values(
    dimension: str | None, between: tuple[str, str] | None, against: str | None
) -> tuple[str, str, str] | None:
    if dimension is None and between is None:
        return None
    if dimension is None or between is None:
        fail("--dimension and --between go together: --dimension model --between a b", MISUSED)
    if against is not None:
        fail("--against and --dimension exclude each other; give one of them", MISUSED)
    return (dimension, *between)


def _earlier(against: str | None) -> tuple[str | None, str | None]:
    """Read `1h-ago` as an offset, else a time at which the earlier window ended."""
    if against is None:
        return None, None
    offset = against.removesuffix("-ago")
    try:
        parse_seconds(offset)
    except ValueError:
        return None, _time(against)
    return offset, None


def _time(against: str) -> str:
    try:
        parse_rfc3339(against)
    except ValueError:
        right = "a duration such as 1h-ago, or an RFC 3339 time"
        fail(f"--against {against} is not valid; use {right}", MISUSED)
    return against


def _print_table(answer: CompareAnswer, dimensions: list[str], shown_on: "Console") -> None:
    from rich.text import Text

    typer.echo(f"{answer['measure']}: b against a")
    for name in ("a", "b"):
        typer.echo(f"  {name}  {_side(answer, name)}")
    if not answer["series"]:
        typer.echo("Neither has an event with this measure.")
        return
    unit, wide = answer["unit"], shown_on.width >= NARROW
    headings = ["a", "b", "shift", "relative", *(["95 % interval of the shift"] if wide else [])]
    table = plain_table([*dimensions, ""], headings)
    table.add_column("")
    for row in answer["series"]:
        shown = cells(row["dims"], dimensions)
        for rank, one in row["quantiles"].items():
            interval = [_interval(one["shift"], unit)] if wide else []
            style = _style(one, unit)
            table.add_row(
                *shown,
                percentile(rank),
                _value(one["a"], unit),
                _value(one["b"], unit),
                Text(_shift(one, unit, shown_on), style),
                _relative(one["relative"]),
                *interval,
                Text(_verdict(one), style),
            )
            shown = [""] * len(dimensions)
        table.add_section()
    shown_on.print(table)
    typer.echo("clear: chance alone would seldom (1 in 20) shift it as far")


def _side(answer: CompareAnswer, name: str) -> str:
    side = answer["a"] if name == "a" else answer["b"]
    value = "".join(f"{dimension}={text}, " for dimension, text in side["dims"].items())
    events = sum(_events(row, name) for row in answer["series"])
    window = stretch(side["window"]["start"], side["window"]["end"])
    return f"{value}{window}, {count(events)} events"


def _events(row: CompareSeries, name: str) -> int:
    totals = row["a"] if name == "a" else row["b"]
    return 0 if totals is None else totals["count"]


def _value(bounded: Bounded | None, unit: str) -> str:
    return quantity(None if bounded is None else bounded["value"], unit)


def _shift(one: QuantileShift, unit: str, shown_on: "Console") -> str:
    shift = one["shift"]
    if shift is None:
        return "–"
    value = shift["value"]
    up, down = ("▲", "▼") if has_blocks(shown_on) else ("^", "v")
    arrow = up if value > 0 else down if value < 0 else " "
    return f"{arrow} {_signed(value, unit)}" if one["clear"] else f"  {_signed(value, unit)}"


def _signed(value: float, unit: str) -> str:
    sign = "+" if value > 0 else "-" if value < 0 else ""
    return f"{sign}{quantity(abs(value), unit)}"


def _relative(bounded: Bounded | None) -> str:
    return "–" if bounded is None else f"{bounded['value'] * 100:+.3g} %"


def _interval(bounded: Bounded | None, unit: str) -> str:
    low, high = (None, None) if bounded is None else bounded["interval"]
    if low is not None and high is not None:
        return f"{_signed(low, unit)} to {_signed(high, unit)}"
    if low is not None:
        return f"{_signed(low, unit)} or more"
    return "too few events" if high is None else f"{_signed(high, unit)} or less"


def _verdict(one: QuantileShift) -> str:
    if one["a"] is None or one["b"] is None:
        return "only in b" if one["a"] is None else "only in a"
    return "clear" if one["clear"] else "unclear"


def _style(one: QuantileShift, unit: str) -> str:
    if one["shift"] is None or not one["clear"]:
        return "dim"
    if unit not in LESS_IS_BETTER:
        return "bold"
    return "bold red" if one["shift"]["value"] > 0 else "bold green"
