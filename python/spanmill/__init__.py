"""
spanmill: latency percentiles and error budgets for AI inference fleets, from plain OTLP.

Run the daemon with `spanmill serve`; ask it questions with `spanmill.connect`. `spanmill.Digest`
is its distribution, to use without a daemon; `spanmill.SpanBatchWriter` sends it events.
"""

from spanmill._core import Digest
from spanmill.client import connect
from spanmill.model import __version__
from spanmill.writer import SpanBatchWriter

__all__ = ["Digest", "SpanBatchWriter", "__version__", "connect"]
