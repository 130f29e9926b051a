"""A lake: where it lies, who keeps its state, and what a reader may see of it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from etl.addresses import check_scheme
from etl.errors import LakeMismatch, LakeNotFound, LakeUnusable, ObjectNotFound
from etl.lake._commits import Commit
from etl.lake._folder_store import FolderStore
from etl.lake._keeper import FileKeeper, StateKeeper
from etl.lake._layout import FINDINGS, LAKE_JSON, QUARANTINE, RAW, day_of, is_visible, name_of
from etl.lake._snapshot import DataFile, Snapshot
from etl.lake._store import ObjectStore, StoredObject

_FORMAT: Final = 1
FILE_STATE: Final = "file"
GLUE_STATE: Final = "glue"
_KEEPERS: Final = {FILE_STATE: "files", GLUE_STATE: "Glue"}


@dataclass(frozen=True)
class Lake:
    """An open lake. Reading it goes through `snapshot`, writing it through the verbs."""

    store: ObjectStore
    state: str = FILE_STATE
    """Who keeps its state: `FILE_STATE`, or `GLUE_STATE` on AWS."""
    database: str = ""
    """The Glue database that keeps the state, if one does."""
    glue: StateKeeper | None = field(default=None, compare=False, repr=False)
    """What reads and moves the state that Glue keeps; `etl.catalog.open_lake` brings it."""

    @property
    def uri(self) -> str:
        """The lake's address."""
        return self.store.uri

    def snapshot(self) -> Snapshot:
        """The files that hold every row once, at this moment.

        raw/ is listed before the commits are read: the raw objects of a batch that is committed in between are then known to
        be in it. The other way round they would show in no place if they were collected at once.

        Where Glue keeps the state this is what the view shows, and more: also the raw objects that came into a sealed day, or
        lie in no day's folder, which the view shows only when they are compacted.
        """
        raw = self.raw_objects()
        batch_id = ""
        consumed: set[str] = set()
        compacted: list[DataFile] = []
        for commit in self.commits():
            batch_id = commit.batch
            consumed.update(commit.consumed)
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
        raw = self.raw_objects()
        consumed = {key for commit in self.commits() for key in commit.consumed}
        return [stored for stored in raw if stored.key not in consumed]

    def raw_objects(self) -> list[StoredObject]:
        """All that is in raw/, whether it is in a committed plan or not. List it before the commits are read, see `snapshot`."""
        return self._parquet(RAW)

    def raw_objects_and_strays(self) -> tuple[list[StoredObject], list[str]]:
        """`raw_objects`, and by the same listing the keys of what else is visible in raw/, at which no reader of ours looks."""
        listed = list(self.store.list(RAW))
        raw = _data_files(listed)
        known = {stored.key for stored in raw}
        return raw, [stored.key for stored in listed if stored.key not in known and is_visible(stored.key)]

    def ingested_names(self) -> set[str]:
        """Names of all log objects that are in the lake, whether still in raw/ or in a committed plan, of any day.

        One whose raw object a batch left out is not: its rows can be read nowhere, and it may be taken again.
        """
        return self.ingested_and_left_out()[0]

    def ingested_and_left_out(self) -> tuple[set[str], dict[str, str]]:
        """`ingested_names`, and the keys of raw objects that a batch left out, with the batch.

        No reader looks at such a key again, whatever is put there.
        """
        raw = self.raw_objects()
        names: set[str] = set()
        left_out: dict[str, str] = {}
        for commit in self.commits():
            names.update(name_of(item.key) for item in commit.inputs)
            left_out.update((item.key, commit.batch) for item in commit.left_out)
        names.update(name_of(stored.key) for stored in raw if stored.key not in left_out)
        return names, left_out

    def quarantined_keys(self) -> list[str]:
        """Where the lines that could not be read are, an object for each log object that has some."""
        return [stored.key for stored in self._parquet(QUARANTINE)]

    def quarantined_names(self) -> set[str]:
        """Names of the log objects with lines that could not be read."""
        return {name_of(key) for key in self.quarantined_keys()}

    def commits(self) -> Iterator[Commit]:
        """All committed batches, oldest first."""
        return self.keeper.commits()

    @property
    def keeper(self) -> StateKeeper:
        """Who keeps the state. Raises `LakeMismatch` if that is Glue and the lake was opened without it."""
        if self.state == FILE_STATE:
            return FileKeeper(self.store)
        # On AWS a commit's file shows nothing: whoever counted on files would take compacted rows for uncommitted ones.
        if self.glue is None:
            raise _mismatch(self.uri, self.state, (FILE_STATE,))
        return self.glue

    def _parquet(self, prefix: str) -> list[StoredObject]:
        return _data_files(self.store.list(prefix))

    def _data_file(self, key: str, size: int) -> DataFile:
        return DataFile(self.store.path(key), day_of(key), size)


def _data_files(listed: Iterable[StoredObject]) -> list[StoredObject]:
    # Athena passes over hidden names too.
    found = ((stored, name_of(stored.key)) for stored in listed if stored.key.endswith(".parquet"))
    return [stored for stored, name in found if not name.startswith((".", "_"))]


def open_lake(uri: str, *, states: Collection[str] = (FILE_STATE,)) -> Lake:
    """Open the lake at a folder or `s3://bucket/prefix`, if its state is kept in one of the ways the caller can work with.

    Raises `LakeNotFound` if there is none, `LakeUnusable` if it cannot be reached, `LakeMismatch` if somebody else keeps its
    state.
    """
    store = open_store(uri)
    try:
        identity = store.read(LAKE_JSON)
    except ObjectNotFound as error:
        raise LakeNotFound(uri, "no lake here", hint="accesslake ingest LOGS --lake DIR makes one") from error
    return _identified(uri, store, identity, states)


def create_lake(uri: str) -> Lake:
    """Open the lake, or make one that keeps its state in files if there is none."""
    return _open_or_make(uri, {"format": _FORMAT, "state": FILE_STATE})


def create_glue_lake(uri: str, *, database: str) -> Lake:
    """Open the lake, or make one whose state is kept by the Glue database if there is none.

    Raises `LakeMismatch` if files or another database keep the state of the lake that is there: two keepers would each serve
    rows that the other has moved.
    """
    lake = _open_or_make(uri, {"format": _FORMAT, "state": GLUE_STATE, "database": database})
    if lake.database != database:
        raise LakeMismatch(uri, f"its state is kept by the Glue database {lake.database!r}, not by {database!r}")
    return lake


def _open_or_make(uri: str, identity: dict[str, Any]) -> Lake:
    store = open_store(uri)
    try:
        store.create(LAKE_JSON, json.dumps(identity).encode())
    except ObjectNotFound as error:
        raise LakeNotFound(uri, "no such bucket", hint="a lake is made in a bucket that exists") from error
    return _identified(uri, store, store.read(LAKE_JSON), (identity["state"],))


def _identified(uri: str, store: ObjectStore, identity: bytes, states: Collection[str]) -> Lake:
    try:
        found = json.loads(identity)
        state, version = found["state"], int(found["format"])
        database = str(found["database"]) if state == GLUE_STATE else ""
    except (ValueError, KeyError, TypeError) as error:
        raise LakeMismatch(uri, f"{LAKE_JSON} cannot be read") from error
    if version > _FORMAT:
        raise LakeMismatch(uri, f"format {version}", hint="a newer accesslake made it; upgrade this one")
    if state not in states:
        raise _mismatch(uri, state, states)
    return Lake(store, state, database)


def _mismatch(uri: str, state: object, states: Collection[str]) -> LakeMismatch:
    wanted = " or ".join(_KEEPERS[each] for each in states)
    return LakeMismatch(uri, f"its state is kept by {state!r}, not by {wanted}")


def open_store(uri: str) -> ObjectStore:
    """The place at a folder or `s3://bucket/prefix`, whether there is a lake in it or not.

    Raises `LakeUnusable` if the address cannot be one, `BadParameter` if it is written as none.
    """
    check_scheme(uri)
    if uri.startswith("s3://"):
        from etl.lake._s3_store import open_s3_store

        return open_s3_store(uri)
    if not uri or "\0" in uri:
        raise LakeUnusable(repr(uri), "names no folder", hint="a lake is a folder or s3://bucket/prefix")
    root = Path(uri)
    if os.path.exists(root) and not os.path.isdir(root):
        raise LakeUnusable(uri, "is a file", hint="a lake is a folder or s3://bucket/prefix")
    return FolderStore(Path(os.path.realpath(root)))
