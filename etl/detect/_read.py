"""The detector over one Parquet file, raw or compacted: as few of its bytes as tell.

The footer's statistics leave out row groups in which nothing can be signed with SigV2 and nothing is in doubt. Of the
others the signature versions are read; all that a finding shows is read only of row groups that have one. Keys and URIs are
most of a file: they are decoded a batch at a time, and none after the last row of a row group that shows one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etl.arrays import repeat_text, values_to_array
from etl.detect._findings import no_rows
from etl.detect._sigv2 import (
    CERTAIN,
    JUDGED,
    SHOWN,
    SIGV2,
    UNDECIDABLE,
    Detected,
    Sifted,
    Verdicts,
    judge_signatures,
    sift_signatures,
)
from etl.errors import LakeUnusable, ObjectNotFound, first_line
from etl.parse import CLEAN
from etl.schema import SCHEMA, ambiguous_column

if TYPE_CHECKING:
    import pyarrow.fs

_COLUMNS: Final = {*SHOWN, *JUDGED}
_UNSURE_SCHEMA: Final = pa.schema(
    [*(SCHEMA.field(name) for name in (*CERTAIN, *JUDGED)), pa.field(UNDECIDABLE, pa.bool_())]
)
NOTHING: Final = Detected(no_rows(pa.schema([SCHEMA.field(name) for name in SHOWN])), no_rows(_UNSURE_SCHEMA), 0)
"""What is found in no file."""
_REPEATING: Final = (
    *("source_key", "bucket_name", "remote_ip", "requester", "operation", "user_agent"),
    *("authentication_type", "signature_version", "parse_status"),
)
"""Columns whose few values are kept as a dictionary: only those of the rows that are shown become texts."""
_WIDE: Final = ("key_name", "request_uri")
_BATCH: Final = 8192
_TOGETHER: Final = 10_000
"""Lines that are judged at once, and those of one row group more."""


def detect_file(
    file: str | IO[bytes], *, filesystem: pyarrow.fs.FileSystem | None = None, shown: Collection[str] = SHOWN
) -> Detected:
    """What `detect_sigv2` finds in a Parquet file of raw/ or compacted/, with the schema's types.

    `file` is a path, as the file system names it, or an open file that can seek. `shown` are the columns wanted, of those that
    a finding shows (of doubtful rows `JUDGED` come besides): keys and URIs are most of the work. Memory holds the other columns
    of one row group. Raises `ObjectNotFound`, and `LakeUnusable` for a file that cannot be read or is no table of log lines.
    """
    name = file if isinstance(file, str) else "Parquet file"
    try:
        with pq.ParquetFile(
            file, filesystem=filesystem, read_dictionary=list(_REPEATING), coerce_int96_timestamp_unit="ms"
        ) as parquet:
            return _detect(parquet, name, [each for each in SHOWN if each in shown])
    except FileNotFoundError:
        raise ObjectNotFound(name, "no such file in the lake") from None
    except KeyError:
        raise _no_table(name) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise LakeUnusable(name, first_line(error)) from error


def _detect(parquet: pq.ParquetFile, name: str, shown: list[str]) -> Detected:
    metadata = parquet.metadata
    places = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    if not places.keys() >= _COLUMNS or ambiguous_column(parquet.schema_arrow.names):
        raise _no_table(name)
    certain = [each for each in CERTAIN if each in shown]
    hits, unsure = [NOTHING.hits.select(shown)], [NOTHING.unsure.select([*certain, *JUDGED, UNDECIDABLE])]
    for number, verdicts in _judged(parquet, places):
        wanted = {*(shown if len(verdicts.signed) else ()), *(certain if len(verdicts.unsure) else ())}
        group = metadata.row_group(number)
        narrow = [each for each in SHOWN if each in wanted - {*JUDGED, *_WIDE}]
        same = {each: value for each in narrow if (value := _only_text(group.column(places[each]))) is not None}
        rows = _read(parquet, number, [each for each in narrow if each not in same])
        if len(verdicts.signed):
            found = _pick(rows, verdicts.signed, {**same, "signature_version": SIGV2})
            for column in (each for each in _WIDE if each in wanted):
                found[column] = _pick_batches(parquet, number, column, verdicts.signed)
            hits.append(_conform(found, hits[0].schema))
        if len(verdicts.unsure):
            doubted = {**_pick(rows, verdicts.unsure, same), UNDECIDABLE: verdicts.undecidable}
            doubted |= {each: verdicts.lines.column(each) for each in JUDGED}
            unsure.append(_conform(doubted, unsure[0].schema))
    return Detected(pa.concat_tables(hits), pa.concat_tables(unsure), metadata.num_rows)


def _judged(parquet: pq.ParquetFile, places: Mapping[str, int]) -> Iterator[tuple[int, Verdicts]]:
    """The row groups in which something is found; the lines of several are judged together, as long as they are few."""
    waiting: dict[int, Sifted] = {}
    for number in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(number)
        is_clean = _holds_only(group.column(places["parse_status"]), CLEAN)
        if is_clean and not _may_hold(group.column(places["signature_version"]), SIGV2):
            continue
        sifted = sift_signatures(_read(parquet, number, ["signature_version"] if is_clean else JUDGED))
        if sifted.is_empty:
            continue
        waiting[number] = sifted
        if sum(len(each.doubtful) for each in waiting.values()) >= _TOGETHER:
            yield from zip(waiting, judge_signatures(list(waiting.values())), strict=True)
            waiting = {}
    yield from zip(waiting, judge_signatures(list(waiting.values())), strict=True)


def _read(parquet: pq.ParquetFile, number: int, columns: Collection[str]) -> pa.Table:
    # Threads cost more than they bring: decoding a column of a row group takes a millisecond.
    return parquet.read_row_group(number, columns=list(columns), use_threads=False)


def _may_hold(column: pq.ColumnChunkMetaData, value: str) -> bool:
    """Whether the column's statistics, if there are any, leave room for the value."""
    if _holds_nulls(column):
        return False
    bounds = _bounds(column)
    return bounds is None or bounds[0] <= value <= bounds[1]


def _holds_only(column: pq.ColumnChunkMetaData, value: str) -> bool:
    """Whether the column's statistics say that it holds the value and nulls, and nothing else."""
    return _holds_nulls(column) or _bounds(column) == (value, value)


def _only_text(column: pq.ColumnChunkMetaData) -> str | None:
    """The text that all rows have by the column's statistics; None if they differ, or the statistics do not tell.

    A log object is one raw object here, and compacted rows are sorted by bucket: such columns need not be read.
    """
    bounds = _bounds(column)
    if bounds is None or bounds[0] != bounds[1] or not column.statistics.has_null_count or column.statistics.null_count:
        return None
    return bounds[0]


def _holds_nulls(column: pq.ColumnChunkMetaData) -> bool:
    """Whether the column's statistics say that it holds nothing else."""
    statistics = column.statistics
    if statistics is None or statistics.has_min_max:
        return False
    return bool(statistics.has_null_count and statistics.null_count == column.num_values)


def _bounds(column: pq.ColumnChunkMetaData) -> tuple[str, str] | None:
    """The least and the greatest text; None if the statistics do not tell, or tell what is no text."""
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        return None
    try:
        least, greatest = statistics.min, statistics.max
    except UnicodeDecodeError:
        return None
    return (least, greatest) if isinstance(least, str) and isinstance(greatest, str) else None


def _pick(rows: pa.Table, places: pa.Array, same: Mapping[str, str]) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The columns at these places, and those that are the same everywhere."""
    picked = {name: rows.column(name).take(places) for name in rows.column_names}
    return picked | {name: repeat_text(value, len(places)) for name, value in same.items()}


def _pick_batches(parquet: pq.ParquetFile, number: int, column: str, places: pa.Array) -> pa.ChunkedArray:
    """The column's values at ascending places of a row group, of which there is one at least."""
    at = np.frombuffer(places.buffers()[1], np.int64, len(places), offset=8 * places.offset)
    picked: list[pa.Array] = []
    start = done = 0
    for batch in parquet.iter_batches(_BATCH, row_groups=[number], columns=[column], use_threads=False):
        end = int(np.searchsorted(at, start + batch.num_rows))
        if end > done:
            picked.append(batch.column(0).take(values_to_array(at[done:end] - start, None, pa.int64())))
        start, done = start + batch.num_rows, end
        if done == len(at):
            break
    return pa.chunked_array(picked)


def _conform(columns: Mapping[str, pa.Array | pa.ChunkedArray], schema: pa.Schema) -> pa.Table:
    """The columns of the schema, with its types: dictionaries become texts."""
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _no_table(name: str) -> LakeUnusable:
    return LakeUnusable(name, "is no table of log lines")
