"""Others read what we wrote, and what docs/dataset.md says about it is true."""

import json
import re
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pytest

from spanmill import _core
from spanmill.demo.compare import RANK_PPM_MAX, rank_error_ppm
from spanmill.errors import BadRequest, StartError
from spanmill.model.section import HASHED
from spanmill.sink import ExportConfig, Exporter, list_files, run_sql
from spanmill.sink.schema import LEADING, SCHEMA_VERSION, TRAILING
from tests.cores import open_core
from tests.sink.minutes import MODELS, Sent, recent_minute, send_minutes

PAGE: Final = (Path(__file__).parents[2] / "docs" / "dataset.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sent, dict[str, float]]:
    """Thirty exported minutes: their folder, what they hold, and the daemon's p99 by model."""
    data_dir = tmp_path_factory.mktemp("data")
    engine = open_core(data_dir)
    sent = send_minutes(engine, recent_minute(ago=40), 31, per_minute=600)
    Exporter(ExportConfig(minutes_per_file=7), engine, data_dir).export_once()
    sealed = engine.sealed_range()
    assert sealed is not None
    question = {
        "measure": "ttft",
        "q": [0.99],
        "by": ["model"],
        "where": [],
        "window_s": sealed[1] - sealed[0],
        "end_ns": sealed[1] * 1_000_000_000,
        "view": None,
    }
    answer = json.loads(engine.query(json.dumps(question)))
    p99 = {one["dims"]["model"]: one["quantiles"]["0.99"] for one in answer["series"]}
    return data_dir, sent.within(*sealed), p99


def sql_of_page(number: int, data_dir: Path) -> str:
    """Give a statement of docs/dataset.md, reading our lake."""
    statements = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(statements[number]).replace("spanmill-data/lake", str(data_dir / "lake"))


def test_duckdb_merges_digests_as_the_page_says(
    lake: tuple[Path, Sent, dict[str, float]],
) -> None:
    """
    The first statement of docs/dataset.md counts every event and gives a p99 that is within
    1,000 ppm of rank, as the daemon's own is.
    """
    data_dir, sent, daemon_p99 = lake
    rows = duckdb.connect().sql(sql_of_page(0, data_dir)).fetchall()

    assert set(MODELS) == {model for model, _, _ in rows}
    for model, events, (_, _, p99) in rows:
        values = sent.values[sent.model == MODELS.index(model)]
        assert len(values) == events
        assert rank_error_ppm(values, 0.99, p99) <= RANK_PPM_MAX
        assert rank_error_ppm(values, 0.99, daemon_p99[model]) <= RANK_PPM_MAX


def test_walking_centroids_as_the_page_says(lake: tuple[Path, Sent, dict[str, float]]) -> None:
    """The second statement, which any engine can run, is within 100 ppm of rank."""
    data_dir, sent, _ = lake
    rows = duckdb.connect().sql(sql_of_page(1, data_dir)).fetchall()

    assert set(MODELS) == {model for model, _ in rows}
    for model, p99 in rows:
        values = sent.values[sent.model == MODELS.index(model)]
        assert rank_error_ppm(values, 0.99, p99) <= 100.0


def test_sql_has_the_view_and_merges_digests(lake: tuple[Path, Sent, dict[str, float]]) -> None:
    """`spanmill export sql` sees every row, and its macros give one or several quantiles."""
    data_dir, sent, _ = lake
    answer = run_sql(
        data_dir,
        "SELECT sum(count) AS events, digest_quantile(digest, 0.99) AS p99, "
        "digest_quantiles(digest, [0.5, 0.99]) AS both FROM rollup WHERE measure = 'ttft'",
    )

    (row,) = answer.to_pylist()
    assert len(sent.values) == row["events"]
    assert rank_error_ppm(sent.values, 0.99, row["p99"]) <= RANK_PPM_MAX
    assert 2 == len(row["both"])


def test_sql_says_what_is_wrong(lake: tuple[Path, Sent, dict[str, float]], tmp_path: Path) -> None:
    """Wrong SQL is told with DuckDB's own words, and an empty lake with where it was looked for."""
    data_dir, _, _ = lake
    with pytest.raises(BadRequest, match="nope"):
        run_sql(data_dir, "SELECT nope FROM rollup")
    with pytest.raises(StartError, match=str(tmp_path)):
        run_sql(tmp_path, "SELECT 1 FROM rollup")


def test_sql_reads_folders_with_odd_names(tmp_path: Path) -> None:
    """Brackets and quotes in the path of the data folder are no pattern and no end of a string."""
    data_dir = tmp_path / "it's [a] folder"
    engine = open_core(data_dir)
    send_minutes(engine, recent_minute(ago=20), 3)
    Exporter(ExportConfig(), engine, data_dir).export_once()

    (row,) = run_sql(data_dir, "SELECT count(*) > 0 AS any FROM rollup").to_pylist()
    assert row["any"]


def test_listing_tells_minutes_and_rows(lake: tuple[Path, Sent, dict[str, float]]) -> None:
    """Files come oldest minute first, and their rows add up to the dataset's."""
    data_dir, _, _ = lake
    files = list_files(data_dir)

    assert sorted(files, key=lambda it: it.first_window) == files
    (row,) = run_sql(data_dir, "SELECT count(*) AS rows FROM rollup").to_pylist()
    assert row["rows"] == sum(it.rows for it in files)
    assert [] == list_files(data_dir / "nowhere")


def test_the_page_lists_the_columns_there_are() -> None:
    """
    docs/dataset.md names every column with its type, in order, and every dimension that may
    be one: not the end user, whose values are never shown.
    """
    documented = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE, re.MULTILINE)
    dimensions = re.findall(r"`(\w+)`", PAGE.partition("\nDimensions: ")[2].partition(". ")[0])

    assert [(name, str(kind)) for name, kind in (*LEADING, *TRAILING)] == documented
    known = [one["name"] for one in json.loads(_core.signals())["dimensions"]]
    assert [name for name in known if name != HASHED] == dimensions
    assert f"schema version {SCHEMA_VERSION}\n" in PAGE


def test_the_core_writes_the_documented_columns(tmp_path: Path) -> None:
    """Dimension columns are those of the views, each under its own name."""
    engine = open_core(tmp_path)
    send_minutes(engine, recent_minute(ago=20), 3)
    sealed = engine.sealed_range()
    assert sealed is not None
    rows = pa.table(engine.rollup(*sealed))

    leading, trailing = [name for name, _ in LEADING], [name for name, _ in TRAILING]
    assert leading == rows.column_names[: len(leading)]
    assert {"service", "region", "tenant", "model"} == set(
        rows.column_names[len(leading) : -len(trailing)]
    )
    assert trailing == rows.column_names[-len(trailing) :]
