"""What an event is made of, as its writer is told."""

from collections.abc import Mapping
from typing import TypedDict

Attributes = Mapping[str, str | bool | int | float]
"""Attributes by their OTLP names, such as `gen_ai.request.model`."""


class Measures(TypedDict, total=False):
    """What an event measures beside its duration; what is left out is absent."""

    ttft_s: float
    tpot_s: float
    queue_time_s: float
    prefill_time_s: float
    decode_time_s: float
    cold_start_time_s: float
    input_tokens: float
    output_tokens: float
    cached_tokens: float
    reasoning_tokens: float
    cost_usd: float
