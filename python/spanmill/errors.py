# ruff: noqa: N818  An operator reads these names; "Error" on each would say nothing.
"""
Every error spanmill raises on purpose.

    SpanmillError
    ├── ConfigError      config or objective files cannot be used; lists every problem
    ├── StartError       a part cannot start, for a reason outside the config
    │   ├── AddressInUse     another process listens there
    │   ├── FolderInUse      another daemon holds the data folder
    │   └── DataDamaged      a file of the data folder does not read; nothing was changed
    ├── JournalFailed    the journal cannot be written; nothing is acknowledged any more
    ├── WireError        a request's bytes are not valid; nothing of it was folded
    │   └── BatchConflict    a batch id came again with other content
    ├── DictionaryUnknown    a SpanBatch builds on a dictionary that we do not have
    ├── Overloaded       a limit is reached; the same request may be sent again later
    │   ├── ClockSuspect     most sources are ahead of our clock, which is in doubt
    │   └── DiskFull         the journal has no room for the request
    ├── Closed           the engine was closed
    ├── UnknownName      no such measure, dimension, view or objective; lists those that exist
    ├── BadRequest       a query is out of range; says the range
    ├── DigestError      a digest cannot be made, read or asked so; also a ValueError
    ├── Unreachable      no daemon answers at an address
    └── RequestFailed    a daemon answered with an error of its own

The core raises `ConfigError`, `StartError`, `FolderInUse`, `DataDamaged`, `JournalFailed`,
`WireError`, `BatchConflict`, `DictionaryUnknown`, `ClockSuspect`, `DiskFull`, `Closed`,
`UnknownName`, `BadRequest` and `DigestError` itself.
"""

import errno


class SpanmillError(Exception):
    """Root of the tree; its text is one line a person can act on, unless said otherwise."""


class ConfigError(SpanmillError):
    """Config or objective files cannot be used. Its text has one line for each problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class StartError(SpanmillError):
    """A part cannot start, for a reason outside the config."""


class AddressInUse(StartError):
    """Another process listens on the address."""


class FolderInUse(StartError):
    """Another daemon holds the data folder."""


class DataDamaged(StartError):
    """A file of the data folder does not read, or another version wrote it; nothing was changed."""


class JournalFailed(SpanmillError):
    """The journal cannot be written: nothing is acknowledged until a restart has replayed it."""


class WireError(SpanmillError):
    """A request's bytes are not valid OTLP, or no valid SpanBatch; nothing of it was folded."""


class BatchConflict(WireError):
    """A batch id came again with other content; nothing of it was folded."""


class DictionaryUnknown(SpanmillError):
    """A SpanBatch builds on entries that we do not have; send it again with all of them."""


class Overloaded(SpanmillError):
    """A limit is reached and nothing was folded; `retry_after_s` says when room is likely."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ClockSuspect(Overloaded):
    """Most sources are ahead of our clock, so it is ours that is in doubt; nothing was folded."""


class DiskFull(Overloaded):
    """The journal has no room for the request; nothing was folded."""


class Closed(SpanmillError):
    """The engine was closed."""


class UnknownName(SpanmillError):
    """No such measure, dimension, view or objective; the text lists those that exist."""


class BadRequest(SpanmillError):
    """A query is out of range; the text says the range."""


class DigestError(SpanmillError, ValueError):
    """A digest cannot be made, read, changed or asked so; the digest is as it was before."""


class Unreachable(SpanmillError):
    """No daemon answers at an address; the text says how the address was found."""


class RequestFailed(SpanmillError):
    """A daemon answered with an error of its own: HTTP `status` and its `code`."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def cannot_listen(address: object, key: str, error: OSError) -> StartError:
    """Say why an address cannot be bound, and which config key names another."""
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(f"{address} is in use by another process; stop it, or set {key}")
    return StartError(f"cannot listen on {address}: {error.strerror or error}; set {key}")
