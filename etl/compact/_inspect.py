"""Raw objects as inputs of a plan: their footers tell how much they hold, and whether they can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl.errors import LakeUnusable, ObjectNotFound, RowsNotConserved, first_line
from etl.lake import Input, ObjectStore, StoredObject, request_each
from etl.schema import RAW_TABLE_FIELDS, SCHEMA, WIRE_FIELDS, Kind, ambiguous_column
from etl.sinks import LINES_METADATA, QUARANTINED_METADATA

_ROWS_PER_BATCH: Final = 10_000
_BYTES_PER_READ: Final = 1 << 20
_FIRST_MS: Final = -62_135_596_800_000
_LAST_MS: Final = 253_402_300_799_999
"""Times of the years 1 to 9999: those whose day is `YYYY-MM-DD`."""
UNREADABLE: Final = (OSError, ValueError, pa.ArrowException)
"""What Arrow raises of a damaged file; a `ValueError` of one whose columns have names that are no text."""
_OLDEST_FIELDS: Final = 18
_NEEDED: Final = frozenset((*(field.name for field in WIRE_FIELDS[:_OLDEST_FIELDS]), "source_key", "line_no"))
"""What makes a file one of log rows, and a row that row. Other columns are null in files from before they were known, or left
out by a sink: such a file must not be taken for a damaged one, which would hide its rows."""
_IS_OF_KIND: Final[dict[Kind, Callable[[pa.DataType], bool]]] = {
    Kind.STRING: lambda type_: _is_text(type_.value_type if pa.types.is_dictionary(type_) else type_),
    Kind.INT: pa.types.is_integer,
    Kind.BIGINT: pa.types.is_integer,
    Kind.TIMESTAMP: pa.types.is_timestamp,
}

_NO_TEXT: Final = "its name is not UTF-8"


def _is_text(type_: pa.DataType) -> bool:
    """Whether this is how Arrow hands out text. How its writer held it, a dictionary say, it only notes beside: in Parquet, and
    for all others, it is text like any other."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def inspect_inputs(store: ObjectStore, objects: Iterable[StoredObject]) -> tuple[list[Input], list[Input]]:
    """The readable and the unreadable of these raw objects.

    What is unreadable is hidden from every reader once a batch leaves it out, so the store's own trouble is an exception
    (`LakeUnusable`) and never taken for a damaged object.
    """
    readable: list[Input] = []
    unreadable: list[Input] = []
    for item, is_readable in request_each(store, partial(_inspect, store), objects):
        if item is not None:
            (readable if is_readable else unreadable).append(item)
    return readable, unreadable


def _inspect(store: ObjectStore, stored: StoredObject) -> tuple[Input | None, bool]:
    """The object as an input, None if it was deleted since it was listed; and whether it can be read."""
    if find_misnamed([stored.key]):
        return Input(stored.key, stored.etag, stored.size, 0, 0, 0), False
    try:
        metadata = read_footer(store, stored.key)
    except ObjectNotFound:
        return None, False
    counts = None if metadata is None else _count(metadata)
    return Input(stored.key, stored.etag, stored.size, *(counts or (0, 0, 0))), counts is not None


def _count(metadata: pq.FileMetaData) -> tuple[int, int, int] | None:
    """Rows, lines and quarantined lines of a raw object; None if that is not what this is the footer of."""
    try:
        if not has_columns(metadata.schema.to_arrow_schema()):
            return None
        counts = metadata.metadata or {}
        rows = metadata.num_rows
        quarantined = int(counts.get(QUARANTINED_METADATA, 0))
        return rows, int(counts.get(LINES_METADATA, rows + quarantined)), quarantined
    except UNREADABLE:
        return None


def find_misnamed(keys: Iterable[str]) -> dict[str, str]:
    """Those of the keys that no engine can be told, and why: names of a folder's files are bytes, and need not be text."""
    return {key: _NO_TEXT for key in keys if key.encode(errors="replace").decode() != key}


def is_intact(store: ObjectStore, item: Input) -> bool:
    """Whether all of a raw object can be rewritten, see `find_damage`, whose errors it raises."""
    return not find_damage(store, item)


def find_damage(store: ObjectStore, item: Input) -> str:
    """Why a raw object cannot be rewritten, `""` if it can: all of it is read, as every engine needs it.

    A plan stands once it is made, so whatever an engine would refuse of one object has to be found here: it would hold up all
    that follow. Memory is bounded by some rows, not by the object. Raises `LakeUnusable` for the store's trouble, and this
    machine's.
    """
    if find_misnamed([item.key]):
        return _NO_TEXT
    try:
        with TemporaryDirectory(prefix="inspect-", dir=store.scratch(), ignore_cleanup_errors=True) as folder:
            rows = 0
            with pq.ParquetFile(
                store.fetch(item.key, Path(folder)), coerce_int96_timestamp_unit="ms", buffer_size=_BYTES_PER_READ
            ) as file:
                for batch in read_batches(file, item.key, rows_at_once=_ROWS_PER_BATCH):
                    rows += batch.num_rows
    except (ObjectNotFound, RowsNotConserved) as error:
        return error.reason
    except UNREADABLE as error:
        if is_of_machine(error):
            subject = getattr(error, "filename", None) or f"{store.uri}/{item.key}"
            raise LakeUnusable(subject, first_line(error)) from error
        return f"cannot be read: {first_line(error)}"
    return "" if rows == item.rows else f"{rows} rows, {item.rows} were planned"


def read_batches(file: pq.ParquetFile, key: str, *, rows_at_once: int) -> Iterator[pa.RecordBatch]:
    """The rows of a raw object's file, with `etl.SCHEMA`; a column that it lacks, or that is left out, is null.

    Raises `RowsNotConserved` if it is none of log rows, `OSError` and `pa.ArrowException` for rows that cannot be read, or are
    not what their column holds: text that is no UTF-8, a number too large, no time.
    """
    _check_columns(file.schema_arrow, key)
    names = [field.name for field in RAW_TABLE_FIELDS if field.name in file.schema_arrow.names]
    for batch in file.iter_batches(rows_at_once, columns=names):
        # What Arrow reads it does not look at, unless it is told to.
        batch.validate(full=True)
        yield _with_schema(batch)


def _with_schema(rows: pa.RecordBatch) -> pa.RecordBatch:
    """All columns of the schema, in its order and types."""
    times = rows.column("request_time").cast(pa.timestamp("ms"), safe=False)
    if times.null_count:
        raise pa.ArrowInvalid("a row without a time")
    bounds = pc.min_max(times.cast(pa.int64())).as_py()
    if rows.num_rows and not _FIRST_MS <= bounds["min"] <= bounds["max"] <= _LAST_MS:
        raise pa.ArrowInvalid("a time of no year from 1 to 9999")
    columns = {name: rows.column(name) for name in rows.schema.names}
    columns |= {"request_time": times, "event_date": times.cast(pa.date32()).cast(pa.string())}
    nothing = pa.nulls(rows.num_rows, pa.string())
    return pa.RecordBatch.from_arrays(
        [columns.get(field.name, nothing).cast(field.type) for field in SCHEMA], schema=SCHEMA
    )


def read_footer(store: ObjectStore, key: str) -> pq.FileMetaData | None:
    """The object's footer; None if it has none that can be read.

    Raises `ObjectNotFound`, and `LakeUnusable` for the store's trouble.
    """
    try:
        return pq.read_metadata(store.path(key), filesystem=store.filesystem)
    except UNREADABLE:
        # Both a damaged object and a failing store end here; reading the bytes tells which it is.
        data = store.read(key)
    try:
        return pq.read_metadata(pa.BufferReader(data))
    except UNREADABLE:
        return None


def check_file(file: str, key: str) -> None:
    """Raise `RowsNotConserved` if a raw object's local file is none of log rows, by its footer; `ObjectNotFound` if it is gone.

    DuckDB would convert columns of another type rather than refuse them.
    """
    try:
        found = pq.read_schema(file)
    except FileNotFoundError as error:
        raise ObjectNotFound(key, "no such object in the lake") from error
    except UNREADABLE as error:
        if is_of_machine(error):
            raise
        raise RowsNotConserved(key, f"cannot be read: {first_line(error)}") from error
    _check_columns(found, key)


def is_of_machine(error: BaseException) -> bool:
    """Whether this is trouble of this machine: the system gives each a number, of a damaged file Arrow says so without."""
    return bool(getattr(error, "errno", None)) or isinstance(error, MemoryError)


def _check_columns(found: pa.Schema, key: str) -> None:
    if not has_columns(found):
        raise RowsNotConserved(key, "lacks a column, or has one twice or of another type")


def has_columns(found: pa.Schema) -> bool:
    """Whether a raw object of this schema has the raw table's columns, each once and of its kind."""
    return not ambiguous_column(found.names) and all(
        _IS_OF_KIND[field.kind](found.field(field.name).type)
        if field.name in found.names
        else field.name not in _NEEDED
        for field in RAW_TABLE_FIELDS
    )
