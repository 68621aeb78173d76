"""The digest bench, end to end on little data: every peer that is installed answers."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.digest import __main__ as bench
from bench.digest import native
from bench.digest.contender import ContenderError
from bench.digest.field import python_peers

# The first run on a machine builds the peers.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module", autouse=True)
def binary() -> Path:
    """Give the binary of the Rust peers; skips where it cannot be built."""
    try:
        return native.built()
    except ContenderError as error:
        pytest.skip(str(error))


def test_every_peer_answers(tmp_path: Path) -> None:
    """
    A run of one plain stream has errors of every contender at equal bytes and by default, none
    failing, none refusing a value, and ours within its bytes.
    """
    answer = bench.main(
        ["--only", "accuracy", "--n", "20000", "--out", str(tmp_path), "lognormal-1"]
    )

    (run,) = tmp_path.iterdir()
    table = (run / "accuracy.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    python, _ = python_peers()
    assert 0 == answer
    assert {it.facts.name for it in python} - {"spanmill.Digest"} <= {
        it["contender"] for it in rows
    }
    assert {"spanmill", "tdigests", "tdigest", "sketches-ddsketch", "hdrhistogram"} <= {
        it["contender"] for it in rows
    }
    assert [] == [it for it in rows if it["problem"] or it["refused"] != "0"]
    assert 1600 >= max(int(it["bytes"]) for it in rows if it["contender"] == "spanmill")
    assert "| lognormal-1 | " in (run / "summary.md").read_text(encoding="utf-8")


def test_every_peer_is_timed(tmp_path: Path) -> None:
    """Insert, merge, query and memory have a figure of every contender, and none fails."""
    answer = bench.main(["--only", "speed", "--quick", "--rounds", "1", "--out", str(tmp_path)])

    (run,) = tmp_path.iterdir()
    timings = json.loads((run / "raw.json").read_text(encoding="utf-8"))["timings"]
    contenders = {it["contender"] for it in timings}
    assert 0 == answer
    assert [] == [it for it in timings if it["problem"] or not it["best"] > 0]
    for what in ("insert", "merge", "query", "resident"):
        assert contenders == {it["contender"] for it in timings if it["what"] == what}


def test_the_crate_of_the_peers_is_clean() -> None:
    """It stands outside the workspace, where `make lint` does not see it; here it is held to it."""
    cargo = shutil.which("cargo")
    lints = ["clippy", "--release", "--locked", "--quiet", "--target-dir", str(native.TARGET)]
    for command in (["fmt", "--check"], [*lints, "--", "--deny", "warnings"]):
        ran = subprocess.run(
            [cargo, *command], cwd=native.CRATE, capture_output=True, text=True, check=False
        )

        assert 0 == ran.returncode, ran.stderr
