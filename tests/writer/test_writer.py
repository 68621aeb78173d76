"""What the writer was given is counted once, whatever becomes of the connection."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from spanmill import SpanBatchWriter, _core
from tests import cores
from tests.writer.batches import Daemon

ATLAS = {"gen_ai.request.model": "atlas"}
BIRCH = {"gen_ai.request.model": "birch"}
WITHIN_S = 20.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Give a daemon that journals."""
    core = cores.open_core(tmp_path)
    daemon = Daemon(core)
    yield daemon
    daemon.stop()
    daemon.core.close()


def writer_to(address: str, **options: Any) -> SpanBatchWriter:  # noqa: ANN401
    """Make a writer of small batches that gives up on an answer soon."""
    return SpanBatchWriter(address, **{"batch_size": 10, "timeout_s": 5.0, **options})


def record(writer: SpanBatchWriter, events: int, attributes: dict[str, str] | None = None) -> None:
    """Record events that ended just now."""
    for _ in range(events):
        writer.record(attributes or ATLAS, time.time() - 2.0, 1.5, ttft_s=0.25, output_tokens=40)


class Wrapped:
    """An engine of which the answers to batches may get lost."""

    def __init__(self, core: _core.Engine, spoil: Callable[[int], bool]) -> None:
        self._core = core
        self._spoil = spoil
        self._calls = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._core, name)

    def ingest_columns(self, request: bytes) -> bytes:
        """Fold a batch, and lose some of the answers."""
        answer = self._core.ingest_columns(request)
        self._calls += 1
        if self._spoil(self._calls):
            raise_unavailable()
        return answer


def raise_unavailable() -> None:
    """End a call as a connection that broke does."""
    from spanmill.errors import Overloaded  # noqa: PLC0415

    message = "the answer was lost"
    raise Overloaded(message, 0.01)


def test_every_event_is_counted_once(daemon: Daemon) -> None:
    """Records and tables, in batches full and not, are counted with what they measure."""
    with writer_to(daemon.address, resource={"service.name": "gateway"}) as writer:
        record(writer, 25)
        record(writer, 3, BIRCH)
        writer.write(
            {
                "start": np.full(31, time.time() - 3.0),
                "duration_s": np.full(31, 1.0),
                "gen_ai.request.model": np.array(["birch", "cedar"])[np.arange(31) % 2],
            }
        )
        assert writer.flush(WITHIN_S)
        assert (59, 0, 0) == (writer.acknowledged, writer.dropped, writer.rejected)

    assert {"atlas": 25, "birch": 19, "cedar": 15} == daemon.counts()
    assert {"atlas": 25, "birch": 3} == daemon.counts("ttft")
    assert {"gateway": 59} == daemon.counts(by="service")
    assert "exactly_once" == daemon.ledger()["delivery"]


def test_an_event_waits_no_longer_than_its_age(daemon: Daemon) -> None:
    """A batch that does not fill goes by itself."""
    with writer_to(daemon.address, max_age_s=0.05) as writer:
        record(writer, 1)
        until(lambda: writer.acknowledged == 1)


def test_a_lost_answer_counts_once(daemon: Daemon) -> None:
    """A batch whose answer was lost comes again under its number, and counts once."""
    daemon.stop()
    wrapped = Wrapped(daemon.core, spoil=lambda call: call % 2 == 1)
    front = Daemon(wrapped)  # type: ignore[arg-type]
    try:
        with writer_to(front.address) as writer:
            record(writer, 50)
            assert writer.flush(WITHIN_S)
    finally:
        front.stop()
        daemon.restart_listener()

    assert {"atlas": 50} == daemon.counts()
    ledger = daemon.ledger()
    assert (50, True) == (ledger["counted"], ledger["balanced"])
    assert 0 < ledger["duplicate"]


def test_a_lost_connection_loses_nothing(daemon: Daemon) -> None:
    """What is recorded while nobody listens waits, and goes when the listener is back."""
    with writer_to(daemon.address) as writer:
        record(writer, 20)
        assert writer.flush(WITHIN_S)
        port = daemon.receiver.address.port
        daemon.stop()
        record(writer, 30, BIRCH)
        assert not writer.flush(0.3)
        daemon.receiver = Daemon(daemon.core, port).receiver
        assert writer.flush(WITHIN_S)

    assert {"atlas": 20, "birch": 30} == daemon.counts()


def test_a_restart_of_the_daemon_loses_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """A daemon that starts again knows no dictionary: the writer sends it again by itself."""
    with writer_to(daemon.address) as writer:
        record(writer, 20)
        record(writer, 20, BIRCH)
        assert writer.flush(WITHIN_S)
        port = daemon.receiver.address.port
        daemon.stop()
        daemon.core.close()
        daemon.core = cores.open_core(tmp_path)
        daemon.receiver = Daemon(daemon.core, port).receiver
        record(writer, 30, BIRCH)
        assert writer.flush(WITHIN_S)
        assert 0 == writer.dropped

    assert {"atlas": 20, "birch": 50} == daemon.counts()
    assert 70 == daemon.ledger()["received"] - daemon.ledger()["duplicate"]


def test_many_threads_record_at_once(daemon: Daemon) -> None:
    """Events of several threads are all counted."""
    with writer_to(daemon.address) as writer:
        threads = [
            threading.Thread(target=record, args=(writer, 200, {"gen_ai.request.model": f"m{n}"}))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert {f"m{n}": 200 for n in range(4)} == daemon.counts()


def test_what_finds_no_room_is_counted_as_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """With nobody there the buffer fills; what is dropped, then or at the end, is counted."""
    with caplog.at_level(logging.WARNING, "spanmill.writer"):
        writer = writer_to("127.0.0.1:9", buffer_bytes=20_000)
        record(writer, 5_000)
        writer.close(0.5)

    assert (0, 5_000) == (writer.acknowledged, writer.dropped)
    assert "the buffer is full" in caplog.text
    assert "not acknowledged before the end" in caplog.text


def test_a_batch_that_can_never_be_taken_is_dropped(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal for good ends the batch, not the writer."""
    with writer_to(daemon.address, batch_size=1, producer_id=b"p" * 16) as writer:
        record(writer, 1)
        assert writer.flush(WITHIN_S)
        writer._feed._outbox._seq += 5_000
        record(writer, 1)
        assert writer.flush(WITHIN_S)
        writer._feed._outbox._seq -= 5_000
        record(writer, 1)
        assert writer.flush(WITHIN_S)
        assert (2, 1) == (writer.acknowledged, writer.dropped)

    assert "INVALID_ARGUMENT" in caplog.text
    assert {"atlas": 2} == daemon.counts()


def test_events_that_the_daemon_rejects_are_said(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    """An event in the future is acknowledged and rejected: no retry can save it."""
    with writer_to(daemon.address) as writer:
        writer.record(ATLAS, time.time() + 3600, 1.0)
        record(writer, 3)
        assert writer.flush(WITHIN_S)
        assert (4, 1, 0) == (writer.acknowledged, writer.rejected, writer.dropped)

    assert "rejected 1 of 4 events: future: 1" in caplog.text


def test_a_full_dictionary_begins_another(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its size a dictionary is replaced in a new epoch, and no event is lost over it."""
    monkeypatch.setattr("spanmill.writer.dictionary.ENTRIES_MAX", 7)
    with writer_to(daemon.address) as writer:
        for n in range(100):
            record(writer, 1, {"gen_ai.request.model": f"m{n % 40}"})
        assert writer.flush(WITHIN_S)
        assert (100, 0) == (writer.acknowledged, writer.dropped)

    assert 40 == len(daemon.counts())
    assert 100 == sum(daemon.counts().values())


def test_misuse_is_refused(daemon: Daemon) -> None:
    """What cannot be meant is refused at the call, and nothing of it is recorded."""
    with pytest.raises(ValueError, match="producer_id needs 16 bytes"):
        writer_to(daemon.address, producer_id=b"short")
    with pytest.raises(ValueError, match="batch_size is 0"):
        writer_to(daemon.address, batch_size=0)
    writer = writer_to(daemon.address)
    with pytest.raises(TypeError, match="no measure speed"):
        writer.record(ATLAS, 1.0, 1.0, speed=3.0)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="duration_s is -1"):
        writer.record(ATLAS, 1.0, -1.0)
    with pytest.raises(ValueError, match="trace_id has 2 bytes"):
        writer.record(ATLAS, 1.0, 1.0, trace_id=b"ab")
    writer.close()
    writer.close()
    with pytest.raises(RuntimeError, match="closed"):
        record(writer, 1)

    assert 0 == daemon.ledger()["received"]


def test_a_forked_process_may_not_use_it(daemon: Daemon) -> None:
    """The writer's thread stays in the process that made it, so another one is told."""
    writer = writer_to(daemon.address)
    writer._feed._pid += 1
    with pytest.raises(RuntimeError, match="forked"):
        record(writer, 1)
    writer._feed._pid -= 1
    writer.close()


def test_a_stream_answers_in_order(daemon: Daemon) -> None:
    """`Stream` takes what `Send` takes, one answer a batch, in the order of the batches."""
    from tests.writer import batches  # noqa: PLC0415

    golden = batches.golden()
    with grpc.insecure_channel(daemon.address) as channel:
        stream = channel.stream_stream("/spanmill.v1.Ingest/Stream", None, None)
        answers = [batches.ack(answer) for answer in stream(iter([golden, golden]), timeout=10)]

    assert [(300, False), (300, True)] == [(it.seq, it.duplicate) for it in answers]


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that happens elsewhere."""
    deadline_s = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
