"""A disk that is full, and one that fails: real ones, beneath a real daemon."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.e2e import fleet
from tests.e2e.conftest import Daemon, Start

SPANS: Final = 2_000
DISK_BYTES: Final = 20 * 1024**2
MOST_BATCHES: Final = 2_000

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]


class SmallDisk:
    """A file system of a few megabytes, in a mount namespace of its own."""

    def __init__(self, at: Path, unshare: str) -> None:
        self.at = at
        at.mkdir()
        script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec cat'
        self._holder = subprocess.Popen(
            [unshare, "-rm", "sh", "-c", script, "sh", str(DISK_BYTES), str(at)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline().strip()
        if said != "mounted":
            self.close()
            pytest.skip(f"no small file system can be mounted here: {said}")

    @property
    def within(self) -> list[str]:
        """Command that runs another within the namespace."""
        return ["nsenter", "-t", str(self._holder.pid), "-U", "-m", "--preserve-credentials"]

    @property
    def _hog(self) -> Path:
        return Path(f"/proc/{self._holder.pid}/root{self.at}/hog")

    def fill(self) -> None:
        """Take all the room there is."""
        try:
            with self._hog.open("wb", buffering=0) as hog:
                while True:
                    hog.write(bytes(64 * 1024))
        except OSError:
            # It is full now.
            return

    def make_room(self) -> None:
        """Give it back."""
        self._hog.unlink()

    def close(self) -> None:
        """Let the file system go."""
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()
        self._holder.wait(timeout=20)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Give a small disk; the test is skipped where there can be none."""
    unshare = shutil.which("unshare")
    if unshare is None or shutil.which("nsenter") is None:
        pytest.skip("needs unshare and nsenter of util-linux")
    disk = SmallDisk(tmp_path / "small", unshare)
    yield disk
    disk.close()


def batch(seed: int, spans: int = SPANS) -> bytes:
    """Write a request whose spans differ in every measure, so that none packs to nothing."""
    (body,) = fleet.requests(fleet.calls(spans, time.time_ns(), seed=seed), size=spans)
    return body


def refusal(daemon: Daemon, body: bytes, name: str) -> grpc.Call | None:
    """Send a batch that has a name; say why it was refused, or None where it was not."""
    try:
        assert b"" == daemon.export(body, (("x-batch-id", name),))
    except grpc.RpcError as error:
        if not isinstance(error, grpc.Call):
            raise
        return error
    return None


def check_shed(refused: grpc.Call) -> None:
    """It says UNAVAILABLE, what to do, and when the request may come again."""
    assert grpc.StatusCode.UNAVAILABLE == refused.code()
    assert "the disk is full; free some of it" in (refused.details() or "")
    told = rpc_status.from_call(refused)
    assert told is not None
    delay = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(delay) for detail in told.details)
    assert 0 < delay.retry_delay.ToTimedelta().total_seconds() <= 60


def test_a_full_disk(small_disk: SmallDisk, start: Start, wait_until: Callable[..., None]) -> None:
    """
    On a disk that fills up, requests are shed with UNAVAILABLE and a delay, and whatever was
    acknowledged stays counted; when room comes back the daemon goes on by itself, and a
    `kill -9` in the end loses nothing.
    """
    data = small_disk.at / "data"
    daemon = start(within=small_disk.within, data_dir=str(data))
    small_disk.fill()
    body = batch(1)

    acknowledged = 0
    while (refused := refusal(daemon, body, f"batch-{acknowledged}")) is None:
        acknowledged += 1
        assert acknowledged < MOST_BATCHES, "the disk never fills"

    check_shed(refused)
    assert acknowledged * SPANS == daemon.client.ledger()["counted"]
    assert daemon.process.poll() is None

    small_disk.make_room()
    wait_until(
        lambda: refusal(daemon, body, f"batch-{acknowledged}") is None,
        within_s=30,
    )
    acknowledged += 1
    assert acknowledged * SPANS == daemon.client.ledger()["counted"]
    daemon.kill()

    again = start(within=small_disk.within, data_dir=str(data))
    ledger = again.client.ledger()
    assert ledger["balanced"]
    assert acknowledged * SPANS == ledger["counted"] == ledger["received"]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the layer that loses the disk."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler, cc")
    library = tmp_path_factory.mktemp("shim") / "eio.so"
    source = Path(__file__).with_name("eio.c")
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == built.returncode, built.stderr
    return library


def is_unready(daemon: Daemon) -> bool:
    """Say whether it asks for no traffic; one that is gone takes none either."""
    try:
        return 503 == daemon.http.get("/readyz").status_code
    except httpx.TransportError:
        return False


def test_a_sync_error(
    shim: Path, start: Start, wait_until: Callable[..., None], tmp_path: Path
) -> None:
    """
    Once a sync fails nothing is acknowledged any more, the daemon says that it is not ready,
    and ends with 1 and one line that names the cause; the next start has every event that was
    acknowledged, once, and takes what was not when it comes again.
    """
    trigger = tmp_path / "broken"
    environment = {"LD_PRELOAD": str(shim), "SPANMILL_EIO": str(trigger)}
    daemon = start(environment=environment)
    for number in range(5):
        assert refusal(daemon, batch(number, 100), f"batch-{number}") is None

    trigger.touch()
    lost = batch(5, 100)
    refused = refusal(daemon, lost, "batch-5")

    assert refused is not None
    assert grpc.StatusCode.UNAVAILABLE == refused.code()
    wait_until(lambda: is_unready(daemon))
    _, logged = daemon.process.communicate(timeout=30)
    assert 1 == daemon.process.returncode
    (line,) = [line for line in logged.splitlines() if "journal failed" in line]
    assert "acknowledging nothing more" in line
    assert "Traceback" not in logged

    trigger.unlink()
    again = start(environment=environment)
    # Whether the one that was refused was kept nobody can know; sent again it counts once.
    assert again.client.ledger()["counted"] in (500, 600)
    assert refusal(again, lost, "batch-5") is None
    ledger = again.client.ledger()
    assert ledger["balanced"]
    assert 600 == ledger["counted"]
    (row,) = again.client.query("duration")["series"]
    assert 600 == row["count"]
