"""The contract of every sink, and what a Parquet file of ours looks like to others."""

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanmill.sink import SINKS, ExportConfig, ParquetSink, Sink
from spanmill.sink.schema import SORTED_BY, check_rollup, rollup_columns
from tests.sink.minutes import rollup_table


def written(data_dir: Path, config: ExportConfig | None = None) -> Path:
    """Write ten minutes and give their file."""
    sink = ParquetSink(config or ExportConfig(), data_dir)
    sink.open()
    return sink.write(rollup_table(range(0, 600, 60)), 0, 540)


@pytest.mark.parametrize("kind", SINKS)
def test_a_retry_writes_once(kind: type[Sink], tmp_path: Path) -> None:
    """The same minutes written again replace what stands."""
    sink = kind(ExportConfig(), tmp_path)
    sink.open()
    rows = rollup_table(range(0, 600, 60))

    assert sink.write(rows, 0, 540) == sink.write(rows, 0, 540)
    assert 1 == len([path for path in tmp_path.rglob("*") if path.is_file()])


@pytest.mark.parametrize("kind", SINKS)
def test_two_processes_never_share_a_file(kind: type[Sink], tmp_path: Path) -> None:
    """A sink of another process writes the same minutes elsewhere."""
    rows = rollup_table(range(0, 600, 60))
    sinks = [kind(ExportConfig(), tmp_path) for _ in range(2)]
    for sink in sinks:
        sink.open()

    first, second = (sink.write(rows, 0, 540) for sink in sinks)
    assert first != second


def test_the_name_tells_minutes_and_process(tmp_path: Path) -> None:
    """A name is made of first minute, last minute and process start; its folder, of the day."""
    path = written(tmp_path)

    assert "dt=1970-01-01" == path.parent.name
    prefix, first, last, epoch = path.stem.split("-")
    assert ("rollup", "0", "540") == (prefix, first, last)
    assert int(epoch, 16) > 0


def test_nothing_stays_in_staging(tmp_path: Path) -> None:
    """Staging lies outside every reader's glob, and is empty once a file is in place."""
    written(tmp_path)

    assert [] == list((tmp_path / "staging").iterdir())
    assert not (tmp_path / "staging").is_relative_to(tmp_path / "lake")


def test_a_file_describes_itself(tmp_path: Path) -> None:
    """Key-value metadata names schema version, producer and minutes; row groups say their order."""
    about = pq.read_metadata(written(tmp_path))

    ours = about.metadata
    assert b"1" == ours[b"schema_version"]
    assert ours[b"producer"].startswith(b"spanmill ")
    assert b"60" == ours[b"window_secs"]
    assert b"1970-01-01T00:00:00Z" == ours[b"first_window"]
    assert b"1970-01-01T00:09:00Z" == ours[b"last_window"]
    schema = about.schema.to_arrow_schema()
    order, _ = pq.SortingColumn.to_ordering(schema, about.row_group(0).sorting_columns)
    assert tuple((name, "ascending") for name in SORTED_BY) == order


def test_columns_are_packed_by_what_they_hold(tmp_path: Path) -> None:
    """Text is dictionary-encoded, integers delta-encoded, doubles split; zstd, with an index."""
    group = pq.read_metadata(written(tmp_path)).row_group(0)
    columns = {
        column.path_in_schema: column
        for column in (group.column(number) for number in range(group.num_columns))
    }

    assert "RLE_DICTIONARY" in columns["model"].encodings
    assert "DELTA_BINARY_PACKED" in columns["window_start"].encodings
    assert "BYTE_STREAM_SPLIT" in columns["digest.centroids.list.element.mean"].encodings
    assert {"ZSTD"} == {column.compression for column in columns.values()}
    assert all(column.has_column_index for column in columns.values())


@pytest.mark.parametrize(("codec", "stored"), [("snappy", "SNAPPY"), ("none", "UNCOMPRESSED")])
def test_other_codecs(codec: str, stored: str, tmp_path: Path) -> None:
    """`export.codec` decides how pages are compressed, and reading needs no hint."""
    path = written(tmp_path, ExportConfig.model_validate({"codec": codec}))

    assert stored == pq.read_metadata(path).row_group(0).column(0).compression
    assert 10 == pq.read_table(path, partitioning=None).num_rows


def test_foreign_rows_are_refused() -> None:
    """A column that is missing, misplaced or of another type is named, not written."""
    good = [pa.field(name, kind) for name, kind in rollup_columns(["model"])]
    check_rollup(pa.schema(good))
    for index, field in itertools.islice(enumerate(good), 3):
        changed = [*good]
        changed[index] = field.with_type(pa.int8())
        with pytest.raises(TypeError, match=field.name):
            check_rollup(pa.schema(changed))
    with pytest.raises(TypeError, match="columns"):
        check_rollup(pa.schema(good[:5]))
