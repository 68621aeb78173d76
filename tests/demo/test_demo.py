"""The demo end to end: the real daemon, real gRPC, and nothing left behind."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from spanmill.demo import Scenario, run_demo
from spanmill.demo.fleet import Traffic
from spanmill.demo.play import Played, play

SHORT = Scenario(duration_s=900.0, per_second=40.0)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which the demo makes its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_short_demo_shows_everything_and_leaves_nothing(temporary: Path) -> None:
    """
    A quarter of an hour plays through the real daemon without a terminal: every check
    passes, the regression is named, and the temporary folder is gone.
    """
    printed = io.StringIO()

    code = run_demo(scenario=SHORT, console=Console(file=printed, width=80))

    assert 0 == code, printed.getvalue()
    for expected in (
        "llama-3.3-70b",
        "support-answer@8, enterprise",
        "The ledger balances",
        "rollup/dt=",
        "combine_aggr",
        "Try next",
    ):
        assert expected in printed.getvalue()
    assert [] == list(temporary.iterdir())


def test_a_wrong_answer_is_told(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the ledger received other than was sent, the demo says so and exits with 1."""

    def claim_one_more(traffic: Traffic, **how: Any) -> Played:  # noqa: ANN401  whatever play takes
        played = play(traffic, **how)
        return replace(played, spans=played.spans + 1)

    monkeypatch.setattr("spanmill.demo.run.play", claim_one_more)
    printed = io.StringIO()

    assert 1 == run_demo(scenario=SHORT, console=Console(file=printed, width=80))
    assert "but the ledger received" in printed.getvalue()
    assert [] == list(temporary.iterdir())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupt_leaves_nothing(
    number: signal.Signals, code: int, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """Interrupted, terminated or left alone, the demo stops its daemon and removes its folder."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spanmill", "demo"],
        env={"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        # Its own group: the signal goes to the demo alone, as from a supervisor.
        start_new_session=True,
    )
    wait_until(lambda: list(tmp_path.glob("*/ready.json")), within_s=30)
    (ready,) = tmp_path.glob("*/ready.json")
    daemon = json.loads(ready.read_text(encoding="utf-8"))["pid"]

    process.send_signal(number)

    assert code == process.wait(30)
    assert [] == list(tmp_path.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(daemon, 0)
