"""`spanmill top`: percentiles and budgets in the terminal, as they change."""

import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from spanmill.cli.figures import count, quantity, share
from spanmill.cli.options import (
    DATA_DIR_DEFAULT,
    ApiOption,
    DataDirOption,
    JsonOption,
    console,
    failing_plainly,
    print_json,
)
from spanmill.client import Budget, Client, Ledger, QueryAnswer, connect
from spanmill.errors import Unreachable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

RANKS = (0.5, 0.95, 0.99)
ROWS_MAX = 20
WORST_GROUPS = 3
NAME_MIN = 12

NARROW = 72
"""Terminals with fewer columns show the tail only."""


@dataclass(frozen=True)
class Look:
    """What to look at, as the command line says it."""

    measures: tuple[str, ...]
    by: tuple[str, ...]
    window: str


@dataclass(frozen=True)
class Frame:
    """Everything one refresh asked for, at `asked_at_s` (monotonic)."""

    measures: list[QueryAnswer]
    slo: list[Budget]
    ledger: Ledger
    asked_at_s: float


def top(
    measure: Annotated[
        str, typer.Option(help="Measures to show, separated by commas.")
    ] = "ttft,duration",
    by: Annotated[
        str, typer.Option(help="Dimensions that tell rows apart, separated by commas.")
    ] = "model",
    window: Annotated[str, typer.Option(help="How far to look back; steps of 10 s.")] = "5m",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between refreshes.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit.")] = False,
    api: ApiOption = None,
    data_dir: DataDirOption = DATA_DIR_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """
    Watch percentiles and budgets live. q or Ctrl-C ends it.

    With --json, or where the output is no terminal, one frame is printed.

    Example: spanmill top --measure ttft --by model,region --window 15m

    Exit codes: 0 ended; 1 no daemon answers; 2 no such name, or out of range.
    """
    look = Look(_names(measure), _names(by), window)
    shown_on = console()
    with failing_plainly(), connect(api, data_dir=data_dir) as daemon:
        frame = ask(daemon, look)
        if as_json:
            print_json({"measures": frame.measures, "slo": frame.slo, "ledger": frame.ledger})
        elif once or not shown_on.is_terminal:
            shown_on.print(draw(frame, None, shown_on.width))
        else:
            _watch(daemon, look, frame, every)


def ask(daemon: Client, look: Look) -> Frame:
    """
    Ask for one frame.

    Raises:
        Unreachable: No daemon answers.
        UnknownName: A measure or dimension does not exist; lists those that do.
    """
    return Frame(
        measures=[
            daemon.query(measure, q=RANKS, by=look.by, window=look.window)
            for measure in look.measures
        ],
        slo=daemon.slo(),
        ledger=daemon.ledger(),
        asked_at_s=time.monotonic(),
    )


def draw(frame: Frame, before: Frame | None, width: int) -> "RenderableType":
    """Draw a frame `width` columns wide; the one before tells how fast events arrive."""
    from rich.console import Group

    parts: list[RenderableType] = [_header(frame, before)]
    for answer in frame.measures:
        parts += ["", _percentiles(answer, width)]
    if frame.slo:
        parts += ["", _budgets(frame.slo, width)]
    return Group(*parts)


def _watch(daemon: Client, look: Look, frame: Frame, every: float) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    before: Frame | None = None
    note = Text("q quits", "dim")
    with _keys(), Live(auto_refresh=False, screen=True) as live:
        try:
            while True:
                shown = Group(draw(frame, before, live.console.width), "", note)
                live.update(shown, refresh=True)
                if _quit_within(every):
                    return
                try:
                    before, frame = frame, ask(daemon, look)
                    note = Text("q quits", "dim")
                except Unreachable as error:
                    # A restart of the daemon should not end the watch.
                    note = Text(f"{error}; trying again", "bold red")
        except KeyboardInterrupt:
            return


@contextmanager
def _keys() -> Iterator[None]:
    """Read single keys, unseen, where standard input is a terminal."""
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
        if ready and sys.stdin.read(1) in ("q", "Q", ""):
            return True
    return False


def _header(frame: Frame, before: Frame | None) -> "Text":
    from rich.text import Text

    ledger = frame.ledger
    text = Text.assemble(("spanmill", "bold"), f"  {count(ledger['received'])} events")
    if before is not None:
        seconds = frame.asked_at_s - before.asked_at_s
        arrived = ledger["received"] - before.ledger["received"]
        text.append(f", {arrived / seconds:,.0f}/s")
    rejected = sum(ledger["rejected"].values())
    if ledger["late"] or rejected:
        text.append(f"  {count(ledger['late'])} late, {count(rejected)} rejected", "yellow")
    if not ledger["balanced"]:
        text.append("  the ledger does NOT balance", "bold red")
    if frame.measures:
        text.append(f"\nwatermark {_clock(frame.measures[0]['watermark'])} UTC", "dim")
    return text


def _percentiles(answer: QueryAnswer, width: int) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    window, unit = answer["window"], answer["unit"]
    looked_at = f"  {_clock(window['start'])} to {_clock(window['end'])} UTC"
    title = Text.assemble((answer["measure"], "bold"), (looked_at, "dim"))
    series = sorted(answer["series"], key=lambda one: -one["count"])
    if not series:
        return Group(title, Text("no event has this measure in this window", "dim"))
    ranks = list(series[0]["quantiles"])
    shown = ranks if width >= NARROW else ranks[-1:]
    figures = 11 + 10 * len(shown)
    table = _table(", ".join(series[0]["dims"]) or "all", "events", width - figures)
    for rank in shown:
        table.add_column(f"p{float(rank) * 100:g}", justify="right", no_wrap=True)
    for one in series[:ROWS_MAX]:
        name = Text(", ".join(one["dims"].values()) or "all")
        quantiles = (quantity(one["quantiles"][rank], unit) for rank in shown)
        table.add_row(name, count(one["count"]), *quantiles)
    more = len(series) - ROWS_MAX
    note = [Text(f"and {more} more with fewer events", "dim")] if more > 0 else []
    return Group(title, table, *note)


def _budgets(budgets: list[Budget], width: int) -> "Table":
    from rich.text import Text

    looks = ("5m", "1h", "6h") if width >= NARROW else ("1h",)
    figures = 13 + 9 * len(looks) + (10 if width >= NARROW else 0)
    table = _table("objective", "budget left", width - figures)
    for look in looks:
        table.add_column(f"burn {look}", justify="right", no_wrap=True)
    if width >= NARROW:
        table.add_column("since", justify="right", no_wrap=True)
    for one in worst_first(budgets):
        left = one["budget_left"]
        group = ", ".join(one["group"].values())
        cells = [
            Text(f"{one['name']}: {group}" if group else one["name"]),
            Text(share(left), "bold red" if left is not None and left < 0 else ""),
            *(_burn(one["burn"][look]) for look in looks),
        ]
        if width >= NARROW:
            cells.append(Text(_clock(one["burning_since"])))
        table.add_row(*cells)
    return table


def worst_first(budgets: list[Budget]) -> list[Budget]:
    """Put what burns fastest first, and of each objective's groups only the few worst."""
    shown: list[Budget] = []
    for name in dict.fromkeys(one["name"] for one in budgets):
        mine = [one for one in budgets if one["name"] == name]
        groups = sorted((one for one in mine if one["group"]), key=_pace, reverse=True)
        shown += [one for one in mine if not one["group"]] + groups[:WORST_GROUPS]
    return sorted(shown, key=_pace, reverse=True)


def _pace(budget: Budget) -> float:
    return budget["burn"]["1h"] or 0.0


def _burn(rate: float | None) -> "Text":
    from rich.text import Text

    if rate is None:
        return Text("–")
    return Text(f"{rate:.3g}×", "bold red" if rate > 1 else "")


def _table(first: str, second: str, first_width: int) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    # Bounded, because a long name would otherwise squeeze the figures out.
    widest = max(first_width, NAME_MIN)
    table.add_column(first, overflow="ellipsis", no_wrap=True, max_width=widest)
    table.add_column(second, justify="right", no_wrap=True)
    return table


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _clock(time_utc: str | None) -> str:
    return "–" if time_utc is None else time_utc[11:19]
