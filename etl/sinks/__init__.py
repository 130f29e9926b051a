"""Where rows go: packed JSON for Firehose, or Parquet, one deterministic file for each log object."""

from etl.sinks._direct import ParquetSink
from etl.sinks._documents import to_documents
from etl.sinks._firehose import FirehoseClient, FirehoseSink
from etl.sinks._pack import Packer, Record
from etl.sinks._parquet import LINES_METADATA, QUARANTINED_METADATA, write_parquet
from etl.sinks._scratch import scratch_files
from etl.sinks._sink import Delivered, Sink, Written

__all__ = [
    "LINES_METADATA",
    "QUARANTINED_METADATA",
    "Delivered",
    "FirehoseClient",
    "FirehoseSink",
    "Packer",
    "ParquetSink",
    "Record",
    "Sink",
    "Written",
    "scratch_files",
    "to_documents",
    "write_parquet",
]
