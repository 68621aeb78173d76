"""The SLI of promises about failures."""

from typing import Literal

from spanmill.model import Section


class ErrorsSli(Section):
    """Bad is an event whose span has status ERROR or an `error.type`; any other is good."""

    kind: Literal["errors"]
    """Whether the request failed."""
