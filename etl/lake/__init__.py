"""The lake: names, the store it lies in, the records of compaction, and what readers may see."""

from etl.lake._commits import (
    Commit,
    Input,
    Output,
    Plan,
    PlannedLog,
    Winner,
    commit_of,
    create_record,
    never_taken_again,
    read_commit,
    read_plan,
    read_winner,
)
from etl.lake._journal import Journal, list_journal, put_runs_together, read_commits
from etl.lake._keeper import FileKeeper, State, StateKeeper
from etl.lake._lake import FILE_STATE, GLUE_STATE, Lake, create_glue_lake, create_lake, open_lake, open_store
from etl.lake._layout import quarantine_key, raw_key, raw_name
from etl.lake._requests import AT_ONCE, request_each
from etl.lake._scratch import TEMPORARY_PREFIX, sweep_scratch
from etl.lake._snapshot import DataFile, Snapshot
from etl.lake._store import ObjectStore, StoredObject

__all__ = [
    "AT_ONCE",
    "FILE_STATE",
    "GLUE_STATE",
    "TEMPORARY_PREFIX",
    "Commit",
    "DataFile",
    "FileKeeper",
    "Input",
    "Journal",
    "Lake",
    "ObjectStore",
    "Output",
    "Plan",
    "PlannedLog",
    "Snapshot",
    "State",
    "StateKeeper",
    "StoredObject",
    "Winner",
    "commit_of",
    "create_glue_lake",
    "create_lake",
    "create_record",
    "list_journal",
    "never_taken_again",
    "open_lake",
    "open_store",
    "put_runs_together",
    "quarantine_key",
    "raw_key",
    "raw_name",
    "read_commit",
    "read_commits",
    "read_plan",
    "read_winner",
    "request_each",
    "sweep_scratch",
]
