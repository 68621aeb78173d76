"""What a sender says of a request beside its bytes: its own name for the batch, and whose it is."""

from collections.abc import Iterable
from typing import Final, NamedTuple

BATCH_ID_KEY: Final = "x-batch-id"
"""Request metadata: the sender's own name for a batch, the same when it sends it again."""

TENANT_KEY: Final = "x-tenant"
"""Request metadata: whose batch ids these are; two tenants may use the same."""

ID_CHARACTERS_MAX: Final = 256


class BatchName(NamedTuple):
    """Name of one batch."""

    batch_id: str
    tenant: str


class BatchNameError(Exception):
    """A batch is named so that it could be taken for another; the text says what is wrong."""


def name_of(metadata: Iterable[tuple[str, str | bytes]]) -> BatchName | None:
    """
    Find the name that a sender gave to a batch; None where it gave none.

    Raises:
        BatchNameError: It is empty or too long, or there are two.
    """
    # Every request comes through here, and hardly any has a name.
    for key, _ in metadata:
        if key == BATCH_ID_KEY:
            return _read(list(metadata))
    return None


def _read(metadata: list[tuple[str, str | bytes]]) -> BatchName:
    batch_id = _only(metadata, BATCH_ID_KEY)
    if not batch_id:
        raise BatchNameError(f"{BATCH_ID_KEY} is empty; give each batch an id of its own")
    return BatchName(batch_id, _only(metadata, TENANT_KEY))


def _only(metadata: list[tuple[str, str | bytes]], wanted: str) -> str:
    """Give the value of a key that may stand once; empty where it is missing."""
    found = [str(value) for key, value in metadata if key == wanted]
    if len(found) > 1:
        raise BatchNameError(f"{wanted} came {len(found)} times; send it once")
    value = found[0] if found else ""
    if len(value) > ID_CHARACTERS_MAX:
        raise BatchNameError(
            f"{wanted} of {len(value)} characters; at most {ID_CHARACTERS_MAX} are taken"
        )
    return value
