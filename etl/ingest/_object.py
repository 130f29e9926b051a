"""One log object into a lake."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from etl.errors import SourceError, SourceUnreadable
from etl.lake import Lake, raw_key, raw_name
from etl.parse import parse_stream
from etl.sinks import ParquetSink, Written
from etl.sources import LogSource, read_parts, text_only, version_of


@dataclass(frozen=True)
class IngestedObject:
    """What became of one log object: written, skipped (`written` and `error` None), or failed."""

    source_key: str
    size: int
    written: Written | None = None
    error: SourceError | None = None


def ingest_object(
    log: LogSource,
    *,
    lake: Lake,
    ingest_date: str,
    known: Set[str],
    quarantined: Set[str],
    left_out: Mapping[str, str],
) -> IngestedObject:
    """Parse a log object and put its rows into raw/, unless they are there already.

    `known` and `quarantined` are the names that are in the lake, `left_out` what `Lake.ingested_and_left_out` says. Rows under a
    key that a batch left out would be seen by nobody: such a log object is refused until it has another day's key. One that
    cannot be read is a value too, the lake's own trouble an exception (`LakeUnusable`).
    """
    try:
        name = raw_name(log.source_key, version_of(log))
        if name in known:
            return IngestedObject(log.source_key, log.size)
        batch = left_out.get(raw_key(name, ingest_date))
        if batch is not None:
            raise SourceUnreadable(
                log.source_key,
                f"batch {batch} left out its raw object of {ingest_date}, and hides another one of that day",
                hint="take it again on a later day, UTC",
            )
        sink = ParquetSink(lake.store, ingest_date=ingest_date, quarantined=quarantined)
        parts = parse_stream(text_only(log.source_key, read_parts(log)), source_key=log.source_key)
        return IngestedObject(log.source_key, log.size, sink.write(parts, name=name, owner=log.source_key))
    except SourceError as error:
        return IngestedObject(log.source_key, log.size, error=error)
