"""Quarantined lines parsed again, and Firehose's error objects sent again, each once.

An object is replayed in steps, each of which may be repeated: its rows become visible under a name made from what they are;
a receipt is created; and what is now a row leaves quarantine/. A run that ends between two of them leaves at worst a line in
both places, and the next one goes on.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import pyarrow as pa

from etl.errors import CorruptSource, ObjectNotFound
from etl.lake import FILE_STATE, GLUE_STATE, Lake, ObjectStore, StoredObject, open_lake, raw_name
from etl.lake._layout import RAW, name_of
from etl.parse import Parsed
from etl.replay._documents import Unfit
from etl.replay._error_object import read_error_object
from etl.replay._quarantined import QuarantinedLines, open_quarantined
from etl.replay._receipts import Receipt, create_receipt, find_receipt
from etl.schema import QUARANTINE_SCHEMA, SCHEMA
from etl.sinks import FirehoseClient, FirehoseSink, ParquetSink, Sink, write_parquet

ERRORS: Final = "errors/"
_SECONDS: Final = 900.0
"""Time that a run may spend on rows that Firehose refuses."""

MakeSink = Callable[[ObjectStore, str], Sink]
"""Store and day of arrival to the sink that the rows go to."""


@dataclass(frozen=True)
class Stuck:
    """Something that could not be replayed: the object's key, where in it, and why. It stays where it is."""

    object: str
    position: str
    reason: str


@dataclass
class Replayed:
    """What a replay did."""

    quarantine_objects: int = 0
    lines: int = 0
    """Quarantined lines that were parsed again."""
    lines_rows: int = 0
    """Those that are rows now."""
    error_objects: int = 0
    """Error objects read; not those with a receipt."""
    documents_rows: int = 0
    """Their documents that were sent again."""
    skipped: int = 0
    """Error objects with a receipt."""
    error_codes: Counter[str] = field(default_factory=Counter)
    """Why Firehose gave up, records by code."""
    stuck: list[Stuck] = field(default_factory=list)


def direct_sink(store: ObjectStore, ingest_date: str) -> Sink:
    """Rows into raw/, without Firehose."""
    return ParquetSink(store, ingest_date=ingest_date)


def firehose_sink(client: FirehoseClient, stream: str, *, clock: Callable[[], float] = time.monotonic) -> MakeSink:
    """Rows to a delivery stream, which delivers at least once: a run that ends early may send rows twice."""
    end = clock() + _SECONDS
    return lambda store, ingest_date: FirehoseSink(
        client, stream, store, ingest_date=ingest_date, seconds_left=lambda: end - clock()
    )


def replay(lake: str, *, sink: MakeSink = direct_sink, now: datetime | None = None) -> Replayed:
    """Give what lies in quarantine/ and errors/ of the lake another try; running it again adds nothing.

    Rows arrive on the day of the replay, so that no sealed day gets any. Objects and documents that cannot be read are
    values (`Replayed.stuck`); raises `LakeUnusable` for the lake's own trouble.
    """
    opened = open_lake(lake, states=(FILE_STATE, GLUE_STATE))
    day = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%d")
    run = _Run(opened, sink(opened.store, day))
    for key in opened.quarantined_keys():
        run.replay_quarantined(key)
    for stored in list(opened.store.list(ERRORS)):
        run.replay_error_object(stored)
    return run.done


class _Run:
    """One replay of a lake."""

    def __init__(self, lake: Lake, sink: Sink) -> None:
        self.done = Replayed()
        self._lake = lake
        self._store = lake.store
        self._sink = sink

    def replay_quarantined(self, key: str) -> None:
        """Parse the lines of one object again. One without new rows gets no receipt: a later parser may read it."""
        try:
            data = self._store.read(key)
            quarantined = open_quarantined(key, data)
        except ObjectNotFound:
            return  # all of its lines became rows since it was listed
        except CorruptSource as error:
            self.done.stuck.append(Stuck(key, "", error.reason))
            return
        self.done.quarantine_objects += 1
        version = _digest(data)
        receipt = find_receipt(self._store, key, version)
        if receipt is None:
            self.done.lines += quarantined.lines
            lines = _lines_of(quarantined.rows())
            if not lines:
                return
            name = self._name(name_of(key), lines)
            if not self._put(quarantined.rows(), key=key, name=name):
                return
            rows = sum(map(len, lines.values()))
            receipt = create_receipt(self._store, Receipt(key, version, name, rows, lines))
            self.done.lines_rows += rows
        self._leave_only(quarantined, receipt)

    def replay_error_object(self, stored: StoredObject) -> None:
        """Send the documents of one error object again. What of it is none of ours is told on every run."""
        local = self._store.filesystem is None
        try:
            data = self._store.read(stored.key) if local else None
            # A folder's tags change when it is copied, and a copied lake must not send everything again.
            version = stored.etag if data is None else _digest(data)
            receipt = find_receipt(self._store, stored.key, version)
            if receipt is not None:
                self.done.skipped += 1
                self._tell(stored.key, receipt.unfit)
                return
            found = read_error_object(self._store.read(stored.key) if data is None else data)
        except ObjectNotFound:
            return  # expired since it was listed
        self.done.error_objects += 1
        self.done.error_codes.update(found.codes())
        unfit = found.unfit()
        self._tell(stored.key, unfit)
        lines = _lines_of(found.tables())
        if not lines:
            return
        name = self._name(stored.key, lines)
        if self._put(found.tables(), key=stored.key, name=name):
            rows = sum(map(len, lines.values()))
            create_receipt(self._store, Receipt(stored.key, version, name, rows, {}, unfit))
            self.done.documents_rows += rows

    def _put(self, tables: Iterable[pa.Table], *, key: str, name: str) -> bool:
        """Have the rows visible, or with Firehose; False if they are not."""
        if isinstance(self._sink, ParquetSink) and name in self._known:
            return True  # an earlier run ended before it wrote its receipt
        self._sink.write((Parsed(table, QUARANTINE_SCHEMA.empty_table()) for table in tables), name=name, owner=key)
        if key in self._sink.finish():
            self.done.stuck.append(Stuck(key, "", "; ".join(["not all of its rows were taken", *self._sink.errors])))
            return False
        return True

    def _name(self, origin: str, lines: dict[str, tuple[int, ...]]) -> str:
        """The raw name of replayed rows: equal for equal rows of one origin, on any day.

        Which lines became rows is part of it: a parser that reads more of them than the one of an interrupted run must not take
        that run's file for its own. So is the sink: beside Firehose, raw/ gets only the rows that no record can hold.
        """
        way = "replay" if isinstance(self._sink, ParquetSink) else "replay-firehose"
        return raw_name(f"{way}:{origin}", _digest(repr(sorted(lines.items())).encode(errors="surrogateescape")))

    @cached_property
    def _known(self) -> set[str]:
        """Names of raw objects; also of compacted ones where files keep the state. Where Glue does, compaction folds."""
        if self._lake.state == FILE_STATE:
            return self._lake.ingested_names()
        return {name_of(stored.key) for stored in self._store.list(RAW)}

    def _leave_only(self, quarantined: QuarantinedLines, receipt: Receipt) -> None:
        """Take the lines that are rows now out of quarantine/."""
        moved = {source_key: frozenset(numbers) for source_key, numbers in receipt.lines.items()}
        token = uuid.uuid4().hex
        rows_file, rest_file = (self._store.scratch() / f"{token}-{part}" for part in ("rows", "quarantine"))
        try:
            parts = (Parsed(SCHEMA.empty_table(), rest) for rest in quarantined.without(moved))
            if write_parquet(parts, rows_file=rows_file, quarantine_file=rest_file).quarantined:
                self._store.move_in(receipt.object, rest_file)
            else:
                self._store.delete(receipt.object)
        finally:
            for file in (rows_file, rest_file):
                file.unlink(missing_ok=True)

    def _tell(self, key: str, unfit: Iterable[Unfit]) -> None:
        self.done.stuck += [Stuck(key, item.position, item.reason) for item in unfit]


def _lines_of(tables: Iterable[pa.Table]) -> dict[str, tuple[int, ...]]:
    """Numbers of the lines that the rows come from, by log object."""
    found: dict[str, list[int]] = {}
    for table in tables:
        pairs = zip(table.column("source_key").to_pylist(), table.column("line_no").to_pylist(), strict=True)
        for source_key, number in pairs:
            found.setdefault(source_key, []).append(number)
    return {source_key: tuple(numbers) for source_key, numbers in found.items()}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
