"""Where data leaves: sealed minutes, written where other engines read them."""

from spanmill.sink.exporter import SINKS, Exporter, ExportStatus, RollupSource, Sink
from spanmill.sink.lake import LakeFile, list_files, run_sql
from spanmill.sink.parquet import ParquetSink
from spanmill.sink.section import ExportConfig

__all__ = [
    "SINKS",
    "ExportConfig",
    "ExportStatus",
    "Exporter",
    "LakeFile",
    "ParquetSink",
    "RollupSource",
    "Sink",
    "list_files",
    "run_sql",
]
