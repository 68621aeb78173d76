"""
The walker against Google's protobuf: same bytes in, same fields or same refusal out.

The oracle is protobuf (upb) with OTLP's own schema *pruned* to the fields the walker reads.
Strings are typed as bytes, since the walker does not judge UTF-8, and arrays and
lists inside a value are opaque bytes, since it does not open them; all else is unknown
and skipped. Acceptance and every field must agree exactly. And whatever the full schema
accepts, the walker must accept with equal fields.

Rules of protobuf that are easy to get wrong, all pinned by `wire_cases.CORNERS`:

- A tag has at most 5 bytes and 32 bits; number 0 is refused, except inside a group that
  is being skipped. A length has at most 5 bytes and is at most 2^31 - 1.
- A varint has at most 10 bytes; bits past 64 are dropped, not refused. A bool is true
  when the 64 bits that remain are not 0; an enum keeps the low 32.
- A known number under another wire type is an unknown field: skipped, not refused.
- Messages and groups share one depth of 100, so a group may nest 100 deep in the
  request, 97 deep in a span and 95 deep in an attribute's value.
- The last of several scalars wins; several copies of one submessage merge, and so do
  the `value`s of one attribute. In a value the last field set wins, even when it is an
  empty array or the string-table index (8) that only profiles use.
"""

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from spanmill import _core
from spanmill.errors import WireError
from tests.peers.wire_cases import CaseMaker

CASES_PER_CHUNK: Final = 1000
"""Cases made from one seed; a failure names its chunk, which replays alone."""

KEPT: Final = (
    (trace_service_pb2.ExportTraceServiceRequest, ("resource_spans",)),
    (trace_pb2.ResourceSpans, ("resource", "scope_spans")),
    (resource_pb2.Resource, ("attributes",)),
    (trace_pb2.ScopeSpans, ("scope", "spans")),
    (common_pb2.InstrumentationScope, ("name",)),
    (
        trace_pb2.Span,
        (
            "trace_id", "span_id", "parent_span_id", "name", "kind", "start_time_unix_nano",
            "end_time_unix_nano", "attributes", "status",
        ),
    ),
    (trace_pb2.Status, ("code",)),
    (common_pb2.KeyValue, ("key", "value")),
    (common_pb2.AnyValue, tuple(common_pb2.AnyValue.DESCRIPTOR.fields_by_name)),
)  # fmt: skip
"""The fields the walker reads. Every kind of AnyValue stays: the last one set wins."""

OPAQUE: Final = ("array_value", "kvlist_value")

Fields = dict[str, Any]
"""What the walker reads of one request, in the shape of `explain_traces`."""

_AnyMessage = Any  # of a class made at run time, or of the full schema


def pruned_request() -> type[Message]:
    """Build the request class of the pruned schema."""
    fields = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="pruned.proto", package="pruned", syntax="proto3"
    )
    for source, names in KEPT:
        pruned = file.message_type.add()
        source.DESCRIPTOR.CopyToProto(pruned)
        keep = [f for f in pruned.field if f.name in names]
        for each in keep:
            if each.type == fields.TYPE_STRING or each.name in OPAQUE:
                each.type = fields.TYPE_BYTES
            elif each.type == fields.TYPE_ENUM:
                each.type = fields.TYPE_INT32
            # An enum as int32 reads the same bytes and spares copying the enum.
            if each.type == fields.TYPE_MESSAGE:
                each.type_name = ".pruned." + each.type_name.rsplit(".", 1)[1]
            else:
                each.ClearField("type_name")
        for part in ("field", "nested_type", "enum_type", "reserved_range", "reserved_name"):
            pruned.ClearField(part)
        pruned.field.extend(keep)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("pruned.ExportTraceServiceRequest")
    )


PRUNED: Final = pruned_request()
FULL: Final = trace_service_pb2.ExportTraceServiceRequest

_AS_WALKER: Final[dict[str | None, Callable[[Any], list[Any]]]] = {
    "string_value": lambda v: ["string", _hex(v)],
    "bool_value": lambda v: ["bool", v],
    "int_value": lambda v: ["int", str(v)],
    "double_value": lambda v: ["double", struct.pack(">d", v).hex()],
    "bytes_value": lambda v: ["bytes", v.hex()],
    None: lambda _: ["none", None],
}


def _hex(text: str | bytes) -> str:
    return (text if isinstance(text, bytes) else text.encode()).hex()


def _attributes(attributes: Iterable[Any]) -> list[list[Any]]:
    found = []
    for attribute in attributes:
        value = attribute.value
        kind = value.WhichOneof("value")
        as_walker = _AS_WALKER.get(kind)
        read = ["other", None] if as_walker is None else as_walker(kind and getattr(value, kind))
        found.append([_hex(attribute.key), *read])
    return found


def _span(span: _AnyMessage) -> Fields:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "name": _hex(span.name),
        "kind": span.kind,
        "start": str(span.start_time_unix_nano),
        "end": str(span.end_time_unix_nano),
        "status": span.status.code,
        "attributes": _attributes(span.attributes),
    }


def describe(request: _AnyMessage) -> Fields:
    """List what the walker reads, from a message of either schema, in the walker's own shape."""
    return {
        "resource_spans": [
            {
                "attributes": _attributes(resource_spans.resource.attributes),
                "scope_spans": [
                    {
                        "scope_name_hex": _hex(scope_spans.scope.name),
                        "spans": [_span(span) for span in scope_spans.spans],
                    }
                    for scope_spans in resource_spans.scope_spans
                ],
            }
            for resource_spans in request.resource_spans
        ]
    }


def by_protobuf(schema: type[Message], data: bytes) -> Fields | None:
    """Decode `data` with Google's protobuf; `None` when it refuses."""
    try:
        return describe(schema.FromString(data))
    except DecodeError:
        return None


def by_walker(data: bytes) -> Fields | None:
    """Decode `data` with the walker; `None` when it refuses, and a panic is no refusal."""
    try:
        fields: Fields = json.loads(_core.explain_traces(data))
    except WireError:
        return None
    return fields


def disagreement(data: bytes) -> str | None:
    """Say how walker and protobuf differ on `data`; `None` when they agree."""
    try:
        ours = by_walker(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  a Rust panic is a BaseException
        return f"the walker broke: {error!r}"
    expected = by_protobuf(PRUNED, data)
    if expected != ours:
        return f"protobuf: {_short(expected)}\nwalker:   {_short(ours)}"
    full = by_protobuf(FULL, data)
    if full is not None and full != ours:
        return f"full schema: {_short(full)}\nwalker:      {_short(ours)}"
    return None


def _short(fields: Fields | None) -> str:
    return "refused" if fields is None else json.dumps(fields)[:2000]


def shrunk(data: bytes) -> bytes:
    """Cut `data` down while walker and protobuf still disagree on it."""
    step = max(1, len(data) // 2)
    while step:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + step :]
            if disagreement(shorter) is None:
                at += step
            else:
                data = shorter
        step //= 2
    return data


@dataclass
class Tally:
    """What a run of cases came to."""

    cases: int = 0
    accepted: int = 0
    """Cases that the pruned schema, and so the walker, accepts."""

    accepted_in_full: int = 0
    """Cases that also are valid under the full schema."""

    disagreements: list[str] = field(default_factory=list)
    """One text for each differing case, the bytes cut down and in hex."""

    def add(self, other: "Tally") -> None:
        """Add another run's figures to these."""
        self.cases += other.cases
        self.accepted += other.accepted
        self.accepted_in_full += other.accepted_in_full
        self.disagreements += other.disagreements


def compare_chunk(chunk: int) -> Tally:
    """Compare the `CASES_PER_CHUNK` cases of one seed; stops at the first disagreement."""
    tally = Tally()
    for data in islice(CaseMaker(f"wire-{chunk}").cases(), CASES_PER_CHUNK):
        tally.cases += 1
        if disagreement(data) is not None:
            small = shrunk(data)
            tally.disagreements.append(f"chunk {chunk}: {small.hex()}\n{disagreement(small)}")
            break
        tally.accepted += _accepts(PRUNED, data)
        tally.accepted_in_full += _accepts(FULL, data)
    return tally


def span_count(data: bytes) -> int | None:
    """Count the spans that protobuf finds in `data`; `None` when it refuses."""
    fields = by_protobuf(PRUNED, data)
    if fields is None:
        return None
    scopes = (scope for part in fields["resource_spans"] for scope in part["scope_spans"])
    return sum(len(scope["spans"]) for scope in scopes)


def _accepts(schema: type[Message], data: bytes) -> bool:
    try:
        schema.FromString(data)
    except DecodeError:
        return False
    return True
