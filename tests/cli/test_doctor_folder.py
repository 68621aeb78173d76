"""`spanmill doctor --data-dir`: what is in a data folder, and what a repair gives up."""

import json
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from spanmill.cli.app import app
from spanmill.engine import EngineConfig, open_engine
from tests.traces import request, span

SEGMENT_HEAD = 512
FRAME_HEAD = 21


def doctor(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["doctor", *(str(one) for one in arguments)])


def checks(result: Result) -> dict[str, Mapping[str, str]]:
    """Give the findings by check; the last where there are several."""
    return {one["check"]: one for one in json.loads(result.stdout)["findings"]}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Give the folder of an engine that was killed after three requests of a span each."""
    folder = tmp_path / "data"
    engine = open_engine(EngineConfig(data_dir=folder), [])
    for _ in range(3):
        export = request([span(time.time_ns(), 1.0, {"gen_ai.request.model": "m"})])
        engine.ingest_traces(export.SerializeToString())
    kept = {path: path.read_bytes() for path in (folder / "journal").iterdir()}
    engine.close()
    # As it was before the clean stop: a checkpoint would make the journal superfluous.
    for path in (*folder.glob("checkpoint/*"), *(folder / "journal").iterdir()):
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    return folder


def damage_second(data_dir: Path) -> tuple[Path, int]:
    """Flip a bit in the payload of the second record; give its file and place."""
    (log,) = (data_dir / "journal").glob("*.log")
    content = bytearray(log.read_bytes())
    (length,) = struct.unpack_from("<I", content, SEGMENT_HEAD)
    second = SEGMENT_HEAD + FRAME_HEAD + length
    content[second + FRAME_HEAD] ^= 1
    log.write_bytes(content)
    return log, second


def test_a_whole_folder(data_dir: Path) -> None:
    """Where nothing is damaged the records are told, and the exit code is 0."""
    answer = doctor("--data-dir", data_dir, "--json")

    assert 0 == answer.exit_code
    assert "ok" == checks(answer)["journal"]["state"]
    assert "records 1 to 3 in 1 segment(s)" in checks(answer)["journal"]["found"]
    assert "whole" == json.loads(answer.stdout)["examined"]["verdict"]


def test_damage_is_explained_and_repaired(data_dir: Path) -> None:
    """Damage exits 1 with file, place, records and the command that gives them up; after it 0."""
    log, place = damage_second(data_dir)

    answer = doctor("--data-dir", data_dir)

    assert 1 == answer.exit_code
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("fail")]
    assert f"record 2 does not read, at byte {place} of {log}" in line
    assert f"give up records 2 to 3 with `spanmill doctor --data-dir {data_dir} --repair`" in line

    repaired = doctor("--data-dir", data_dir, "--repair", "--json")
    assert 0 == repaired.exit_code
    assert [2, 3] == json.loads(repaired.stdout)["given_up"]
    assert log.with_suffix(".damaged").exists()
    assert "gave up records 2 to 3" in checks(repaired)["repair"]["found"]

    engine = open_engine(EngineConfig(data_dir=data_dir), [])
    ledger: dict[str, Any] = json.loads(engine.ledger())
    engine.close()
    assert 1 == ledger["received"]


def test_a_torn_end_is_normal(data_dir: Path) -> None:
    """What a crash cut short of the last group is told, and exits 0."""
    (log,) = (data_dir / "journal").glob("*.log")
    content = log.read_bytes().rstrip(b"\0")
    size = log.stat().st_size
    log.write_bytes(content[:-4].ljust(size, b"\0"))

    answer = doctor("--data-dir", data_dir, "--json")

    assert 0 == answer.exit_code
    assert "none of it was acknowledged" in checks(answer)["journal end"]["found"]


def test_a_held_folder_is_left_alone(tmp_path: Path) -> None:
    """While an engine holds the folder neither look nor repair is tried."""
    engine = open_engine(EngineConfig(data_dir=tmp_path), [])
    try:
        for more in ([], ["--repair"]):
            answer = doctor("--data-dir", tmp_path, *more)
            assert 1 == answer.exit_code
            assert "in use by another daemon" in answer.stdout
    finally:
        engine.close()


def test_what_is_misused(tmp_path: Path) -> None:
    """A repair names its folder; a folder that is not there is not made."""
    assert 2 == doctor("--repair").exit_code
    assert 1 == doctor("--data-dir", tmp_path / "none").exit_code
    assert [] == list(tmp_path.iterdir())
