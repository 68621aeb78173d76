"""
spanmill: latency percentiles and error budgets for AI inference fleets, from plain OTLP.

Run the daemon with `spanmill serve`; ask it questions with `spanmill.connect`.
"""

from spanmill.client import connect
from spanmill.model import __version__

__all__ = ["__version__", "connect"]
