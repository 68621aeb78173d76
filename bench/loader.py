"""
The load generator: a process of its own that sends OTLP over gRPC and times the answers.

Started as `python -m bench.loader PLAN`, with the plan as JSON; prints its result as JSON.
Closed loop: so many calls are always under way. Open loop: calls leave on a schedule,
whatever the answers do, and are timed from when they were *meant* to leave, so that a
server that stalls is charged for everyone who had to wait.
"""

import asyncio
import itertools
import json
import os
import selectors
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
import numpy as np

from bench import columns, payload

if TYPE_CHECKING:
    Call = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]

EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
OUTSTANDING_MAX: Final = 2_000
"""An open loop with this many answers owed is not being served; it gives up."""


@dataclass(frozen=True)
class Plan:
    """What to send, where, and for how long."""

    target: str
    """Host and port of an OTLP/gRPC listener."""

    server_pid: int
    """Process whose CPU time is read at both ends of the timed stretch."""

    pool: str
    """File that `payload.Pool.save` wrote."""

    batch: int
    """Spans in a request."""

    seconds: float
    warmup_s: float = 1.0
    connections: int = 2
    in_flight: int = 3
    """Calls under way on each connection, in a closed loop."""

    spans_per_s: float | None = None
    """The open loop's rate; `None` for a closed loop."""

    columns: bool = False
    """Whether the same traffic goes as `SpanBatch` messages."""


@dataclass
class Result:
    """What a load came to. Times in seconds, acknowledgements in milliseconds."""

    acked_spans: int = 0
    """Spans acknowledged in all, warm-up and drain included: what the server must have."""

    failed: dict[str, int] = field(default_factory=dict)
    """Calls that failed, by status code."""

    span_bytes: float = 0.0
    """Bytes on the wire for each span, the request's own framing included."""

    spans: int = 0
    """Spans acknowledged in the timed stretch."""

    seconds: float = 0.0
    server_cpu_s: float = 0.0
    loader_cpu_s: float = 0.0
    ack_ms: dict[str, float] = field(default_factory=dict)
    """`p50`, `p99` and `max` of the calls that ended in the timed stretch."""


def cpu_seconds(pid: int) -> float:
    """Read the CPU time, user and system, that a process has used so far."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Loader:
    """Sends one plan's load."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._method = columns.SEND if plan.columns else EXPORT
        self._requests: Sequence[payload.Request | columns.Request] = (
            columns.requests(plan.batch)
            if plan.columns
            else payload.Pool.load(Path(plan.pool)).requests(plan.batch)
        )
        self._numbers = itertools.count(1)
        self._result = Result()
        self._failed: Counter[str] = Counter()
        self._ack_s: list[float] = []

    async def run(self) -> Result:
        """Send until the plan's time is over and every answer is in."""
        plan = self._plan
        # Without its own pool a second channel to one address shares the first's connection.
        options = (("grpc.use_local_subchannel_pool", 1),)
        channels = [
            grpc.aio.insecure_channel(plan.target, options) for _ in range(plan.connections)
        ]
        calls = [channel.unary_unary(self._method, None, None) for channel in channels]
        try:
            await asyncio.gather(*(channel.channel_ready() for channel in channels))
            start = time.perf_counter()
            sending = (
                self._closed(calls, start) if plan.spans_per_s is None else self._open(calls, start)
            )
            await asyncio.gather(sending, self._measure(start + plan.warmup_s))
        finally:
            for channel in channels:
                await channel.close(None)
        self._result.failed = dict(self._failed)
        return self._result

    def _closed(self, calls: list["Call"], start: float) -> Coroutine[None, None, object]:
        end = start + self._plan.warmup_s + self._plan.seconds
        lanes = len(calls) * self._plan.in_flight

        async def lane(k: int) -> None:
            for request in itertools.cycle(self._requests[k::lanes]):
                now = time.perf_counter()
                if now >= end:
                    return
                await self._send(calls[k % len(calls)], request, now)

        async def lanes_end() -> None:
            await asyncio.gather(*(lane(k) for k in range(lanes)))

        return lanes_end()

    async def _open(self, calls: list["Call"], start: float) -> None:
        owed: set[asyncio.Task[None]] = set()
        for due, request, call in zip(
            self._schedule(start), itertools.cycle(self._requests), itertools.cycle(calls)
        ):
            delay = due - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            if len(owed) >= OUTSTANDING_MAX:
                self._failed["LOADER_GAVE_UP"] += 1
                break
            sending = asyncio.create_task(self._send(call, request, due))
            owed.add(sending)
            sending.add_done_callback(owed.discard)
        await asyncio.gather(*owed)

    def _schedule(self, start: float) -> Iterator[float]:
        plan = self._plan
        assert plan.spans_per_s is not None
        every = plan.batch / plan.spans_per_s
        for n in range(int((plan.warmup_s + plan.seconds) / every)):
            yield start + n * every

    async def _send(
        self, call: "Call", request: payload.Request | columns.Request, since: float
    ) -> None:
        first = next(self._numbers) * request.spans
        message = request.fresh(time.time_ns(), first)
        try:
            await call(message)
        except grpc.aio.AioRpcError as error:
            self._failed[error.code().name] += 1
            return
        self._ack_s.append(time.perf_counter() - since)
        self._result.acked_spans += request.spans
        self._result.span_bytes = len(message) / request.spans

    async def _measure(self, begin: float) -> None:
        await asyncio.sleep(begin - time.perf_counter())
        spans, acks, own = self._result.acked_spans, len(self._ack_s), time.process_time()
        began, server = time.perf_counter(), cpu_seconds(self._plan.server_pid)
        await asyncio.sleep(self._plan.seconds)
        result = self._result
        result.server_cpu_s = cpu_seconds(self._plan.server_pid) - server
        result.seconds = time.perf_counter() - began
        result.loader_cpu_s = time.process_time() - own
        result.spans = result.acked_spans - spans
        ack_ms = np.array(self._ack_s[acks:]) * 1e3
        if ack_ms.size:
            p50, p99 = np.percentile(ack_ms, (50, 99))
            result.ack_ms = {"p50": float(p50), "p99": float(p99), "max": float(ack_ms.max())}


def main() -> None:
    """Run the plan given as the only argument."""
    plan = Plan(**json.loads(sys.argv[1]))
    # epoll rounds a wait up to the next millisecond, longer than the gap between two sends.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    result = loop.run_until_complete(Loader(plan).run())
    loop.close()
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
