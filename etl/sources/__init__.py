"""Where log objects come from: files, folders, globs, S3; plain or gzip."""

from etl.sources._decompress import decompress
from etl.sources._log_source import PART_BYTES, LogSource
from etl.sources._sniff import text_only
from etl.sources._sources import find_logs, read_parts, read_stored_parts, version_of

__all__ = [
    "PART_BYTES",
    "LogSource",
    "decompress",
    "find_logs",
    "read_parts",
    "read_stored_parts",
    "text_only",
    "version_of",
]
