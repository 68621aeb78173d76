"""Log lines go to stderr, in one form, and never show what a request held."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from spanmill import log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave logging as it was."""
    root, ours = logging.getLogger(), logging.getLogger("spanmill")
    handlers, levels = root.handlers, (root.level, ours.level)
    yield
    root.handlers = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Read what was logged as JSON; nothing may stand on stdout."""
    out, err = capsys.readouterr()
    assert "" == out
    return [json.loads(line) for line in err.splitlines()]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Off a terminal each event is one JSON line with time, level, logger and its figures."""
    log.configure("info", "auto")

    structlog.get_logger("spanmill.test").info("started", views=2)

    (line,) = lines(capsys)
    assert {"event": "started", "level": "info", "logger": "spanmill.test", "views": 2} == {
        key: value for key, value in line.items() if key != "time"
    }
    assert str(line["time"]).endswith("Z")


def test_human_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """The human form has the event and its figures on one line, without JSON."""
    log.configure("info", "human")

    structlog.get_logger("spanmill.test").info("started", views=2)

    (line,) = capsys.readouterr().err.splitlines()
    assert "started" in line
    assert "{" not in line


def test_libraries_speak_through_us(capsys: pytest.CaptureFixture[str]) -> None:
    """A library's warning comes in the same form; its chatter stays away."""
    log.configure("debug", "json")

    logging.getLogger("uvicorn.error").info("Started server process [%d]", 1)
    logging.getLogger("uvicorn.error").warning("slow %s", "client")

    (line,) = lines(capsys)
    assert ("slow client", "warning", "uvicorn.error") == (
        line["event"],
        line["level"],
        line["logger"],
    )


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    """Below the level nothing is written."""
    log.configure("warning", "json")
    logger = structlog.get_logger("spanmill.test")

    logger.info("unheard")
    logger.warning("heard")

    assert ["heard"] == [line["event"] for line in lines(capsys)]


@pytest.mark.parametrize("form", ["json", "human"])
def test_tracebacks_show_no_values(form: log.Format, capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback names the failing line but no local variable: one could be a request."""
    log.configure("info", form)

    def fail(request: str) -> None:
        raise RuntimeError(f"{len(request)} bytes")

    asked = "what the " + "customer asked"
    try:
        fail(asked)
    except RuntimeError as error:
        structlog.get_logger("spanmill.test").error("failed", exc_info=error)

    written = capsys.readouterr().err
    assert "RuntimeError: 23 bytes" in written
    assert "in fail" in written
    assert "what the customer asked" not in written
