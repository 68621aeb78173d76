"""
OTLP trace requests for every scenario: about 500 B a span, 1,000 series, fresh at each send.

A span of a gateway that calls models: OTel GenAI attributes plus spanmill's queue time, so
that all six measures of the default view are filled. Each request carries one
resource, as an SDK's batch does, and 20 resources take turns. Requests are encoded once;
ids and times lie at one fixed stride, so a send rewrites them with four NumPy stores.
"""

import itertools
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

POOL_SPANS: Final = 81_920
"""Distinct spans in a payload, whatever the batch: 20 resources of 4,096."""

SERVICES: Final = ("gateway-chat", "gateway-code", "gateway-rag", "gateway-agent", "gateway-batch")
REGIONS: Final = ("us-east-1", "us-west-2", "eu-west-1", "ap-south-1")
# Of one length: the span's name holds the model and stands before the times, whose
# place must not move.
MODELS: Final = (
    "atlas-large-v3", "atlas-small-v3", "atlas-turbo-v2", "birch-large-v4", "birch-micro-v4",
    "cedar-70b-chat", "cedar-08b-chat", "delta-34b-code", "delta-07b-code", "ember-mixed-v1",
)  # fmt: skip
TENANTS: Final = ("acme", "globex", "initech", "umbrella", "wayne")
SERIES: Final = len(SERVICES) * len(REGIONS) * len(MODELS) * len(TENANTS)

SPAN_ATTRIBUTES: Final = 12
RESOURCE_ATTRIBUTES: Final = 5

SPREAD_NS: Final = 2_000_000_000
"""A batch's spans ended within this time before its send."""

_SEED: Final = 20
_TRACE_SPREAD: Final = 0x9E3779B97F4A7C15
_SPAN_SPREAD: Final = 0xD1342543DE82EF95
# Odd factors are bijections modulo 2^64: ids look random and never repeat.

_NAME: Final = b"chat "
_TRACE_ID_AT: Final = 2
_SPAN_ID_AT: Final = _TRACE_ID_AT + 16 + 2
_START_AT: Final = _SPAN_ID_AT + 8 + 10 + 2 + len(_NAME) + len(MODELS[0]) + 2 + 1
_END_AT: Final = _START_AT + 8 + 1
_OUTER_HEAD: Final = 3
"""Tag and length before each span's own fields: two length bytes from 128 to 16,383 B."""

_U64: Final = (1 << 64) - 1


@dataclass(frozen=True)
class Traffic:
    """What `POOL_SPANS` requests to models measured, one row each; times in seconds."""

    model: NDArray[np.intp]
    tenant: NDArray[np.intp]
    failed: NDArray[np.bool_]
    ttft_s: NDArray[np.float64]
    queue_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]

    @classmethod
    def drawn(cls) -> "Traffic":
        """Draw heavy-tailed traffic; the same on every machine and in every run."""
        rng = np.random.default_rng(_SEED)
        n = POOL_SPANS
        model = rng.choice(len(MODELS), n, p=_by_rank(len(MODELS)))
        output_tokens = rng.lognormal(np.log(220), 1.0, n).clip(2, 8_000).astype(np.int64)
        ttft_s = rng.lognormal(np.log(0.35), 0.8, n) * (1 + 0.15 * model)
        tpot_s = rng.lognormal(np.log(0.018), 0.35, n)
        return cls(
            model=model,
            tenant=rng.choice(len(TENANTS), n, p=_by_rank(len(TENANTS))),
            failed=rng.random(n) < 0.01,
            ttft_s=ttft_s,
            queue_s=rng.lognormal(np.log(0.02), 1.2, n),
            duration_s=ttft_s + tpot_s * (output_tokens - 1),
            input_tokens=rng.lognormal(np.log(900), 1.2, n).clip(1, 120_000).astype(np.int64),
            output_tokens=output_tokens,
        )


class Request:
    """One encoded `ExportTraceServiceRequest` whose ids and times are rewritten at each send."""

    def __init__(
        self, head: bytes, spans: NDArray[np.uint8], duration_s: NDArray[np.float64]
    ) -> None:
        self.spans: Final = len(spans)
        self._bytes = bytearray(head + spans.tobytes())
        hole = np.dtype(
            {
                "names": ["trace_high", "trace_low", "span", "start", "end"],
                "formats": ["<u8"] * 5,
                "offsets": [_TRACE_ID_AT, _TRACE_ID_AT + 8, _SPAN_ID_AT, _START_AT, _END_AT],
            }
        )
        first = len(head) + _OUTER_HEAD
        holes = np.ndarray(self.spans, hole, self._bytes, first, (spans.shape[1],))
        holes["trace_high"] = secrets.randbits(63) + 1
        self._trace, self._span = holes["trace_low"], holes["span"]
        self._start, self._end = holes["start"], holes["end"]
        rows = np.arange(self.spans, dtype=np.uint64)
        self._trace_step, self._span_step = (
            rows * np.uint64(_TRACE_SPREAD),
            rows * np.uint64(_SPAN_SPREAD),
        )
        # Newest last, as a batch processor queues them; never in the future.
        self._end_ago = np.linspace(SPREAD_NS, 1_000_000, self.spans).astype(np.uint64)
        self._start_ago = self._end_ago + (duration_s * 1e9).astype(np.uint64)

    def fresh(self, now_ns: int, first: int) -> bytes:
        """
        Write new ids and times and return the request's bytes.

        Args:
            now_ns: Unix time of the send; spans end within `SPREAD_NS` before it.
            first: Number of the first span, unique over a run and 1 or more.
        """
        now = np.uint64(now_ns)
        np.add(self._trace_step, np.uint64(first * _TRACE_SPREAD & _U64), out=self._trace)
        np.add(self._span_step, np.uint64(first * _SPAN_SPREAD & _U64), out=self._span)
        np.subtract(now, self._start_ago, out=self._start)
        np.subtract(now, self._end_ago, out=self._end)
        return bytes(self._bytes)


@dataclass(frozen=True)
class Pool:
    """Every encoded span, all of one length, with holes for ids and times."""

    spans: NDArray[np.uint8]
    """Shape (POOL_SPANS, bytes of a span); each row a field of `ScopeSpans`."""

    duration_s: NDArray[np.float64]

    @classmethod
    def encoded(cls) -> "Pool":
        """Draw and encode the traffic; takes seconds, so save it for the processes that send."""
        traffic = Traffic.drawn()
        fields = [_fields(traffic, row) for row in range(POOL_SPANS)]
        longest = max(map(len, fields))
        # The response id takes up what other values leave, so that all are of one length.
        spans = [
            _delimited(
                2, each + _text(9, "gen_ai.response.id", f"{row:0{16 + longest - len(each)}x}")
            )
            for row, each in enumerate(fields)
        ]
        shaped = np.frombuffer(b"".join(spans), np.uint8).reshape(POOL_SPANS, len(spans[0]))
        return cls(shaped, traffic.duration_s)

    def save(self, path: Path) -> None:
        """Write the pool to one file that `load` reads."""
        np.savez(path, spans=self.spans, duration_s=self.duration_s)

    @classmethod
    def load(cls, path: Path) -> "Pool":
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            return cls(arrays["spans"], arrays["duration_s"])

    def requests(self, batch: int) -> list[Request]:
        """
        Cut the whole pool into requests of `batch` spans.

        Raises:
            ValueError: `batch` does not divide 4,096, the spans of one resource.
        """
        resources = list(itertools.product(SERVICES, REGIONS))
        per_resource = POOL_SPANS // len(resources)
        if per_resource % batch:
            raise ValueError(f"batch must divide {per_resource}, got {batch}")
        turns = per_resource // batch
        made = []
        for turn in range(turns):
            # Resources take turns, as they do when many senders share a receiver.
            for r, (service, region) in enumerate(resources):
                first = r * per_resource + turn * batch
                spans = self.spans[first : first + batch]
                head = _head(service, region, spans.size)
                made.append(Request(head, spans, self.duration_s[first : first + batch]))
        return made


def _by_rank(n: int) -> NDArray[np.float64]:
    weight: NDArray[np.float64] = 1.0 / np.arange(1, n + 1)
    share: NDArray[np.float64] = weight / weight.sum()
    return share


def _head(service: str, region: str, spans_bytes: int) -> bytes:
    """Write everything before the first span; lengths cover the spans that follow."""
    resource = b"".join(
        (
            _text(1, "service.name", service),
            _text(1, "service.version", "2026.11.3"),
            _text(1, "service.instance.id", f"{service}-7d9f6c5b4-x2x{region[-1]}"),
            _text(1, "cloud.region", region),
            _text(1, "deployment.environment.name", "production"),
        )
    )
    scope_spans = _delimited(1, _delimited(1, b"spanmill.bench"))
    scope_head = b"\x12" + _varint(len(scope_spans) + spans_bytes) + scope_spans
    resource_spans = _delimited(1, resource) + scope_head
    return b"\x0a" + _varint(len(resource_spans) + spans_bytes) + resource_spans


def _fields(traffic: Traffic, row: int) -> bytes:
    model = MODELS[traffic.model[row]]
    return b"".join(
        (
            b"\x0a\x10" + bytes(16),
            b"\x12\x08" + bytes(8),
            b"\x22\x08" + struct.pack(">Q", 0xB7AD6B7169203331 + row),
            _delimited(5, _NAME + model.encode()),
            b"\x30\x03",
            b"\x39" + bytes(8),
            b"\x41" + bytes(8),
            _text(9, "gen_ai.operation.name", "chat"),
            _text(9, "gen_ai.provider.name", "openai"),
            _text(9, "gen_ai.request.model", model),
            _text(9, "gen_ai.response.model", model),
            _attribute(9, "gen_ai.request.stream", b"\x10\x01"),
            _double(9, "gen_ai.response.time_to_first_chunk", float(traffic.ttft_s[row])),
            _integer(9, "gen_ai.usage.input_tokens", int(traffic.input_tokens[row])),
            _integer(9, "gen_ai.usage.output_tokens", int(traffic.output_tokens[row])),
            _text(9, "spanmill.tenant", TENANTS[traffic.tenant[row]]),
            _double(9, "spanmill.queue_time", float(traffic.queue_s[row])),
            _integer(9, "server.port", 443),
            _delimited(15, b"\x18" + (b"\x02" if traffic.failed[row] else b"\x01")),
        )
    )


def _text(number: int, key: str, value: str) -> bytes:
    return _attribute(number, key, _delimited(1, value.encode()))


def _integer(number: int, key: str, value: int) -> bytes:
    return _attribute(number, key, b"\x18" + _varint(value))


def _double(number: int, key: str, value: float) -> bytes:
    return _attribute(number, key, b"\x21" + struct.pack("<d", value))


def _attribute(number: int, key: str, value: bytes) -> bytes:
    return _delimited(number, _delimited(1, key.encode()) + _delimited(2, value))


def _delimited(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])
