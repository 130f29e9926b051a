"""Raw objects as inputs of a plan: their footers tell how much they hold, and whether they can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.errors import ObjectNotFound
from etl.lake import Input, ObjectStore, StoredObject, request_each
from etl.schema import RAW_TABLE_FIELDS, WIRE_FIELDS, Kind
from etl.sinks import LINES_METADATA, QUARANTINED_METADATA

_OLDEST_FIELDS: Final = 18
_NEEDED: Final = frozenset((*(field.name for field in WIRE_FIELDS[:_OLDEST_FIELDS]), "source_key", "line_no"))
"""What makes a file one of log rows, and a row that row. Other columns are null in files from before they were known, or left
out by a sink: such a file must not be taken for a damaged one, which would hide its rows."""
_IS_OF_KIND: Final[dict[Kind, Callable[[pa.DataType], bool]]] = {
    Kind.STRING: lambda type_: pa.types.is_string(type_) or pa.types.is_large_string(type_),
    Kind.INT: pa.types.is_integer,
    Kind.BIGINT: pa.types.is_integer,
    Kind.TIMESTAMP: pa.types.is_timestamp,
}


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
    try:
        metadata = _read_footer(store, stored.key)
    except ObjectNotFound:
        return None, False
    if metadata is None or not has_columns(metadata.schema.to_arrow_schema()):
        return Input(stored.key, stored.etag, stored.size, 0, 0, 0), False
    counts = metadata.metadata or {}
    rows = metadata.num_rows
    quarantined = int(counts.get(QUARANTINED_METADATA, 0))
    lines = int(counts.get(LINES_METADATA, rows + quarantined))
    return Input(stored.key, stored.etag, stored.size, rows, lines, quarantined), True


def is_intact(store: ObjectStore, item: Input) -> bool:
    """Whether all of a raw object can be read and holds what was planned. Raises `LakeUnusable` for the store's trouble."""
    try:
        data = store.read(item.key)
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            table = file.read()
    except (ObjectNotFound, pa.ArrowInvalid, OSError):
        return False
    return has_columns(table.schema) and table.num_rows == item.rows and not table.column("request_time").null_count


def _read_footer(store: ObjectStore, key: str) -> pq.FileMetaData | None:
    """The object's footer; None if it has none."""
    try:
        return pq.read_metadata(store.path(key), filesystem=store.filesystem)
    except (pa.ArrowInvalid, OSError):
        # Both a damaged object and a failing store end here; reading the bytes tells which it is.
        data = store.read(key)
    try:
        return pq.read_metadata(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError):
        return None


def has_columns(found: pa.Schema) -> bool:
    """Whether a raw object of this schema has the raw table's columns, each of its kind."""
    return all(
        _IS_OF_KIND[field.kind](found.field(field.name).type)
        if field.name in found.names
        else field.name not in _NEEDED
        for field in RAW_TABLE_FIELDS
    )
