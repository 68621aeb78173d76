"""Turns figures into markdown: what was wanted, wins and losses, and every table."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.digest.accuracy import DEFAULT, EQUAL, Figure
from bench.digest.contender import ALL, BYTES
from bench.digest.model import NAMED_RANKS, PPM
from bench.digest.native import OURS
from bench.digest.speed import PARTS, SEVEN, Timing

MIDDLE: Final = 10_000
"""The batch of the tables that show one."""


WORDS: Final = ("won", "tied", "lost")


@dataclass(frozen=True)
class Verdict:
    """Ours at its worst batch against the best peer at its best one."""

    stream: str
    n: int
    ours: float
    """Grid maximum, ppm."""

    best: float
    peer: str
    bytes: int
    """Of the peer's digest."""

    batch: int
    """At which the peer reached it."""

    larger: str = ""
    """A peer that is nearer than ours with more bytes than are compared, and its figures."""

    @property
    def word(self) -> str:
        """Call it; within one rank of each other is a tie."""
        if abs(self.ours - self.best) <= PPM / self.n:
            return "tied"
        return "won" if self.ours < self.best else "lost"


def verdicts(figures: Sequence[Figure], batch: int | None = None) -> list[Verdict]:
    """
    Compare ours with every peer at equal bytes, stream by stream.

    A peer whose smallest digest is too large wins nothing, but is named where it is nearer.

    Args:
        figures: Any; those at equal bytes count.
        batch: Compare at this batch only, with `ALL` where a peer takes no other.
    """
    seen = [
        it
        for it in figures
        if it.sizing == EQUAL and it.problem is None and not math.isnan(it.grid_ppm)
    ]
    found = []
    for stream, n in dict.fromkeys((it.stream, it.n) for it in seen):
        here = [it for it in seen if (it.stream, it.n) == (stream, n)]
        mine = [it for it in here if it.contender == OURS and batch in (None, it.batch)]
        if not mine:
            continue
        theirs = [
            it
            for name in dict.fromkeys(it.contender for it in here if it.contender != OURS)
            for it in _at([it for it in here if it.contender == name], batch)
        ]
        worst = max(_over_seeds(mine).values())
        best = _best(it for it in theirs if it.bytes <= BYTES)
        if best is None:
            continue
        larger = _best(it for it in theirs if it.bytes > BYTES)
        nearer = larger is not None and larger.grid_ppm < worst - PPM / n
        found.append(
            Verdict(
                stream,
                n,
                worst,
                best.grid_ppm,
                best.contender,
                best.bytes,
                best.batch,
                f"{larger.contender}, {larger.bytes:,} B: {_ppm(larger.grid_ppm)}"
                if larger is not None and nearer
                else "",
            )
        )
    return found


def _best(figures: Iterable[Figure]) -> Figure | None:
    """Pick the lowest grid maximum; over seeds, the median's."""
    kept = list(figures)
    if not kept:
        return None
    (name, at), grid = min(_over_seeds(kept).items(), key=lambda it: it[1])
    largest = max(it.bytes for it in kept if (it.contender, it.batch) == (name, at))
    return replace(kept[0], contender=name, batch=at, bytes=largest, grid_ppm=grid)


def _at(figures: list[Figure], batch: int | None) -> list[Figure]:
    """Keep one contender's figures at a batch; those at `ALL` where it takes no other."""
    if batch is None:
        return figures
    same = [it for it in figures if it.batch == batch]
    return same or [it for it in figures if {one.batch for one in figures} == {ALL}]


def _over_seeds(figures: Iterable[Figure]) -> dict[tuple[str, int], float]:
    """Take the median grid maximum over seeds, by contender and batch."""
    grids: dict[tuple[str, int], list[float]] = {}
    for it in figures:
        grids.setdefault((it.contender, it.batch), []).append(it.grid_ppm)
    return {key: statistics.median(grid) for key, grid in grids.items()}


@dataclass(frozen=True)
class Target:
    """One figure that the design asks for."""

    claim: str
    wanted: float
    unit: str
    measured: Callable[[Sequence[Timing]], float]

    def row(self, timings: Sequence[Timing]) -> str | None:
        """Write its line of the table; `None` where it was not measured."""
        measured = self.measured(timings)
        if math.isnan(measured):
            return None
        verdict = "met" if measured <= self.wanted else "**missed**"
        return (
            f"| {self.claim} | {measured:,.1f} {self.unit} "
            f"| ≤ {self.wanted:g} {self.unit} | {verdict} |"
        )


def _figure(what: str, case: str) -> Callable[[Sequence[Timing]], float]:
    def find(timings: Sequence[Timing]) -> float:
        found = [
            it.best for it in timings if (it.what, it.contender, it.case) == (what, OURS, case)
        ]
        return found[0] if found else math.nan

    return find


TARGETS: Final = (
    Target("insert, hot series, open bucket, batches of 512", 12, "ns", _figure("open", "512")),
    Target("the same, batches of 10,000", 12, "ns", _figure("open", "10,000")),
    Target("insert, builder, batches of 512", 12, "ns", _figure("insert", "512")),
    Target("the same, batches of 10,000", 12, "ns", _figure("insert", "10,000")),
    Target("insert, 100,000 series, grouping included", 18, "ns", _figure("series", "100,000")),
    Target(f"merge, {PARTS} sealed buckets, a centroid", 8, "ns", _figure("ways", f"{PARTS}")),
    Target(
        f"merge, {PARTS} sealed buckets of 1,600 B in memory",
        500,
        "µs",
        _figure("ways, whole", f"{PARTS}"),
    ),
    Target(
        f"merge, {PARTS} digests of 1,600 B serialized",
        500,
        "µs",
        _figure("merge", f"{PARTS} digests"),
    ),
    Target(
        f"{len(SEVEN)} quantiles, cached", 400, "ns", _figure("query", f"{len(SEVEN)} quantiles")
    ),
)
"""What the design wants of the speed; of the error, it wants no stream lost."""


def summary(figures: Sequence[Figure], timings: Sequence[Timing], *, notes: Iterable[str]) -> str:
    """Write every table as markdown."""
    parts = [
        _targets(figures, timings),
        *(_grid(figures, n) for n in dict.fromkeys(it.n for it in figures)),
        _batches(figures),
        *(_matrix(figures, n) for n in dict.fromkeys(it.n for it in figures)),
        _ranks(figures),
        _sizes(figures),
        _inserts(timings),
        _others(timings),
        _alone(timings),
        _problems(figures, timings),
        [f"- {note}" for note in notes],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _targets(figures: Sequence[Figure], timings: Sequence[Timing]) -> list[str]:
    rows = [row for target in TARGETS if (row := target.row(timings)) is not None]
    for n in dict.fromkeys(it.n for it in figures):
        called = [it.word for it in verdicts(figures) if it.n == n]
        lost = called.count("lost")
        rows.append(
            f"| lowest grid maximum at equal bytes, {n:,} values "
            f"| {len(called) - lost} of {len(called)} streams | all "
            f"| {'**missed**' if lost else 'met'} |"
        )
    return ["| figure | measured | wanted | |", "|---|---:|---:|---|", *rows] if rows else []


def _grid(figures: Sequence[Figure], n: int) -> list[str]:
    rows = [it for it in verdicts(figures) if it.n == n]
    if not rows:
        return []
    called = [it.word for it in rows]
    lines = [
        f"## Grid maximum at {BYTES:,} B, {n:,} values",
        "",
        "ppm of rank, worst of 0.001, 0.002 … 0.999. Ours at its worst batch, the best peer at",
        f"its best. {', '.join(f'{called.count(it)} {it}' for it in WORDS)}.",
        "",
        "| stream | ours | best peer | which, batch, bytes | × | | nearer with more bytes |",
        "|---|---:|---:|---|---:|---|---|",
    ]
    for it in rows:
        times = f"{it.best / it.ours:.1f}" if it.ours > 0 else "–"
        word = "**lost**" if it.word == "lost" else it.word
        lines.append(
            f"| {it.stream} | {_ppm(it.ours)} | {_ppm(it.best)} "
            f"| {it.peer}, {_batch(it.batch)}, {it.bytes:,} | {times} | {word} | {it.larger} |"
        )
    return lines


def _batches(figures: Sequence[Figure]) -> list[str]:
    sizes = sorted({it.batch for it in figures if it.sizing == EQUAL}, key=lambda it: it or 1e18)
    rows = []
    for n in dict.fromkeys(it.n for it in figures):
        for size in sizes:
            called = [it.word for it in verdicts(figures, size) if it.n == n]
            if called:
                counts = " | ".join(str(called.count(word)) for word in WORDS)
                rows.append(f"| {n:,} | {_batch(size)} | {counts} |")
    if not rows:
        return []
    head = ["| values | added by | won | tied | lost |", "|---:|---:|---:|---:|---:|"]
    return ["## Both at the same batch", "", *head, *rows]


def _matrix(figures: Sequence[Figure], n: int) -> list[str]:
    """Everyone's grid maximum, streams down, contenders across."""
    here = [it for it in figures if it.n == n and it.sizing == EQUAL]
    names = list(dict.fromkeys(it.contender for it in here))
    if not names:
        return []
    lines = [
        f"## Everyone's grid maximum at {BYTES:,} B, {n:,} values",
        "",
        f"ppm, added by {MIDDLE:,} (DuckDB: all at once). Lowest in bold; † over {BYTES:,} B;",
        "‡ some values refused; – takes no weights.",
        "",
        "| stream | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for stream in dict.fromkeys(it.stream for it in here):
        cells = {
            name: _median_at([it for it in here if (it.stream, it.contender) == (stream, name)])
            for name in names
        }
        known = [it.grid_ppm for it in cells.values() if it is not None and it.problem is None]
        lowest = min(known, default=math.nan)
        lines.append(
            f"| {stream} | " + " | ".join(_cell(cells[name], lowest) for name in names) + " |"
        )
    return lines


def _median_at(figures: list[Figure]) -> Figure | None:
    """Pick the figure of the middle batch, or of the only one; the median seed."""
    kept = sorted(_at(figures, MIDDLE), key=lambda it: (it.problem is None, it.grid_ppm))
    return kept[len(kept) // 2] if kept else None


def _cell(figure: Figure | None, lowest: float) -> str:
    if figure is None:
        return "–"
    if figure.problem is not None:
        return "fails"
    marks = ("†" if figure.bytes > BYTES else "") + ("‡" if figure.refused else "")
    text = _ppm(figure.grid_ppm) + marks
    return f"**{text}**" if figure.grid_ppm <= lowest else text


def _ranks(figures: Sequence[Figure]) -> list[str]:
    """Medians over streams at the named ranks, at equal bytes."""
    largest = max((it.n for it in figures), default=0)
    here = [it for it in figures if it.sizing == EQUAL and it.n == largest and it.named_ppm]
    lines = [
        f"## Error at seven ranks, {largest:,} values",
        "",
        "ppm, median over the streams that a contender takes, at equal bytes (and the worst).",
        "",
        "| | " + " | ".join(f"{rank:g}" for rank in NAMED_RANKS) + " |",
        "|---|" + "---:|" * len(NAMED_RANKS),
    ]
    for name in dict.fromkeys(it.contender for it in here):
        kept = _at([it for it in here if it.contender == name], MIDDLE)
        columns = zip(*(it.named_ppm for it in kept), strict=True)
        cells = [f"{_ppm(statistics.median(it))} ({_ppm(max(it))})" for it in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines if here else []


def _sizes(figures: Sequence[Figure]) -> list[str]:
    """Sizes and errors with the parameter chosen, and with the default one."""
    largest = max((it.n for it in figures), default=0)
    lines = [
        f"## Parameters, {largest:,} values",
        "",
        "Medians over streams. Value error: relative, worst of the grid, on streams within 2^±64.",
        "",
        "| | sized to | parameter | bytes | grid maximum, ppm | value error |",
        "|---|---|---:|---:|---:|---:|",
    ]
    kept = [it for it in figures if it.n == largest and it.problem is None]
    for name in dict.fromkeys(it.contender for it in kept):
        for sizing in (EQUAL, DEFAULT):
            here = _at([it for it in kept if (it.contender, it.sizing) == (name, sizing)], MIDDLE)
            if here:
                off = [it.value_error for it in here if math.isfinite(it.value_error)]
                lines.append(
                    f"| {name} | {f'{BYTES:,} B' if sizing == EQUAL else 'its default'} "
                    f"| {statistics.median(it.parameter for it in here):.3g} "
                    f"| {statistics.median(it.bytes for it in here):,.0f} "
                    f"| {_ppm(statistics.median(it.grid_ppm for it in here))} "
                    f"| {f'{statistics.median(off):.2%}' if off else '–'} |"
                )
    return lines if kept else []


def _inserts(timings: Sequence[Timing]) -> list[str]:
    here = [it for it in timings if it.what == "insert"]
    cases = list(dict.fromkeys(it.case for it in here))
    lines = [
        "## Insert",
        "",
        "ns a value, finished and ready to be read.",
        "",
        "| | | " + " | ".join(f"by {case}" for case in cases) + " |",
        "|---|---|" + "---:|" * len(cases),
    ]
    for name, language in dict.fromkeys((it.contender, it.language) for it in here):
        cells = {it.case: it for it in here if it.contender == name}
        lines.append(
            f"| {name} | {language} | "
            + " | ".join(_time(cells.get(case), 1) for case in cases)
            + " |"
        )
    return lines if here else []


def _others(timings: Sequence[Timing]) -> list[str]:
    """Merge, query and memory, a contender a row."""
    here = [it for it in timings if it.what in ("merge", "query", "resident")]
    lines = [
        "## Merge, query, memory",
        "",
        "| | | bytes of a part | merge, µs | query, ns | resident, B |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, language in dict.fromkeys((it.contender, it.language) for it in here):
        of = {it.what: it for it in here if it.contender == name}
        size = f"{of['merge'].bytes:,}" if "merge" in of else "–"
        cells = [_time(of.get(what), 0) for what in ("merge", "query", "resident")]
        lines.append(f"| {name} | {language} | {size} | " + " | ".join(cells) + " |")
    return lines if here else []


def _alone(timings: Sequence[Timing]) -> list[str]:
    """Show what was asked of ours alone."""
    compared = ("insert", "merge", "query", "resident")
    here = [it for it in timings if it.what not in compared]
    lines = ["## Ours alone", "", "| | | |", "|---|---|---:|"]
    lines += [f"| {it.what} | {it.case} | {_time(it, 1)} {it.unit} |" for it in here]
    return lines if here else []


def _problems(figures: Sequence[Figure], timings: Sequence[Timing]) -> list[str]:
    said = [
        f"- {it.contender} on {it.stream}, {it.n:,} values: {' '.join(it.problem.split())}"
        for it in figures
        if it.problem is not None
    ]
    said += [
        f"- {it.contender}, {it.what} {it.case}: {' '.join(it.problem.split())}"
        for it in timings
        if it.problem is not None
    ]
    return ["## What fails", "", *dict.fromkeys(said)] if said else []


def _time(timing: Timing | None, digits: int) -> str:
    if timing is None:
        return "–"
    return "fails" if timing.problem is not None else f"{timing.best:,.{digits}f}"


def _batch(batch: int) -> str:
    return "all" if batch == ALL else f"{batch:,}"


def _ppm(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 9.95 or figure == 0 else f"{figure:.1f}"
