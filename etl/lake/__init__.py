"""The lake: names, the store it lies in, the records of compaction, and what readers may see."""

from etl.lake._commits import (
    Commit,
    Input,
    Output,
    Plan,
    Winner,
    create_record,
    read_commits,
    read_plan,
    read_winner,
)
from etl.lake._lake import Lake, create_lake, open_lake
from etl.lake._layout import quarantine_key, raw_key, raw_name
from etl.lake._snapshot import DataFile, Snapshot
from etl.lake._store import ObjectStore, StoredObject

__all__ = [
    "Commit",
    "DataFile",
    "Input",
    "Lake",
    "ObjectStore",
    "Output",
    "Plan",
    "Snapshot",
    "StoredObject",
    "Winner",
    "create_lake",
    "create_record",
    "open_lake",
    "quarantine_key",
    "raw_key",
    "raw_name",
    "read_commits",
    "read_plan",
    "read_winner",
]
