"""One promise, as an objective file states it and as the core counts it."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from spanmill.model import DimensionName, Seconds, Section, Where
from spanmill.slo.errors import ErrorsSli
from spanmill.slo.latency import LatencySli

# One SLI kind is one file and one line here.
Sli = Annotated[
    LatencySli | ErrorsSli,
    Field(discriminator="kind"),
]
"""Every SLI kind there is."""

Layer = Literal[
    "prompt_content",
    "retrieval",
    "model_selection",
    "eval_set",
    "cost",
    "behavioural_quality",
    "infrastructure",
]
"""The part of an AI service whose owner answers for a promise."""

PERIOD_MAX_S: Final = 90 * 86_400.0
"""The core's counters hold this long."""


def _rolling(period: object) -> object:
    if isinstance(period, dict):
        raise ValueError(  # noqa: TRY004  pydantic collects no TypeError
            "only rolling periods such as 30d exist yet; calendar periods do not"
        )
    return period


def _whole(period: float) -> float:
    if period != int(period):
        raise ValueError(f"{period:g} s is not a whole number of seconds")
    return period


def _share(objective: float) -> float:
    if not 0 < objective < 1:
        raise ValueError(
            f"{objective:g} is not between 0 and 1; write the share of good events, 0.99 for 99 %"
        )
    return objective


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names a dimension twice")
    return names


class Objective(Section):
    """A promise: of the events that match, this share is good over this period."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """Unique among all files; used in addresses and metric labels."""

    description: str = ""
    """What is promised, for a person."""

    sli: Sli
    """What makes an event good or bad."""

    where: Where = Field(default={})
    """Which events count: dimension to a value or a list of values. All events without it."""

    group_by: Annotated[tuple[DimensionName, ...], AfterValidator(_distinct)] = ()
    """Also keep a budget for each value of these dimensions."""

    objective: Annotated[float, AfterValidator(_share)]
    """Wanted share of good events, between 0 and 1, such as 0.99."""

    period: Annotated[
        Seconds, BeforeValidator(_rolling), AfterValidator(_whole), Field(ge=60, le=PERIOD_MAX_S)
    ] = 30 * 86_400.0
    """Rolling stretch of time the budget is for; from 1m to 90d."""

    alerts: JsonValue = None
    """Alert rules. Read and kept; nothing evaluates them yet."""

    layer: Layer | None = None
    """Whose promise it is."""

    runbook: str | None = None
    """Address or path of what to do when the budget burns."""

    def to_core(self) -> dict[str, Any]:
        """Write it as the core's config expects it."""
        return {
            "name": self.name,
            "description": self.description,
            "sli": self.sli.model_dump(),
            "where": [[dimension, list(values)] for dimension, values in self.where.items()],
            "group_by": list(self.group_by),
            "objective": self.objective,
            "period_s": int(self.period),
            "layer": self.layer or "",
            "runbook": self.runbook or "",
        }
