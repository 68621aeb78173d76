"""Runs are kept: one folder each, with the command and the machine beside the figures."""

import itertools
import json
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import machine

RUNS: Final = Path(__file__).parent / "runs"
"""Where runs are kept unless asked otherwise."""


def keep(
    out: Path,
    module: str,
    about: Mapping[str, str],
    text: str,
    raw: Mapping[str, Any],
    *,
    tables: Mapping[str, str] | None = None,
    suffix: str = "",
) -> Path:
    """
    Write a run's folder: README with command and machine, tables, raw figures.

    Args:
        out: Where runs are kept.
        module: What `python -m` was given.
        about: Machine and versions.
        text: The tables, as markdown.
        raw: Every figure, for JSON.
        tables: More files, by name: figures that a row holds better.
        suffix: Ends the folder's name, which is date and machine.

    Returns:
        The folder; a second run of a day and machine is numbered.
    """
    name = f"{datetime.now(UTC):%Y-%m-%d}-{machine.slug()}{suffix}"
    taken = itertools.count(2)
    folder = out / name
    while folder.exists():
        folder = out / f"{name}-{next(taken)}"
    folder.mkdir(parents=True)
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    files = ", ".join(f"`{file}`" for file in ("raw.json", *(tables or {})))
    rows = "".join(f"| {key} | {value} |\n" for key, value in about.items())
    (folder / "README.md").write_text(
        f"# {folder.name}\n\n    {command}\n\n| | |\n|---|---|\n{rows}\n"
        f"Tables: `summary.md`. Every figure of every trial: {files}.\n",
        encoding="utf-8",
    )
    (folder / "summary.md").write_text(text, encoding="utf-8")
    for file, content in (tables or {}).items():
        (folder / file).write_text(content, encoding="utf-8")
    raw = {"command": command, "machine": about, **raw}
    (folder / "raw.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    return folder
