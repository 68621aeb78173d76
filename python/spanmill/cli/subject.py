"""Arguments by which several commands say which events they ask about."""

from typing import Annotated

import typer

from spanmill.cli.options import MISUSED, fail

MeasureArgument = Annotated[str, typer.Argument(help="What to measure, such as ttft.")]
ByOption = Annotated[
    str, typer.Option(help="Dimensions that tell rows apart, separated by commas.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(metavar="DIMENSION:VALUE", help="Only these events; repeats."),
]
RanksOption = Annotated[str, typer.Option("--q", help="Ranks from 0 to 1.")]
WindowOption = Annotated[str, typer.Option(help="How far to look back; steps of 10 s.")]
EndOption = Annotated[
    str | None, typer.Option(help="RFC 3339 time to look back from; the newest events if none.")
]
ViewOption = Annotated[str | None, typer.Option(help="View to ask; the first that fits if none.")]

RANKS_DEFAULT = "0.5,0.95,0.99"


def read_names(text: str) -> list[str]:
    """Read names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def read_ranks(text: str) -> list[float]:
    """Read ranks separated by commas; exit where one is no number."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        fail(f"--q {text} is not valid; use ranks from 0 to 1 such as 0.5,0.99", MISUSED)


def read_conditions(texts: list[str] | None) -> dict[str, list[str]]:
    """Gather conditions by dimension; exit where one is none."""
    conditions: dict[str, list[str]] = {}
    for text in texts or []:
        dimension, colon, value = text.partition(":")
        if not (dimension and colon):
            fail(f"--where {text} is not valid; use dimension:value such as tenant:acme", MISUSED)
        conditions.setdefault(dimension, []).append(value)
    return conditions
