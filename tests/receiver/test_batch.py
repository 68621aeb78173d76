"""A batch's name is taken from metadata, or refused where two batches could be mistaken."""

import pytest

from spanmill.receiver.batch import BatchName, BatchNameError, name_of

NOISE = [("user-agent", "grpc-python"), ("x-tenant-bin", b"\x00")]


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ([], None),
        ([("x-tenant", "acme")], None),
        ([("x-batch-id", "b-1")], BatchName("b-1", "")),
        ([("x-tenant", "acme"), ("x-batch-id", "b-1")], BatchName("b-1", "acme")),
        ([("x-batch-id", "b" * 256), ("x-tenant", "t" * 256)], BatchName("b" * 256, "t" * 256)),
    ],
)
def test_names_are_found(metadata: list[tuple[str, str]], name: BatchName | None) -> None:
    """A batch has the name that the sender gave it, within its tenant; without one, none."""
    assert name == name_of([*NOISE, *metadata])


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ([("x-batch-id", "")], "x-batch-id is empty"),
        ([("x-batch-id", "b" * 257)], "x-batch-id of 257 characters; at most 256"),
        ([("x-batch-id", "b"), ("x-tenant", "t" * 257)], "x-tenant of 257 characters"),
        ([("x-batch-id", "a"), ("x-batch-id", "b")], "x-batch-id came 2 times"),
        ([("x-batch-id", "a"), ("x-tenant", "s"), ("x-tenant", "t")], "x-tenant came 2 times"),
    ],
)
def test_unusable_names_are_refused(metadata: list[tuple[str, str]], said: str) -> None:
    """A name that others could have as well is refused, and the sender is told what is wrong."""
    with pytest.raises(BatchNameError, match=said):
        name_of([*NOISE, *metadata])
