"""
Sends an hour of traffic in event time: real OTLP over real gRPC, one channel per gateway.

The gateways advance together, a slice of event time at a stroke. Were one to run ahead,
the watermark would follow it and call the others' spans late.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, TypeAlias, cast

import grpc
import numpy as np
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from spanmill.demo.fleet import GATEWAYS, Traffic
from spanmill.demo.otlp import Encoder

_EXPORT_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_CALL_WITHIN_S: Final = 30.0
_TRIES: Final = 5


# Quoted, because only the type checker's grpc has parameters.
_Export: TypeAlias = (
    "grpc.UnaryUnaryMultiCallable[ExportTraceServiceRequest, ExportTraceServiceResponse]"
)


@dataclass(frozen=True)
class Played:
    """What was sent and acknowledged."""

    spans: int
    rejected: int
    requests: int
    bytes: int
    wall_s: float


class Sender:
    """One gateway: its encoder and its own channel."""

    def __init__(self, encoder: Encoder, target: str) -> None:
        self._encoder = encoder
        self._channel = grpc.insecure_channel(target)
        self._export: _Export = self._channel.unary_unary(
            _EXPORT_METHOD,
            request_serializer=ExportTraceServiceRequest.SerializeToString,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )

    def send(self, attempts: Traffic, first_span: int) -> "Sending":
        """Start sending; `first_span` numbers the first span in the whole run."""
        request = self._encoder.encode(attempts, first_span)
        return Sending(self._export, request, len(attempts))

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class Sending:
    """One request under way."""

    def __init__(
        self,
        export: _Export,
        request: ExportTraceServiceRequest,
        spans: int,
    ) -> None:
        self.spans = spans
        self.bytes = request.ByteSize()
        self._export = export
        self._request = request
        self._call = export.future(request, timeout=_CALL_WITHIN_S)

    def wait(self) -> int:
        """
        Wait for the acknowledgement; send again, when told to, after the delay asked for.

        Returns:
            How many spans were refused for good.

        Raises:
            grpc.RpcError: The request was refused, or still is after five tries.
        """
        for tries_left in reversed(range(_TRIES)):
            try:
                response = self._call.result()
            except grpc.RpcError as error:
                delay_s = _retry_after_s(error)
                if delay_s is None or not tries_left:
                    raise
                time.sleep(delay_s)
                self._call = self._export.future(self._request, timeout=_CALL_WITHIN_S)
            else:
                return int(response.partial_success.rejected_spans)
        raise AssertionError("the last try returns or raises")


def _retry_after_s(error: grpc.RpcError) -> float | None:
    """Read how long the server asks to wait; None where OTLP forbids another try."""
    # What a future raises is the call itself, which the type does not say.
    call = cast("grpc.Call", error)
    if call.code() is not grpc.StatusCode.UNAVAILABLE:
        return None
    status = rpc_status.from_call(call)
    for detail in status.details if status else ():
        info = RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return 0.1


def play(
    traffic: Traffic,
    *,
    target: str,
    hour_start_ns: int,
    seed: int,
    slice_s: float,
    on_progress: Callable[[int], None],
) -> Played:
    """
    Send all traffic in the order in which it ended, `slice_s` of event time at a stroke.

    While one slice is on its way the next is encoded. `on_progress` is told how many
    attempts each slice had.

    Raises:
        grpc.RpcError: A request was refused for good.
    """
    senders = [
        Sender(Encoder(gateway, hour_start_ns=hour_start_ns, seed=seed), target)
        for gateway in GATEWAYS
    ]
    started = time.monotonic()
    total = Played(spans=0, rejected=0, requests=0, bytes=0, wall_s=0.0)
    before: list[Sending] = []
    try:
        for part in _slices(traffic, slice_s):
            under_way = _send_slice(senders, part, total.spans)
            rejected = sum(one.wait() for one in before)
            total = replace(
                total,
                spans=total.spans + len(part),
                rejected=total.rejected + rejected,
                requests=total.requests + len(under_way),
                bytes=total.bytes + sum(one.bytes for one in under_way),
            )
            on_progress(len(part))
            before = under_way
        rejected = total.rejected + sum(one.wait() for one in before)
    finally:
        for sender in senders:
            sender.close()
    return replace(total, rejected=rejected, wall_s=time.monotonic() - started)


def _slices(traffic: Traffic, slice_s: float) -> Iterator[Traffic]:
    edges_s = np.arange(0.0, traffic.end_s[-1] + slice_s, slice_s)
    edges = np.searchsorted(traffic.end_s, edges_s).tolist()
    for first, last in pairwise(edges):
        yield traffic.take(slice(first, last))


def _send_slice(senders: Sequence[Sender], part: Traffic, first_span: int) -> list[Sending]:
    under_way = []
    for number, sender in enumerate(senders):
        attempts = part.take(part.gateway == number)
        if len(attempts):
            under_way.append(sender.send(attempts, first_span))
            first_span += len(attempts)
    return under_way
