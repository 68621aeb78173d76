"""
Each foreign layout against the implementation it belongs to, in both directions.

Foreign readers interpolate linearly and are asked for their own accuracy, not for ours. Readers
of DataSketches before its fix of 2026 swap the weights of that interpolation, so that they are
asked for ranks instead, which they compute rightly from the same centroids.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import datasketches
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanmill
from tests.digest.golden import GOLDEN, LAYOUT_VALUES
from tests.digest.oracle import STREAMS, Floats, rank_errors
from tests.peers import jvm
from tests.peers.jvm import Jvm, Missing

# The first run on a machine fetches the jars.
pytestmark = pytest.mark.timeout(900)

N: Final = 50_000
QS: Final = np.array([0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999])
PPM: Final = 1e6

READ_PPM: Final = 1_000
"""How far a linear reader may be from the exact rank, given our centroids."""


Stored = bytes | dict[str, Any]
"""A digest as an engine keeps it; DuckDB's is a row."""


@dataclass(frozen=True)
class Read:
    """What a peer makes of a digest."""

    count: float
    low: float
    high: float
    quantiles: Floats
    ranks: Floats
    """Shares at or below the values that were asked for; NaN where the peer has no such thing."""


class Peer(Protocol):
    """One implementation of a layout."""

    name: str

    def write(self, values: Floats) -> Stored:
        """Digest the values and serialise."""

    def read(self, stored: Stored, xs: Floats) -> Read:
        """Read a digest; gives quantiles at `QS` and ranks of `xs`."""


class DuckDb:
    """The aggregate state of `approx_quantile`."""

    name = "duckdb"

    def write(self, values: Floats) -> dict[str, Any]:
        """Export the state of an aggregation."""
        table = pa.table({"x": values})
        found = _sql("SELECT approx_quantile(x, 0.5) EXPORT_STATE FROM source", table)
        return found[0][0]

    def read(self, stored: Stored, xs: Floats) -> Read:
        """Finalise the state at each rank."""
        column = pa.array([stored], pa.array(spanmill.Digest()).type)
        found = _sql(_finalize("state", np.concatenate([[0.0, 1.0], QS])), pa.table({"d": column}))
        low, high, *quantiles = found[0][0]
        count = float(stored["count"])
        return Read(count, low, high, np.array(quantiles), np.full(len(xs), np.nan))


def _sql(query: str, source: pa.Table) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.register("source", source)
        return connection.execute(query).fetchall()


def _finalize(state: str, qs: Sequence[float] | Floats) -> str:
    """Read quantiles off one state, or off many combined."""
    made = (
        f"to_aggregate_state(d, 'approx_quantile', ['DOUBLE', 'FLOAT[]'], "
        f"[NULL, {[float(q) for q in qs]}])"
    )
    merged = {"state": made, "states": f"combine_aggr({made})"}[state]
    return f"SELECT finalize({merged}) FROM source"  # noqa: S608  numbers of ours


class DataSketchesCpp:
    """`datasketches` from PyPI, which is the C++ one."""

    name = "datasketches"

    def write(self, values: Floats) -> bytes:
        """Update and serialise."""
        sketch = datasketches.tdigest_double(100)
        for value in values:
            sketch.update(value)
        return bytes(sketch.serialize())

    def read(self, stored: bytes, xs: Floats) -> Read:
        """Deserialise and ask."""
        sketch = datasketches.tdigest_double.deserialize(stored)
        return Read(
            float(sketch.get_total_weight()),
            sketch.get_min_value(),
            sketch.get_max_value(),
            np.array([sketch.get_quantile(q) for q in QS]),
            np.array([sketch.get_rank(x) for x in xs]),
        )


@dataclass(frozen=True)
class OnJvm:
    """One of the JVM's."""

    jvm: Jvm
    name: str

    def write(self, values: Floats) -> bytes:
        """Add and serialise, in the other process."""
        return self.jvm.write(self.name, values)

    def read(self, stored: bytes, xs: Floats) -> Read:
        """Deserialise and ask, in the other process."""
        layout = self.name.removesuffix("-small")
        (count, low, high), quantiles, ranks = self.jvm.read(layout, stored, QS, xs)
        return Read(count, low, high, np.array(quantiles), np.array(ranks))


@pytest.fixture(scope="module")
def running() -> Iterator[Jvm]:
    """Give the JVM's digests; skips where there is no JVM."""
    try:
        command = jvm.build()
    except Missing as missing:
        pytest.skip(str(missing))
    with Jvm(command) as running:
        yield running


PEERS: Final = ("duckdb", "datasketches", "java datasketches", "trino", "tdunning")


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Peer:
    """Give one peer after another."""
    local: dict[str, Callable[[], Peer]] = {"duckdb": DuckDb, "datasketches": DataSketchesCpp}
    if request.param in local:
        return local[request.param]()
    name = request.param.removeprefix("java ")
    return OnJvm(request.getfixturevalue("running"), name)


def stored_for(peer: Peer, digest: spanmill.Digest) -> Stored:
    """Write a digest of ours in the peer's layout."""
    return getattr(digest, f"to_{peer.name}")()


def read_from(peer: Peer, stored: Stored) -> spanmill.Digest:
    """Read the peer's digest into one of ours."""
    read = getattr(spanmill.Digest, f"from_{peer.name.removesuffix('-small')}")
    return read(stored)  # type: ignore[no-any-return]


def digest_of(values: Floats, weights: Sequence[int] | None = None) -> spanmill.Digest:
    """Digest values, of which none may be refused."""
    digest = spanmill.Digest()
    assert 0 == digest.add(values, weights)
    return digest


def values_of(law: str) -> Floats:
    """Give a stream's values, the same at every call."""
    return STREAMS[law](np.random.default_rng(11), N)


LAWS: Final = ("lognormal", "uniform", "pareto", "mixed sign", "drift")


def assert_same_totals(read: Read, digest: spanmill.Digest) -> None:
    """Hold a peer's count and extremes against ours, to the last bit."""
    assert (float(digest.count), digest.min, digest.max) == (read.count, read.low, read.high)


def assert_ranks_fit(peer: Peer, read: Read, values: Floats, within_ppm: float) -> None:
    """Hold a peer's answers against every value; DataSketches by rank, see the module."""
    ordered = np.sort(values)
    if peer.name == "datasketches":
        exact = np.searchsorted(ordered, np.quantile(ordered, QS), "right") / len(ordered)
        errors = np.abs(read.ranks - exact)
    else:
        errors = rank_errors(ordered, QS, read.quantiles)
    assert within_ppm >= errors.max() * PPM, dict(zip(QS, errors * PPM, strict=True))


@pytest.mark.parametrize("law", LAWS)
def test_a_peer_reads_what_we_write(peer: Peer, law: str) -> None:
    """Count and extremes arrive bit for bit, quantiles within a linear reader's error."""
    values = values_of(law)
    digest = digest_of(values)

    read = peer.read(stored_for(peer, digest), np.quantile(values, QS))

    assert_same_totals(read, digest)
    assert_ranks_fit(peer, read, values, READ_PPM)


@pytest.mark.parametrize("law", LAWS)
def test_we_read_what_a_peer_writes(peer: Peer, law: str) -> None:
    """
    Count and extremes arrive, the sum is said not to be exact, and off the peer's centroids we
    read quantiles about as well as the peer does. DuckDB 2.0 itself loses the extremes: once it
    has compressed, its state says the means of the outer centroids.
    """
    values = values_of(law)
    stored = peer.write(values)

    digest = read_from(peer, stored)

    ordered = np.sort(values)
    low, high = ordered[[0, -1]]
    if peer.name == "duckdb":
        low, high = stored["min"], stored["max"]
    assert (N, low, high) == (digest.count, digest.min, digest.max)
    assert not digest.sum_is_exact
    theirs = rank_errors(ordered, QS, peer.read(stored, ordered[:1]).quantiles).max()
    ours = rank_errors(ordered, QS, digest.quantiles(QS)).max()
    assert ours <= 1.25 * theirs + 1_000 / PPM


@pytest.mark.parametrize("law", LAWS)
def test_a_peers_digest_survives_the_way_through_ours(peer: Peer, law: str) -> None:
    """Read by us and written back, a peer's digest answers as before but for rounded keys."""
    values = values_of(law)
    before = peer.write(values)

    after = stored_for(peer, read_from(peer, before))

    xs = np.quantile(values, QS)
    first, second = peer.read(before, xs), peer.read(after, xs)
    assert (first.count, first.low, first.high) == (second.count, second.low, second.high)
    assert np.allclose(first.quantiles, second.quantiles, rtol=1e-6)
    assert np.allclose(first.ranks, second.ranks, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("values", [[7.25], [1.0, 2.0], [3.0] * 5, [-5.0, 0.0, 5.0, 5.0]])
def test_a_few_values_travel_whole(peer: Peer, values: list[float]) -> None:
    """Few values are themselves on either side, and come back as the same digest of values."""
    digest = digest_of(np.array(values))

    read = peer.read(stored_for(peer, digest), np.array(values))
    back = read_from(peer, stored_for(peer, digest))

    assert_same_totals(read, digest)
    assert digest.quantiles(QS).tolist() == back.quantiles(QS).tolist()
    assert back.exact


def test_nothing_travels_as_nothing(peer: Peer) -> None:
    """An empty digest is empty for the peer, and an empty peer's is empty for us."""
    empty = spanmill.Digest()
    read = read_from(peer, stored_for(peer, empty))
    assert (0, None) == (read.count, read.min)
    if peer.name == "duckdb":
        column = pa.table({"d": pa.array(empty)})
        assert [(None,)] == _sql(_finalize("state", [0.5]), column)
        return
    theirs = peer.write(np.array([]))
    assert 0 == read_from(peer, theirs).count
    if isinstance(peer, OnJvm):
        assert 0.0 == peer.read(stored_for(peer, empty), np.array([1.0])).count


def test_weights_travel(peer: Peer) -> None:
    """A peer counts a weight as we do: by the values it stands for."""
    digest = digest_of(np.array([1.0, 2.0, 3.0]), [10**6, 1, 5 * 10**6])

    read = peer.read(stored_for(peer, digest), np.array([2.0]))

    assert_same_totals(read, digest)
    assert 6_000_001 == read_from(peer, stored_for(peer, digest)).count


def test_the_small_encoding_is_read(running: Jvm) -> None:
    """The small encoding of tdunning arrives as far as its single floats hold it."""
    values = values_of("lognormal")

    digest = spanmill.Digest.from_tdunning(running.write("tdunning-small", values))

    assert (N, values.min(), values.max()) == (digest.count, digest.min, digest.max)
    assert 5 * READ_PPM >= rank_errors(np.sort(values), QS, digest.quantiles(QS)).max() * PPM


def test_datasketches_reads_tdunning(running: Jvm) -> None:
    """One writer reaches both: DataSketches takes the reference implementation's bytes as well."""
    digest = digest_of(values_of("lognormal"))
    sketch = datasketches.tdigest_double.deserialize(digest.to_tdunning())

    (count, low, high), *_ = running.read("datasketches", digest.to_tdunning(), [0.5], [1.0])

    assert (digest.count, digest.min, digest.max) == (count, low, high)
    assert (digest.count, digest.min) == (sketch.get_total_weight(), sketch.get_min_value())
    assert digest.count == spanmill.Digest.from_datasketches(digest.to_tdunning()).count


def test_sketches_of_floats_are_read() -> None:
    """DataSketches' t-digest of floats differs from that of doubles by its length alone."""
    sketch = datasketches.tdigest_float(100)
    values = np.float32(values_of("uniform"))
    for value in values:
        sketch.update(value)

    digest = spanmill.Digest.from_datasketches(bytes(sketch.serialize()))

    assert (N, values.min(), values.max()) == (digest.count, digest.min, digest.max)
    single = datasketches.tdigest_float(100)
    single.update(2.5)
    assert 2.5 == spanmill.Digest.from_datasketches(bytes(single.serialize())).min


def test_duckdb_merges_our_column(tmp_path: Path) -> None:
    """From Arrow and from Parquet alike, DuckDB combines our digests and skips nulls."""
    values = values_of("lognormal")
    digests = [digest_of(part) for part in np.array_split(values, 20)]
    table = pa.table({"d": pa.array(spanmill.Digest.column([*digests, None]))})
    pq.write_table(table, tmp_path / "digests.parquet")

    merge = partial(_sql, _finalize("states", QS))
    arrow = merge(table)[0][0]
    parquet = merge(pq.read_table(tmp_path / "digests.parquet"))[0][0]

    assert arrow == parquet
    assert 5 * READ_PPM >= rank_errors(np.sort(values), QS, np.array(arrow)).max() * PPM


def test_a_maximum_that_duckdb_lost_is_found() -> None:
    """DuckDB 2.0 says 2.2e-308 for the largest of negative values; we read the last centroid."""
    stored = DuckDb().write(np.arange(-1000.0, 0.0))

    assert -1.0 == spanmill.Digest.from_duckdb(stored).max


def test_trino_throws_on_what_no_digest_holds(running: Jvm) -> None:
    """Trino refuses NaN as we do, so that no digest of either holds one."""
    with pytest.raises(jvm.Refused, match="NaN"):
        running.write("trino", [1.0, float("nan")])


@pytest.mark.parametrize("name", ["trino", "tdunning", "tdunning-small"])
def test_golden_bytes_are_what_the_jvm_writes(running: Jvm, name: str) -> None:
    """The files that the build reads where no JVM is are the peers' own, to the byte."""
    assert running.write(name, LAYOUT_VALUES) == (GOLDEN / f"foreign-{name}.bin").read_bytes()


def test_golden_bytes_are_what_datasketches_writes() -> None:
    """So are those of DataSketches: of C++, for Java's logarithm varies between runs."""
    written = DataSketchesCpp().write(np.array(LAYOUT_VALUES))

    assert written == (GOLDEN / "foreign-datasketches.bin").read_bytes()


def test_golden_state_is_what_duckdb_exports() -> None:
    """So is the one of DuckDB."""
    golden = json.loads((GOLDEN / "foreign-duckdb.json").read_text(encoding="utf-8"))

    assert DuckDb().write(np.array(LAYOUT_VALUES)) == golden
