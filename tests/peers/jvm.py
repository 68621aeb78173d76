"""The t-digests of the JVM, driven over a pipe; `java/` holds the other end."""

import math
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = Path(__file__).parent / "java" / "pom.xml"
BUILT: Final = ROOT / "target" / "peers-java"

BUILD_WITHIN_S: Final = 600


class Missing(Exception):  # noqa: N818  what is missing is the whole message
    """A tool that the JVM's digests need is not here; says which."""


class Refused(Exception):  # noqa: N818  a peer said no, which some tests want
    """A peer threw; says what."""


def build() -> list[str]:
    """
    Compile the command against the peers' jars; gives the words that start it.

    Raises:
        Missing: There is no `java` or no `mvn`.
        RuntimeError: Maven failed; says how.
    """
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise Missing(f"no {tool} on the PATH: install a JDK of 17 or newer, and Maven")
    maven = ["mvn", "--quiet", "--batch-mode", "--file", str(PROJECT), "compile"]
    done = subprocess.run(
        maven, check=False, capture_output=True, text=True, timeout=BUILD_WITHIN_S
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(maven)} failed:\n{done.stdout}{done.stderr}")
    return ["java", "-cp", f"{BUILT / 'classes'}:{BUILT / 'jars'}/*", "peer.Main"]


class Jvm:
    """One process that reads and writes digests until it is left."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def write(self, layout: str, values: Iterable[float]) -> bytes:
        """Let a peer digest the values and serialise itself."""
        return bytes.fromhex(self._answer("write", layout, _numbers(values)))

    def read(
        self, layout: str, data: bytes, qs: Iterable[float], xs: Iterable[float]
    ) -> tuple[tuple[float, float, float], list[float], list[float]]:
        """
        Let a peer read a digest.

        Returns:
            (count, min, max), its quantiles at `qs`, its ranks of `xs`.

        Raises:
            Refused: The peer threw.
        """
        answer = self._answer("read", layout, data.hex(), _numbers(qs), _numbers(xs))
        count, low, high, quantiles, ranks = answer.split(" ")
        return (
            (float(count), float(low), float(high)),
            [float(it) for it in quantiles.split(",")],
            [float(it) for it in ranks.split(",")],
        )

    def _answer(self, *words: str) -> str:
        pipe, answers = self._process.stdin, self._process.stdout
        if pipe is None or answers is None:
            raise RuntimeError("started without pipes")
        pipe.write(" ".join(words).strip() + "\n")
        # A library of Trino's prints remarks on its start.
        answer = next((line.strip() for line in answers if not line.startswith("#")), "error died")
        if answer.startswith("error "):
            raise Refused(answer.removeprefix("error "))
        return answer


def _numbers(values: Iterable[float]) -> str:
    # Java spells it so.
    return ",".join("NaN" if math.isnan(it) else repr(float(it)) for it in values)
