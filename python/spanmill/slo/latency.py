"""The SLI of promises about time."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from spanmill.model import MeasureName, Reading, Seconds, Section


def _in_seconds(measure: str, info: ValidationInfo) -> str:
    unit = info.context.measures[measure] if isinstance(info.context, Reading) else "s"
    if unit != "s":
        raise ValueError(f"{measure} is counted in {unit}; a latency needs a measure in seconds")
    return measure


class LatencySli(Section):
    """
    Good is an event whose measure is below a threshold.

    An event without the measure is neither good nor bad.
    """

    kind: Literal["latency"]
    """Time until something the customer waits for."""

    measure: Annotated[MeasureName, AfterValidator(_in_seconds)]
    """Which measure is compared, such as `ttft`; its unit is seconds."""

    below: Annotated[Seconds, Field(gt=0)]
    """Threshold; an event at exactly this value is bad."""
