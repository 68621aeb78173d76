"""Answers questions over HTTP: the API under /api/v1, health and our own metrics."""

from spanmill.api.metrics import ExportFigures
from spanmill.api.server import ApiServer

__all__ = ["ApiServer", "ExportFigures"]
