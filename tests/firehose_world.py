"""A Firehose sink with a stand-in behind it and a clock of its own: time passes in calls and waits only."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from firehose_conversion import read_documents
from firehose_stand_in import Answer, FirehoseStandIn, into_folder
from small_lakes import log_text

from etl import SCHEMA, parse
from etl.lake._folder_store import FolderStore
from etl.parse import CLEAN
from etl.schema import JSON_KEYS, RAW_TABLE, glue_columns
from etl.sinks import FirehoseSink, Written, _firehose

START = dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC)
DAY = "2026-07-01"
RESERVE = _firehose._CALL_SECONDS
DESTINATION = {
    "Prefix": "raw/ingest_date=!{timestamp:yyyy-MM-dd}/",
    "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/!{timestamp:yyyy-MM-dd}/",
    "BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 900},
    "CompressionFormat": "UNCOMPRESSED",
    "DataFormatConversionConfiguration": {
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {"ColumnToJsonKeyMappings": JSON_KEYS}}}
    },
}


@dataclass
class World:
    """A sink with a stand-in and a clock: time passes in calls and sleeps only."""

    folder: Path
    script: Iterable[Answer] = ()
    seconds: float = 600.0
    call_seconds: float = 1.0
    elapsed: float = 0.0
    left_at_calls: list[float] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.firehose = FirehoseStandIn(
            "logs",
            DESTINATION,
            glue_columns(RAW_TABLE),
            into_folder(self.folder),
            lambda: START + dt.timedelta(seconds=self.elapsed),
            script=self.script,
        )
        self.sink = FirehoseSink(
            self,
            "logs",
            FolderStore(self.folder),
            ingest_date=DAY,
            seconds_left=self.seconds_left,
            sleep=self.sleep,
            uniform=lambda low, high: (low + high) / 2,
        )

    def seconds_left(self) -> float:
        return self.seconds - self.elapsed

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.sleeps.append(seconds)
        self.elapsed += seconds

    def put_record_batch(self, **arguments: Any) -> Any:
        self.left_at_calls.append(self.seconds_left())
        self.elapsed += self.call_seconds
        return self.firehose.put_record_batch(**arguments)

    def raw(self) -> pa.Table:
        """All that lies in raw/, as the table's reader sees it."""
        self.firehose.flush()
        files = sorted(self.folder.glob("raw/ingest_date=*/*.parquet"))
        return pa.concat_tables([read_raw(file) for file in files])


def read_raw(file: Path) -> pa.Table:
    """A raw file's rows with the schema; what Firehose leaves out is derived or null."""
    table = pq.ParquetFile(file, coerce_int96_timestamp_unit="ms").read()
    columns = [
        table[each.name].cast(each.type) if each.name in table.column_names else pa.nulls(len(table), each.type)
        for each in SCHEMA
    ]
    return pa.table(columns, SCHEMA)


def comparable(table: pa.Table) -> pa.Table:
    """Without what is derived by readers, a missing status read as clean, in an order of its own."""
    status = table.column_names.index("parse_status")
    table = table.set_column(status, SCHEMA.field(status), pc.fill_null(table["parse_status"], CLEAN))
    return table.drop_columns(["object_key", "event_date"]).sort_by(
        [("source_key", "ascending"), ("line_no", "ascending")]
    )


def documents_of(records: Iterable[bytes]) -> Counter[tuple[str, int]]:
    """How often each row, by source key and line number, is in the records."""
    rows = (document for record in records for document in read_documents(record))
    return Counter((row[JSON_KEYS["source_key"]], row[JSON_KEYS["line_no"]]) for row in rows)


def write_all(world: World, objects: Iterable[tuple[str, int]]) -> dict[str, set[tuple[str, int]]]:
    """Write objects of so many lines each; the rows of each owner."""
    rows: dict[str, set[tuple[str, int]]] = {}
    for number, (owner, count) in enumerate(objects):
        key = f"s3://logs/{number}"
        written = world.sink.write([parse(log_text(count), source_key=key)], name=str(number), owner=owner)
        assert written == Written(count, count, 0)
        rows.setdefault(owner, set()).update((key, line_no) for line_no in range(1, count + 1))
    return rows
