"""
Install the peers of requirements/peers.txt, one by one where not all can be.

    python -m bench.digest.install STAMP

STAMP is written as a JSON object: name of each package that cannot be installed, and the reason.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

PINS: Final = Path(__file__).parent.parent.parent / "requirements" / "peers.txt"
_PIP: Final = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def pins(text: str) -> dict[str, str]:
    """Split a requirements file with hashes into one text a package, by name."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            name = line.partition("==")[0]
            found[name] = ""
        if name:
            found[name] += line + "\n"
    return found


def main() -> None:
    """Install what can be, and write the stamp."""
    (stamp,) = map(Path, sys.argv[1:])
    missing: dict[str, str] = {}
    if _failure(PINS) is not None:
        for name, pin in pins(PINS.read_text(encoding="utf-8")).items():
            with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as one:
                one.write(pin)
                one.flush()
                # The file is closed under dependencies: each is a pin of its own.
                if (reason := _failure(Path(one.name), "--no-deps")) is not None:
                    missing[name] = reason
                    sys.stdout.write(f"without {name}: {reason}\n")
    stamp.write_text(json.dumps(missing, indent=1) + "\n", encoding="utf-8")


def _failure(requirements: Path, *options: str) -> str | None:
    command = [*_PIP, *options, "--require-hashes", "--requirement", str(requirements)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode == 0:
        return None
    said = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
    return said[-1].removeprefix("ERROR: ") if said else f"pip ended with {ran.returncode}"


if __name__ == "__main__":
    main()
