"""What `spanmill doctor` says of a data folder: would a daemon start on it, and miss nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from spanmill.cli.figures import count
from spanmill.cli.finding import Finding

MIB: Final = 1024**2
ANNOUNCED_BYTES: Final = 1024**3
"""Above this, reading the journal takes seconds."""

Examined = dict[str, Any]
"""The JSON of `_core.examine_folder`."""


def examine(data_dir: Path) -> Examined:
    """
    Read all of a folder that a daemon would start from.

    Raises:
        FolderInUse: A daemon holds it.
        StartError: It cannot be read, or another version wrote it.
    """
    from spanmill import _core

    _announce(data_dir)
    examined: Examined = json.loads(_core.examine_folder(data_dir))
    return examined


def repair(data_dir: Path) -> dict[str, Any]:
    """
    Give up what keeps a daemon from starting, and say what that was.

    Raises:
        FolderInUse: A daemon holds it.
        StartError: It cannot be read or written, or another version wrote it.
    """
    from spanmill import _core

    _announce(data_dir)
    repaired: dict[str, Any] = json.loads(_core.repair_folder(data_dir))
    return repaired


def findings(data_dir: Path, examined: Examined) -> Iterator[Finding]:
    """Say what a person should know of it."""
    yield from _checkpoints(examined)
    journal = examined["journal"]
    segments = journal["segments"]
    size = _mib(sum(one["bytes"] for one in segments))
    records = sum(one["records"] for one in segments)
    first = next((one["first"] for one in segments), journal["next"])
    last = journal["next"] - 1
    if records:
        yield Finding(
            "journal",
            "ok",
            f"{_records(first, last)} in {len(segments)} segment(s), {size}",
        )
    else:
        yield Finding("journal", "ok", f"holds no record; the next is {count(last + 1)}")
    if (torn := journal["torn"]) is not None:
        yield Finding(
            "journal end",
            "ok",
            f"a crash cut {count(torn['bytes'])} B short at byte {torn['offset']} of "
            f"{torn['path']}; none of it was acknowledged, senders send it again",
        )
    for damage in journal["damage"]:
        yield _damage(data_dir, examined, damage)


def _checkpoints(examined: Examined) -> Iterator[Finding]:
    checkpoints = examined["checkpoints"]["checkpoints"]
    whole = [one for one in checkpoints if one["damage"] is None]
    for one in checkpoints:
        if one["damage"] is not None:
            advice = "the one before it and the journal since then are used" if whole else ""
            state: Any = "warn" if whole else "fail"
            yield Finding("checkpoint", state, f"{one['path']}: {one['damage']}", advice)
    if whole:
        newest = whole[-1]
        yield Finding(
            "checkpoints",
            "ok",
            f"{len(whole)} of {len(checkpoints)} read; the newest holds everything up to record "
            f"{count(newest['lsn'])} in {_mib(newest['bytes'])}",
        )
    elif checkpoints:
        yield Finding(
            "checkpoints",
            "fail",
            "there are some, and none of them reads",
            "put back a copy of the data folder, or move it away to begin anew",
        )
    else:
        yield Finding("checkpoints", "ok", "none yet; everything is in the journal")


def _damage(data_dir: Path, examined: Examined, damage: dict[str, Any]) -> Finding:
    verb = "does" if damage["first"] == damage["last"] else "do"
    lost = _records(damage["first"], damage["last"])
    found = f"{lost} {verb} not read, at byte {damage['offset']} of {damage['path']}"
    if damage["last"] <= examined["after"]:
        advice = "nothing is missing, a checkpoint holds them; look at the disk"
        return Finding("journal", "warn", found, advice)
    first = max(damage["first"], examined["after"] + 1)
    given_up = _records(first, examined["journal"]["next"] - 1)
    return Finding(
        "journal",
        "fail",
        f"{found}, though what comes after proves that it was there",
        f"put back a copy of {damage['path']}, or give up {given_up} with "
        f"`spanmill doctor --data-dir {data_dir} --repair`, which keeps copies",
    )


def given_up(data_dir: Path, repaired: dict[str, Any]) -> Finding:
    """Say what a repair did."""
    if (lost := repaired["given_up"]) is None:
        return Finding(
            "repair", "ok", f"{data_dir}: nothing of it can be mended by cutting the log"
        )
    kept = ", ".join(repaired["kept"])
    return Finding(
        "repair",
        "warn",
        f"gave up {_records(*lost)}; what was cut off is kept in {kept}",
        "remove the copies once nobody needs them",
    )


def _records(first: int, last: int) -> str:
    return f"record {count(first)}" if first == last else f"records {count(first)} to {count(last)}"


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f} MiB"


def _announce(data_dir: Path) -> None:
    size = sum(path.stat().st_size for path in (data_dir / "journal").glob("*.log"))
    if size > ANNOUNCED_BYTES:
        typer.echo(f"spanmill: reading {_mib(size)} of journal …", err=True)
