"""The receiver's share of the `limits` section."""

from typing import Annotated

from pydantic import Field

from spanmill.model import Bytes, Section


class ReceiverLimits(Section):
    """How much work may wait at the door. Over a limit requests are refused, to be retried."""

    inflight_bytes: Annotated[Bytes, Field(ge=1024)] = 256 * 1024**2
    """Request bytes held at once, decompressed."""

    inflight_requests: Annotated[int, Field(ge=1)] = 1024
    """Requests open at once, those still arriving included."""

    workers: Annotated[int, Field(ge=1, le=1024)] = 64
    """Threads that take requests. A request that arrives slowly holds one."""

    streams: Annotated[int, Field(ge=1, le=1024)] = 64
    """Streams of columns open at once; each holds a thread for as long as it is open."""
