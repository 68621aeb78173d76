"""Builds OTLP trace requests out of Google's own messages, for tests that send them."""

import random
from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
Attributes = Mapping[str, str | bool | int | float]

_ids = random.Random(1)


def attributes(values: Attributes) -> list[KeyValue]:
    """Write attributes, each with the type of its value."""
    return [KeyValue(key=key, value=_any(value)) for key, value in values.items()]


def _any(value: str | float) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value)


def span(end_ns: int, duration_s: float, values: Attributes, *, failed: bool = False) -> Span:
    """Write one span with fresh ids."""
    return Span(
        trace_id=_ids.randbytes(16),
        span_id=_ids.randbytes(8),
        name="chat",
        start_time_unix_nano=end_ns - round(duration_s * 1e9),
        end_time_unix_nano=end_ns,
        attributes=attributes(values),
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
    )


def request(spans: Iterable[Span], resource: Attributes | None = None) -> ExportTraceServiceRequest:
    """Put spans of one resource into a request."""
    source = resource if resource is not None else {"service.name": "gateway"}
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=attributes(source)),
                scope_spans=[ScopeSpans(spans=spans)],
            )
        ]
    )
