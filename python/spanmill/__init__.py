"""
spanmill: latency percentiles and error budgets for AI inference fleets, from plain OTLP.

Run the daemon with `spanmill serve`; ask it questions with `spanmill.connect`. `spanmill.Digest`
is its distribution, to use without a daemon.
"""

from spanmill._core import Digest
from spanmill.client import connect
from spanmill.model import __version__

__all__ = ["Digest", "__version__", "connect"]
