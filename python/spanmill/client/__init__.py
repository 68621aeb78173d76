"""Asks a running daemon over its HTTP API."""

from spanmill.client.address_file import (
    ADDRESS_FILE,
    remove_address_files,
    write_address_files,
)
from spanmill.client.answers import (
    Budget,
    Ledger,
    LedgerCounts,
    Measures,
    QueryAnswer,
    QuerySeries,
    SeriesList,
)
from spanmill.client.find import DEFAULT_ADDRESS, Found, find_daemon
from spanmill.client.http import Client, connect

__all__ = [
    "ADDRESS_FILE",
    "DEFAULT_ADDRESS",
    "Budget",
    "Client",
    "Found",
    "Ledger",
    "LedgerCounts",
    "Measures",
    "QueryAnswer",
    "QuerySeries",
    "SeriesList",
    "connect",
    "find_daemon",
    "remove_address_files",
    "write_address_files",
]
