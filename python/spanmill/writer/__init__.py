"""Sends events as columns, each counted exactly once: for gateways and their libraries."""

from spanmill.writer.columns import Measures
from spanmill.writer.dictionary import Attributes
from spanmill.writer.writer import SpanBatchWriter

__all__ = ["Attributes", "Measures", "SpanBatchWriter"]
