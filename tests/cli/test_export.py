"""`spanmill export`: what is in the lake, for a person and for a script."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spanmill.cli.app import app
from spanmill.sink import ExportConfig, ParquetSink
from tests.sink.minutes import rollup_table


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Give a data folder with one exported file of ten minutes."""
    sink = ParquetSink(ExportConfig(), tmp_path)
    sink.open()
    sink.write(rollup_table(range(0, 600, 60)), 0, 540)
    return tmp_path


def export(*words: str) -> tuple[int, str]:
    """Run the command; give exit code and what it printed."""
    answer = CliRunner().invoke(app, ["export", *words])
    return answer.exit_code, answer.output


def test_ls_lists_files(data_dir: Path) -> None:
    """Every file is one line with its minutes and rows, and the last line adds them up."""
    code, text = export("ls", "--data-dir", str(data_dir))

    assert 0 == code
    assert "1970-01-01T00:00Z  1970-01-01T00:09Z" in text
    assert "1 file, 10 rows" in text


def test_ls_json(data_dir: Path) -> None:
    """`--json` gives paths below `lake/`, rows and minutes."""
    _, text = export("ls", "--json", "--data-dir", str(data_dir))

    (file,) = json.loads(text)
    assert (data_dir / "lake" / file["path"]).is_file()
    assert 10 == file["rows"]
    assert "1970-01-01T00:09:00Z" == file["last_window"]


def test_ls_without_files(tmp_path: Path) -> None:
    """An empty lake is no failure; the answer says where it was looked for."""
    code, text = export("ls", "--data-dir", str(tmp_path))

    assert 0 == code
    assert str(tmp_path / "lake") in text


def test_ls_with_a_foreign_file(data_dir: Path) -> None:
    """A file that is not ours is named, with what to do."""
    (data_dir / "lake" / "rollup" / "dt=1970-01-01" / "theirs.parquet").write_bytes(b"not Parquet")

    code, text = export("ls", "--data-dir", str(data_dir))

    assert 1 == code
    assert "move a file that is not an export" in text


def test_sql_answers(data_dir: Path) -> None:
    """SQL over the view answers as a table, and as JSON for a script."""
    sql = (
        "SELECT model, sum(count)::INT AS n, digest_quantile(digest, 0.5) AS p50 "
        "FROM rollup GROUP BY model"
    )

    code, text = export("sql", sql, "--data-dir", str(data_dir))
    assert 0 == code
    assert "model-a" in text

    _, text = export("sql", sql, "--json", "--data-dir", str(data_dir))
    assert [{"model": "model-a", "n": 10, "p50": 0.5}] == json.loads(text)


def test_wrong_sql_is_told(data_dir: Path) -> None:
    """Wrong SQL exits with 2 and DuckDB's own words, without a trace."""
    code, text = export("sql", "SELECT nope FROM rollup", "--data-dir", str(data_dir))

    assert 2 == code
    assert "nope" in text
    assert "Traceback" not in text
