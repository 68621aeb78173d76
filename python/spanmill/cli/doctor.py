"""`spanmill doctor`: what would stop a daemon here, before it does."""

import contextlib
import ctypes
import platform
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import typer

from spanmill.cli.options import FAILED, ConfigOption, JsonOption, SetOption, print_json
from spanmill.errors import ConfigError, FolderInUse, SpanmillError, Unreachable

if TYPE_CHECKING:
    from spanmill.config import Loaded
    from spanmill.model import Address

DISK_FAIL_BYTES: Final = 100 * 1024**2
DISK_WARN_BYTES: Final = 2 * 1024**3

_CLOCK_UNSYNCHRONISED: Final = 5
_TIMEX_BYTES: Final = 512
"""More than any kernel's `struct timex`; zeroed, it only asks."""


@dataclass(frozen=True)
class Finding:
    """What one check found; `advice` says what to do, empty when nothing is."""

    check: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def doctor(
    config: ConfigOption = None, sets: SetOption = None, as_json: JsonOption = False
) -> None:
    """
    Check build, config, data folder, ports, clock and disk, and say what to do.

    Example: spanmill doctor -c spanmill.yaml

    Exit codes: 0 a daemon can run here, or one does; 1 something would stop it.
    """
    findings = list(_examine(config, sets or []))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            advice = f"; {finding.advice}" if finding.advice else ""
            typer.echo(f"{finding.state:4}  {finding.check}: {finding.found}{advice}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(FAILED)


def _examine(path: Path | None, sets: list[str]) -> Iterator[Finding]:
    from spanmill import config as config_file

    yield _build()
    yield _libraries()
    yield _clock()
    try:
        loaded = config_file.load(path, sets)
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("config", "fail", problem, "correct it; `spanmill config schema` helps")
        return
    count = len(loaded.objectives)
    yield Finding("config", "ok", f"{path or 'all defaults'}, {count} objective(s)")
    running = _running(loaded)
    yield _data_folder(loaded, running)
    yield _disk(loaded.config.data_dir)
    if running is not None:
        yield Finding("daemon", "ok", f"one answers at {running}")
    else:
        yield _port("listen.otlp_grpc", loaded.config.listen.otlp_grpc)
        yield _port("listen.api", loaded.config.listen.api)


def _build() -> Finding:
    from spanmill import _core

    build = _core.build_info()
    found = ", ".join(f"{key} {value}" for key, value in build.items())
    if build["profile"] == "release":
        return Finding("core", "ok", found)
    return Finding("core", "warn", found, "this build is slow; build with `maturin --release`")


def _libraries() -> Finding:
    import grpc
    from google.protobuf.internal import api_implementation

    protobuf = api_implementation.Type()
    found = f"Python {platform.python_version()}, grpcio {grpc.__version__}, protobuf {protobuf}"
    if protobuf == "python":
        return Finding("libraries", "warn", found, "install a protobuf wheel with its native part")
    return Finding("libraries", "ok", found)


def _clock() -> Finding:
    """Ask the kernel whether anything keeps the clock right: events are judged by it."""
    ask = getattr(ctypes.CDLL(None), "adjtimex", None)
    if ask is None:
        return Finding("clock", "ok", "not checked: this system has no adjtimex")
    if ask(ctypes.create_string_buffer(_TIMEX_BYTES)) == _CLOCK_UNSYNCHRONISED:
        advice = "start an NTP client: events too far ahead of the clock are rejected"
        return Finding("clock", "warn", "the kernel says it is not synchronised", advice)
    return Finding("clock", "ok", "synchronised")


def _running(loaded: "Loaded") -> "Address | None":
    """Find a daemon that answers for this data folder."""
    from spanmill.client import ADDRESS_FILE, connect

    data_dir = loaded.config.data_dir
    if not (data_dir / ADDRESS_FILE).exists():
        return None
    try:
        with connect(data_dir=data_dir) as daemon:
            daemon.ledger()
            return daemon.address
    except Unreachable:
        return None


def _data_folder(loaded: "Loaded", running: "Address | None") -> Finding:
    from spanmill.engine import open_engine

    data_dir = loaded.config.data_dir
    if running is not None:
        return Finding("data folder", "ok", f"{data_dir}, in use by the daemon at {running}")
    new = not data_dir.exists()
    try:
        # The core itself is the one true test of the folder, its lock and the config.
        open_engine(loaded.config, [objective.to_core() for objective in loaded.objectives]).close()
    except FolderInUse as error:
        return Finding("data folder", "fail", str(error), "its daemon does not answer: look at it")
    except SpanmillError as error:
        return Finding("data folder", "fail", str(error))
    if new:
        with contextlib.suppress(OSError):
            (data_dir / "lock").unlink()
            data_dir.rmdir()
    return Finding("data folder", "ok", f"{data_dir}, {'can be created' if new else 'writable'}")


def _disk(data_dir: Path) -> Finding:
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GiB free at {existing}"
    if free < DISK_FAIL_BYTES:
        return Finding("disk", "fail", found, "free some, or set data_dir: exports need room")
    if free < DISK_WARN_BYTES:
        return Finding("disk", "warn", found, "exports grow by the minute: free some soon")
    return Finding("disk", "ok", found)


def _port(key: str, address: "Address") -> Finding:
    from spanmill.errors import cannot_listen

    try:
        with socket.create_server(
            (address.host, address.port),
            family=socket.AF_INET6 if ":" in address.host else socket.AF_INET,
        ):
            return Finding(key, "ok", f"{address} is free")
    except OSError as error:
        return Finding(key, "fail", str(cannot_listen(address, key, error)))
