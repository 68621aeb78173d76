"""What goes over the wire says what was drawn, in every vocabulary."""

from collections.abc import Sequence

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from spanmill.demo.fleet import ERRORS, GATEWAYS, MODELS, PROMPTS, TENANTS, Traffic, draw_traffic
from spanmill.demo.otlp import VOCABULARIES, Encoder

START_NS = 1_790_000_000_000_000_000


def attributes(found: Sequence[KeyValue]) -> dict[str, str | bool | int | float]:
    """Read attributes as Python values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in found}


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """Ten minutes, with failures, retries and cold starts."""
    return draw_traffic(seed=3, duration_s=600.0)


@pytest.fixture(scope="module", params=range(len(GATEWAYS)), ids=lambda it: GATEWAYS[it].vocabulary)
def sent(request: pytest.FixtureRequest, traffic: Traffic) -> tuple[int, Traffic, list[Span]]:
    """One gateway, its attempts, and the spans that Google's protobuf reads from its bytes."""
    gateway: int = request.param
    attempts = traffic.take(traffic.gateway == gateway)
    encoder = Encoder(GATEWAYS[gateway], hour_start_ns=START_NS, seed=3)
    wire = encoder.encode(attempts, first_span=1000).SerializeToString()
    (resource,) = ExportTraceServiceRequest.FromString(wire).resource_spans
    assert GATEWAYS[gateway].service == attributes(resource.resource.attributes)["service.name"]
    assert GATEWAYS[gateway].region == attributes(resource.resource.attributes)["cloud.region"]
    (scope,) = resource.scope_spans
    return gateway, attempts, list(scope.spans)


def test_times_are_kept_to_the_nanosecond(sent: tuple[int, Traffic, list[Span]]) -> None:
    """Every span ends when its attempt did and lasts as long."""
    _, attempts, spans = sent

    assert len(attempts) == len(spans) > 500
    for span, end_s, duration_s in zip(
        spans, attempts.end_s.tolist(), attempts.duration_s.tolist(), strict=True
    ):
        assert START_NS + round(end_s * 1e9) == span.end_time_unix_nano
        assert round(duration_s * 1e9) == span.end_time_unix_nano - span.start_time_unix_nano


def test_numbers_are_kept(sent: tuple[int, Traffic, list[Span]]) -> None:
    """
    Tokens and first-token latency read back equal, in the unit of the vocabulary; a failed
    attempt has neither first token nor output.
    """
    gateway, attempts, spans = sent
    names = VOCABULARIES[GATEWAYS[gateway].vocabulary]
    per_second = 1000 if names.milliseconds else 1

    for row, span in enumerate(spans):
        values = attributes(span.attributes)
        assert attempts.input_tokens[row] == values[names.input_tokens]
        if attempts.error[row]:
            assert names.ttft not in values
            assert names.output_tokens not in values
        else:
            assert pytest.approx(attempts.ttft_s[row] * per_second) == values[names.ttft]
            assert attempts.output_tokens[row] == values[names.output_tokens]
        if attempts.cold_start_s[row]:
            assert attempts.cold_start_s[row] == values["spanmill.cold_start_time"]


def test_texts_are_kept(sent: tuple[int, Traffic, list[Span]]) -> None:
    """Model, tenant, plan, prompt version, failure and retry are those of the attempt."""
    gateway, attempts, spans = sent
    names = VOCABULARIES[GATEWAYS[gateway].vocabulary]

    for row, span in enumerate(spans):
        values = attributes(span.attributes)
        tenant = TENANTS[attempts.tenant[row]]
        assert MODELS[attempts.model[row]].name == values[names.model]
        assert (tenant.name, tenant.plan_tier) == (
            values["spanmill.tenant"],
            values["spanmill.plan_tier"],
        )
        assert PROMPTS[attempts.prompt[row]].version == values[names.prompt_version]
        failed = span.status.code == Status.STATUS_CODE_ERROR
        assert bool(attempts.error[row]) == failed
        if failed and names.error is not None:
            assert ERRORS[attempts.error[row]] == values[names.error]
        assert attempts.attempt[row] == values.get("http.request.resend_count", 0)


def test_ids_never_repeat_but_within_a_trace(traffic: Traffic) -> None:
    """Span ids are distinct and not zero; trace ids are equal for attempts of one trace only."""
    encoder = Encoder(GATEWAYS[0], hour_start_ns=START_NS, seed=3)
    request = encoder.encode(traffic, first_span=0)
    spans = request.resource_spans[0].scope_spans[0].spans

    assert len(spans) == len({span.span_id for span in spans})
    assert all(len(span.span_id) == 8 and any(span.span_id) for span in spans)
    pairs = {(span.trace_id, trace) for span, trace in zip(spans, traffic.trace, strict=True)}
    assert len(np.unique(traffic.trace)) == len(pairs) == len({trace_id for trace_id, _ in pairs})
    assert all(len(trace_id) == 16 and any(trace_id) for trace_id, _ in pairs)
