"""The processes that are measured: spanmill, the floor and the Collector, each started afresh."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
import httpx

from bench import collector

ROOT: Final = Path(__file__).parent
PEERS: Final = ("nop", "spanmetrics", "signal_to_metrics")
"""The Collector's configs under `peers/`, from least work to the same work as ours."""

_START_WITHIN_S: Final = 30.0
_STOP_WITHIN_S: Final = 30.0
_ACCEPTED: Final = "otelcol_receiver_accepted_spans"


class ServerError(Exception):
    """A server did not start, or ended on its own; ends with the last lines of its log."""


@dataclass(frozen=True)
class Server:
    """One running server under test."""

    name: str
    process: subprocess.Popen[bytes]
    target: str
    """Where it takes OTLP over gRPC, host:port."""

    api: str | None = None
    """Where it answers queries, host:port; only spanmill does."""

    accepted: Callable[[], dict[str, object]] = field(default=dict)
    """Reads the server's own account: spans it `accepted`, plus what else it says of them."""

    def problem(self, sent: int) -> str | None:
        """Say why a load of `sent` acknowledged spans does not count; `None` when it does."""
        if self.process.poll() is not None:
            return f"{self.name} ended with code {self.process.returncode} during the run"
        account = self.accepted()
        if account.get("accepted", sent) != sent or not account.get("balanced", True):
            return f"{self.name} says {account} of {sent} spans acknowledged"
        return None

    def rss_mb(self) -> float:
        """Read the resident memory of the process, in MB of 10^6 bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024 / 1e6


@contextmanager
def spanmill(durability: str = "sync") -> Iterator[Server]:
    """Run the daemon: default view, the five promises of `objectives.yaml`, an empty folder."""
    with tempfile.TemporaryDirectory(prefix="spanmill-bench-") as folder:
        config, ready = Path(folder, "spanmill.yaml"), Path(folder, "ready.json")
        settings = {
            "data_dir": folder + "/data",
            "listen": {"otlp_grpc": "127.0.0.1:0", "api": "127.0.0.1:0"},
            "durability": durability,
            "slo": {"files": [str(ROOT / "objectives.yaml")]},
        }
        config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        command = [sys.executable, "-m", "spanmill", "serve"]
        command += ["-c", str(config), "--ready-file", str(ready)]
        with _process("spanmill", command) as (process, wait):
            wait(ready.exists)
            addresses = json.loads(ready.read_text(encoding="utf-8"))

            def ledger() -> dict[str, object]:
                found = httpx.get(
                    f"http://{addresses['api']}/api/v1/ledger", trust_env=False
                ).json()
                return {
                    "accepted": found["received"],
                    "balanced": found["balanced"] and found["counted"] == found["received"],
                }

            yield Server("spanmill", process, addresses["otlp_grpc"], addresses["api"], ledger)


@contextmanager
def floor() -> Iterator[Server]:
    """Run the empty handler."""
    port = _free_port()
    with _process("floor", [sys.executable, "-m", "bench.floor", str(port)]) as (process, wait):
        wait(lambda: _answers(port))
        yield Server("floor", process, f"127.0.0.1:{port}")


@contextmanager
def peer(
    name: str, binary: Path, *, config: Path | None = None, forward_to: str = ""
) -> Iterator[Server]:
    """
    Run the Collector.

    Args:
        binary: What `collector.built` gave.
        config: Its config; `peers/NAME.yaml` without one.
        forward_to: Where a config's own exporter sends, host:port.
    """
    port, metrics_port = _free_port(), _free_port()
    command = [str(binary), "--config", str(config or ROOT / "peers" / f"{name}.yaml")]
    environment = {
        "BENCH_OTLP": f"127.0.0.1:{port}",
        "BENCH_METRICS_PORT": str(metrics_port),
        "BENCH_FORWARD_TO": forward_to,
    }
    with _process(name, command, environment) as (process, wait):
        wait(lambda: _answers(port))

        def account() -> dict[str, object]:
            page = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", trust_env=False).text
            return {"accepted": collector.total(page, _ACCEPTED)}

        yield Server(name, process, f"127.0.0.1:{port}", None, account)


@contextmanager
def _process(
    name: str, command: list[str], environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[Callable[[], bool]], None]]]:
    """Run a command with its output in a log; gives it and a way to wait until it is ready."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )

        def wait(is_ready: Callable[[], bool]) -> None:
            deadline = time.monotonic() + _START_WITHIN_S
            while not is_ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    tail = log.read().decode(errors="replace").splitlines()[-15:]
                    raise ServerError(f"{name} did not start:\n" + "\n".join(tail))
                time.sleep(0.02)

        try:
            yield process, wait
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    # The Collector cannot say which port the kernel chose, so one is picked for it.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=0.5)
        except grpc.FutureTimeoutError:
            return False
    return True
