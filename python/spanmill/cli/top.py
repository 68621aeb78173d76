"""`spanmill top`: percentiles and budgets in the terminal, as they change."""

import json
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spanmill.client import Budget, Client, Ledger, QueryAnswer

RANKS = (0.5, 0.95, 0.99)
ROWS_MAX = 20
WORST_GROUPS = 3
NARROW = 60
"""Terminals with fewer columns show the tail only."""


@dataclass(frozen=True)
class Frame:
    """Everything one refresh asked for."""

    measures: "list[QueryAnswer]"
    slo: "list[Budget]"
    ledger: "Ledger"
    asked_at_s: float
    """Monotonic time."""


@dataclass(frozen=True)
class Look:
    """What to look at, as the command line says it."""

    measures: tuple[str, ...]
    by: tuple[str, ...]
    window: str


def top(
    api: Annotated[str | None, typer.Option(help="Address of the daemon's API.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="The daemon's data folder, which tells its address.")
    ] = None,
    measure: Annotated[str, typer.Option(help="Measures to show, by commas.")] = "ttft,duration",
    by: Annotated[str, typer.Option(help="Dimensions to tell apart, by commas.")] = "model",
    window: Annotated[str, typer.Option(help="How far to look back, in steps of 10 s.")] = "5m",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between refreshes.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one frame as JSON and exit.")
    ] = False,
) -> None:
    """
    Watch percentiles and error budgets live; q or Ctrl-C ends it.

    Example: spanmill top --measure ttft --by model,region --window 15m
    """

    from spanmill.client import connect

    look = Look(_names(measure), _names(by), window)
    console = Console()
    with connect(api, data_dir=data_dir) as client:
        frame = ask(client, look)
        if as_json:
            shown = asdict(frame)
            del shown["asked_at_s"]
            typer.echo(json.dumps(shown, indent=2))
        elif once or not console.is_terminal:
            console.print(draw(frame, None, console.width))
        else:
            _watch(client, look, frame, every)


def ask(client: "Client", look: Look) -> Frame:
    """
    Ask the daemon for one frame.

    Raises:
        Unreachable: No daemon answers.
        UnknownName: A measure or dimension does not exist; lists those that do.
    """
    return Frame(
        measures=[
            client.query(measure, q=RANKS, by=look.by, window=look.window)
            for measure in look.measures
        ],
        slo=client.slo(),
        ledger=client.ledger(),
        asked_at_s=time.monotonic(),
    )


def draw(frame: Frame, before: Frame | None, width: int) -> RenderableType:
    """Draw a frame for a terminal `width` columns wide; `before` tells how fast events arrive."""

    blank = Text("")
    parts: list[RenderableType] = [_header(frame, before)]
    for answer in frame.measures:
        parts += [blank, _percentiles(answer, width)]
    if frame.slo:
        parts += [blank, _budgets(frame.slo, width)]
    return Group(*parts)


def _watch(client: "Client", look: Look, frame: Frame, every: float) -> None:

    from spanmill.errors import Unreachable

    before: Frame | None = None
    with _keys(), Live(auto_refresh=False, screen=True) as live:
        note = Text("q quits", "dim")
        try:
            while True:
                live.update(
                    Group(draw(frame, before, live.console.width), Text(""), note), refresh=True
                )
                if _quit_within(every):
                    return
                try:
                    before, frame = frame, ask(client, look)
                    note = Text("q quits", "dim")
                except Unreachable as error:
                    # A restart of the daemon should not end the watch.
                    note = Text(f"{error}; trying again", "bold red")
        except KeyboardInterrupt:
            return


@contextmanager
def _keys() -> Iterator[None]:
    """Read single keys where standard input is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _quit_within(seconds: float) -> bool:
    """Wait for the next refresh; True as soon as q is pressed."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return False
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if ready and sys.stdin.read(1) in ("q", "Q"):
            return True
    return False


def _header(frame: Frame, before: Frame | None) -> RenderableType:

    ledger = frame.ledger
    events = f"{ledger['received']:,} events"
    if before is not None:
        seconds = frame.asked_at_s - before.asked_at_s
        rate = (ledger["received"] - before.ledger["received"]) / seconds
        events += f", {rate:,.0f}/s"
    refused = sum(ledger["rejected"].values())
    text = Text.assemble(("spanmill", "bold"), f"  {events}")
    if ledger["late"] or refused:
        text.append(f"  {ledger['late']:,} late, {refused:,} rejected", "yellow")
    if not ledger["balanced"]:
        text.append("  ledger NOT balanced", "bold red")
    watermark = frame.measures[0]["watermark"] if frame.measures else None
    text.append(f"\nwatermark {_clock(watermark)}", "dim")
    return text


def _percentiles(answer: "QueryAnswer", width: int) -> RenderableType:

    window = answer["window"]
    shown = RANKS if width >= NARROW else RANKS[-1:]
    unit = answer["unit"]
    title = Text.assemble(
        (answer["measure"], "bold"),
        (f" ({unit})  {_clock(window['start'])} to {_clock(window['end'])}", "dim"),
    )
    series = sorted(answer["series"], key=lambda one: -one["count"])
    if not series:
        return Group(title, Text("no events in this window", "dim"))
    table = _table(", ".join(series[0]["dims"]) or "all", "count")
    for rank in shown:
        table.add_column(f"p{rank * 100:g}", justify="right", no_wrap=True)
    for one in series[:ROWS_MAX]:
        name = ", ".join(one["dims"].values()) or "all"
        quantiles = [one["quantiles"][f"{rank:g}"] for rank in shown]
        table.add_row(name, f"{one['count']:,}", *(_number(value) for value in quantiles))
    parts: list[RenderableType] = [title, table]
    if len(series) > ROWS_MAX:
        parts.append(Text(f"and {len(series) - ROWS_MAX} more with fewer events", "dim"))
    return Group(*parts)


def _budgets(budgets: "list[Budget]", width: int) -> Table:

    table = _table("objective", "left")
    looks = ("5m", "1h", "6h") if width >= NARROW else ("1h",)
    for look in looks:
        table.add_column(f"burn {look}", justify="right", no_wrap=True)
    if width >= NARROW:
        table.add_column("burning since", justify="right", no_wrap=True)
    for one in _worst_first(budgets):
        left = one["budget_left"]
        cells = [
            Text(_budget_name(one)),
            Text("–" if left is None else f"{left:.1%}", "bold red" if left and left < 0 else ""),
            *(_burn(one["burn"].get(look)) for look in looks),
        ]
        if width >= NARROW:
            cells.append(Text(_clock(one["burning_since"]) if one["burning_since"] else ""))
        table.add_row(*cells)
    return table


def _worst_first(budgets: "list[Budget]") -> "list[Budget]":
    """Every objective with, below it, the few of its groups that burn fastest."""

    def burn(one: "Budget") -> float:
        return one["burn"].get("1h") or 0.0

    shown: list[Budget] = []
    for whole in sorted((one for one in budgets if not one["group"]), key=burn, reverse=True):
        shown.append(whole)
        groups = (one for one in budgets if one["name"] == whole["name"] and one["group"])
        burning = [one for one in groups if burn(one) > 1]
        shown += sorted(burning, key=burn, reverse=True)[:WORST_GROUPS]
    return shown


def _budget_name(one: "Budget") -> str:
    return f"  {', '.join(one['group'].values())}" if one["group"] else one["name"]


def _burn(value: float | None) -> RenderableType:

    return Text("–") if value is None else Text(f"{value:.2f}", "bold red" if value > 1 else "")


def _table(first: str, second: str) -> Table:

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, overflow="ellipsis", no_wrap=True, min_width=12)
    table.add_column(second, justify="right", no_wrap=True)
    return table


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _number(value: float) -> str:
    """Write three digits that mean something; thousands in full, without an exponent."""
    three = f"{value:.3g}"
    return f"{value:,.0f}" if "e+" in three or float(three).is_integer() else three


def _clock(time: str | None) -> str:
    return "–" if time is None else time[11:19]
