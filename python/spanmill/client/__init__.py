"""Asks a running daemon over its HTTP API."""

from spanmill.client.address_file import (
    ADDRESS_FILE,
    remove_address_files,
    write_address_files,
)
from spanmill.client.answers import (
    Bounded,
    Budget,
    CompareAnswer,
    CompareSeries,
    HeatmapAnswer,
    HeatmapColumn,
    Ledger,
    LedgerCounts,
    Measures,
    Point,
    QuantileShift,
    QueryAnswer,
    QuerySeries,
    RangeAnswer,
    RangeSeries,
    SeriesList,
)
from spanmill.client.find import DEFAULT_ADDRESS, Found, find_daemon
from spanmill.client.http import Client, connect

__all__ = [
    "ADDRESS_FILE",
    "DEFAULT_ADDRESS",
    "Bounded",
    "Budget",
    "Client",
    "CompareAnswer",
    "CompareSeries",
    "Found",
    "HeatmapAnswer",
    "HeatmapColumn",
    "Ledger",
    "LedgerCounts",
    "Measures",
    "Point",
    "QuantileShift",
    "QueryAnswer",
    "QuerySeries",
    "RangeAnswer",
    "RangeSeries",
    "SeriesList",
    "connect",
    "find_daemon",
    "remove_address_files",
    "write_address_files",
]
