"""
One hour of a fleet's traffic, drawn from laws with a seed.

Five gateways serve four models to ten tenants on three plans. Half way through, version 8
of the prompt `support-answer` ships: for enterprise tenants its answers are 22 % longer and
are generated more slowly. Nothing else changes, and nobody's error rate moves.
"""

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LONGER: Final = 1.22
"""How much longer the shipped prompt makes an enterprise tenant's answers."""

REGRESSED_TIER: Final = "enterprise"
"""Whose answers it changes."""

SLOWER: Final = 1.35
"""How much longer each of their tokens takes: a longer system prompt misses the prefix cache."""


@dataclass(frozen=True)
class Gateway:
    """One sender: the service it is, where it runs, and the vocabulary it speaks."""

    service: str
    region: str
    vocabulary: str
    share: float
    clock_s: float = 1e-9
    """Resolution of its timings."""


@dataclass(frozen=True)
class Model:
    """A model's speed: median prefill for a short prompt, and median time per token (s)."""

    name: str
    provider: str
    share: float
    prefill_s: float
    per_token_s: float


@dataclass(frozen=True)
class Tenant:
    """A customer and the plan it pays for."""

    name: str
    plan_tier: str
    share: float


@dataclass(frozen=True)
class Prompt:
    """A version of a prompt; `ships` and `retires` are parts of the run, from 0 to 1."""

    name: str
    version: str
    share: float
    output_tokens: float
    ships: float = 0.0
    retires: float = 1.0


GATEWAYS: Final = (
    Gateway("edge-gateway", "us-east-1", "gen_ai 1.41", 0.30),
    Gateway("edge-gateway", "eu-west-1", "gen_ai new", 0.27),
    Gateway("edge-gateway", "ap-southeast-1", "gen_ai new", 0.17),
    Gateway("chat-backend", "us-east-1", "gen_ai 1.36", 0.16),
    Gateway("batch-proxy", "eu-west-1", "ai", 0.10, clock_s=1e-3),
)
MODELS: Final = (
    Model("llama-3.3-70b", "vllm", 0.34, 0.17, 0.0105),
    Model("qwen3-32b", "vllm", 0.30, 0.13, 0.0100),
    Model("mistral-small-3.2", "mistral_ai", 0.22, 0.10, 0.0090),
    Model("gpt-oss-120b", "sglang", 0.14, 0.20, 0.0110),
)
TENANTS: Final = (
    Tenant("borealis-bank", "enterprise", 0.17),
    Tenant("cobalt-air", "enterprise", 0.13),
    Tenant("ember-health", "enterprise", 0.09),
    Tenant("dune-retail", "team", 0.12),
    Tenant("fjord-media", "team", 0.10),
    Tenant("grove-edu", "team", 0.08),
    Tenant("harbor-games", "free", 0.11),
    Tenant("iris-studio", "free", 0.08),
    Tenant("juniper-labs", "free", 0.07),
    Tenant("kestrel-news", "free", 0.05),
)
PROMPTS: Final = (
    Prompt("support-answer", "support-answer@7", 0.55, 330.0, retires=0.5),
    Prompt("support-answer", "support-answer@8", 0.55, 330.0, ships=0.5),
    Prompt("search-summary", "search-summary@3", 0.30, 190.0),
    Prompt("code-review", "code-review@12", 0.15, 300.0),
)
REGRESSED: Final = 1
"""Index in `PROMPTS` of the version that ships half way."""

ERRORS: Final = ("", "rate_limit_exceeded", "overloaded", "timeout")
"""`error.type` by index; 0 is success."""

_ERROR_SECONDS: Final = (0.0, 0.05, 0.25, 20.0)
_ATTEMPTS_MAX: Final = 3

# Chances, each of one attempt (of one second, for a burst of arrivals).
_FAILS: Final = 0.002
_FAILS_AGAIN: Final = 0.2  # what made the first attempt fail is often still there
_IS_RETRIED: Final = 0.85
_COLD_START: Final = 0.0025
_BUSY_REPLICA: Final = 0.02
_BURST: Final = 0.02


@dataclass(frozen=True)
class Traffic:
    """
    Attempts in the order in which they end; every array has one entry for each.

    Times count from the start of the hour. A failed attempt has no first token and no
    output; its retry is an attempt of its own in the same trace.
    """

    end_s: Floats
    duration_s: Floats
    gateway: Ints
    model: Ints
    tenant: Ints
    prompt: Ints
    error: Ints
    trace: Ints
    attempt: Ints
    input_tokens: Ints
    cached_tokens: Ints
    output_tokens: Ints
    queue_s: Floats
    ttft_s: Floats
    cold_start_s: Floats

    def __len__(self) -> int:
        return len(self.end_s)

    @property
    def failed(self) -> Flags:
        """Which attempts ended in an error."""
        failed: Flags = self.error != 0
        return failed

    @property
    def tpot_s(self) -> Floats:
        """Time per output token after the first; 0 where fewer than two were made."""
        rest = np.maximum(self.output_tokens - 1, 1)
        return np.where(self.output_tokens > 1, (self.duration_s - self.ttft_s) / rest, 0.0)

    def take(self, which: Flags | Ints | slice) -> Self:
        """Keep some attempts, by mask, by index or by range."""
        return type(self)(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Put attempts one after the other."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


def draw_traffic(*, seed: int, duration_s: float = 3600.0, per_second: float = 50.0) -> Traffic:
    """
    Draw the attempts that end within `duration_s`, at `per_second` requests on average.

    The same arguments give the same traffic, to the bit.
    """
    rng = np.random.default_rng(seed)
    # Requests already under way when the hour begins end within it too.
    warm_s = 60.0
    arrived_s = _arrivals(rng, -warm_s, duration_s, per_second)
    first = _serve(rng, arrived_s, _requests(rng, arrived_s / duration_s), failing=_FAILS)
    attempts = [first]
    while len(attempts) < _ATTEMPTS_MAX:
        attempts.append(_retry(rng, attempts[-1]))
    traffic = Traffic.join(attempts)
    traffic = traffic.take((traffic.end_s >= 0.0) & (traffic.end_s < duration_s))
    return traffic.take(np.argsort(traffic.end_s, kind="stable"))


def _arrivals(rng: np.random.Generator, start_s: float, end_s: float, rate: float) -> Floats:
    """Draw arrival times at a rate that climbs to a peak and falls again, with short bursts."""
    second = np.arange(start_s, end_s)
    day = 1.0 + 0.3 * np.sin(np.pi * second / end_s)
    burst = 1.0 + 0.6 * (rng.random(len(second)) < _BURST)
    shape = day * burst
    counts = rng.poisson(rate * shape / shape.mean())
    arrived: Floats = np.repeat(second, counts) + rng.random(int(counts.sum()))
    return arrived


@dataclass(frozen=True)
class _Requests:
    """What was asked, before anything was served."""

    gateway: Ints
    model: Ints
    tenant: Ints
    prompt: Ints
    trace: Ints
    input_tokens: Ints


def _requests(rng: np.random.Generator, part: Floats) -> _Requests:
    n = len(part)
    prompt = _choose(rng, [p.share if p.ships == 0.0 else 0.0 for p in PROMPTS], n)
    shipped = part >= PROMPTS[REGRESSED].ships
    prompt = np.where((prompt == REGRESSED - 1) & shipped, REGRESSED, prompt)
    return _Requests(
        gateway=_choose(rng, [g.share for g in GATEWAYS], n),
        model=_choose(rng, [m.share for m in MODELS], n),
        tenant=_choose(rng, [t.share for t in TENANTS], n),
        prompt=prompt,
        trace=np.arange(n),
        input_tokens=_tokens(rng, np.full(n, 900.0), 0.7),
    )


def _serve(
    rng: np.random.Generator, arrived_s: Floats, asked: _Requests, *, failing: float
) -> Traffic:
    n = len(arrived_s)
    regressed = (asked.prompt == REGRESSED) & (_tiers() == REGRESSED_TIER)[asked.tenant]
    output_tokens = _tokens(
        rng,
        _column([p.output_tokens for p in PROMPTS])[asked.prompt] * np.where(regressed, LONGER, 1),
        0.38,
    )
    queue_s = rng.exponential(0.02, n)
    cold_start_s = np.where(rng.random(n) < _COLD_START, rng.lognormal(np.log(6.0), 0.4, n), 0.0)
    prefill_s = _column([m.prefill_s for m in MODELS])[asked.model] * rng.lognormal(0.0, 0.35, n)
    prefill_s *= 0.7 + asked.input_tokens / 3000.0
    busy_s = np.where(rng.random(n) < _BUSY_REPLICA, 0.25 * rng.pareto(1.8, n), 0.0)
    ttft_s = queue_s + cold_start_s + prefill_s + np.minimum(busy_s, 25.0)
    tpot_s = _column([m.per_token_s for m in MODELS])[asked.model] * rng.lognormal(0.0, 0.15, n)
    tpot_s *= np.where(regressed, SLOWER, 1.0)
    served = Traffic(
        end_s=arrived_s,
        duration_s=ttft_s + (output_tokens - 1) * tpot_s,
        gateway=asked.gateway,
        model=asked.model,
        tenant=asked.tenant,
        prompt=asked.prompt,
        error=np.zeros(n, np.int64),
        trace=asked.trace,
        attempt=np.zeros(n, np.int64),
        input_tokens=asked.input_tokens,
        cached_tokens=(asked.input_tokens * rng.beta(2.0, 3.0, n)).astype(np.int64),
        output_tokens=output_tokens,
        queue_s=queue_s,
        ttft_s=ttft_s,
        cold_start_s=cold_start_s,
    )
    return _time(_fail(rng, served, chance=failing), arrived_s)


def _retry(rng: np.random.Generator, before: Traffic) -> Traffic:
    """Serve again, after a back-off, most of what failed."""
    again = before.take(before.failed & (rng.random(len(before)) < _IS_RETRIED))
    backoff_s = 0.5 * 2.0**again.attempt * rng.uniform(0.5, 1.5, len(again))
    asked = _Requests(
        again.gateway, again.model, again.tenant, again.prompt, again.trace, again.input_tokens
    )
    served = _serve(rng, again.end_s + backoff_s, asked, failing=_FAILS_AGAIN)
    return Traffic(**{**vars(served), "attempt": again.attempt + 1})


def _fail(rng: np.random.Generator, served: Traffic, *, chance: float) -> Traffic:
    n = len(served)
    kind = 1 + _choose(rng, [0.5, 0.35, 0.15], n)
    error = np.where(rng.random(n) < chance, kind, 0)
    failed = error != 0
    spent_s = _column(_ERROR_SECONDS)[error] * rng.lognormal(0.0, 0.2, n)
    changed = {
        "error": error,
        "duration_s": np.where(failed, spent_s, served.duration_s),
        "output_tokens": np.where(failed, 0, served.output_tokens),
        "ttft_s": np.where(failed, 0.0, served.ttft_s),
        "cold_start_s": np.where(failed, 0.0, served.cold_start_s),
    }
    return Traffic(**{**vars(served), **changed})


def _time(served: Traffic, arrived_s: Floats) -> Traffic:
    """Round what each gateway measures to its clock, and let each attempt end after it began."""
    tick = _column([g.clock_s for g in GATEWAYS])[served.gateway]
    rounded = {
        name: np.round(getattr(served, name) / tick) * tick
        for name in ("duration_s", "queue_s", "ttft_s", "cold_start_s")
    }
    return Traffic(**{**vars(served), **rounded, "end_s": arrived_s + rounded["duration_s"]})


def _tiers() -> NDArray[np.str_]:
    return np.array([tenant.plan_tier for tenant in TENANTS])


def _column(values: list[float] | tuple[float, ...]) -> Floats:
    return np.array(values, np.float64)


def _choose(rng: np.random.Generator, shares: list[float], n: int) -> Ints:
    weights = _column(shares)
    return rng.choice(len(shares), n, p=weights / weights.sum())


def _tokens(rng: np.random.Generator, median: Floats, sigma: float) -> Ints:
    drawn = rng.lognormal(0.0, sigma, len(median)) * median
    return np.clip(np.round(drawn), 2, 8192).astype(np.int64)
