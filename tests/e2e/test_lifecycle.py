"""A daemon starts whole or not at all, says why, and stops as it was told."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import spanmill
from spanmill.client import ADDRESS_FILE
from tests.e2e.conftest import Daemon, Start, run


def test_ready_means_ready(daemon: Daemon) -> None:
    """
    The ready file has pid, version and an address for each listener, and every one of them
    answers; the data folder's address file says the same.
    """
    assert {"pid", "version", "otlp_grpc", "api"} == set(daemon.ready)
    assert (daemon.process.pid, spanmill.__version__) == (
        daemon.ready["pid"],
        daemon.ready["version"],
    )
    assert daemon.ready == json.loads((daemon.data_dir / ADDRESS_FILE).read_bytes())
    assert 200 == daemon.http.get("/readyz").status_code
    health = health_pb2_grpc.HealthStub(daemon.channel)
    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert health_pb2.HealthCheckResponse.SERVING == answer.status


def test_start_and_stop_are_logged(daemon: Daemon) -> None:
    """The log has a line for start and stop and no warning between them, in JSON off a terminal."""
    _, logged = daemon.stop()

    lines = [json.loads(line) for line in logged.splitlines()]
    assert "started" == lines[0]["event"]
    assert "stopped" == lines[-1]["event"]
    assert {"info"} == {line["level"] for line in lines if "slow build" not in line["event"]}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly(how: signal.Signals, daemon: Daemon) -> None:
    """SIGTERM and Ctrl-C end the daemon with 0, and its address file goes with it."""
    code, _ = daemon.stop(how)

    assert 0 == code
    assert not (daemon.data_dir / ADDRESS_FILE).exists()


def test_a_second_sigterm_changes_nothing(daemon: Daemon) -> None:
    """A supervisor that signals process and group still gets the clean stop, to its end."""
    assert daemon.process.stderr is not None
    lines = iter(daemon.process.stderr.readline, "")
    daemon.process.send_signal(signal.SIGTERM)
    assert any("stopping" in line for line in lines)
    code, logged = daemon.stop(signal.SIGTERM)

    assert 0 == code
    assert "stopped" == json.loads(logged.splitlines()[-1])["event"]
    assert not (daemon.data_dir / ADDRESS_FILE).exists()


def test_stops_with_a_sender_connected(daemon: Daemon) -> None:
    """A sender that holds its connection, and a health watcher, do not hold the daemon up."""
    watch = health_pb2_grpc.HealthStub(daemon.channel).Watch(health_pb2.HealthCheckRequest())
    assert health_pb2.HealthCheckResponse.SERVING == next(watch).status

    code, _ = daemon.stop()

    assert 0 == code
    assert health_pb2.HealthCheckResponse.NOT_SERVING == next(watch).status
    with pytest.raises(grpc.RpcError):
        next(watch)


def test_a_killed_daemon_leaves_the_folder_free(start: Start) -> None:
    """After kill -9 the next daemon takes the folder and its address file at once."""
    first = start()
    first.process.kill()
    first.process.wait()
    assert (first.data_dir / ADDRESS_FILE).exists()
    (first.folder / "ready.json").unlink()

    second = start()

    assert second.ready == json.loads((second.data_dir / ADDRESS_FILE).read_bytes())


def only_line(arguments: list[object], code: int) -> str:
    """Run a daemon that must not start; give the one line that it says."""
    answer = run("serve", *arguments)
    assert code == answer.returncode, answer.stderr
    assert "" == answer.stdout
    (line,) = answer.stderr.splitlines()
    assert line.startswith("spanmill: ")
    return line


def test_folder_in_use(daemon: Daemon) -> None:
    """A second daemon on the folder exits 1 with one line; the first does not notice."""
    line = only_line(["-c", daemon.folder / "spanmill.yaml"], 1)

    assert str(daemon.data_dir) in line
    assert "in use" in line
    assert daemon.client.ledger()["balanced"]
    assert daemon.ready == json.loads((daemon.data_dir / ADDRESS_FILE).read_bytes())


@pytest.mark.parametrize("key", ["otlp_grpc", "api"])
def test_port_in_use(key: str, write_config: Callable[..., Path], tmp_path: Path) -> None:
    """A taken port exits 1 with one line that names it and the key, and nothing stays behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ["--set", f"listen.{key}={address}", "--ready-file", tmp_path / "ready.json"]
        line = only_line(["-c", write_config(), *options], 1)

    assert f"{address} is in use by another process; stop it, or set listen.{key}" in line
    assert not (tmp_path / "ready.json").exists()
    assert not (tmp_path / "data" / ADDRESS_FILE).exists()


def test_config_that_cannot_be_read(tmp_path: Path) -> None:
    """A config file that is missing, or a folder, exits 2 with one line that names it."""
    for path in (tmp_path / "missing.yaml", tmp_path):
        assert f"{path}: cannot be read" in only_line(["-c", path], 2)


def test_bad_config_touches_nothing(write_config: Callable[..., Path], tmp_path: Path) -> None:
    """A bad config exits 2 with a line for each problem before a folder or port is touched."""
    config = write_config(windw={}, durability="synced")

    answer = run("serve", "-c", config, "--ready-file", tmp_path / "ready.json")

    assert 2 == answer.returncode
    assert 2 == len(answer.stderr.splitlines())
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "ready.json").exists()


def test_a_stale_ready_file_does_not_lie(write_config: Callable[..., Path], tmp_path: Path) -> None:
    """A ready file of an earlier run is gone while the daemon is not ready, and if it fails."""
    ready = tmp_path / "ready.json"
    ready.write_text("{}", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        api = f"listen.api=127.0.0.1:{taken.getsockname()[1]}"
        only_line(["-c", write_config(), "--set", api, "--ready-file", ready], 1)

    assert not ready.exists()


def test_folder_that_cannot_be(write_config: Callable[..., Path], tmp_path: Path) -> None:
    """A data folder that cannot be created exits 1 with one line that names it and the key."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"

    line = only_line(["-c", write_config(), "--set", f"data_dir={folder}"], 1)

    assert f"cannot create the data folder {folder}" in line
    assert "set data_dir" in line
