"""Rows that can be told from one another, and the ways to read them back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.errors import ObjectNotFound, QueryError
from etl.lake import Lake, ObjectStore, raw_key
from etl.query import query
from etl.read import read
from etl.schema import SCHEMA

ROWS_PER_OBJECT: Final = 3
_START: Final = datetime(2024, 5, 1, 23, 59, 59)
_OBJECTS_PER_DAY: Final = 4
_COLUMNS: Final = ("source_key", "line_no", "batch_id")
_GONE: Final = re.compile(
    r"No such file|No files found|does not exist|[Nn]ot found|NO_SUCH_KEY|RESOURCE_NOT_FOUND|NoSuchKey|HTTP 404|is gone since"
    # SeaweedFS breaks an answer off whose object is deleted meanwhile.
    r"|Failed to flush response stream"
)

Rows = Counter[tuple[str, int]]
Read = tuple[Rows, str]
"""Rows, and the last batch that was seen."""
Way = Callable[[Lake], Read]


class FileGone(Exception):
    """A reader was told that a file of its snapshot is gone: it looks again, and was given nothing."""


def put_object(store: ObjectStore, number: int) -> None:
    """The raw object of this number: rows on both sides of a midnight, every other one of a day that comes late."""
    days = timedelta(days=number // _OBJECTS_PER_DAY - number % 2)
    moments = [_START + days + timedelta(seconds=line) for line in range(ROWS_PER_OBJECT)]
    rows = [
        dict.fromkeys(SCHEMA.names)
        | {
            "bucket_name": "b",
            "operation": "REST.GET.OBJECT",
            "parse_status": "clean",
            "request_id": f"{number}-{line}",
        }
        | {"request_time": moment, "event_date": f"{moment:%Y-%m-%d}", "source_key": f"log-{number}", "line_no": line}
        for line, moment in enumerate(moments)
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), sink)
    store.create(raw_key(f"{number:06d}", "2024-05-02"), sink.getvalue().to_pybytes())


def rows_of(objects: int) -> Rows:
    """The rows of the first so many objects."""
    return Counter((f"log-{number}", line) for number in range(objects) for line in range(ROWS_PER_OBJECT))


def read_files(lake: Lake) -> Read:
    """The files of a snapshot, one after the other."""
    snapshot = lake.snapshot()
    rows: Rows = Counter()
    for file in (*snapshot.compacted, *snapshot.raw):
        try:
            with pq.ParquetFile(file.path, filesystem=snapshot.filesystem) as parquet:
                table = parquet.read(columns=["source_key", "line_no"], use_threads=False)
        except (OSError, ObjectNotFound) as error:
            if not isinstance(error, FileNotFoundError | ObjectNotFound) and not _GONE.search(str(error)):
                raise
            raise FileGone(str(error)) from error
        rows.update(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return rows, snapshot.batch_id


def read_table(lake: Lake) -> Read:
    """What `etl.read` gives."""
    return _asked(lambda: read(lake, columns=_COLUMNS))


def read_sql(lake: Lake) -> Read:
    """What the command line's queries are answered from."""
    return _asked(lambda: query(lake=lake.uri, sql=f"SELECT {', '.join(_COLUMNS)} FROM access_logs").read_all())


def _asked(ask: Callable[[], pa.Table]) -> Read:
    try:
        table = ask()
    except QueryError as error:
        if _GONE.search(str(error)):
            raise FileGone(str(error)) from error
        raise
    names, lines, batches = (column.to_pylist() for column in table.columns)
    return Counter(zip(names, lines, strict=True)), max((batch for batch in batches if batch), default="")
