"""What events have in common, sent once and named by a number from then on."""

import time
from collections.abc import Sequence
from typing import Final

from spanmill.v1 import ingest_pb2
from spanmill.writer.event import Attributes

ENTRIES_MAX: Final = 1 << 15
"""A dictionary of so many entries is ended by the next epoch; the daemon takes twice as many."""


class Dictionary:
    """
    The entries of one epoch, in the order in which they were first used.

    An entry never changes and never goes, so batches may be sent in any order and again.
    """

    def __init__(self, resource: Attributes, after: int = 0) -> None:
        """
        Begin an empty one.

        Args:
            resource: Attributes of every entry, behind its own.
            after: The epoch before it.
        """
        self.epoch = max(time.time_ns(), after + 1)
        """Grows from one to the next, also over a restart of the process."""
        self.known = 0
        """Entries that the daemon is known to have."""
        self._resource = [_attribute(key, value) for key, value in resource.items()]
        self._entries: list[ingest_pb2.Series] = []
        self._places: dict[object, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether another epoch should begin."""
        return len(self._entries) >= ENTRIES_MAX

    def place(self, attributes: Attributes) -> int:
        """Give the number of an entry, made on first use."""
        # With types: 1, 1.0 and True are equal, but read differently as a dimension.
        key = tuple((name, value, value.__class__) for name, value in attributes.items())
        place = self._places.get(key)
        return self._add(key, attributes) if place is None else place

    def since(self, first: int, end: int) -> Sequence[ingest_pb2.Series]:
        """Give the entries in [first, end)."""
        return self._entries[first:end]

    def _add(self, key: object, attributes: Attributes) -> int:
        encoded = [_attribute(name, value) for name, value in sorted(attributes.items())]
        series = ingest_pb2.Series(resource=self._resource, attributes=encoded)
        # The same attributes in another order are the same entry.
        same = series.SerializeToString(deterministic=True)
        place = self._places.get(same)
        if place is None:
            place = len(self._entries)
            self._entries.append(series)
            self._places[same] = place
        if len(self._places) < 4 * ENTRIES_MAX:
            self._places[key] = place
        return place


def _attribute(key: str, value: str | float) -> ingest_pb2.Attribute:
    if isinstance(value, bool):
        return ingest_pb2.Attribute(key=key, value=ingest_pb2.AttributeValue(bool_value=value))
    if isinstance(value, int):
        return ingest_pb2.Attribute(key=key, value=ingest_pb2.AttributeValue(int_value=value))
    if isinstance(value, float):
        return ingest_pb2.Attribute(key=key, value=ingest_pb2.AttributeValue(double_value=value))
    return ingest_pb2.Attribute(key=key, value=ingest_pb2.AttributeValue(string_value=value))
