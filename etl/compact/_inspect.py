"""Raw objects as inputs of a plan: their footers tell how much they hold, and whether they can be read."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from etl.lake import Input, ObjectStore, StoredObject
from etl.schema import RAW_TABLE_FIELDS
from etl.sinks import LINES_METADATA, QUARANTINED_METADATA

_OPTIONAL = {"object_key"}


def inspect_inputs(store: ObjectStore, objects: Iterable[StoredObject]) -> tuple[list[Input], list[Input]]:
    """The readable and the unreadable of these raw objects."""
    readable: list[Input] = []
    unreadable: list[Input] = []
    needed = {field.name for field in RAW_TABLE_FIELDS} - _OPTIONAL
    for stored in objects:
        try:
            metadata = pq.read_metadata(store.path(stored.key), filesystem=store.filesystem)
        except (pa.ArrowInvalid, OSError):
            unreadable.append(Input(stored.key, stored.etag, stored.size, 0, 0, 0))
            continue
        names = {metadata.schema.column(i).name for i in range(metadata.num_columns)}
        counts = metadata.metadata or {}
        rows = metadata.num_rows
        quarantined = int(counts.get(QUARANTINED_METADATA, 0))
        lines = int(counts.get(LINES_METADATA, rows + quarantined))
        item = Input(stored.key, stored.etag, stored.size, rows, lines, quarantined)
        (readable if needed <= names else unreadable).append(item)
    return readable, unreadable
