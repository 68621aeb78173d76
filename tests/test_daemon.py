"""What the daemon says at its start that an operator must not miss."""

from pathlib import Path

import pytest
import structlog

from spanmill.config import Loaded, load
from spanmill.daemon import _log_started
from spanmill.model import Address
from spanmill.slo import Objective

LOOPBACK = {"otlp_grpc": Address("127.0.0.1", 1), "api": Address("::1", 2)}


def warnings(loaded: Loaded, addresses: dict[str, Address]) -> list[str]:
    """Give what is warned about at start, without what depends on the build."""
    with structlog.testing.capture_logs() as logged:
        _log_started(loaded, addresses)
    return [
        line["event"]
        for line in logged
        if line["log_level"] == "warning" and "slow build" not in line["event"]
    ]


@pytest.mark.parametrize(
    ("durability", "told"),
    [
        ("sync", []),
        ("relaxed", ["durability is relaxed: a loss of power may lose events of the last 100 ms"]),
        ("off", ["durability is off: a restart loses every event still in memory"]),
    ],
)
def test_a_start_warns_of_what_may_be_lost(durability: str, told: list[str]) -> None:
    """What an acknowledged event may be lost with, a start says; on loopback nothing else."""
    assert told == warnings(load(None, [f"durability={durability}"]), LOOPBACK)


def test_an_open_listener_is_warned_about(tmp_path: Path) -> None:
    """A listener that others can reach is warned about, because it has no TLS yet."""
    loaded = load(None, [f"data_dir={tmp_path}"])
    addresses = LOOPBACK | {"api": Address("0.0.0.0", 8320)}  # noqa: S104  named, not bound

    assert (
        "others can reach this listener, which has neither TLS nor authentication yet"
        in warnings(loaded, addresses)
    )


def test_alerts_that_nobody_evaluates_are_warned_about() -> None:
    """Objectives with alert rules are no silent promise: the start says they do nothing yet."""
    objective = Objective.model_validate(
        {"name": "x", "sli": {"kind": "errors"}, "objective": 0.9, "alerts": [{"burn": 14.4}]}
    )

    assert "alerts are read but not evaluated yet" in warnings(
        Loaded(load().config, (objective,)), LOOPBACK
    )
