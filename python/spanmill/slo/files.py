"""Reads objective files; every problem of every file is reported at once."""

from collections.abc import Sequence
from pathlib import Path

from spanmill.model import ConfigPath, Document, Reading, Section, read_as
from spanmill.slo.objective import Objective


class SloConfig(Section):
    """Where promises are written."""

    files: tuple[ConfigPath, ...] = ()
    """Objective files; relative paths start at the config file's folder."""


class ObjectiveFile(Section):
    """An objective file."""

    slos: tuple[Objective, ...]
    """The promises in this file."""


def load(paths: Sequence[Path], reading: Reading) -> tuple[tuple[Objective, ...], list[str]]:
    """
    Read objective files.

    Returns:
        The objectives of every good file in order, and every problem found as
        `file:line: key.path: message`.
    """
    objectives: list[Objective] = []
    problems: list[str] = []
    first_place: dict[str, str] = {}
    for path in paths:
        document = Document.of_file(path)
        _refuse_calendars(document)
        read = None if document.problems else read_as(document, ObjectiveFile, reading)
        for index, objective in enumerate(read.slos if read else ()):
            key = ("slos", index, "name")
            first = first_place.setdefault(objective.name, document.place(key))
            if first != document.place(key):
                document.add_problem(key, f"{objective.name!r} is taken by {first}")
        objectives += read.slos if read else ()
        problems += document.problems
    return tuple(objectives), problems


def _refuse_calendars(document: Document) -> None:
    """`calendar` beside `period` deserves a better answer than "unknown key"."""
    slos = document.data.get("slos")
    for index, slo in enumerate(slos if isinstance(slos, list) else ()):
        if isinstance(slo, dict) and slo.pop("calendar", None) is not None:
            document.add_problem(
                ("slos", index, "calendar"), "only rolling periods such as `period: 30d` exist yet"
            )
