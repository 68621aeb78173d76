"""`spanmill top`: one frame of a real daemon's API, and how it is drawn."""

import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from spanmill.api import ApiServer
from spanmill.cli.app import app
from spanmill.cli.top import Frame, Look, ask, draw, worst_first
from spanmill.client import connect
from spanmill.model import Address
from spanmill.sink import ExportStatus
from tests import cores, traces

MODEL = "a-model-with-quite-a-long-name-70b-instruct"
LOOK = Look(("ttft", "duration"), ("model",), "5m")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the API of a core with 200 events, a fifth of them failed for one tenant."""
    by_tenant = dict(cores.ERRORS) | {"name": "by-tenant", "group_by": ["tenant"]}
    engine = cores.open_core(tmp_path_factory.mktemp("data"), objectives=[cores.ERRORS, by_tenant])
    now_ns = time.time_ns()
    spans = [
        traces.span(
            now_ns - row * 1_000_000,
            2.0,
            {
                "gen_ai.request.model": MODEL,
                "gen_ai.server.time_to_first_token": 0.1 + row / 1000,
                "spanmill.tenant": "acme" if row % 2 else "globex",
            },
            failed=row % 10 in (1, 3),
        )
        for row in range(200)
    ]
    engine.ingest_traces(traces.request(spans).SerializeToString())
    server = ApiServer(engine, Address("127.0.0.1", 0), unready=lambda: None, export=ExportStatus)
    server.start()
    yield str(server.address)
    server.stop()


@pytest.fixture(scope="module")
def frame(address: str) -> Frame:
    """One frame."""
    with connect(address) as daemon:
        return ask(daemon, LOOK)


def drawn(frame: Frame, width: int, before: Frame | None = None) -> str:
    """Draw a frame as a terminal of that width would show it."""
    shown = io.StringIO()
    Console(file=shown, width=width).print(draw(frame, before, width))
    return shown.getvalue()


def test_once_prints_percentiles_and_budgets(address: str) -> None:
    """`--once` prints every measure by model and every objective, and ends with 0."""
    answer = CliRunner().invoke(app, ["top", "--once", "--api", address])

    assert 0 == answer.exit_code, answer.output
    for expected in ("200 events", "ttft", "duration", MODEL, "p99", "errors", "acme"):
        assert expected in answer.output


def test_json_has_what_is_shown(address: str) -> None:
    """`--json` prints one frame for a script: the API's own answers."""
    answer = CliRunner().invoke(app, ["top", "--json", "--api", address, "--measure", "ttft"])

    shown = json.loads(answer.output)
    assert ["ttft"] == [one["measure"] for one in shown["measures"]]
    assert 200 == shown["measures"][0]["series"][0]["count"] == shown["ledger"]["received"]
    assert {"errors", "by-tenant"} == {one["name"] for one in shown["slo"]}


def test_what_cannot_be_asked_is_told(address: str) -> None:
    """An unknown measure exits with 2 and lists those there are; no daemon exits with 1."""
    unknown = CliRunner().invoke(app, ["top", "--once", "--api", address, "--measure", "nope"])
    assert 2 == unknown.exit_code
    assert "ttft" in unknown.output

    nobody = CliRunner().invoke(app, ["top", "--once", "--api", "127.0.0.1:1"])
    assert 1 == nobody.exit_code
    assert "spanmill serve" in nobody.output


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_any_width_reads_well(frame: Frame, width: int) -> None:
    """In any width no line is wrapped or broken, and p99 and burn are there in full."""
    text = drawn(frame, width)

    assert all(len(line) <= width for line in text.splitlines())
    lines = text.splitlines()
    (ttft,) = (row for row, line in enumerate(lines) if line.startswith("ttft"))
    assert "p99" in lines[ttft + 1]
    assert lines[ttft + 2].rstrip().endswith("ms")
    assert "…" not in "".join(line.partition("  ")[2] for line in lines)
    # A title, a heading and one row for each of two measures; five lines for budgets.
    assert 3 + 4 + 4 + 5 == len(lines)


def test_the_worst_budget_comes_first(frame: Frame) -> None:
    """Budgets are in the order of their burn, and of many groups only the worst few are shown."""
    burns = [one["burn"]["1h"] or 0.0 for one in worst_first(frame.slo)]
    assert sorted(burns, reverse=True) == burns

    whole = frame.slo[0] | {"group": {}}
    groups = [whole | {"group": {"tenant": f"t{n}"}} for n in range(50)]
    assert 4 == len(worst_first([whole, *groups]))


def test_speed_is_that_since_the_frame_before(frame: Frame) -> None:
    """Events a second come from two frames, so the first one shows none."""
    earlier = replace(
        frame, ledger=frame.ledger | {"received": 100}, asked_at_s=frame.asked_at_s - 2.0
    )

    assert "200 events, 50/s" in drawn(frame, 80, earlier)
    assert "/s" not in drawn(frame, 80)


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    """Before the first event the frame says so, and does not fail."""
    engine = cores.open_core(tmp_path, objectives=[cores.ERRORS])
    server = ApiServer(engine, Address("127.0.0.1", 0), unready=lambda: None, export=ExportStatus)
    server.start()
    with connect(str(server.address)) as daemon:
        text = drawn(ask(daemon, LOOK), 80)
    server.stop()

    assert "0 events" in text
    assert "no event has this measure in this window" in text


@pytest.mark.parametrize("by_key", [True, False], ids=["q", "ctrl-c"])
def test_a_terminal_is_refreshed_until_told_to_stop(address: str, by_key: bool) -> None:
    """On a terminal the frame is drawn again and again; q and an interrupt end it with 0."""
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "spanmill", "top", "--every", "0.1", "--api", address],
        env=os.environ | {"TERM": "xterm"},
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
    )
    os.close(its_end)
    seen, told = b"", False
    # Reading fails once the other end, and with it the process, is gone.
    with process, contextlib.suppress(OSError):
        while part := os.read(terminal, 65536):
            seen += part
            # The speed stands in every frame but the first.
            if b"events, 0/s" in seen and not told:
                told = True
                if by_key:
                    os.write(terminal, b"q")
                else:
                    process.send_signal(signal.SIGINT)
    os.close(terminal)

    assert 0 == process.wait(10), seen
    assert told
