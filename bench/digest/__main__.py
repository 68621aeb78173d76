"""`python -m bench.digest`: our digest and its peers on the same streams, every figure kept."""

import argparse
import csv
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Final

from bench import machine
from bench.digest import accuracy, report, speed, streams
from bench.digest.accuracy import Figure, Task
from bench.digest.contender import ALL, BYTES, ContenderError
from bench.digest.field import Field
from bench.digest.model import NAMED_RANKS
from bench.digest.native import built
from bench.digest.speed import Timing
from bench.kept import RUNS, keep
from spanmill import _core

LARGE: Final = 100_000_000
QUICK: Final = 100_000
MILLION: Final = 1_000_000
SMALL: Final = 10_000
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Returns:
        0 when figures were taken, whatever they say; 2 when nothing was run.
    """
    asked = _asked(arguments)
    profile = _core.build_info()["profile"]
    if profile != "release":
        print(f"the core is a {profile} build, whose speed says nothing: run `make bench-digest`")
        return 2
    about, began = machine.base(), time.monotonic()

    def progress(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    progress("building the Rust peers")
    try:
        binary = built()
    except ContenderError as error:
        print(f"the Rust peers do not build: {error}")
        return 2
    field = Field.gathered(binary)
    about |= {one.facts.name: one.facts.version for one in field.everyone()}
    field.native.close()
    figures = _figures(asked, binary, progress) if asked.only != "speed" else []
    timings = _timings(asked, binary, progress) if asked.only != "accuracy" else []
    about["took"] = f"{time.monotonic() - began:.0f} s"
    text = report.summary(figures, timings, notes=_notes(asked, field.absent))
    raw = {"absent": field.absent, "timings": [asdict(it) for it in timings]}
    tables = {"accuracy.csv": _csv(figures)} if figures else {}
    kept = keep(asked.out, "bench.digest", about, text, raw, tables=tables, suffix="-digest")
    print(f"\n{text}\nkept in {kept}")
    return 0


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.digest", description=__doc__)
    parser.add_argument("streams", nargs="*", metavar="STREAM", help="default: all")
    parser.add_argument("--n", type=int, nargs="+", help=f"values ({SMALL} and {MILLION})")
    parser.add_argument("--seeds", type=int, default=1, help="draws of each stream (%(default)s)")
    parser.add_argument("--rounds", type=int, help=f"trials of each timing ({ROUNDS})")
    parser.add_argument("--only", choices=("accuracy", "speed"), help="one half of it")
    parser.add_argument("--quick", action="store_true", help="fewer streams, values and rounds")
    parser.add_argument("--large", action="store_true", help="also 100 million values")
    parser.add_argument("--out", type=Path, default=RUNS, help="where runs are kept (bench/runs)")
    asked = parser.parse_args(arguments)
    known = [it.name for it in streams.STREAMS]
    if unknown := [name for name in asked.streams if name not in known]:
        parser.error(f"no stream {unknown[0]!r}; known: {', '.join(known)}")
    quick = [it.name for it in streams.STREAMS if it.quick]
    asked.streams = asked.streams or (quick if asked.quick else known)
    asked.n = asked.n or ([QUICK] if asked.quick else [SMALL, MILLION])
    asked.rounds = asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS)
    if min(asked.n) < 1 or asked.seeds < 1 or asked.rounds < 1:
        parser.error("--n, --seeds and --rounds must be at least 1")
    return asked


def _figures(asked: argparse.Namespace, binary: Path, progress: accuracy.Report) -> list[Figure]:
    middle = report.MIDDLE
    tasks = [
        Task(stream, n, seed, speed.BATCHES, middle, binary)
        for n in asked.n
        for seed in range(1, asked.seeds + 1)
        for stream in asked.streams
    ]
    if asked.large:
        tasks += [Task(it, LARGE, 1, (middle, ALL), None, binary) for it in streams.LARGE]
    return accuracy.run(tasks, progress)


def _timings(asked: argparse.Namespace, binary: Path, progress: accuracy.Report) -> list[Timing]:
    plan = (
        speed.Plan(asked.rounds, QUICK, (1_000, 100_000), 2_000_000)
        if asked.quick
        else speed.Plan(asked.rounds, MILLION)
    )
    with tempfile.TemporaryDirectory(prefix="spanmill-digest-") as folder, speed.pinned() as core:
        progress(f"timing on core {core}")
        held, sample = speed.held_stream(plan, 1, Path(folder))
        # A process started before stays where it was.
        field = Field.gathered(binary)
        try:
            return speed.run(plan, field, held, sample, progress)
        finally:
            field.native.close()


_NOTES: Final = """\
At equal bytes: the parameter is the largest whose digest has at most {bytes:,} B on that stream \
and batch size, or the smallest there is. Bytes are the serialized form; where a peer has none, \
the fields that its constructor takes (crick, pytdigest, tdigest, tdigests, DuckDB's state).
Error: distance from a rank to the share of values below and through the value read there; a value \
counts as met within 1e-7 of itself (1e-6 on streams beyond 2^±64, where ours runs on its wide \
axis), for everyone alike: f32 and our keys are no finer.
`ddsketch`, `sketches-ddsketch` and `hdrhistogram` bound the value's error, not the rank's: see \
the table of parameters. `hdrhistogram` records integers: millionths, or units on streams of \
integers.
Speed: one core, everyone in turn within a round, the best of {rounds} rounds; {stream}, at \
equal bytes. Single values are the first {singles:,}. Each call is the peer's own: Python's \
include Python's cost of a call, DuckDB's the planning of its SQL.
Through Python calls that take microseconds, streams longer than {singles:,} are not added one by \
one: those digests are the same for every batch.
Resident: growth of a fresh process over {digests} digests of {each:,} values that can still be \
added to.
"""


def _notes(asked: argparse.Namespace, absent: dict[str, str]) -> list[str]:
    text = _NOTES.format(
        bytes=BYTES,
        rounds=asked.rounds,
        stream=speed.STREAM,
        singles=speed.SINGLES,
        digests=speed.RESIDENT_DIGESTS,
        each=speed.RESIDENT_VALUES,
    )
    if asked.quick:
        text += "A quick run: do not compare these figures.\n"
    return text.splitlines() + [f"Without {name}: {why}" for name, why in absent.items()]


def _csv(figures: list[Figure]) -> str:
    """Write figures as a table; ranks' errors in ppm, six digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [it.name for it in fields(Figure)]
    at = names.index("named_ppm")
    ranks = [f"ppm_at_{rank:g}" for rank in NAMED_RANKS]
    writer.writerow([*names[:at], *ranks, *names[at + 1 :]])
    for figure in figures:
        row = list(astuple(figure))
        row[at : at + 1] = row[at] or [""] * len(ranks)
        writer.writerow(f"{it:.6g}" if isinstance(it, float) else it for it in row)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
