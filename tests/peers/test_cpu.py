"""The same bits on any CPU: the core's golden hash, found by a build for this very machine."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
FLAGS: Final = Path("/proc/cpuinfo")

# The first run builds the core once more.
pytestmark = pytest.mark.timeout(900)


def native_has_avx() -> bool:
    """Say whether a build for this machine uses what the baseline lacks."""
    return FLAGS.is_file() and " avx" in FLAGS.read_text(encoding="utf-8")


@pytest.mark.skipif(not native_has_avx(), reason="this CPU has no more than the baseline")
def test_native_build_finds_the_golden_hash() -> None:
    """
    Sealed state and answers hash to the constant of `tests/determinism.rs` with
    every instruction of this CPU, as they do in `make test` with the baseline's.
    """
    environment = os.environ | {
        "RUSTFLAGS": "-C target-cpu=native",
        "CARGO_TARGET_DIR": str(ROOT / "target" / "native"),
    }
    command = ["cargo", "test", "--locked", "--release", "--quiet"]

    ran = subprocess.run(
        [*command, "--package", "spanmill-core", "--test", "determinism"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout
