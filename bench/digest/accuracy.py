"""How far off every contender is, on every stream and batch size; not timed, so on all cores."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from bench.digest import streams
from bench.digest.contender import (
    ALL,
    PROBE,
    Answer,
    Contender,
    ContenderError,
    Held,
    answer_within,
    fitting,
)
from bench.digest.field import Field
from bench.digest.model import GRID, NAMED_RANKS, PPM, RANKS, Truth

EQUAL: Final = "equal"
"""With the parameter that fills `BYTES`, or the smallest there is."""

DEFAULT: Final = "default"
"""With the parameter that the contender takes by itself."""

_RANKS: Final = np.array(RANKS)
_NAMED: Final = [RANKS.index(rank) for rank in NAMED_RANKS]


@dataclass(frozen=True)
class Figure:
    """One contender on one stream, added in one way."""

    stream: str
    n: int
    seed: int
    contender: str
    language: str
    sizing: str
    """`EQUAL` or `DEFAULT`."""

    batch: int
    parameter: float = 0.0
    bytes: int = 0
    refused: int = 0
    named_ppm: tuple[float, ...] = ()
    """Rank errors at `NAMED_RANKS`."""

    grid_ppm: float = float("nan")
    """Worst rank error over `GRID`."""

    grid_at: float = float("nan")
    """Where that is."""

    value_error: float = float("nan")
    """Worst relative error of a value over `GRID`."""

    problem: str | None = None
    """Why there are no figures."""


@dataclass(frozen=True)
class Task:
    """One stream, for everyone."""

    stream: str
    n: int
    seed: int
    batches: tuple[int, ...]
    """Batch sizes at equal bytes."""

    default_batch: int | None
    """Batch size at defaults; `None` leaves them out."""

    binary: Path


Report = Callable[[str], None]
"""Takes a line of progress."""


def run(tasks: Sequence[Task], report: Report) -> list[Figure]:
    """Measure all tasks, one worker a core; `report` hears of each that ends."""
    figures: dict[int, list[Figure]] = {}
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {pool.submit(_task, task): place for place, task in enumerate(tasks)}
        for done, future in enumerate(as_completed(pending), 1):
            place = pending[future]
            figures[place] = future.result()
            task = tasks[place]
            report(f"accuracy {done} of {len(tasks)}: {task.stream}, {task.n:,} values")
    return [figure for place in sorted(figures) for figure in figures[place]]


def _task(task: Task) -> list[Figure]:
    stream = streams.named(task.stream)
    with tempfile.TemporaryDirectory(prefix="spanmill-digest-") as folder:
        held = Held.drawn(stream, task.n, task.seed, Path(folder))
        sample = held.sample(PROBE, Path(folder))
        truth = Truth(held.values, held.weights, stream.tolerance)
        field = Field.gathered(task.binary)
        try:
            return [
                figure
                for contender in field.everyone()
                for figure in _figures(contender, task, held, sample, truth)
            ]
        finally:
            field.native.close()


def _figures(
    contender: Contender, task: Task, held: Held, sample: Held, truth: Truth
) -> Iterator[Figure]:
    """Measure one contender in every way that it can be fed."""
    facts = contender.facts
    if held.weights is not None and not facts.weighted:
        return
    # A weight for one value at a time is nobody's interface.
    singles = held.weights is None and task.n <= facts.singles_max
    taken = [it for it in task.batches if facts.takes(it) and (it != 1 or singles)]
    # The cheapest first: it finds the parameter for the others.
    taken.sort(key=lambda it: (it != ALL, -it))
    try:
        place = fitting(contender, sample)
    except ContenderError as error:
        yield _figure(contender, task, EQUAL, 0, problem=str(error))
        return
    answer: Answer | None = None
    for batch in taken:
        try:
            if answer is None or not facts.same_for_every_batch:
                place, answer = answer_within(contender, held, place, batch, RANKS)
        except ContenderError as error:
            yield _figure(contender, task, EQUAL, batch, problem=str(error))
        else:
            yield _judged(contender, task, (EQUAL, batch, facts.parameters[place]), answer, truth)
    if task.default_batch is not None:
        batch = task.default_batch if facts.takes(task.default_batch) else ALL
        try:
            answer = contender.answer(held, facts.default, batch, RANKS)
        except ContenderError as error:
            yield _figure(contender, task, DEFAULT, batch, problem=str(error))
        else:
            yield _judged(contender, task, (DEFAULT, batch, facts.default), answer, truth)


def _figure(contender: Contender, task: Task, sizing: str, batch: int, *, problem: str) -> Figure:
    facts = contender.facts
    return Figure(
        task.stream, task.n, task.seed, facts.name, facts.language, sizing, batch, problem=problem
    )


def _judged(
    contender: Contender,
    task: Task,
    how: tuple[str, int, float],
    answer: Answer,
    truth: Truth,
) -> Figure:
    """Compare an answer with the truth."""
    sizing, batch, parameter = how
    errors = truth.rank_errors(answer.values, _RANKS) * PPM
    grid = errors[: len(GRID)]
    worst = int(np.argmax(grid))
    off = truth.value_errors(answer.values, _RANKS)[: len(GRID)]
    return Figure(
        task.stream,
        task.n,
        task.seed,
        contender.facts.name,
        contender.facts.language,
        sizing,
        batch,
        parameter=parameter,
        bytes=answer.bytes,
        refused=answer.refused,
        named_ppm=tuple(float(errors[place]) for place in _NAMED),
        grid_ppm=float(grid[worst]),
        grid_at=GRID[worst],
        value_error=float(np.nanmax(off)) if np.isfinite(off).any() else float("nan"),
    )
