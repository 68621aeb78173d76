"""A million damaged digests for each reader, which the core's own tests leave out for time."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

# The first run on a machine builds the test.
pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("reader", ["digest_bytes", "foreign"])
def test_a_million_damaged_digests_are_read_or_refused(reader: str) -> None:
    """Neither our own layout's reader nor an importer panics on any of a million near misses."""
    command = ["cargo", "test", "--locked", "--package", "spanmill-core", "--test", reader]
    words = [*command, "--", "--ignored", "a_million"]

    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT)

    assert re.search(r"test result: ok\. 1 passed", done.stdout), done.stdout + done.stderr
