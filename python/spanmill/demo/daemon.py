"""The demo's daemon: the real one, in a process of its own, on ports the kernel chose."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from spanmill.errors import StartError

_START_WITHIN_S: Final = 30.0
_STOP_WITHIN_S: Final = 30.0
_LOG_LINES: Final = 15


@dataclass(frozen=True)
class Daemon:
    """A running daemon, its folder and where it listens (host:port)."""

    process: subprocess.Popen[bytes]
    folder: Path
    otlp_grpc: str
    api: str

    @property
    def lake(self) -> Path:
        """Where its Parquet files appear."""
        return self.folder / "spanmill-data" / "lake"

    def stop(self) -> int:
        """Ask it to stop and wait; kill it where it does not. Gives its exit code."""
        if self.process.poll() is not None:
            return self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def start_daemon(folder: Path) -> Daemon:
    """
    Start `spanmill serve` with the demo's config copied into `folder`.

    It leads a process group of its own, so that an interrupt typed at the demo reaches the
    demo alone, which then stops it in order.

    Raises:
        StartError: It ended, or did not accept connections in time; ends with its log.
    """
    config = resources.files("spanmill.demo") / "config"
    for name in ("spanmill.yaml", "objectives.yaml"):
        with resources.as_file(config / name) as path:
            shutil.copyfile(path, folder / name)
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "spanmill", "serve"]
    command += ["-c", str(folder / "spanmill.yaml"), "--ready-file", str(ready)]
    log = folder / "daemon.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        addresses = _wait_until_ready(process, ready, log)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Daemon(process, folder, addresses["otlp_grpc"], addresses["api"])


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, str]:
    give_up = time.monotonic() + _START_WITHIN_S
    while not ready.exists():
        if process.poll() is not None:
            raise StartError(f"the daemon ended with code {process.returncode}:\n{_end_of(log)}")
        if time.monotonic() > give_up:
            raise StartError(
                f"the daemon was not ready within {_START_WITHIN_S:g} s:\n{_end_of(log)}"
            )
        time.sleep(0.02)
    addresses: dict[str, str] = json.loads(ready.read_text(encoding="utf-8"))
    return addresses


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"its log cannot be read: {error}"
    return "\n".join(lines[-_LOG_LINES:])
