"""The direct sink: a deterministic Parquet file for each log object, straight into raw/."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set

from etl.errors import LakeUnusable
from etl.lake import ObjectStore, quarantine_key, raw_key
from etl.parse import Parsed
from etl.sinks._parquet import write_parquet
from etl.sinks._scratch import scratch_files
from etl.sinks._sink import Delivered, Written


class ParquetSink:
    """Puts each log object's rows under a name made from its identity and content: a retry replaces them by their equals.

    `quarantined` are the names whose unreadable lines are in the lake already, from an earlier attempt.
    """

    def __init__(self, store: ObjectStore, *, ingest_date: str, quarantined: Set[str] = frozenset()) -> None:
        self.unused: Collection[str] = ()
        self.delivered = Delivered()
        self.errors: list[str] = []
        self._store = store
        self._ingest_date = ingest_date
        self._quarantined = quarantined

    def write(self, parts: Iterable[Parsed], *, name: str, owner: str) -> Written:
        """Write both files, then show them.

        The quarantined lines are put first: once the rows are visible, the object counts as ingested, and nothing of it may be
        missing. Raises `LakeUnusable` if the lake takes no more.
        """
        with scratch_files(self._store) as (rows_file, quarantine_file):
            try:
                written = write_parquet(parts, rows_file=rows_file, quarantine_file=quarantine_file)
            except OSError as error:
                raise LakeUnusable(self._store.uri, f"cannot write: {error.strerror or error}") from error
            if written.quarantined and name not in self._quarantined:
                self._store.move_in(quarantine_key(name, self._ingest_date), quarantine_file)
            # An empty object has a file too: it is what shows the next run that the object was read.
            self._store.move_in(raw_key(name, self._ingest_date), rows_file)
        return written

    def finish(self) -> frozenset[str]:
        """Nothing is held back."""
        return frozenset()
