"""The named scenarios. Each trial is a fresh server; servers take turns within a round."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench import servers
from bench.loader import Plan
from bench.payload import Pool
from bench.servers import Server, ServerError
from bench.trial import Trial, load, median

NAMES: Final = (
    "core",
    "journal",
    "e2e-4096",
    "e2e-512",
    "spanbatch-4096",
    "spanbatch-512",
    "durability-4096",
    "durability-512",
    "ack-latency",
    "query-latency",
    "query-ingest",
)
ACK_LOAD: Final = 0.7
"""The open loop's rate, as a share of what spanmill took in `e2e-512` of the same run."""

OPEN_LOOPS: Final = ("ack-latency", "query-latency")
"""Scenarios whose load is a share of what `e2e-512` reached."""

QUERIES_PER_S: Final = {"ack-latency": 1.0, "query-latency": 10.0, "query-ingest": 10.0}
"""API queries beside the load; none in the other scenarios."""

IN_CORE: Final = {"core": "bench_core", "journal": "bench_journal"}
"""Scenarios without a server, and the example that each runs on one thread."""

UNASKED: Final = "spanmill, unasked"
"""The same daemon without queries beside its load, in the same round."""

UNSYNCED: Final = {f"spanmill, {it}": it for it in ("relaxed", "off")}
"""The same daemon with a weaker durability, in the same round."""

CORE_BATCH: Final = 4096
_ROOT: Final = Path(__file__).parent.parent
_CARGO: Final = ("cargo", "run", "--release", "--quiet", "--package", "spanmill-core")
_CORE_WITHIN_S: Final = 900.0

Starter = Callable[[], AbstractContextManager[Server]]


@dataclass(frozen=True)
class Bench:
    """How often and how long, and what to compare with."""

    runs: int
    seconds: float
    collector: Path | None
    """The Collector's binary; `None` leaves the peers out."""

    pool: Path
    report: Callable[[Trial], None]
    """Called with each trial as it ends."""

    def run(self, names: list[str]) -> list[Trial]:
        """Run the scenarios in the order of `NAMES`; an open loop brings `e2e-512` along."""
        wanted = set(names) | ({"e2e-512"} if set(names) & set(OPEN_LOOPS) else set())
        trials: list[Trial] = []
        for name in NAMES:
            if name not in wanted:
                continue
            # What the load may be is known from the scenario before.
            for trial in self._scenario(name, trials):
                self.report(trial)
                trials.append(trial)
        return trials

    def _scenario(self, name: str, before: list[Trial]) -> Iterator[Trial]:
        ours: dict[str, Starter] = {"spanmill": servers.spanmill, "floor": servers.floor}
        match name:
            case "core" | "journal":
                yield from self._in_core(name)
            case "ack-latency" | "query-latency":
                reached = [t for t in before if (t.scenario, t.server) == ("e2e-512", "spanmill")]
                rate = ACK_LOAD * median(reached, "spans_per_s")
                if rate > 0:
                    asked = ours if name == "ack-latency" else {"spanmill": servers.spanmill}
                    yield from self._turns(name, asked, batch=512, spans_per_s=rate)
                else:
                    yield Trial(name, "spanmill", 0, problem="e2e-512 gave no rate to load it with")
            case "durability-4096" | "durability-512":
                weaker = {name: partial(servers.spanmill, it) for name, it in UNSYNCED.items()}
                batch = int(name.removeprefix("durability-"))
                yield from self._turns(name, {"spanmill": servers.spanmill, **weaker}, batch=batch)
            case "spanbatch-4096" | "spanbatch-512":
                batch = int(name.removeprefix("spanbatch-"))
                yield from self._turns(name, ours, batch=batch, columns=True)
            case "query-ingest":
                undisturbed = {"spanmill": servers.spanmill, UNASKED: servers.spanmill}
                yield from self._turns(name, undisturbed, batch=4096)
            case _:
                peers: dict[str, Starter] = {}
                if self.collector:
                    peers = {p: partial(servers.peer, p, self.collector) for p in servers.PEERS}
                yield from self._turns(
                    name, {**ours, **peers}, batch=int(name.removeprefix("e2e-"))
                )

    def _turns(
        self,
        name: str,
        starters: Mapping[str, Starter],
        *,
        batch: int,
        spans_per_s: float | None = None,
        columns: bool = False,
    ) -> Iterator[Trial]:
        for turn in range(self.runs):
            # The order rotates, so that nobody always follows the same neighbour.
            at = turn % len(starters)
            order = list(starters.items())
            for which, start in order[at:] + order[:at]:
                trial = Trial(name, which, turn)
                try:
                    with start() as server:
                        plan = Plan(
                            target=server.target,
                            server_pid=server.process.pid,
                            pool=str(self.pool),
                            batch=batch,
                            seconds=self.seconds,
                            spans_per_s=spans_per_s,
                            columns=columns,
                        )
                        asked = 0.0 if which == UNASKED else QUERIES_PER_S.get(name, 0.0)
                        load(trial, server, plan, queries_per_s=asked)
                except ServerError as failure:
                    trial.problem = str(failure)
                yield trial

    def _in_core(self, name: str) -> Iterator[Trial]:
        with tempfile.TemporaryDirectory(prefix="spanmill-bench-") as folder:
            files = []
            for n, request in enumerate(Pool.load(self.pool).requests(CORE_BATCH)):
                files.append(Path(folder, f"{n}.pb"))
                files[-1].write_bytes(request.fresh(time.time_ns(), 1 + n * CORE_BATCH))
            command = [*_CARGO, "--example", IN_CORE[name], "--"]
            command += ["--trials", str(self.runs), "--seconds", str(self.seconds)]
            ran = subprocess.run(
                command + [str(file) for file in files],
                cwd=_ROOT,
                capture_output=True,
                text=True,
                timeout=_CORE_WITHIN_S,
                check=False,
            )
        if ran.returncode != 0:
            yield Trial(name, "spanmill", 0, problem=ran.stderr.strip()[-500:])
        for turn, line in enumerate(ran.stdout.splitlines()):
            figures = json.loads(line)
            rate = figures["spans"] / figures["seconds"]
            # One thread that never waits: its wall time is its CPU time.
            yield Trial(
                name, "spanmill", turn, spans_per_s=rate, spans_per_cpu_s=rate, load=figures
            )
