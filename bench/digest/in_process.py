"""Python peers: the measured loops, one for all of them."""

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.digest.contender import ALL, Answer, ContenderError, Facts, Held, Merged, as_floats
from bench.digest.streams import Floats

QUERY_ROUNDS: Final = 20
QUERIES: Final = 10
"""Rounds of one trial, of which the best counts, and queries in each."""


class Sketch(ABC):
    """One digest of a peer, fed and read as its documentation says."""

    add: Callable[[Floats], object]
    """Add an array of values."""

    add_one: Callable[[float], object]
    """Add one value; the peer's own method, so that no call of ours is timed with it."""

    add_weighted: Callable[[Floats, Floats], object]
    """Add values that each count so often; only where the peer's facts say that it can."""

    def finish(self) -> None:  # noqa: B027 - most have no buffer
        """Leave nothing in a buffer."""

    @abstractmethod
    def quantiles(self, ranks: Sequence[float]) -> Sequence[float | None] | Floats:
        """Read the values at `ranks`."""

    @abstractmethod
    def nbytes(self) -> int:
        """Give the size in its serialized form, or of the fields that its constructor needs."""


@dataclass(frozen=True)
class Peer:
    """A Python contender."""

    facts: Facts
    new: Callable[[float], Sketch]
    combine: Callable[[Sequence[Sketch], float], Sketch]
    """Makes one sketch of many, by the best means that the peer has."""

    def answer(self, held: Held, parameter: float, batch: int, ranks: Sequence[float]) -> Answer:
        """Build a digest of the stream, added `batch` values at once, and read it."""
        try:
            # What f32 cannot hold is a peer's error, and counted as one.
            with np.errstate(over="ignore"):
                return self._answer(held, parameter, batch, ranks)
        except Exception as error:
            raise ContenderError(f"{type(error).__name__}: {error}") from error

    def _answer(self, held: Held, parameter: float, batch: int, ranks: Sequence[float]) -> Answer:
        sketch = self.new(parameter)
        if held.weights is not None:
            for values, weights in zip(
                _split(held.values, batch), _split(held.weights, batch), strict=True
            ):
                sketch.add_weighted(values, weights)
        else:
            _feed(sketch, held.values, batch)
        sketch.finish()
        return Answer(sketch.nbytes(), 0, as_floats(sketch.quantiles(ranks)))

    def insert_ns(self, held: Held, parameter: float, batch: int, values: int) -> float:
        """Time building one digest; nanoseconds a value."""
        given = held.values[:values]
        batches = given.tolist() if batch == 1 else _split(given, batch)
        with _no_collection():
            start = time.perf_counter_ns()
            sketch = self.new(parameter)
            add = sketch.add_one if batch == 1 else sketch.add
            for one in batches:
                add(one)
            sketch.finish()
            took = time.perf_counter_ns() - start
        return took / len(given)

    def parts(self, held: Held, parameter: float, parts: int, each: int) -> list[Sketch]:
        """Build finished digests of consecutive parts of a stream, round and round."""
        whole = len(held.values) // each
        made = []
        for part in range(parts):
            start = part % whole * each
            sketch = self.new(parameter)
            sketch.add(held.values[start : start + each])
            sketch.finish()
            made.append(sketch)
        return made

    def merge(
        self, held: Held, parameter: float, parts: int, each: int, ranks: Sequence[float]
    ) -> Merged:
        """Time merging digests of `parts` consecutive parts of the stream."""
        made = self.parts(held, parameter, parts, each)
        part_bytes = made[0].nbytes()
        with _no_collection():
            start = time.perf_counter_ns()
            merged = self.combine(made, parameter)
            merged.finish()
            took = time.perf_counter_ns() - start
        values = as_floats(merged.quantiles(ranks))
        return Merged(took / 1e3, part_bytes, merged.nbytes(), values)

    def query_ns(self, held: Held, parameter: float, ranks: Sequence[float]) -> float:
        """Time reading all `ranks` from one digest of the stream; nanoseconds."""
        sketch = self.new(parameter)
        sketch.add(held.values)
        sketch.finish()
        with _no_collection():
            return min(_queried_ns(sketch, ranks) for _ in range(QUERY_ROUNDS))

    def resident_bytes(self, held: Held, parameter: float, digests: int, each: int) -> float:
        """Weigh digests in this process's memory; exact only where nothing was freed before."""
        # Once beforehand: what all digests share is not a digest's memory.
        del self.parts(held, parameter, 2, each)[:]
        gc.collect()
        before = _resident_bytes()
        made = self.parts(held, parameter, digests, each)
        return (_resident_bytes() - before) / len(made)


def _queried_ns(sketch: Sketch, ranks: Sequence[float]) -> float:
    start = time.perf_counter_ns()
    for _ in range(QUERIES):
        sketch.quantiles(ranks)
    return (time.perf_counter_ns() - start) / QUERIES


def _split(values: Floats, batch: int) -> list[Floats]:
    if batch == ALL:
        return [values]
    return np.split(values, range(batch, len(values), batch))


def _feed(sketch: Sketch, values: Floats, batch: int) -> None:
    if batch == 1:
        add = sketch.add_one
        for value in values.tolist():
            add(value)
    else:
        for part in _split(values, batch):
            sketch.add(part)


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
