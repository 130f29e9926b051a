"""The lake's files: how many, how large, whether they can be read, and what each query has to read of them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.query import ScannedFile, athena_usd, list_queries, scanned_bytes
from etl.report._data import QueryCost, StoredTable
from etl.schema import ambiguous_column
from etl.sinks import LINES_METADATA

if TYPE_CHECKING:
    from etl.lake._snapshot import DataFile, Snapshot

Footers = Mapping[str, pq.FileMetaData]
_AT_ONCE: Final = 8


def read_footers(snapshot: Snapshot) -> Footers:
    """The footer of each file by its path; one that cannot be read is not among them, nor a raw one that every reader refuses."""
    files = (*snapshot.compacted, *snapshot.raw, *snapshot.quarantine)
    raw = {file.path for file in snapshot.raw}

    def read(file: DataFile) -> pq.FileMetaData | None:
        try:
            footer = pq.read_metadata(file.path, filesystem=snapshot.filesystem)
            is_odd = file.path in raw and ambiguous_column(footer.schema.to_arrow_schema().names)
        except (OSError, ValueError, pa.ArrowException):
            return None
        return None if is_odd else footer

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        footers = dict(zip((file.path for file in files), pool.map(read, files), strict=True))
    return {path: footer for path, footer in footers.items() if footer is not None}


def without_unreadable(snapshot: Snapshot, footers: Footers) -> tuple[Snapshot, tuple[str, ...]]:
    """The snapshot of what can be read, and the paths of what cannot: one damaged file must not cost the whole report."""
    files = (*snapshot.compacted, *snapshot.raw, *snapshot.quarantine)

    def readable(files: tuple[DataFile, ...]) -> tuple[DataFile, ...]:
        return tuple(file for file in files if file.path in footers)

    kept = replace(
        snapshot,
        compacted=readable(snapshot.compacted),
        raw=readable(snapshot.raw),
        quarantine=readable(snapshot.quarantine),
    )
    return kept, tuple(file.path for file in files if file.path not in footers)


def holds_rows_once(snapshot: Snapshot, footers: Footers) -> bool:
    """Whether the raw files are known to hold no row twice: each has all rows of one log object, and no two of the same.

    Firehose delivers at least once; only a file of the direct sink says how many lines its log object had. Counting without a
    look for doubles is several times as fast.
    """
    seen: set[str] = set()
    for file in snapshot.raw:
        footer = footers[file.path]
        if LINES_METADATA not in (footer.metadata or {}):
            return False
        place = next((at for at in range(footer.num_columns) if footer.schema.column(at).name == "source_key"), None)
        for number in range(footer.num_row_groups):
            known = footer.row_group(number).column(place).statistics if place is not None else None
            if known is None or not known.has_min_max or known.min != known.max or (not number and known.min in seen):
                return False
            seen.add(known.min)
    return True


def describe_tables(snapshot: Snapshot, footers: Footers) -> tuple[StoredTable, ...]:
    """Each table's files in the snapshot."""
    found = []
    for name in ("compacted", "raw", "quarantine", "findings"):
        files: tuple[DataFile, ...] = getattr(snapshot, name)
        days = sorted(file.day for file in files)
        rows = sum(footers[file.path].num_rows for file in files) if name != "findings" else None
        first, last = (days[0], days[-1]) if days else ("", "")
        found.append(StoredTable(name, len(files), sum(file.size for file in files), rows, first, last))
    return tuple(found)


def price_queries(snapshot: Snapshot, footers: Footers, *, newest_day: str) -> tuple[QueryCost, ...]:
    """What every query that comes with the product must read, with its defaults."""
    files = [ScannedFile(file.day, footers[file.path]) for file in snapshot.compacted]
    files += [ScannedFile(None, footers[file.path]) for file in snapshot.raw]
    found = []
    for query in list_queries():
        scanned = scanned_bytes(query, files, newest_day=newest_day)
        found.append(QueryCost(query.name, query.question, scanned, athena_usd(scanned)))
    return tuple(found)
