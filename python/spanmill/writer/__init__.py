"""Sends events as columns, each counted exactly once: for gateways and their libraries."""

from spanmill.writer.event import Attributes, Measures
from spanmill.writer.writer import SpanBatchWriter

__all__ = ["Attributes", "Measures", "SpanBatchWriter"]
