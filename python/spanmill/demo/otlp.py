"""
Traffic as OTLP, in the vocabularies that a grown fleet speaks side by side.

A span's text attributes repeat from span to span, so each combination is built once and
copied; only times, ids and numbers are set on every span.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from spanmill.demo.fleet import ERRORS, MODELS, PROMPTS, TENANTS, Gateway, Traffic

SECOND_NS: Final = 1_000_000_000

# Odd, so that multiplying is a bijection: ids look random and never repeat.
_SPREAD: Final = 0x9E3779B97F4A7C15F39CC0605CEDC835


@dataclass(frozen=True)
class Names:
    """
    What one vocabulary calls what it can say; None for what it has no word for.

    Timings are seconds; with `milliseconds` they are whole milliseconds.
    """

    scope: str
    model: str
    input_tokens: str
    output_tokens: str
    ttft: str
    prompt_version: str
    operation: str | None = None
    provider: str | None = None
    served: str | None = None
    prompt: str | None = None
    streaming: str | None = None
    error: str | None = None
    cached_tokens: str | None = None
    tpot: str | None = None
    duration: str | None = None
    queue: str = "spanmill.queue_time"
    milliseconds: bool = False


VOCABULARIES: Final = {
    "gen_ai 1.36": Names(
        scope="opentelemetry.instrumentation.openai_v2",
        operation="gen_ai.operation.name",
        provider="gen_ai.system",
        model="gen_ai.request.model",
        served="gen_ai.response.model",
        error="error.type",
        input_tokens="gen_ai.usage.prompt_tokens",
        output_tokens="gen_ai.usage.completion_tokens",
        ttft="gen_ai.server.time_to_first_token",
        tpot="gen_ai.server.time_per_output_token",
        prompt_version="spanmill.prompt_version",
    ),
    "gen_ai 1.41": Names(
        scope="edge.gateway",
        operation="gen_ai.operation.name",
        provider="gen_ai.provider.name",
        model="gen_ai.request.model",
        served="gen_ai.response.model",
        prompt="gen_ai.prompt.name",
        error="error.type",
        input_tokens="gen_ai.usage.input_tokens",
        output_tokens="gen_ai.usage.output_tokens",
        ttft="gen_ai.response.time_to_first_chunk",
        prompt_version="spanmill.prompt_version",
    ),
    "gen_ai new": Names(
        scope="edge.gateway",
        operation="gen_ai.operation.name",
        provider="gen_ai.provider.name",
        model="gen_ai.request.model",
        served="gen_ai.response.model",
        prompt="gen_ai.prompt.name",
        prompt_version="gen_ai.prompt.version",
        streaming="gen_ai.request.stream",
        error="error.type",
        input_tokens="gen_ai.usage.input_tokens",
        cached_tokens="gen_ai.usage.cache_read.input_tokens",
        output_tokens="gen_ai.usage.output_tokens",
        ttft="gen_ai.client.operation.time_to_first_chunk",
    ),
    "ai": Names(
        scope="batch-proxy",
        model="ai.request.model",
        input_tokens="ai.input_tokens",
        output_tokens="ai.output_tokens",
        ttft="ai.latency.first_token_ms",
        duration="ai.latency.total_ms",
        queue="ai.latency.queue_ms",
        prompt_version="spanmill.prompt_version",
        milliseconds=True,
    ),
}


Value = str | bool | int
Key = tuple[int, int, int, int, bool, int]
"""Model, tenant, prompt, error, cold start and attempt: what decides the text of a span."""


@dataclass(frozen=True)
class _Template:
    """A span without times and ids, and where in it each number goes."""

    span: Span
    places: tuple[tuple[int, str], ...]


class Encoder:
    """Writes one gateway's attempts as export requests. `seed` is from 0 to 2^20."""

    def __init__(self, gateway: Gateway, *, hour_start_ns: int, seed: int) -> None:
        self._gateway = gateway
        self._names = VOCABULARIES[gateway.vocabulary]
        self._start_ns = hour_start_ns
        self._first_id = (seed << 40) + 1
        self._resource = _resource(gateway)
        self._templates: dict[Key, _Template] = {}

    def encode(self, attempts: Traffic, first_span: int) -> ExportTraceServiceRequest:
        """
        Build one request; `first_span` numbers its first span in the whole run.

        Attempts of one trace share its trace id, whichever requests they are sent in.
        """
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.CopyFrom(self._resource)
        scope = resource.scope_spans.add()
        scope.scope.name = self._names.scope
        self._add_spans(scope, attempts, first_span)
        return request

    def _add_spans(self, scope: ScopeSpans, attempts: Traffic, first_span: int) -> None:
        end_ns = self._start_ns + np.round(attempts.end_s * SECOND_NS).astype(np.int64)
        start_ns = end_ns - np.round(attempts.duration_s * SECOND_NS).astype(np.int64)
        starts, ends, traces = start_ns.tolist(), end_ns.tolist(), attempts.trace.tolist()
        numbers = self._numbers(attempts)
        for row, key in enumerate(_keys(attempts)):
            template = self._templates.get(key)
            if template is None:
                template = self._templates[key] = self._build_template(key, list(numbers))
            span = scope.spans.add()
            span.CopyFrom(template.span)
            span.trace_id = self._id(traces[row], 16)
            span.span_id = self._id(first_span + row, 8)
            span.start_time_unix_nano = starts[row]
            span.end_time_unix_nano = ends[row]
            attributes = span.attributes
            for place, name in template.places:
                number = numbers[name][row]
                if type(number) is int:
                    attributes[place].value.int_value = number
                else:
                    attributes[place].value.double_value = number

    def _numbers(self, attempts: Traffic) -> dict[str, list[int] | list[float]]:
        """Give the columns of numbers under the names this vocabulary has for them."""
        names = self._names
        timings = {
            names.ttft: attempts.ttft_s,
            names.queue: attempts.queue_s,
            names.tpot: attempts.tpot_s,
            names.duration: attempts.duration_s,
        }
        counts = {
            names.input_tokens: attempts.input_tokens,
            names.cached_tokens: attempts.cached_tokens,
            names.output_tokens: attempts.output_tokens,
        }
        columns: dict[str, list[int] | list[float]] = {
            "spanmill.cold_start_time": attempts.cold_start_s.tolist()
        }
        for name, seconds in timings.items():
            if name is not None:
                in_ms = np.round(seconds * 1000).astype(np.int64)
                columns[name] = in_ms.tolist() if names.milliseconds else seconds.tolist()
        columns |= {name: count.tolist() for name, count in counts.items() if name is not None}
        return columns

    def _build_template(self, key: Key, numbers: list[str]) -> _Template:
        model, _, _, error, cold_start, _ = key
        span = Span(name=f"chat {MODELS[model].name}", kind=Span.SPAN_KIND_CLIENT)
        if error:
            span.status.code = Status.STATUS_CODE_ERROR
        _add(span, self._texts(key))
        missing = set()
        if error:
            names = self._names
            missing |= {names.ttft, names.tpot, names.output_tokens, names.cached_tokens}
        if not cold_start:
            missing.add("spanmill.cold_start_time")
        carried = [name for name in numbers if name not in missing]
        first = len(span.attributes)
        span.attributes.extend(KeyValue(key=name) for name in carried)
        return _Template(span, tuple(enumerate(carried, first)))

    def _texts(self, key: Key) -> dict[str | None, Value]:
        model, tenant, prompt, error, cold_start, attempt = key
        names = self._names
        texts: dict[str | None, Value] = {
            names.operation: "chat",
            names.provider: MODELS[model].provider,
            names.model: MODELS[model].name,
            names.served: MODELS[model].name,
            names.prompt: PROMPTS[prompt].name,
            names.prompt_version: PROMPTS[prompt].version,
            names.streaming: True,
            "spanmill.tenant": TENANTS[tenant].name,
            "spanmill.plan_tier": TENANTS[tenant].plan_tier,
            "spanmill.cold_start": cold_start,
        }
        if error:
            texts[names.error] = ERRORS[error]
        if attempt:
            texts["http.request.resend_count"] = attempt
        return texts

    def _id(self, number: int, size: int) -> bytes:
        spread = (self._first_id + number) * _SPREAD
        return (spread % (1 << 8 * size)).to_bytes(size)


def _keys(attempts: Traffic) -> list[Key]:
    return list(
        zip(
            attempts.model.tolist(),
            attempts.tenant.tolist(),
            attempts.prompt.tolist(),
            attempts.error.tolist(),
            (attempts.cold_start_s > 0).tolist(),
            attempts.attempt.tolist(),
            strict=True,
        )
    )


def _resource(gateway: Gateway) -> Resource:
    resource = Resource()
    _add(
        resource,
        {
            "service.name": gateway.service,
            "service.instance.id": f"{gateway.service}-{gateway.region}-0",
            "cloud.region": gateway.region,
            "deployment.environment.name": "production",
            "telemetry.sdk.language": "go",
        },
    )
    return resource


def _add(message: Span | Resource, values: Mapping[str | None, Value]) -> None:
    for name, value in values.items():
        if name is None:
            continue
        added = message.attributes.add(key=name).value
        # A bool is an int to Python, so it comes first.
        if isinstance(value, bool):
            added.bool_value = value
        elif isinstance(value, int):
            added.int_value = value
        else:
            added.string_value = value
