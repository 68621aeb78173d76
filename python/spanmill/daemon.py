"""
The daemon: builds every part from its section, starts them, and stops them in reverse.

`serve` is the list of all parts there are. Events take the way receiver -> core; the
API and the exporter read from the core; nothing else talks to anything else.
"""

import gc
import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import structlog

from spanmill import _core, log
from spanmill.allocator import keep_large_blocks
from spanmill.api import ApiServer
from spanmill.client import ADDRESS_FILE, remove_address_files, write_address_files
from spanmill.config import Loaded
from spanmill.engine import STALLED_AFTER_S, Maintenance, open_engine
from spanmill.errors import JournalFailed
from spanmill.model import Address, __version__
from spanmill.receiver import GrpcReceiver
from spanmill.sink import Exporter

SWITCH_INTERVAL_S: Final = 0.0005
"""
How soon a busy Python thread yields to a request. At the interpreter's 5 ms one such
thread took a 250 KB request from 1 ms to 42 ms at the 99th percentile.
"""

GRACE_S: Final = 5.0
"""How long requests under way may take once we are told to stop."""

LOSES: Final = {
    "relaxed": "durability is relaxed: a loss of power may lose events of the last 100 ms",
    "off": "durability is off: a restart loses every event still in memory",
}
"""What each durability but the default may lose, as the start says it."""

STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})

logger = structlog.stdlib.get_logger(__name__)


def serve(loaded: Loaded, ready_file: Path | None = None) -> None:
    """
    Run until SIGTERM or SIGINT.

    Args:
        loaded: The config and its objectives.
        ready_file: Written once every listener accepts: pid, version and addresses as JSON.

    Raises:
        ConfigError: The core refuses a section. No port was opened.
        StartError: The data folder or an address is in use, or cannot be used.
        JournalFailed: The disk failed while we ran. A restart replays what was acknowledged.
    """
    config = loaded.config
    log.configure(config.log.level, config.log.format)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_large_blocks()
    address_files = [config.data_dir / ADDRESS_FILE, *([ready_file] if ready_file else [])]
    _hold_signals()
    stopping, accepting, failed = threading.Event(), threading.Event(), Failure()

    with ExitStack() as running:
        engine = open_engine(config, [objective.to_core() for objective in loaded.objectives])
        running.callback(engine.close)
        remove_address_files(address_files)

        maintenance = Maintenance(engine, on_failure=failed.set)
        maintenance.start()
        running.callback(maintenance.stop)

        exporter = Exporter(config.export, engine, config.data_dir)
        exporter.start()
        running.callback(exporter.stop, final=True)

        def unready() -> str | None:
            if stopping.is_set():
                return "the daemon is stopping"
            if not accepting.is_set():
                return "listeners are still opening"
            if maintenance.is_stalled:
                return f"the core's clock has stood still for over {STALLED_AFTER_S:g} s"
            return engine.unready()

        api = ApiServer(engine, config.listen.api, unready=unready, export=lambda: exporter.status)
        api.start()
        running.callback(api.stop)

        receiver = GrpcReceiver(
            engine, config.listen.otlp_grpc, config.limits, config.limits.request_bytes
        )
        receiver.start()
        maintenance.tell(receiver.set_unready)
        running.callback(receiver.stop, GRACE_S)

        # What start-up made stays: collections need not walk it again (5 % of all CPU time).
        gc.collect()
        gc.freeze()
        accepting.set()
        addresses = {"otlp_grpc": receiver.address, "api": api.address}
        write_address_files(address_files, addresses)
        running.callback(remove_address_files, address_files[:1])
        _log_started(loaded, addresses)
        _wait_for_signal()
        stopping.set()
        logger.info("stopping", grace_s=GRACE_S)
    failed.check()
    logger.info("stopped")


class Failure:
    """Stops the daemon from within, as an operator would, and makes its end an error."""

    def __init__(self) -> None:
        self._happened = threading.Event()

    def set(self) -> None:
        """Begin to stop."""
        self._happened.set()
        os.kill(os.getpid(), signal.SIGTERM)

    def check(self) -> None:
        """
        Say at the end whether it was a failure.

        Raises:
            JournalFailed: It was.
        """
        if self._happened.is_set():
            raise JournalFailed("stopped: the journal could not be written; the log says why")


def _hold_signals() -> None:
    """
    Keep the signals that stop us until they are waited for. Call before any thread starts.

    A handler would run between any two instructions of the main thread, where it must
    not take a lock, nor may it cut a start in half.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def _wait_for_signal() -> None:
    """
    Wait for the first; from then on another SIGINT ends the process at once.

    Another SIGTERM does not: supervisors and `timeout` signal a process and its
    group, and the clean stop must survive the second one.
    """
    signal.sigwait(STOP_SIGNALS)
    # Ignored, not only blocked: libraries have threads older than our mask.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _log_started(loaded: Loaded, addresses: dict[str, Address]) -> None:
    logger.info(
        "started",
        version=__version__,
        data_dir=str(loaded.config.data_dir),
        views=len(loaded.config.views),
        objectives=len(loaded.objectives),
        **{name: str(address) for name, address in addresses.items()},
    )
    if told := LOSES.get(loaded.config.durability):
        logger.warning(told)
    profile = _core.build_info()["profile"]
    if profile != "release":
        logger.warning("this is a slow build for debugging", profile=profile)
    for name, address in addresses.items():
        if not address.is_loopback:
            logger.warning(
                "others can reach this listener, which has neither TLS nor authentication yet",
                listener=name,
                address=str(address),
            )
    unused = sum(1 for objective in loaded.objectives if objective.alerts is not None)
    if unused:
        logger.warning("alerts are read but not evaluated yet", objectives=unused)
