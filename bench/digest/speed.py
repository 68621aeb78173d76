"""How fast every contender is: one core, everyone in turn within a round, the best round counts."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Final

from bench.digest import streams
from bench.digest.contender import ALL, BYTES, PROBE, Contender, ContenderError, Held, fitting
from bench.digest.field import Field
from bench.digest.native import OURS, Process

BATCHES: Final = (1, 512, 10_000, ALL)
SINGLES: Final = 100_000
"""Values added one by one: enough to time, and some peers take microseconds each."""

PARTS: Final = 288
PART_VALUES: Final = 3_000
"""Digests merged at once, and values in each: enough to fill them."""

SEVEN: Final = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999)
"""Quantiles of a query."""

RESIDENT_DIGESTS: Final = 400
RESIDENT_VALUES: Final = 4_000
"""Digests held at once to be weighed, and values in each."""

WAYS: Final = (2, 12, 36, 124, 288, 3_000)
SERIES: Final = (1_000, 10_000, 100_000, 1_000_000)
SERIES_BATCH: Final = 4_096
SERIES_VALUES: Final = 16_000_000
"""Values over all series of one trial, six an event: a million series get sixteen each."""

CODEC: Final = ("seal", "to_bytes", "from_bytes", "reader", "quantiles")
"""Steps between values and an answer that are timed by themselves."""

STREAM: Final = "lognormal-1"


@dataclass(frozen=True)
class Timing:
    """The best of some rounds."""

    what: str
    """`insert`, `merge`, `query`, `resident`, or one of ours alone: `open`, `series`, …"""

    contender: str
    language: str
    case: str
    """Batch size, number of series or ways."""

    unit: str
    best: float
    rounds: int
    parameter: float = 0.0
    bytes: int = 0
    """Serialized size of the digest, where there is one."""

    problem: str | None = None


@dataclass(frozen=True)
class Plan:
    """How much is timed."""

    rounds: int
    values: int
    """Of the stream that is inserted."""

    series: tuple[int, ...] = SERIES
    series_values: int = SERIES_VALUES


Taken = Sequence[tuple[float, int]]
"""Figures, each with the bytes of a digest or 0."""


@dataclass(frozen=True)
class _Shot:
    """What is taken at once, once a round."""

    timings: Sequence[Timing]
    take: Callable[[], Taken]
    """Gives one figure a timing."""


def run(
    plan: Plan, field: Field, held: Held, sample: Held, report: Callable[[str], None]
) -> list[Timing]:
    """Take every figure `plan.rounds` times, in turn; `report` is called as each part begins."""
    contenders = _everyone(field)
    places = {one.facts.name: _parameter(one, sample) for one in contenders}
    timings: list[Timing] = []
    parts: list[tuple[str, Iterable[_Shot]]] = [
        ("insert", _inserts(contenders, places, held)),
        ("merge", _merges(contenders, places, held)),
        ("query", _queries(contenders, places, sample)),
        ("ours", _ours(field, plan, held, sample)),
    ]
    for name, shots in parts:
        report(f"speed: {name}, {plan.rounds} rounds")
        timings += _rounds(list(shots), plan.rounds)
    report("memory")
    return timings + [_resident(one, places[one.facts.name], field, held) for one in contenders]


@contextmanager
def pinned() -> Iterator[int]:
    """Keep this process, and those that it starts meanwhile, on one core; gives its number."""
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def _everyone(field: Field) -> list[Contender]:
    """List all contenders: here ours counts twice, since Python's calls cost what they cost."""
    ours = [one for one in field.python if one.facts.name.startswith(OURS)]
    return [*ours, *field.everyone()]


def _parameter(contender: Contender, sample: Held) -> float:
    return contender.facts.parameters[fitting(contender, sample)]


def _rounds(shots: list[_Shot], rounds: int) -> list[Timing]:
    best: dict[int, Taken] = {}
    problems: dict[int, str] = {}
    for turn in range(rounds):
        # The order rotates, so that nobody always follows the same neighbour.
        at = turn % len(shots)
        for place in [*range(at, len(shots)), *range(at)]:
            if place in problems:
                continue
            try:
                found = shots[place].take()
            except ContenderError as error:
                problems[place] = str(error)
            else:
                best[place] = [*map(min, best.get(place, found), found)]
    return [
        _timed(timing, best[place][at] if place in best else None, rounds, problems.get(place))
        for place, shot in enumerate(shots)
        for at, timing in enumerate(shot.timings)
    ]


def _timed(
    timing: Timing, found: tuple[float, int] | None, rounds: int, problem: str | None
) -> Timing:
    figure, size = found or (float("nan"), 0)
    return Timing(
        timing.what,
        timing.contender,
        timing.language,
        timing.case,
        timing.unit,
        figure,
        rounds,
        timing.parameter,
        size,
        problem,
    )


def _of(contender: Contender, what: str, case: str, unit: str, parameter: float) -> Timing:
    facts = contender.facts
    return Timing(what, facts.name, facts.language, case, unit, float("nan"), 0, parameter)


def _inserts(contenders: list[Contender], places: dict[str, float], held: Held) -> Iterable[_Shot]:
    for batch in BATCHES:
        values = min(SINGLES, len(held.values)) if batch == 1 else len(held.values)
        for one in contenders:
            if not one.facts.takes(batch):
                continue
            if one.facts.same_for_every_batch and batch not in (1, ALL):
                continue
            parameter = places[one.facts.name]

            def take(
                one: Contender = one,
                parameter: float = parameter,
                batch: int = batch,
                values: int = values,
            ) -> Taken:
                return [(one.insert_ns(held, parameter, batch, values), 0)]

            case = "all" if batch == ALL else f"{batch:,}"
            yield _Shot([_of(one, "insert", case, "ns/value", parameter)], take)


def _merges(contenders: list[Contender], places: dict[str, float], held: Held) -> Iterable[_Shot]:
    each = min(PART_VALUES, len(held.values))
    for one in contenders:
        parameter = places[one.facts.name]

        def take(one: Contender = one, parameter: float = parameter) -> Taken:
            merged = one.merge(held, parameter, PARTS, each, [0.5])
            return [(merged.us, merged.part_bytes)]

        yield _Shot([_of(one, "merge", f"{PARTS} digests", "µs", parameter)], take)


def _queries(
    contenders: list[Contender], places: dict[str, float], sample: Held
) -> Iterable[_Shot]:
    for one in contenders:
        parameter = places[one.facts.name]

        def take(one: Contender = one, parameter: float = parameter) -> Taken:
            return [(one.query_ns(sample, parameter, SEVEN), 0)]

        yield _Shot([_of(one, "query", f"{len(SEVEN)} quantiles", "ns", parameter)], take)


@dataclass(frozen=True)
class _Asked:
    """A figure in an answer that only ours gives."""

    what: str
    case: str
    unit: str
    figure: Callable[[dict[str, float]], float]

    @property
    def timing(self) -> Timing:
        return Timing(self.what, OURS, "Rust", self.case, self.unit, float("nan"), 0, BYTES)


def _ours(field: Field, plan: Plan, held: Held, sample: Held) -> Iterable[_Shot]:
    """Ask what only ours can answer."""

    def shot(do: str, figures: Sequence[_Asked], **asked: object) -> _Shot:
        def take() -> Taken:
            found = field.native.ask(do, **asked)
            return [(one.figure(found), int(found.get("part_bytes", 0))) for one in figures]

        return _Shot([one.timing for one in figures], take)

    stream = str(held.path)
    setup = {"contender": OURS, "parameter": BYTES}
    for batch in BATCHES:
        case = "all" if batch == ALL else f"{batch:,}"
        figure = _Asked("open", case, "ns/value", itemgetter("ns"))
        yield shot("open_insert", [figure], **setup, stream=stream, batch=batch)
    for series in plan.series:
        case = f"{series:,}"
        figures = [
            _Asked("series", case, "ns/value", itemgetter("add_ns")),
            _Asked("series, sealing", case, "ns/value", itemgetter("seal_ns")),
            _Asked("series, memory", case, "B/series", itemgetter("bytes_per_series")),
        ]
        asked = {"series": series, "values": plan.series_values, "batch": SERIES_BATCH}
        yield shot("series", figures, **asked, stream=stream)
    for ways in WAYS:
        figures = [
            _Asked("ways", f"{ways:,}", "ns/centroid", itemgetter("ns_per_centroid")),
            _Asked("ways, whole", f"{ways:,}", "µs", itemgetter("us")),
        ]
        asked = {"ways": ways, "each": min(PART_VALUES, len(held.values))}
        yield shot("ways", figures, **asked, stream=stream)
    figures = [_Asked("one digest", key, "µs", itemgetter(f"{key}_us")) for key in CODEC]
    figures.append(_Asked("one digest", "sealed, in memory", "B", itemgetter("memory_bytes")))
    yield shot("codec", figures, **setup, stream=str(sample.path), ranks=list(SEVEN))


def _resident(contender: Contender, parameter: float, field: Field, held: Held) -> Timing:
    """Weigh a contender's digests in a process of their own."""
    timing = _of(contender, "resident", "digest", "B", parameter)
    each = min(RESIDENT_VALUES, len(held.values))
    try:
        if contender.facts.language == "Rust":
            with Process(field.native.binary) as process:
                found = process.ask(
                    "resident",
                    contender=contender.facts.name,
                    parameter=parameter,
                    stream=str(held.path),
                    digests=RESIDENT_DIGESTS,
                    each=each,
                )["bytes"]
        else:
            found = _resident_python(contender.facts.name, parameter, held.path, each)
    except ContenderError as error:
        return _timed(timing, None, 1, str(error))
    return _timed(timing, (float(found), 0), 1, None)


def _resident_python(name: str, parameter: float, path: Path, each: int) -> float:
    command = [sys.executable, "-m", "bench.digest.resident", name]
    command += [repr(parameter), str(path), str(RESIDENT_DIGESTS), str(each)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise ContenderError(ran.stderr.strip().rpartition("\n")[2])
    return float(ran.stdout)


def held_stream(plan: Plan, seed: int, folder: Path) -> tuple[Held, Held]:
    """Draw the stream that is timed, and its sample for queries and parameters."""
    held = Held.drawn(streams.named(STREAM), plan.values, seed, folder)
    return held, held.sample(PROBE, folder)
