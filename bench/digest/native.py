"""The Rust contenders: built from `bench/peers/digest`, asked over a pipe."""

import json
import os
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from bench.digest.contender import Answer, ContenderError, Facts, Held, Merged, as_floats

_ROOT: Final = Path(__file__).parent.parent.parent
CRATE: Final = _ROOT / "bench" / "peers" / "digest"
LOCK: Final = CRATE / "Cargo.lock"
TARGET: Final = _ROOT / "target" / "peers" / "digest"
OURS: Final = "spanmill"


def built() -> Path:
    """
    Build the crate as the workspace builds what it ships, and give the binary.

    Raises:
        ContenderError: cargo fails; the message is its own.
    """
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", str(TARGET)]
    # What speeds the build machine up must not enter what is compared with shipped builds.
    environment = {key: value for key, value in os.environ.items() if key != "RUSTFLAGS"}
    ran = subprocess.run(
        command, cwd=CRATE, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise ContenderError(f"{CRATE}: {ran.stderr.strip()}")
    return TARGET / "release" / "bench-digest"


def versions() -> Mapping[str, str]:
    """Name the version of every crate that the lock file has."""
    lock = tomllib.loads(LOCK.read_text(encoding="utf-8"))
    return {package["name"]: package["version"] for package in lock["package"]}


class Process:
    """The running binary; answers one question at a time."""

    def __init__(self, binary: Path) -> None:
        self._process = subprocess.Popen(
            [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """Whether it stopped by itself."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End it: it stops when nobody asks any more."""
        self._pipe(self._process.stdin).close()
        self._process.wait()
        self._pipe(self._process.stdout).close()

    def ask(self, do: str, **what: object) -> dict[str, Any]:
        """
        Ask one question.

        Raises:
            ContenderError: What the process says of a question that it cannot answer, or that it
                ended, which a crate that panics makes it do.
        """
        stdin = self._pipe(self._process.stdin)
        try:
            stdin.write(json.dumps({"do": do, **what}) + "\n")
            stdin.flush()
        except BrokenPipeError:
            line = ""
        else:
            line = self._pipe(self._process.stdout).readline()
        if not line:
            raise ContenderError(f"{do}: the process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise ContenderError("the process was started without pipes")
        return pipe


class Native:
    """The binary, started again where a contender brought it down."""

    def __init__(self, binary: Path) -> None:
        self.binary = binary
        self._process = Process(binary)

    def ask(self, do: str, **what: object) -> dict[str, Any]:
        """Ask as `Process.ask` does."""
        try:
            return self._process.ask(do, **what)
        except ContenderError:
            if self._process.ended:
                self._process = Process(self.binary)
            raise

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def contenders(self) -> list["RustContender"]:
        """List what the binary has, ours first."""
        known = versions()
        return [
            RustContender(
                Facts(
                    name=one["name"],
                    language="Rust",
                    version=known.get(one["name"], known["spanmill-core"]),
                    parameter=one["parameter"],
                    parameters=one["parameters"],
                    default=one["default"],
                    weighted=one["weighted"],
                    batch_min=one["batch_min"],
                    same_for_every_batch=one["same_for_every_batch"],
                ),
                self,
            )
            for one in self.ask("list")["contenders"]
        ]


@dataclass(frozen=True)
class RustContender:
    """One contender of the binary."""

    facts: Facts
    native: Native

    def _ask(self, do: str, held: Held, parameter: float, **what: object) -> dict[str, Any]:
        return self.native.ask(
            do,
            contender=self.facts.name,
            parameter=parameter,
            wide=held.stream.wide,
            unit=held.stream.unit,
            stream=str(held.path),
            **what,
        )

    def answer(self, held: Held, parameter: float, batch: int, ranks: Sequence[float]) -> Answer:
        """Build a digest of the stream, added `batch` values at once, and read it."""
        weights = None if held.weights_path is None else str(held.weights_path)
        found = self._ask(
            "answer", held, parameter, weights=weights, batch=batch, ranks=list(ranks)
        )
        return Answer(found["bytes"], found["refused"], as_floats(found["values"]))

    def insert_ns(self, held: Held, parameter: float, batch: int, values: int) -> float:
        """Time building one digest; nanoseconds a value."""
        found = self._ask("insert", held, parameter, batch=batch, values=values)
        return float(found["ns"])

    def merge(
        self, held: Held, parameter: float, parts: int, each: int, ranks: Sequence[float]
    ) -> Merged:
        """Time merging digests of `parts` consecutive parts of the stream."""
        found = self._ask("merge", held, parameter, parts=parts, each=each, ranks=list(ranks))
        return Merged(found["us"], found["part_bytes"], found["bytes"], as_floats(found["values"]))

    def query_ns(self, held: Held, parameter: float, ranks: Sequence[float]) -> float:
        """Time reading all `ranks` from one digest of the stream; nanoseconds."""
        return float(self._ask("query", held, parameter, ranks=list(ranks))["ns"])
