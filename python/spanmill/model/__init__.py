"""
What people write, read into checked values; shared by every part above.

`Section` is the base of config sections and objective files, the field types
read durations, sizes, addresses, paths and signal names, and `read_as` reports
every problem of a `Document` at once, each where it stands.
"""

from spanmill.model.address import Address
from spanmill.model.document import Document, KeyPath, key_text, read_as
from spanmill.model.instant import parse_rfc3339, rfc3339
from spanmill.model.section import (
    AnyDimensionName,
    ConfigPath,
    DimensionName,
    MeasureName,
    Reading,
    Section,
    Where,
    did_you_mean,
    nearest,
)
from spanmill.model.units import Bytes, Seconds, parse_bytes, parse_seconds
from spanmill.model.version import __version__

__all__ = [
    "Address",
    "AnyDimensionName",
    "Bytes",
    "ConfigPath",
    "DimensionName",
    "Document",
    "KeyPath",
    "MeasureName",
    "Reading",
    "Seconds",
    "Section",
    "Where",
    "__version__",
    "did_you_mean",
    "key_text",
    "nearest",
    "parse_bytes",
    "parse_rfc3339",
    "parse_seconds",
    "read_as",
    "rfc3339",
]
