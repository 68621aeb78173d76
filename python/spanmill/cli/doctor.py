"""`spanmill doctor`: what would stop a daemon here, before it does."""

import ctypes
import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from spanmill.cli import data_folder
from spanmill.cli.finding import Finding
from spanmill.cli.options import (
    FAILED,
    MISUSED,
    ConfigOption,
    JsonOption,
    SetOption,
    fail,
    print_json,
)
from spanmill.errors import ConfigError, SpanmillError, Unreachable

if TYPE_CHECKING:
    from spanmill.config import Loaded
    from spanmill.model import Address

DISK_FAIL_BYTES: Final = 100 * 1024**2
DISK_WARN_BYTES: Final = 2 * 1024**3

_CLOCK_UNSYNCHRONISED: Final = 5
_TIMEX_BYTES: Final = 512
"""More than any kernel's `struct timex`; zeroed, it only asks."""


FolderOption = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Look into this data folder, and only there."),
]
RepairOption = Annotated[
    bool,
    typer.Option("--repair", help="Give up records that come after damage; copies are kept."),
]


def doctor(
    config: ConfigOption = None,
    sets: SetOption = None,
    data_dir: FolderOption = None,
    repair: RepairOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Check build, config, data folder, ports, clock and disk, and say what to do.

    With --data-dir: read everything that a daemon would start from, and say what is
    missing. Nothing is changed without --repair.

    Example: spanmill doctor -c spanmill.yaml

    Exit codes: 0 a daemon can run here, or one does; 1 something would stop it; 2 misused.
    """
    details: dict[str, Any] = {}
    if data_dir is not None:
        findings = list(_folder(data_dir, details, repair=repair))
    elif repair:
        fail("--repair changes one folder: name it with --data-dir", MISUSED)
    else:
        findings = list(_examine(config, sets or []))
    if as_json:
        plain = [asdict(finding) for finding in findings]
        print_json({"findings": plain, **details} if data_dir is not None else plain)
    else:
        for finding in findings:
            advice = f"; {finding.advice}" if finding.advice else ""
            typer.echo(f"{finding.state:4}  {finding.check}: {finding.found}{advice}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(FAILED)


def _folder(data_dir: Path, details: dict[str, Any], *, repair: bool) -> Iterator[Finding]:
    """Look into one data folder; what a script may want to know goes into `details`."""
    if not data_dir.is_dir():
        yield Finding("data folder", "fail", f"{data_dir} is not there", "set --data-dir")
        return
    try:
        if repair:
            repaired = data_folder.repair(data_dir)
            details.update(repaired)
            yield data_folder.given_up(data_dir, repaired)
            examined = repaired["examined"]
        else:
            details["examined"] = examined = data_folder.examine(data_dir)
    except SpanmillError as error:
        yield Finding("data folder", "fail", str(error))
    else:
        yield from data_folder.findings(data_dir, examined)


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
    yield from _data_folder(loaded, running)
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


def _data_folder(loaded: "Loaded", running: "Address | None") -> Iterator[Finding]:
    data_dir = loaded.config.data_dir
    if running is not None:
        yield Finding("data folder", "ok", f"{data_dir}, in use by the daemon at {running}")
        return
    try:
        _try_config(loaded)
    except SpanmillError as error:
        yield Finding("config", "fail", str(error))
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        found = f"{data_dir}: {existing} is no folder that can be written to"
        yield Finding("data folder", "fail", found, "set data_dir, or change its owner")
    elif existing != data_dir:
        yield Finding("data folder", "ok", f"{data_dir}, can be created")
    else:
        yield Finding("data folder", "ok", f"{data_dir}, writable")
        yield from _folder(data_dir, {}, repair=False)


def _try_config(loaded: "Loaded") -> None:
    """Build a core in a folder of its own: it is the one true test of what it is built from."""
    from spanmill.engine import open_engine

    with tempfile.TemporaryDirectory(prefix="spanmill-doctor-") as scratch:
        changes = {"data_dir": Path(scratch), "durability": "off"}
        objectives = [objective.to_core() for objective in loaded.objectives]
        open_engine(loaded.config.model_copy(update=changes), objectives).close()


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
