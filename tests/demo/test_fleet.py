"""The fleet's traffic: the same for the same seed, with one regression in the middle."""

import numpy as np
import pytest

from spanmill.demo.fleet import (
    GATEWAYS,
    LONGER,
    MODELS,
    PROMPTS,
    REGRESSED,
    REGRESSED_TIER,
    TENANTS,
    Flags,
    Traffic,
    draw_traffic,
)

HOUR_S = 3600.0
BEFORE = REGRESSED - 1
"""Index of the version that the regressed one replaces."""


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """One hour, as the demo plays it."""
    return draw_traffic(seed=1)


def of_tier(traffic: Traffic, tier: str) -> Flags:
    """Tell which attempts are of tenants on a plan."""
    tiers = np.array([tenant.plan_tier for tenant in TENANTS])
    mask: Flags = tiers[traffic.tenant] == tier
    return mask


def test_the_same_seed_gives_the_same_traffic() -> None:
    """Drawing twice with one seed gives equal arrays; another seed gives others."""
    one, again, other = (draw_traffic(seed=seed, duration_s=60.0) for seed in (5, 5, 6))

    assert all(np.array_equal(vars(one)[name], vars(again)[name]) for name in vars(one))
    assert not np.array_equal(one.ttft_s[:100], other.ttft_s[:100])


def test_attempts_end_in_order_within_the_hour(traffic: Traffic) -> None:
    """150,000 to 250,000 attempts end in order, none before the hour began or after its end."""
    assert 150_000 < len(traffic) < 250_000
    assert (np.diff(traffic.end_s) >= 0).all()
    assert 0.0 <= traffic.end_s[0]
    assert traffic.end_s[-1] < HOUR_S


def test_the_prompt_ships_half_way_for_everyone(traffic: Traffic) -> None:
    """The version before answers what began in the first half, the new one what began later."""
    began_s = traffic.end_s - traffic.duration_s

    assert began_s[traffic.prompt == BEFORE].max() < HOUR_S / 2
    assert began_s[(traffic.prompt == REGRESSED) & (traffic.attempt == 0)].min() >= HOUR_S / 2
    for tier in {tenant.plan_tier for tenant in TENANTS}:
        assert np.any((traffic.prompt == REGRESSED) & of_tier(traffic, tier))


def test_it_makes_answers_longer_for_one_tier_only(traffic: Traffic) -> None:
    """Mean output grows by 22 % for enterprise tenants, and for nobody else, within noise."""

    def growth(tier: str) -> float:
        kept = of_tier(traffic, tier) & ~traffic.failed
        after = traffic.output_tokens[kept & (traffic.prompt == REGRESSED)].mean()
        return float(after / traffic.output_tokens[kept & (traffic.prompt == BEFORE)].mean())

    assert pytest.approx(LONGER, abs=0.015) == growth(REGRESSED_TIER)
    assert pytest.approx(1.0, abs=0.015) == growth("team")
    assert pytest.approx(1.0, abs=0.015) == growth("free")


def test_it_makes_answers_slower_for_one_tier_only(traffic: Traffic) -> None:
    """Under 1 % of answers take 10 s, but over 5 % of enterprise tenants' on the new version."""

    def slow(prompt: int, tier: str) -> float:
        kept = (traffic.prompt == prompt) & of_tier(traffic, tier)
        return float((traffic.duration_s[kept] >= 10.0).mean())

    assert slow(REGRESSED, REGRESSED_TIER) > 0.05
    assert slow(REGRESSED, "team") < 0.01
    assert slow(BEFORE, REGRESSED_TIER) < 0.01


def test_nothing_else_moves(traffic: Traffic) -> None:
    """First tokens over 1.2 s and failures stay within their promises, in both halves."""
    for half in (traffic.end_s < HOUR_S / 2, traffic.end_s >= HOUR_S / 2):
        assert (traffic.ttft_s[half & ~traffic.failed] >= 1.2).mean() < 0.008
        assert traffic.failed[half].mean() < 0.004


def test_first_tokens_have_a_heavy_tail(traffic: Traffic) -> None:
    """The slowest first token in a thousand takes ten times as long as the median, or more."""
    median, rare = np.quantile(traffic.ttft_s[~traffic.failed], [0.5, 0.999])

    assert rare > 10 * median
    assert np.any(traffic.cold_start_s > 0)


def test_failed_attempts_are_retried_in_their_trace(traffic: Traffic) -> None:
    """Most failures have a next attempt in the same trace, which ends later."""
    failed = traffic.take(traffic.failed & (traffic.attempt == 0) & (traffic.end_s < HOUR_S - 120))
    retries = traffic.take(traffic.attempt == 1)
    ends_s = dict(zip(retries.trace.tolist(), retries.end_s.tolist(), strict=True))

    retried = [trace for trace in failed.trace.tolist() if trace in ends_s]
    assert len(retried) > 0.7 * len(failed)
    for trace, end_s in zip(failed.trace.tolist(), failed.end_s.tolist(), strict=True):
        assert ends_s.get(trace, HOUR_S) > end_s


def test_every_part_of_the_fleet_has_traffic(traffic: Traffic) -> None:
    """Every gateway, model, tenant and prompt version is seen."""
    assert set(range(len(GATEWAYS))) == set(traffic.gateway.tolist())
    assert set(range(len(MODELS))) == set(traffic.model.tolist())
    assert set(range(len(TENANTS))) == set(traffic.tenant.tolist())
    assert set(range(len(PROMPTS))) == set(traffic.prompt.tolist())
