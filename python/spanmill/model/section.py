"""The base of every section, and field types that are checked against what exists."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

HASHED: Final = "user"
"""The dimension of which only a keyed hash is kept."""


@dataclass(frozen=True)
class Reading:
    """What a file is read against: where relative paths start, and the names that exist."""

    base: Path
    measures: Mapping[str, str]
    """Name to unit."""
    dimensions: Sequence[str]


class Section(BaseModel):
    """Base of every config section: frozen, documented by its docstrings, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, data: object) -> object:
        # A section whose keys are all commented out reads as null in YAML.
        return {} if data is None else data


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that `name` was most likely meant to be; None where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest, as the end of a sentence; list all where none is close."""
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        return f"did you mean {close}?"
    return f"known: {', '.join(names)}" if names else "none exist"


def _from_base(path: Path, info: ValidationInfo) -> Path:
    return info.context.base / path if isinstance(info.context, Reading) else path


ConfigPath = Annotated[Path, AfterValidator(_from_base)]
"""A path; a relative one starts at the folder of the config file."""


def _measure(name: str, info: ValidationInfo) -> str:
    if isinstance(info.context, Reading) and name not in info.context.measures:
        raise ValueError(f"no measure {name!r}; {did_you_mean(name, info.context.measures)}")
    return name


def _dimension(name: str, info: ValidationInfo) -> str:
    if isinstance(info.context, Reading) and name not in info.context.dimensions:
        raise ValueError(f"no dimension {name!r}; {did_you_mean(name, info.context.dimensions)}")
    return name


def _shown_dimension(name: str, info: ValidationInfo) -> str:
    if _dimension(name, info) == HASHED:
        raise ValueError(
            f"{HASHED} is kept as a keyed hash that nothing can show; it may stand in distinct of "
            "a view only"
        )
    return name


def _values(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise ValueError("an empty list would match no event; leave the dimension out to match all")
    return [_value(one) for one in values]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # 1.10 has already become 1.1 here.
        raise ValueError(  # noqa: TRY004  pydantic collects no TypeError
            f"{value} loses digits as a number; put it in quotes"
        )
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004  pydantic collects no TypeError
            f"{value!r} is neither a value nor a list of values"
        )
    return value


MeasureName = Annotated[str, AfterValidator(_measure)]
"""Name of a measure the core knows."""

AnyDimensionName = Annotated[str, AfterValidator(_dimension)]
"""Name of a dimension the core knows, that of the end user included."""

DimensionName = Annotated[str, AfterValidator(_shown_dimension)]
"""Name of a dimension the core knows and whose values can be shown."""

Where = dict[
    DimensionName,
    Annotated[
        tuple[str, ...],
        BeforeValidator(_values),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": ["string", "boolean", "integer"]},
                    {"type": "array", "items": {"type": "string"}, "minItems": 1},
                ]
            }
        ),
    ],
]
"""Which events: every dimension named must have one of the values listed for it."""
