"""A daemon's front and core for the writer's tests, and a batch that never changes."""

import json
from pathlib import Path
from typing import Any, Final

from spanmill import _core
from spanmill.model import Address
from spanmill.receiver import GrpcReceiver, ReceiverLimits
from spanmill.v1 import ingest_pb2
from spanmill.writer.columns import Row, encode, from_rows
from spanmill.writer.dictionary import Dictionary

GOLDEN: Final = Path(__file__).parents[2] / "rust/spanmill-core/tests/golden/span-batch-1.bin"
GOLDEN_START_US: Final = 1_795_219_190_000_000


class Daemon:
    """A receiver on a real core, that may be stopped and started again on the same port."""

    def __init__(self, core: _core.Engine, port: int = 0, **limits: int) -> None:
        self.core = core
        self._limits = ReceiverLimits(**limits)
        self.receiver = self._start(port)

    def _start(self, port: int) -> GrpcReceiver:
        receiver = GrpcReceiver(self.core, Address("127.0.0.1", port), self._limits, 1 << 24)
        receiver.start()
        return receiver

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self.receiver.address)

    def restart_listener(self) -> None:
        """Close every connection, and listen again."""
        port = self.receiver.address.port
        self.receiver.stop(0)
        self.receiver = self._start(port)

    def stop(self) -> None:
        """End it."""
        self.receiver.stop(0)

    def ledger(self) -> dict[str, Any]:
        """Read the books."""
        books: dict[str, Any] = json.loads(self.core.ledger())
        return books

    def counts(self, measure: str = "duration", by: str = "model") -> dict[str | None, int]:
        """Count the events of the last ten minutes that have a measure, by a dimension."""
        answer = json.loads(
            self.core.query(
                json.dumps(
                    {
                        "measure": measure,
                        "q": [],
                        "by": [by],
                        "where": [],
                        "window_s": 600,
                        "end_ns": None,
                        "view": None,
                    }
                )
            )
        )
        return {series["dims"].get(by): series["count"] for series in answer["series"]}


def golden() -> bytes:
    """Write the batch of the golden file: every kind of column there is."""
    dictionary = Dictionary({"service.name": "gateway"})
    atlas = dictionary.place({"gen_ai.request.model": "atlas", "gen_ai.request.stream": True})
    birch = dictionary.place({"gen_ai.request.model": "birch", "spanmill.tenant": "acme"})
    span_id = bytes(range(8))
    rows = [
        Row(
            atlas,
            GOLDEN_START_US,
            1_500_000,
            failed=False,
            trace_id=bytes(range(16)),
            span_id=span_id,
            measures={"ttft_s": 0.25, "output_tokens": 100, "cost_usd": 1e-9},
        ),
        Row(
            birch,
            GOLDEN_START_US + 1_000_001,
            5_000_000_000,
            failed=True,
            trace_id=None,
            span_id=span_id,
            measures={"input_tokens": 7},
        ),
        Row(
            atlas,
            GOLDEN_START_US + 5,
            2_000_000,
            failed=False,
            trace_id=None,
            span_id=None,
            measures={"ttft_s": 0.5, "output_tokens": 3, "input_tokens": 9},
        ),
    ]
    batch = encode(from_rows(rows))
    batch.producer_id, batch.epoch, batch.seq = bytes(range(1, 17)), 1_795_219_200, 300
    batch.new_series.extend(dictionary.since(0, len(dictionary)))
    return _core.with_checksum(batch.SerializeToString(deterministic=True))


def ack(answer: bytes) -> ingest_pb2.SpanBatchAck:
    """Read an answer."""
    return ingest_pb2.SpanBatchAck.FromString(answer)
