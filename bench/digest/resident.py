"""`python -m bench.digest.resident`: weighs one Python peer's digests in a fresh process."""

import sys
from pathlib import Path

import numpy as np

from bench.digest import streams
from bench.digest.contender import Held
from bench.digest.field import python_peers


def main() -> None:
    """Print the bytes of memory that a digest takes."""
    name, parameter, path, digests, each = sys.argv[1:]
    peers, _ = python_peers()
    peer = next(one for one in peers if one.facts.name == name)
    values = np.fromfile(path, "<f8")
    held = Held(streams.named("uniform"), values, Path(path))
    found = peer.resident_bytes(held, float(parameter), int(digests), int(each))
    sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main()
