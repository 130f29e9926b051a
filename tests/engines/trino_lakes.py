"""A lake in every state that a reader can meet, in folders and in a bucket that Trino reads."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from conftest import S3Server
from firehose_conversion import Conversion
from query_lake import random_rows
from small_lakes import Truth, local_truth, log_text, put_raw, rows_of, write_logs

from etl import SCHEMA, parse
from etl.compact import compact
from etl.ingest import ingest
from etl.lake import open_lake
from etl.schema import JSON_KEYS, RAW_TABLE
from etl.sinks._documents import to_documents

FIRST_DAY = "2024-03-01"
"""Not before the first row: each projected day is listed, and costs a request."""
BUCKET = "athena"
FIRST = dt.datetime(2026, 8, 1, 12, tzinfo=dt.UTC)
RAW_SINCE = "2026-08-02"
LAST_RAW = "2026-08-03"
NEWEST = "2024-05-06"
# What a table had that was made before AWS added these fields.
NEWER_FIELDS = ("acl_required", "source_region")


@dataclass(frozen=True)
class Lakes:
    """One lake before and after its second compaction; the bucket holds the files of both, as between publish and commit."""

    before: Path
    after: Path
    batch: str
    batch_after: str
    truth: Truth
    """What `before` holds, each row once."""
    delivered_twice: Truth


def make_lakes(folder: Path, server: S3Server) -> Lakes:
    """Compacted days, raw files of our own and of Firehose, one of which was delivered twice, and raw files compacted already."""
    lake, logs = folder / "before", folder / "logs"
    logs.mkdir()
    early = random_rows(900, days=40, last=NEWEST, seed=3)
    early = [row | {"source_key": f"{row['source_key']}-early"} for row in early]
    put_raw(lake, "early", early, day="2026-08-01")
    write_logs(logs, {"a.log": log_text(400, seed="a", days=4, bad_every=9)})
    ingest([str(logs)], lake=str(lake), now=FIRST)
    assert compact(str(lake), now=FIRST).batch
    # Later objects of the same days: what only the raw arm holds.
    write_logs(logs, {"b.log": log_text(90, seed="b", days=3)})
    ingest([str(logs)], lake=str(lake), now=FIRST + dt.timedelta(days=1))

    varied = pa.Table.from_pylist(random_rows(600, days=40, last=NEWEST, seed=4), SCHEMA)
    older = parse(log_text(60, seed="c"), source_key="s3://logs/c").table
    twice = _without(varied, "object_key")
    put_firehose(lake, "varied", varied, day=RAW_SINCE)
    put_firehose(lake, "varied-again", varied, day=LAST_RAW)
    put_firehose(lake, "older", older, day=LAST_RAW, lacks=("object_key", *NEWER_FIELDS))
    truth = (
        local_truth(logs)
        + rows_of(pa.Table.from_pylist(early, SCHEMA))
        + rows_of(twice)
        + rows_of(_without(older, "object_key", *NEWER_FIELDS))
    )

    after = folder / "after"
    shutil.copytree(lake, after)
    compact(str(after), now=FIRST + dt.timedelta(days=3))
    client = server.client()
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(path for path in after.rglob("*") if path.is_file()):
        client.put_object(Bucket=BUCKET, Key=f"lake/{path.relative_to(after).as_posix()}", Body=path.read_bytes())
    return Lakes(
        before=lake,
        after=after,
        batch=open_lake(str(lake)).snapshot().batch_id,
        batch_after=open_lake(str(after)).snapshot().batch_id,
        truth=truth,
        delivered_twice=rows_of(twice),
    )


def put_firehose(lake: Path, name: str, rows: pa.Table, *, day: str, lacks: tuple[str, ...] = ("object_key",)) -> None:
    """A raw file as Firehose writes it: SNAPPY, INT96 times, no status for a clean row, and some columns not at all."""
    columns = {column: kind for column, kind, _ in RAW_TABLE.columns if column not in lacks}
    conversion = Conversion(columns, JSON_KEYS)
    data = "".join(to_documents(rows).to_pylist()).encode()
    path = lake / "raw" / f"ingest_date={day}" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(conversion.to_parquet(conversion.read_record(data)))


def _without(table: pa.Table, *names: str) -> pa.Table:
    for name in names:
        table = table.set_column(SCHEMA.names.index(name), name, pa.nulls(len(table), SCHEMA.field(name).type))
    return table
