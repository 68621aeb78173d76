"""A small fleet's requests, drawn at random, and what any exact tool would say of them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanmill.client import QuerySeries
from tests import traces

MODELS = ("large", "small", "tiny")
TENANTS = ("acme", "birch", "cedar")
QUANTILES = (0.5, 0.9, 0.95, 0.99)
TTFT_BELOW_S = 1.2


@dataclass(frozen=True)
class Call:
    """One request to a model."""

    end_ns: int
    duration_s: float
    ttft_s: float
    model: str
    tenant: str
    failed: bool

    @property
    def attributes(self) -> dict[str, str | int | float]:
        """As a gateway would write them."""
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": self.model,
            "gen_ai.server.time_to_first_token": self.ttft_s,
            "gen_ai.usage.output_tokens": 100,
            "spanmill.tenant": self.tenant,
        }

    def span(self) -> Span:
        """As an OTLP message."""
        return traces.span(self.end_ns, self.duration_s, self.attributes, failed=self.failed)


def calls(count: int, now_ns: int, seed: int = 1) -> list[Call]:
    """Draw requests that ended within the last 40 s, heavy-tailed, one in 50 failed."""
    draw = random.Random(seed)
    drawn = []
    for _ in range(count):
        ttft_s = draw.lognormvariate(-0.7, 0.9)
        drawn.append(
            Call(
                end_ns=now_ns - draw.randrange(40 * 10**9),
                duration_s=ttft_s + draw.expovariate(0.5),
                ttft_s=ttft_s,
                model=draw.choice(MODELS),
                tenant=draw.choice(TENANTS),
                failed=draw.random() < 0.02,
            )
        )
    return drawn


def requests(sent: Sequence[Call], size: int) -> Iterator[bytes]:
    """Write requests of so many spans."""
    for at in range(0, len(sent), size):
        yield traces.request(call.span() for call in sent[at : at + size]).SerializeToString()


def check_quantiles(row: QuerySeries, values: Sequence[float]) -> None:
    """
    Compare one row with an exact sort: the share of values at or below each quantile must be
    the rank asked for, give or take the error the row states.
    """
    assert len(values) == row["count"]
    assert min(values) == row["min"]
    assert max(values) == row["max"]
    for rank_text, quantile in row["quantiles"].items():
        below = sum(value < quantile for value in values) / len(values)
        through = sum(value <= quantile for value in values) / len(values)
        miss = max(below - float(rank_text), float(rank_text) - through, 0.0)
        assert miss <= row["rank_error"] + 1e-12, f"p{rank_text} of {row['dims']}"


def by_model_and_tenant(sent: Sequence[Call]) -> dict[tuple[str, str], list[Call]]:
    """Split requests as a query by model and tenant does."""

    def key(call: Call) -> tuple[str, str]:
        return call.model, call.tenant

    return {pair: list(some) for pair, some in groupby(sorted(sent, key=key), key=key)}
