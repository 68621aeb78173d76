"""`python -m bench`: runs the named scenarios, prints the tables and keeps every figure."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench import collector, machine, report
from bench.kept import RUNS, keep
from bench.payload import RESOURCE_ATTRIBUTES, SERIES, SPAN_ATTRIBUTES, Pool
from bench.scenario import ACK_LOAD, NAMES, Bench
from bench.trial import Trial
from spanmill import _core


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Returns:
        0 when every trial counts, 1 when one does not, 2 when nothing was run.
    """
    asked = _asked(arguments)
    profile = _core.build_info()["profile"]
    if profile != "release":
        print(f"the core is a {profile} build, whose speed says nothing: run `make bench`")
        return 2
    about, began = machine.describe(), time.monotonic()
    binary, notes = _peers(asked)
    with tempfile.TemporaryDirectory(prefix="spanmill-bench-") as folder:
        pool = Path(folder, "pool.npz")
        Pool.encoded().save(pool)
        bench = Bench(asked.runs, asked.seconds, binary, pool, _progress)
        trials = bench.run(asked.scenarios)
    text = report.summary(trials, notes=[*notes, *_notes(asked.runs, asked.seconds)])
    about["took"] = f"{time.monotonic() - began:.0f} s"
    raw = {"trials": [asdict(trial) for trial in trials]}
    kept = keep(asked.out, "bench", about, text, raw)
    print(f"\n{text}\nkept in {kept}")
    return 1 if any(trial.problem for trial in trials) else 0


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    known = ", ".join(NAMES)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {known}; default all")
    parser.add_argument("--runs", type=int, default=5, help="trials of each server (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="timed part of a trial (%(default)s)"
    )
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True, help="also run the peers"
    )
    parser.add_argument("--out", type=Path, default=RUNS, help="where runs are kept (bench/runs)")
    asked = parser.parse_args(arguments)
    asked.scenarios = asked.scenarios or list(NAMES)
    if unknown := [name for name in asked.scenarios if name not in NAMES]:
        parser.error(f"no scenario {unknown[0]!r}; known: {known}")
    if asked.runs < 1 or asked.seconds <= 0:
        parser.error("--runs must be at least 1 and --seconds more than 0")
    return asked


def _peers(asked: argparse.Namespace) -> tuple[Path | None, list[str]]:
    """Find or build the Collector where a scenario compares with it, or note why not."""
    if not any(name.startswith("e2e") for name in asked.scenarios):
        return None, []
    if not asked.peers:
        return None, ["Peers left out: --no-peers."]
    try:
        return collector.built(), []
    except collector.CollectorError as error:
        print(f"peers skipped: {error}")
        return None, [f"Peers skipped: {error}."]


def _progress(trial: Trial) -> None:
    print(report.line(trial), flush=True)


_NOTES: Final = """\
Medians of {runs} trials of {seconds:g} s, each on a fresh server; ratios are taken within a \
round first. The loader shares the cores.
{attributes} span and {resource_attributes} resource attributes, {series:,} series, fresh ids \
and times at every send.
spanmill syncs its journal before it acknowledges, unless a row says otherwise; others keep nothing.
`ack-latency`: open loop at {ack_load:.0%} of spanmill's `e2e-512`, 512 spans a request, timed \
from the intended send, one API query a second beside it. `query-latency`: the same load, ten \
queries a second, timed from when they were due. `query-ingest`: a closed loop of 4,096 spans a \
request with and without ten queries a second.
"""


def _notes(runs: int, seconds: float) -> list[str]:
    text = _NOTES.format(
        runs=runs,
        seconds=seconds,
        attributes=SPAN_ATTRIBUTES,
        resource_attributes=RESOURCE_ATTRIBUTES,
        series=SERIES,
        ack_load=ACK_LOAD,
    )
    if runs < report.RUNS_MIN:
        text += f"Fewer than {report.RUNS_MIN} trials: do not compare these figures.\n"
    return text.splitlines()


if __name__ == "__main__":
    sys.exit(main())
