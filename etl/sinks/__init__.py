"""Where rows go: Parquet, one deterministic file for each log object."""

from etl.sinks._parquet import LINES_METADATA, QUARANTINED_METADATA, Written, write_parquet

__all__ = ["LINES_METADATA", "QUARANTINED_METADATA", "Written", "write_parquet"]
