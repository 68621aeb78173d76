"""A million damaged batches of columns, which the core's own tests leave out for time."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

# The first run on a machine builds the test.
pytestmark = pytest.mark.timeout(1200)


def test_a_million_damaged_batches_are_refused_or_taken() -> None:
    """No change to a `SpanBatch` makes the core panic or its books lose their balance."""
    command = ["cargo", "test", "--locked", "--package", "spanmill-core", "--test", "columns"]
    words = [*command, "--", "--ignored", "a_million"]

    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT)

    assert re.search(r"test result: ok\. 1 passed", done.stdout), done.stdout + done.stderr
