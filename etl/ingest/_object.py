"""One log object into a lake."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from etl.errors import LakeUnusable, NotALog, SourceError
from etl.ingest._sniff import is_binary
from etl.lake import Lake
from etl.lake._layout import quarantine_key, raw_key, raw_name
from etl.parse import parse_stream
from etl.sinks import Written, write_parquet
from etl.sources import LogSource, read_parts, version_of


@dataclass(frozen=True)
class IngestedObject:
    """What became of one log object: written, skipped (`written` and `error` None), or failed."""

    source_key: str
    size: int
    written: Written | None = None
    error: SourceError | None = None


def ingest_object(
    log: LogSource, *, lake: Lake, ingest_date: str, known: Set[str], quarantined: Set[str]
) -> IngestedObject:
    """Parse a log object and put its rows into raw/, unless they are there already.

    The quarantined lines are put first: once the rows are visible, the object counts as ingested, and nothing of it may be
    missing. `known` and `quarantined` are the names that are in the lake. A log object that cannot be read is a value, the
    lake's own trouble an exception (`LakeUnusable`).
    """
    rows_file = quarantine_file = None
    try:
        name = raw_name(log.source_key, version_of(log))
        if name in known:
            return IngestedObject(log.source_key, log.size)
        token = uuid.uuid4().hex
        rows_file = lake.store.scratch() / f"{token}-rows"
        quarantine_file = lake.store.scratch() / f"{token}-quarantine"
        parts = parse_stream(_text_only(log), source_key=log.source_key)
        try:
            written = write_parquet(parts, rows_file=rows_file, quarantine_file=quarantine_file)
        except OSError as error:
            raise LakeUnusable(lake.uri, f"cannot write: {error.strerror or error}") from error
        if written.quarantined and name not in quarantined:
            lake.store.move_in(quarantine_key(name, ingest_date), quarantine_file)
        # An empty object has a file too: it is what shows the next run that the object was read.
        lake.store.move_in(raw_key(name, ingest_date), rows_file)
        return IngestedObject(log.source_key, log.size, written)
    except SourceError as error:
        return IngestedObject(log.source_key, log.size, error=error)
    finally:
        _remove(rows_file)
        _remove(quarantine_file)


def _text_only(log: LogSource) -> Iterator[bytes]:
    parts = read_parts(log)
    first = next(parts, b"")
    if is_binary(first):
        raise NotALog(log.source_key, "is no text log", hint="nothing of it was taken")
    yield first
    yield from parts


def _remove(file: Path | None) -> None:
    if file is not None:
        file.unlink(missing_ok=True)
