"""
The streams that every digest is fed, each drawn from a seed of its own.

Source of the laws: what quantile sketches are published, tested and attacked with. `cormode` is
the i.i.d. input of G. Cormode et al., "Theory meets Practice at the Median" (KDD 2021); `nested`
shrinks towards a point, as their adaptive one does; `repetitive` is the sampler of t-digest's own
comparison with KLL; `killer` is D. Musser's median-of-three killer (1997).
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draw = Callable[[Generator, int], Floats]

STANDARD_TOLERANCE: Final = 1e-7
WIDE_TOLERANCE: Final = 1e-6
"""Relative steps that a value may be off before its rank counts: those of our keys, and of f32."""


@dataclass(frozen=True)
class Stream:
    """One law of values, and of their order."""

    name: str
    draw: Draw
    weigh: Draw | None = None
    """Draws one weight a value, integers; `None`: each counts once."""

    wide: bool = False
    """Values leave 2^±64: ours needs its wide axis, an integer histogram cannot hold them."""

    unit: float = 1e-6
    """What one step of an integer histogram stands for."""

    quick: bool = False
    """Belongs to a quick run."""

    @property
    def tolerance(self) -> float:
        """How far off a value may be, relative, before its rank counts; for all alike."""
        return WIDE_TOLERANCE if self.wide else STANDARD_TOLERANCE

    def values(self, n: int, seed: int) -> Floats:
        """Draw `n` values in their order."""
        return np.ascontiguousarray(self.draw(self._generator(seed, "values"), n), np.float64)

    def weights(self, n: int, seed: int) -> Floats | None:
        """Draw the weights of the same `n` values."""
        return None if self.weigh is None else self.weigh(self._generator(seed, "weights"), n)

    def _generator(self, seed: int, what: str) -> Generator:
        return np.random.default_rng([seed, zlib.crc32(f"{self.name} {what}".encode())])


def _lognormal(sigma: float) -> Draw:
    return lambda rng, n: rng.lognormal(4, sigma, n)


def _pareto(shape: float) -> Draw:
    return lambda rng, n: 1 + rng.pareto(shape, n)


def _log_uniform(decades: float) -> Draw:
    return lambda rng, n: 10 ** rng.uniform(-decades, decades, n)


def _bimodal(rng: Generator, n: int) -> Floats:
    slow = rng.random(n) < 0.04
    return np.where(slow, rng.lognormal(np.log(1500), 0.1, n), rng.lognormal(np.log(5), 0.2, n))


def _first_token(rng: Generator, n: int) -> Floats:
    """Seconds to the first token: cached prompts, uncached ones, and replicas that start cold."""
    cached, uncached, cold = (
        rng.lognormal(np.log(median), sigma, n)
        for median, sigma in ((0.12, 0.25), (0.9, 0.5), (28, 0.15))
    )
    mode = rng.random(n)
    return np.where(mode < 0.7, cached, np.where(mode < 0.98, uncached, cold))


def _outliers(rng: Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.001, rng.lognormal(9, 1, n), rng.normal(100, 5, n))


def _drift(rng: Generator, n: int) -> Floats:
    return rng.lognormal(4, 0.5, n) * np.linspace(1, 5, n)


def _sawtooth(rng: Generator, n: int) -> Floats:
    return np.arange(n) % 1000 + 1 + rng.random(n)


def _organ_pipe(rng: Generator, n: int) -> Floats:
    rising = np.sort(rng.exponential(100, n))
    return np.concatenate([rising[::2], rising[1::2][::-1]])


def _extremes(rng: Generator, n: int) -> Floats:
    """Smallest, largest, second smallest, second largest and so on to the middle."""
    ordered = np.sort(rng.exponential(100, n))
    out = np.empty(n)
    out[::2] = ordered[: (n + 1) // 2]
    out[1::2] = ordered[(n + 1) // 2 :][::-1]
    return out


def _killer(_rng: Generator, n: int) -> Floats:
    half = n // 2
    place = np.arange(1, half + 1)
    first = np.where(place % 2 == 1, place, half + place - 1)
    return np.concatenate([first, 2 * place, np.full(n - 2 * half, n)]).astype(np.float64)


def _repetitive(rng: Generator, n: int) -> Floats:
    """Count up with a chance that starts at 0.001 and falls by 2 % with each step."""
    out = np.empty(n)
    place, value = 0, 0
    while place < n:
        stays = int(rng.geometric(0.001 * 0.98**value))
        out[place : place + stays] = value
        place += stays
        value += 1
    return out


def _nested(rng: Generator, n: int) -> Floats:
    """Each of sixty stretches falls into the middle half of the one before."""
    stretch = np.arange(n) * 60 // n
    return 3 + (rng.random(n) - 0.5) * 2.0 ** -stretch.astype(np.float64)


def _cormode(rng: Generator, n: int) -> Floats:
    return rng.choice([-1.0, 1.0], n) * 10 ** rng.uniform(-300, 300, n)


def _zeros_and_subnormals(rng: Generator, n: int) -> Floats:
    subnormal = rng.integers(1, 2**52, n).view(np.float64)
    kind = rng.random(n)
    return np.where(kind < 0.3, 0.0, np.where(kind < 0.6, subnormal, rng.lognormal(-700, 5, n)))


def _huge(rng: Generator, n: int) -> Floats:
    return rng.choice([-1.0, 1.0], n) * rng.uniform(0.9e308, 1.7e308, n)


def _rare_heavy(rng: Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.001, 1e12, 1.0)


STREAMS: Final = (
    Stream("uniform", lambda rng, n: rng.random(n), quick=True),
    Stream("exponential", lambda rng, n: rng.exponential(100, n)),
    Stream("lognormal-0.5", _lognormal(0.5)),
    Stream("lognormal-1", _lognormal(1), quick=True),
    Stream("lognormal-2", _lognormal(2)),
    Stream("pareto-1.1", _pareto(1.1)),
    Stream("pareto-1.5", _pareto(1.5), quick=True),
    Stream("gamma-0.1", lambda rng, n: rng.gamma(0.1, 100, n), wide=True),
    Stream("bimodal", _bimodal, quick=True),
    Stream("first-token", _first_token),
    Stream("integer-ms", lambda rng, n: np.ceil(rng.lognormal(4, 1, n)), unit=1, quick=True),
    Stream("constant", lambda _rng, n: np.full(n, 0.05)),
    Stream("two-values", lambda rng, n: rng.choice([0.05, 0.5], n)),
    Stream("outliers", _outliers),
    Stream("drift", _drift),
    Stream("sorted", lambda rng, n: np.sort(rng.lognormal(4, 1, n))),
    Stream("reversed", lambda rng, n: np.sort(rng.lognormal(4, 1, n))[::-1], quick=True),
    Stream("sawtooth", _sawtooth),
    Stream("organ-pipe", _organ_pipe),
    Stream("extremes", _extremes),
    Stream("killer", _killer, unit=1),
    Stream("repetitive", _repetitive, unit=1),
    Stream("negative", lambda rng, n: -rng.lognormal(4, 1, n)),
    Stream("mixed-sign", lambda rng, n: rng.normal(0, 100, n)),
    Stream("log-uniform-18", _log_uniform(18), quick=True),
    Stream("log-uniform-150", _log_uniform(150), wide=True),
    Stream("cormode", _cormode, wide=True),
    Stream("nested", _nested),
    Stream("zeros-subnormals", _zeros_and_subnormals, wide=True),
    Stream("huge", _huge, wide=True),
    Stream("weighted", _lognormal(1), lambda rng, n: rng.geometric(0.2, n).astype(np.float64)),
    Stream("rare-heavy", _lognormal(1), _rare_heavy, quick=True),
)
"""Every stream, in the order of the tables."""

LARGE: Final = ("uniform", "lognormal-1", "bimodal")
"""Streams of a run of 100 million values."""


def named(name: str) -> Stream:
    """Find a stream; `KeyError` where there is none."""
    return {stream.name: stream for stream in STREAMS}[name]
