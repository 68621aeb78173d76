"""`kill -9` at any instant, under a client that tries again: nothing lost, nothing twice."""

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import pytest

from tests import traces
from tests.e2e import fleet
from tests.e2e.conftest import Daemon, Start
from tests.e2e.fleet import Call

Wait = Callable[..., None]

KILLS: Final = int(os.environ.get("SPANMILL_KILLS", "10"))
"""The long run has 50: `make sim` sets it."""

SPANS: Final = 50
SENDERS: Final = 3
UP_AT_MOST_S: Final = 0.6
TRY_AGAIN_S: Final = 0.02

# Nothing is late, however long a batch waits, and silence moves nothing: what is counted does
# not depend on when it came.
WINDOW: Final = {"lateness": "1h", "idle": "1h"}

# Then silence seals all but the newest bucket, whose digests have the same bits whatever they
# went through; those of open ones only the same error.
SEALING: Final = {"lateness": "1h", "idle": "1s"}

# Longer than anything stands between two requests of one sender that nothing holds up.
UNDISTURBED: Final = {"lateness": "1h", "idle": "5s"}


class Senders:
    """Three threads that send batch after batch, each until it is acknowledged."""

    def __init__(self, now_ns: int, seed: int) -> None:
        self._now_ns = now_ns
        self._seed = seed
        self._lock = threading.Lock()
        self._begun = 0
        self._channel: grpc.Channel | None = None
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._send_all) for _ in range(SENDERS)]
        self.sent: list[list[Call]] = []
        self.tries = 0

    def batch(self, number: int) -> list[Call]:
        """Draw the events of a batch; their times are fixed beforehand."""
        return fleet.calls(SPANS, self._now_ns, seed=self._seed * 1_000_003 + number)

    def send_to(self, daemon: Daemon) -> None:
        """Go on with this daemon."""
        self._channel = daemon.channel

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each batch that was begun be acknowledged, and end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _send_all(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                number, self._begun = self._begun, self._begun + 1
                calls = self.batch(number)
                (body,) = fleet.requests(calls, size=SPANS)
            self._send(body)
            with self._lock:
                self.sent.append(calls)

    def _send(self, body: bytes) -> None:
        pause = threading.Event()
        while True:
            channel = self._channel
            assert channel is not None
            self.tries += 1
            try:
                answer = channel.unary_unary(traces.EXPORT)(body, timeout=10)
            except (grpc.RpcError, ValueError):
                # ValueError: the channel of a daemon that is gone was closed.
                pause.wait(TRY_AGAIN_S)
                continue
            assert b"" == answer
            return


@pytest.fixture
def senders() -> Iterator[Callable[[int, int], Senders]]:
    """Give a function that makes senders; they end with the test."""
    made: list[Senders] = []

    def make(now_ns: int, seed: int) -> Senders:
        made.append(Senders(now_ns, seed))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def sealed_end(now_ns: int) -> str:
    """Name the end of the newest bucket that silence seals, with one to spare."""
    return datetime.fromtimestamp(now_ns // 10**10 * 10 - 10, UTC).isoformat()


def wait_until_sealed(daemon: Daemon, wait_until: Wait, now_ns: int) -> None:
    """Wait for silence to seal what there is."""
    wait_until(
        lambda: not daemon.client.query("ttft", end=sealed_end(now_ns))["window"]["open"],
        within_s=30,
    )


def start_sealing(start: Start, wait_until: Wait, now_ns: int) -> Daemon:
    """Start a daemon that seals what there is, and wait until it did."""
    daemon = start(window=SEALING)
    wait_until_sealed(daemon, wait_until, now_ns)
    return daemon


def answers(daemon: Daemon, now_ns: int) -> dict[str, Any]:
    """Ask for budgets, and for quantiles and counts of every window, by all that tells apart."""
    end = sealed_end(now_ns)
    asked: dict[str, Any] = {}
    for measure in ("ttft", "duration", "tpot", "output_tokens"):
        for by in ([], ["model"], ["model", "tenant"]):
            for window in ("10s", "20s", "1m", "5m"):
                answer = daemon.client.query(
                    measure, q=fleet.QUANTILES, by=by, window=window, end=end
                )
                asked[f"{measure} by {by} over {window}"] = answer["series"]
    ranged = daemon.client.query_range("ttft", by=["model"], window="2m", end=end, step="10s")
    asked["ttft in steps"] = ranged["series"]
    for name in ("ttft-fast", "errors"):
        budgets = [
            {key: budget[key] for key in ("group", "good", "bad", "total", "budget_left", "burn")}
            for budget in daemon.client.slo(name)
        ]
        # Groups come in the order of their first events, and senders race.
        asked[name] = sorted(budgets, key=lambda budget: json.dumps(budget["group"]))
    return asked


@pytest.mark.timeout(60 + 12 * KILLS)
def test_kills_leave_no_trace(
    start: Start, senders: Callable[[int, int], Senders], wait_until: Wait
) -> None:
    """
    After `kill -9` at random instants under load, every acknowledged event is counted exactly
    once, and quantiles, per-window counts and budgets are those of a daemon that was never
    disturbed: a restart, a replay and a flushed queue are not traffic.
    """
    seed = random.randrange(2**32)
    # Shown where the test fails.
    sys.stdout.write(f"seed {seed}\n")
    draw = random.Random(seed)
    now_ns = time.time_ns()
    load = senders(now_ns, seed)
    daemon = start(window=WINDOW)
    load.send_to(daemon)
    load.start()
    pause = threading.Event()
    for _ in range(KILLS):
        pause.wait(draw.uniform(0, UP_AT_MOST_S))
        daemon.kill()
        daemon = start(window=WINDOW)
        load.send_to(daemon)
    load.stop()

    sent = sum(len(calls) for calls in load.sent)
    ledger = daemon.client.ledger()
    assert ledger["balanced"]
    assert (sent, sent) == (ledger["counted"], ledger["received"] - ledger["duplicate"])
    daemon.stop()
    found = answers(start_sealing(start, wait_until, now_ns), now_ns)

    undisturbed = start(window=UNDISTURBED, durability="off", data_dir="undisturbed")
    for calls in load.sent:
        for body in fleet.requests(calls, size=SPANS):
            assert b"" == undisturbed.export(body)
    wait_until_sealed(undisturbed, wait_until, now_ns)
    expected = answers(undisturbed, now_ns)
    assert expected.keys() == found.keys()
    for asked, answer in expected.items():
        assert json.dumps(answer, sort_keys=True) == json.dumps(found[asked], sort_keys=True), asked


def test_a_clean_restart_is_not_traffic(start: Start, wait_until: Wait) -> None:
    """A stop and a start change no window, no budget and no row of the ledger."""
    now_ns = time.time_ns()
    sent = fleet.calls(5_000, now_ns)
    first = start(window=WINDOW)
    for body in fleet.requests(sent, size=500):
        assert b"" == first.export(body)
    first.stop()
    settled = start_sealing(start, wait_until, now_ns)
    before, ledger = answers(settled, now_ns), settled.client.ledger()
    assert 0 == settled.stop()[0]

    again = start(window=WINDOW)

    assert before == answers(again, now_ns)
    assert ledger == again.client.ledger()
