"""Starts a daemon, plays the hour, prints what it found and leaves nothing behind."""

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import grpc
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from spanmill.demo.compare import require_duckdb
from spanmill.demo.daemon import Daemon, start_daemon
from spanmill.demo.findings import SECOND_NS, Hour, find_out
from spanmill.demo.fleet import draw_traffic
from spanmill.demo.play import play
from spanmill.demo.report import print_kept, print_next, print_problems, print_report
from spanmill.errors import SpanmillError

_INTERRUPTED: Final = 128 + signal.SIGINT


@dataclass(frozen=True)
class Scenario:
    """What is played. The defaults are the demo; tests play less."""

    seed: int = 1
    """Decides the traffic; from 0 to 2^20."""
    duration_s: float = 3600.0
    """Event time, at least ten minutes: budgets look back over five."""
    per_second: float = 50.0
    """Mean requests per second of event time."""
    slice_s: float = 15.0
    """Event time by which the gateways advance together. Two slices are under way at a time,
    and must be shorter than the lateness in config/spanmill.yaml."""


def run_demo(
    *, keep: bool = False, scenario: Scenario = Scenario(), console: Console | None = None
) -> int:
    """
    Run the demo.

    Args:
        keep: Leave the daemon and its folder behind, and say how to stop it.
        console: Where to print; standard output where None.

    Returns:
        0 when everything the daemon said was right, 1 when not, 130 when interrupted.
    """
    console = console or Console()
    try:
        require_duckdb()
        with _terminated_in_order(), _demo_daemon(keep=keep) as daemon:
            console.print(
                f"spanmill runs on {daemon.otlp_grpc} (OTLP/gRPC) and {daemon.api} (API).",
                highlight=False,
            )
            hour = _play_hour(console, daemon, scenario)
            found = find_out(daemon, hour)
            print_report(console, hour, found)
            problems = found.problems
            if not keep and (code := daemon.stop()) != 0:
                problems.append(f"the daemon stopped with code {code}, not 0")
    except (SpanmillError, httpx.HTTPError) as error:
        print_problems(console, [str(error)])
        return 1
    except grpc.RpcError as error:
        print_problems(console, [f"the daemon refused a request: {error}"])
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; the daemon is stopped and its folder removed.")
        return _INTERRUPTED
    if problems:
        print_problems(console, problems)
    if keep:
        print_kept(console, daemon)
    elif not problems:
        print_next(console)
    return 1 if problems else 0


def _play_hour(console: Console, daemon: Daemon, scenario: Scenario) -> Hour:
    traffic = draw_traffic(
        seed=scenario.seed, duration_s=scenario.duration_s, per_second=scenario.per_second
    )
    start_ns = time.time_ns() - int(scenario.duration_s) * SECOND_NS
    with Progress(
        TextColumn("playing the hour"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=len(traffic))
        played = play(
            traffic,
            target=daemon.otlp_grpc,
            hour_start_ns=start_ns,
            seed=scenario.seed,
            slice_s=scenario.slice_s,
            on_progress=lambda spans: progress.advance(task, spans),
        )
    return Hour(traffic, start_ns, scenario.duration_s, played)


@contextmanager
def _demo_daemon(*, keep: bool) -> Iterator[Daemon]:
    """Run a daemon in a folder of its own; both are left only where kept and nothing failed."""
    folder = Path(tempfile.mkdtemp(prefix="spanmill-demo-"))
    daemon: Daemon | None = None
    kept = False
    try:
        daemon = start_daemon(folder)
        yield daemon
        kept = keep
    finally:
        if not kept:
            if daemon is not None:
                daemon.stop()
            shutil.rmtree(folder)


@contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Let a SIGTERM, or the end of the terminal, unwind the stack: daemon and folder go with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
