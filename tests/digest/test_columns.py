"""Digests as Arrow columns, and as other engines' bytes, without those engines."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanmill
from spanmill.errors import DigestError
from tests.digest.golden import GOLDEN
from tests.digest.test_stored import digest_of

STATE = pa.struct(
    [
        ("count", pa.int64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        pa.field(
            "centroids",
            pa.list_(
                pa.field("element", pa.struct([("mean", pa.float64()), ("weight", pa.float64())]))
            ),
        ),
    ]
)


def test_a_digest_is_an_arrow_array() -> None:
    """`pyarrow.array` takes a digest as one state; its type is known without a digest's data."""
    digest = digest_of(1_000)

    column = pa.array(digest)

    assert (STATE, 1) == (column.type, len(column))
    assert digest.to_duckdb() == column[0].as_py()
    assert STATE == pa.array(spanmill.Digest.column([])).type


def test_digests_are_one_column() -> None:
    """Many digests are one array, with a null for None, exported as often as asked."""
    digests = [digest_of(10), None, digest_of(500), spanmill.Digest()]
    column = spanmill.Digest.column(digests)

    first, second = pa.array(column), pa.array(column)

    assert 4 == len(column)
    assert first.equals(second)
    assert [it and it.to_duckdb() for it in digests] == first.to_pylist()
    first.validate(full=True)


def test_a_column_outlives_its_digests(tmp_path: Path) -> None:
    """What Arrow was given stays after digests and column are gone, and reaches Parquet."""
    column = spanmill.Digest.column(digest_of(n) for n in (100, 20_000))
    table = pa.table({"d": pa.array(column)})
    del column

    pq.write_table(table, tmp_path / "d.parquet")
    rows = pq.read_table(tmp_path / "d.parquet")["d"].to_pylist()

    back = [spanmill.Digest.from_duckdb(row) for row in rows]
    assert [100, 20_000] == [it.count for it in back]
    assert digest_of(20_000).quantile(0.5) == pytest.approx(back[1].quantile(0.5), rel=1e-3)


def test_sql_merges_a_column() -> None:
    """DuckDB merges digests from a column with plain SQL and reads a quantile near the exact."""
    parts = [np.random.default_rng(seed).uniform(0, 1, 10_000) for seed in range(20)]
    digests = []
    for part in parts:
        digests.append(spanmill.Digest())
        digests[-1].add(part)
    source = pa.table({"d": pa.array(spanmill.Digest.column(digests))})

    with duckdb.connect() as connection:
        connection.register("source", source)
        merged = connection.execute(
            "SELECT finalize(combine_aggr(to_aggregate_state("
            "d, 'approx_quantile', ['DOUBLE', 'FLOAT'], [NULL, 0.99]))) FROM source"
        ).fetchone()

    assert merged is not None
    assert np.quantile(np.concatenate(parts), 0.99) == pytest.approx(merged[0], abs=2e-3)


def test_only_digests_stand_in_a_column() -> None:
    """Anything else in a column is a TypeError."""
    with pytest.raises(TypeError):
        spanmill.Digest.column([digest_of(1), "a digest"])  # type: ignore[list-item]


@pytest.mark.parametrize("name", ["trino", "datasketches", "tdunning", "tdunning-small"])
def test_engines_files_are_read(name: str) -> None:
    """What each engine wrote of every eighth up to 625 is read with its count and quantiles."""
    read = getattr(spanmill.Digest, f"from_{name.removesuffix('-small')}")

    digest = read((GOLDEN / f"foreign-{name}.bin").read_bytes())

    assert (5_000, 0.125, 625.0) == (digest.count, digest.min, digest.max)
    assert np.allclose([6.25, 312.5, 618.75], digest.quantiles([0.01, 0.5, 0.99]), atol=4)


def test_duckdbs_state_is_read() -> None:
    """So is the state that DuckDB exported; its sum is of the centroids, and says so."""
    state = json.loads((GOLDEN / "foreign-duckdb.json").read_text(encoding="utf-8"))

    digest = spanmill.Digest.from_duckdb(state)

    assert (5_000, 0.125, 625.0) == (digest.count, digest.min, digest.max)
    assert 312.5 == pytest.approx(digest.quantile(0.5), abs=4)
    assert digest.sum == pytest.approx(5_000 * 312.5625, rel=1e-3)
    assert not digest.sum_is_exact


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": 3}, "says 3 values, its weights sum to 2"),
        ({"max": 1.5}, "do not enclose"),
        ({"centroids": [{"mean": 1.0, "weight": 0.5}]}, "weighs 0.5"),
        ({"centroids": [{"mean": float("nan"), "weight": 2.0}]}, "centroid 0 of 1"),
    ],
)
def test_a_state_that_contradicts_itself_is_refused(change: dict[str, Any], said: str) -> None:
    """Counts, weights and extremes that no digest has are named."""
    digest = spanmill.Digest()
    digest.add([1.0, 2.0])

    with pytest.raises(DigestError, match=said):
        spanmill.Digest.from_duckdb(digest.to_duckdb() | change)


def test_what_lies_off_the_axis_needs_a_wide_digest() -> None:
    """An engine's value past the axis is refused with the way out, and the way out works."""
    digest = spanmill.Digest(wide=True)
    digest.add([1e-300, 1.0])

    with pytest.raises(DigestError, match="wide digest"):
        spanmill.Digest.from_trino(digest.to_trino())
    assert 1e-300 == spanmill.Digest.from_trino(digest.to_trino(), wide=True).min
