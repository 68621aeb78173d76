"""Starts real daemons as processes of their own, on free loopback ports."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import pytest
import yaml

import spanmill
from spanmill.client import Client
from tests import traces

STOP_WITHIN_S = 20.0

OBJECTIVES = {
    "slos": [
        {
            "name": "ttft-fast",
            "sli": {"kind": "latency", "measure": "ttft", "below": "1.2s"},
            "where": {"model": ["large", "small"]},
            "group_by": ["tenant"],
            "objective": 0.9,
            "layer": "infrastructure",
        },
        {"name": "errors", "sli": {"kind": "errors"}, "objective": 0.99, "period": "7d"},
    ]
}


def command(*arguments: object) -> list[str]:
    """Write a spanmill command of this interpreter."""
    return [sys.executable, "-m", "spanmill", *map(str, arguments)]


@dataclass
class Daemon:
    """A running daemon."""

    process: subprocess.Popen[str]
    folder: Path
    ready: Mapping[str, object]
    client: Client = field(init=False)
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        self.client = spanmill.connect(str(self.ready["api"]))
        self.channel = grpc.insecure_channel(str(self.ready["otlp_grpc"]))
        self.http = httpx.Client(base_url=f"http://{self.ready['api']}", trust_env=False)

    @property
    def data_dir(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    def export(self, request: bytes, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
        """Send one request by raw gRPC."""
        call = self.channel.unary_unary(traces.EXPORT)
        answer: bytes = call(request, metadata=metadata, timeout=30)
        return answer

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Stop it; give its exit code and all that it logged."""
        self.process.send_signal(how)
        _, logged = self.process.communicate(timeout=STOP_WITHIN_S)
        return self.process.returncode, logged

    def kill(self) -> None:
        """End it as `kill -9` does, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End whatever is left."""
        self.client.close()
        self.http.close()
        self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Start = Callable[..., Daemon]


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes a config with free ports, objectives and a test's own keys."""

    def write(**sections: object) -> Path:
        (tmp_path / "slo.yaml").write_text(yaml.safe_dump(OBJECTIVES), encoding="utf-8")
        config = {
            "data_dir": "data",
            "listen": {"otlp_grpc": "127.0.0.1:0", "api": "127.0.0.1:0"},
            "slo": {"files": ["slo.yaml"]},
        }
        path = tmp_path / "spanmill.yaml"
        path.write_text(yaml.safe_dump(config | sections), encoding="utf-8")
        return path

    return write


@pytest.fixture
def start(write_config: Callable[..., Path], wait_until: Callable[..., None]) -> Iterator[Start]:
    """
    Give a function that starts a daemon and waits until it is ready.

    It takes a command to run it `within`, variables for its `environment`, and sections of its
    config; another daemon on the same folder goes on where the last one was.
    """
    daemons: list[Daemon] = []

    def start_one(
        *,
        within: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        **sections: object,
    ) -> Daemon:
        config = write_config(**sections)
        ready_file = config.parent / "ready.json"
        # One of a daemon that was killed would be taken for this one's.
        ready_file.unlink(missing_ok=True)
        process = subprocess.Popen(
            [*within, *command("serve", "-c", config, "--ready-file", ready_file)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )
        wait_until(lambda: ready_file.exists() or process.poll() is not None, within_s=30)
        if process.poll() is not None:
            pytest.fail(f"the daemon did not start: {process.communicate()[1]}")
        ready = json.loads(ready_file.read_text(encoding="utf-8"))
        daemons.append(Daemon(process, config.parent, ready))
        return daemons[-1]

    yield start_one
    for daemon in daemons:
        daemon.close()


@pytest.fixture
def daemon(start: Start) -> Daemon:
    """Give a daemon with two objectives and defaults."""
    return start()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=30, check=False
    )
