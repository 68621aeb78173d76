"""What every contender can be asked, and how its parameter is chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from bench.digest.streams import Floats, Stream

BYTES: Final = 1600
"""Serialized size at which contenders are compared."""

ALL: Final = 0
"""The batch that holds every value."""

SLOW_SINGLES: Final = 100_000
"""`Facts.singles_max` of peers whose call for one value is slow."""

PROBE: Final = 50_000
"""Values on which a parameter is tried before the whole stream is."""


@dataclass(frozen=True)
class Held:
    """A stream's values in memory and, for the contenders of another process, in a file."""

    stream: Stream
    values: Floats
    path: Path
    weights: Floats | None = None
    weights_path: Path | None = None

    @classmethod
    def drawn(cls, stream: Stream, n: int, seed: int, folder: Path) -> "Held":
        """Draw a stream and write it to `folder`."""
        return cls.of(stream, stream.values(n, seed), stream.weights(n, seed), folder)

    @classmethod
    def of(
        cls, stream: Stream, values: Floats, weights: Floats | None, folder: Path, name: str = ""
    ) -> "Held":
        """Write values that are there already."""
        stem = name or f"{stream.name}-{len(values)}"
        path = _write(folder / f"{stem}.f64", values)
        weights_path = None if weights is None else _write(folder / f"{stem}.weights", weights)
        return cls(stream, values, path, weights, weights_path)

    def sample(self, n: int, folder: Path) -> "Held":
        """Take about every k-th value, so that a sample of a sorted stream is like the whole."""
        if len(self.values) <= n:
            return self
        every = -(-len(self.values) // n)
        weights = None if self.weights is None else self.weights[::every].copy()
        stem = f"{self.path.stem}-sample"
        return self.of(self.stream, self.values[::every].copy(), weights, folder, stem)

    def remove(self) -> None:
        """Delete its files."""
        for path in (self.path, self.weights_path):
            if path is not None:
                path.unlink(missing_ok=True)


def _write(path: Path, values: Floats) -> Path:
    values.astype("<f8").tofile(path)
    return path


@dataclass(frozen=True)
class Facts:
    """What a contender says of itself."""

    name: str
    language: str
    version: str
    parameter: str
    """What its one parameter is called."""

    parameters: Sequence[float]
    """Worth trying, later ones make larger digests."""

    default: float
    weighted: bool = False
    batch_min: int = 1
    """Smallest batch that its interface is made for; more than any stream: only all at once."""

    singles_max: int = 2**62
    """Longest stream that is added one by one: where that takes microseconds a value, and ends in
    the same digest as larger batches."""

    same_for_every_batch: bool = False
    """It takes one value at a time, so that batches change nothing."""

    def takes(self, batch: int) -> bool:
        """Say whether values can be added `batch` at once."""
        return batch == ALL or batch >= self.batch_min


@dataclass(frozen=True)
class Answer:
    """What one digest of a stream is and says."""

    bytes: int
    refused: int
    values: Floats = field(repr=False)


@dataclass(frozen=True)
class Merged:
    """One merge, timed."""

    us: float
    part_bytes: int
    bytes: int
    values: Floats = field(repr=False)


class ContenderError(Exception):
    """A contender cannot do what it is asked; the message says why."""


class Contender(Protocol):
    """A digest that can be measured, in whatever process it lives."""

    @property
    def facts(self) -> Facts:
        """Name, version and abilities."""

    def answer(self, held: Held, parameter: float, batch: int, ranks: Sequence[float]) -> Answer:
        """Build a digest of the stream, added `batch` values at once, and read it."""

    def insert_ns(self, held: Held, parameter: float, batch: int, values: int) -> float:
        """Time the same without reading, for the first `values` values; nanoseconds a value."""

    def merge(
        self, held: Held, parameter: float, parts: int, each: int, ranks: Sequence[float]
    ) -> Merged:
        """Time merging digests of `parts` consecutive parts of the stream."""

    def query_ns(self, held: Held, parameter: float, ranks: Sequence[float]) -> float:
        """Time reading all `ranks` from one digest of the stream; nanoseconds."""


def largest(parameters: Sequence[float], size: Callable[[float], int], limit: int) -> int:
    """
    Find the place of the last parameter whose digest has at most `limit` bytes.

    Sizes are taken to rise along `parameters`; 0 where even the first is too large.
    """
    low, high = 0, len(parameters) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if size(parameters[middle]) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


def fitting(contender: Contender, sample: Held) -> int:
    """Find the place of the parameter that fills `BYTES` on a sample of a stream."""

    def size(parameter: float) -> int:
        return contender.answer(sample, parameter, ALL, [0.5]).bytes

    return largest(contender.facts.parameters, size, BYTES)


def answer_within(
    contender: Contender,
    held: Held,
    place: int,
    batch: int,
    ranks: Sequence[float],
) -> tuple[int, Answer]:
    """
    Read a digest of at most `BYTES`, or the smallest there is.

    Starts with the parameter at `place`, and goes down while the digest is too large.

    Returns:
        The place it ended at, and the answer.
    """
    while True:
        answer = contender.answer(held, contender.facts.parameters[place], batch, ranks)
        if answer.bytes <= BYTES or place == 0:
            return place, answer
        place -= 1


def as_floats(values: Sequence[float | None] | Floats) -> Floats:
    """Turn read values into an array; what is missing is NaN."""
    return np.array([np.nan if value is None else value for value in values], np.float64)
