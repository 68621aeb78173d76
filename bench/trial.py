"""One trial: one load on one fresh server, its figures, and whether they count."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from bench.loader import Plan, Result
from bench.servers import Server

QUERY: Final = "/api/v1/query?measure=ttft&q=0.5,0.95,0.99&by=model&window=5m"

_ROOT: Final = Path(__file__).parent.parent
_LOADER_GRACE_S: Final = 60.0
# glibc maps each 2 MB message afresh and gives it back, which costs the loader as much CPU
# as sending it does; CPU that the servers on the same cores then lack.
_LOADER_ENVIRONMENT: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(64 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}


@dataclass
class Trial:
    """The figures of one load on one server."""

    scenario: str
    server: str
    round: int
    """Trials of one round ran next to each other and may be compared one by one."""

    problem: str | None = None
    """Why the figures do not count; `None` when they do."""

    spans_per_s: float = 0.0
    """Acknowledged spans per second of wall time."""

    spans_per_cpu_s: float = 0.0
    """Acknowledged spans per second of the server's CPU time."""

    rss_mb: float = 0.0
    query_ms: list[float] = field(default_factory=list)
    """How long each API query beside the load took, from when it was due."""

    load: dict[str, Any] = field(default_factory=dict)
    """The loader's own result, or the core bench's."""


def load(trial: Trial, server: Server, plan: Plan, *, queries_per_s: float = 0.0) -> None:
    """
    Put a load on a server, fill in the trial, and ask the server whether it has every span.

    Args:
        queries_per_s: API queries asked beside the load, where the server answers any.
    """
    problems: list[str] = []
    with _queries(server.api, queries_per_s, trial.query_ms, problems):
        try:
            ran = subprocess.run(
                [sys.executable, "-m", "bench.loader", json.dumps(asdict(plan))],
                cwd=_ROOT,
                env={**os.environ, **_LOADER_ENVIRONMENT},
                capture_output=True,
                text=True,
                timeout=plan.warmup_s + plan.seconds + _LOADER_GRACE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            trial.problem = f"the loader did not end within {late.timeout:.0f} s"
            return
    if ran.returncode != 0:
        trial.problem = f"the loader failed: {ran.stderr.strip()[-500:]}"
        return
    trial.load = json.loads(ran.stdout)
    result = Result(**trial.load)
    trial.rss_mb = server.rss_mb()
    if result.failed:
        problems.append(f"calls failed: {result.failed}")
    if (unbalanced := server.problem(result.acked_spans)) is not None:
        problems.append(unbalanced)
    if result.spans and result.server_cpu_s:
        trial.spans_per_s = result.spans / result.seconds
        trial.spans_per_cpu_s = result.spans / result.server_cpu_s
    else:
        problems.append("nothing was acknowledged in the timed stretch")
    trial.problem = "; ".join(problems) or None


def median(trials: list[Trial], figure: str) -> float:
    """Give the median of one figure over the trials that count; NaN where none does."""
    values = [getattr(trial, figure) for trial in trials if trial.problem is None]
    return statistics.median(values) if values else float("nan")


@contextmanager
def _queries(
    api: str | None, per_s: float, took_ms: list[float], problems: list[str]
) -> Iterator[None]:
    """Ask queries on a schedule while inside, each timed from when it was meant to be asked."""
    if api is None or per_s <= 0:
        yield
        return
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=f"http://{api}", trust_env=False) as client:
            due = time.perf_counter() + 1 / per_s
            while not stop.wait(max(0.0, due - time.perf_counter())):
                try:
                    client.get(QUERY).raise_for_status()
                except httpx.HTTPError as error:
                    problems.append(f"a query failed: {error}")
                    return
                took_ms.append((time.perf_counter() - due) * 1e3)
                due += 1 / per_s

    asking = threading.Thread(target=ask, name="queries")
    asking.start()
    try:
        yield
    finally:
        stop.set()
        asking.join()
