"""
Structured logs to stderr: for people on a terminal, JSON lines elsewhere.

No line carries an attribute value of a span: values belong to customers. Log
names, counts, reasons and places.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "human", "json"]


def configure(level: Level, form: Format) -> None:
    """
    Send every log line of the process to stderr, ours and the libraries' alike. Call once.

    Args:
        level: Least severe level shown; libraries stay at `warning` or above.
        form: `auto` is `human` on a terminal, else `json`.
    """
    human = sys.stderr.isatty() if form == "auto" else form == "human"
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    # Both renderers print tracebacks without local variables, which hold request bytes.
    rendered: list[Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, _number(level)))
    logging.getLogger("spanmill").setLevel(_number(level))


def _number(level: Level) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
