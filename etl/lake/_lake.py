"""A lake: where it lies, who keeps its state, and what a reader may see of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.errors import LakeMismatch, LakeNotFound, LakeUnusable, ObjectNotFound
from etl.lake._commits import read_commits
from etl.lake._folder_store import FolderStore
from etl.lake._layout import FINDINGS, LAKE_JSON, QUARANTINE, RAW, day_of, name_of
from etl.lake._snapshot import DataFile, Snapshot
from etl.lake._store import ObjectStore, StoredObject

_FORMAT: Final = 1
_FILE_STATE: Final = "file"


@dataclass(frozen=True)
class Lake:
    """An open lake. Reading it goes through `snapshot`, writing it through the verbs."""

    store: ObjectStore

    @property
    def uri(self) -> str:
        """The lake's address."""
        return self.store.uri

    def snapshot(self) -> Snapshot:
        """The files that hold every row once, at this moment.

        raw/ is listed before the commits are read: the raw objects of a batch that is committed in between are then known to
        be in it. The other way round they would show in no place if they were collected at once.
        """
        raw = self._parquet(RAW)
        batch_id = ""
        consumed: set[str] = set()
        compacted: list[DataFile] = []
        for commit in read_commits(self.store):
            batch_id = commit.batch
            consumed.update(item.key for item in (*commit.inputs, *commit.left_out))
            compacted += [self._data_file(output.key, output.size) for output in commit.outputs]
        return Snapshot(
            batch_id=batch_id,
            compacted=tuple(compacted),
            raw=tuple(self._data_file(stored.key, stored.size) for stored in raw if stored.key not in consumed),
            quarantine=tuple(self._data_file(stored.key, stored.size) for stored in self._parquet(QUARANTINE)),
            findings=tuple(self._data_file(stored.key, stored.size) for stored in self._parquet(FINDINGS)),
            filesystem=self.store.filesystem,
        )

    def uncompacted(self) -> list[StoredObject]:
        """Raw objects in no committed plan."""
        raw = self._parquet(RAW)
        consumed = {item.key for commit in read_commits(self.store) for item in (*commit.inputs, *commit.left_out)}
        return [stored for stored in raw if stored.key not in consumed]

    def ingested_names(self) -> set[str]:
        """Names of all log objects that are in the lake, whether still in raw/ or in a committed plan, of any day."""
        names = {name_of(stored.key) for stored in self._parquet(RAW)}
        for commit in read_commits(self.store):
            names.update(name_of(item.key) for item in (*commit.inputs, *commit.left_out))
        return names

    def quarantined_keys(self) -> list[str]:
        """Where the lines that could not be read are, an object for each log object that has some."""
        return [stored.key for stored in self._parquet(QUARANTINE)]

    def quarantined_names(self) -> set[str]:
        """Names of the log objects with lines that could not be read."""
        return {name_of(key) for key in self.quarantined_keys()}

    def _parquet(self, prefix: str) -> list[StoredObject]:
        # Athena passes over hidden names too.
        found = ((stored, name_of(stored.key)) for stored in self.store.list(prefix) if stored.key.endswith(".parquet"))
        return [stored for stored, name in found if not name.startswith((".", "_"))]

    def _data_file(self, key: str, size: int) -> DataFile:
        return DataFile(self.store.path(key), day_of(key), size)


def open_lake(uri: str) -> Lake:
    """Open the lake at a folder or `s3://bucket/prefix`.

    Raises `LakeNotFound` if there is none, `LakeUnusable` if it cannot be reached, `LakeMismatch` if somebody else keeps its
    state.
    """
    store = _store_at(uri)
    try:
        identity = store.read(LAKE_JSON)
    except ObjectNotFound as error:
        raise LakeNotFound(uri, "no lake here", hint="accesslake ingest LOGS --lake DIR makes one") from error
    _check_identity(uri, identity)
    return Lake(store)


def create_lake(uri: str) -> Lake:
    """Open the lake, or make one that keeps its state in files if there is none."""
    store = _store_at(uri)
    try:
        store.create(LAKE_JSON, json.dumps({"format": _FORMAT, "state": _FILE_STATE}).encode())
    except ObjectNotFound as error:
        raise LakeNotFound(uri, "no such bucket", hint="a lake is made in a bucket that exists") from error
    _check_identity(uri, store.read(LAKE_JSON))
    return Lake(store)


def _check_identity(uri: str, identity: bytes) -> None:
    try:
        found = json.loads(identity)
        state, version = found["state"], int(found["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise LakeMismatch(uri, f"{LAKE_JSON} cannot be read") from error
    if version > _FORMAT:
        raise LakeMismatch(uri, f"format {version}", hint="a newer accesslake made it; upgrade this one")
    if state != _FILE_STATE:
        raise LakeMismatch(uri, f"its state is kept by {state!r}, not by files")


def _store_at(uri: str) -> ObjectStore:
    if uri.startswith("s3://"):
        from etl.lake._s3_store import open_s3_store

        return open_s3_store(uri)
    if not uri or "\0" in uri:
        raise LakeUnusable(repr(uri), "names no folder", hint="a lake is a folder or s3://bucket/prefix")
    root = Path(uri)
    if os.path.exists(root) and not os.path.isdir(root):
        raise LakeUnusable(uri, "is a file", hint="a lake is a folder or s3://bucket/prefix")
    return FolderStore(Path(os.path.realpath(root)))
