"""A lake in every state that a reader can meet, in folders and in a bucket that Trino reads."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from conftest import S3Server
from detect_rows import make_rows
from hostile_keys import hostile_log, put_firehose
from query_lake import random_rows
from small_lakes import Truth, local_truth, log_text, put_raw, rows_of, write_logs

from etl import SCHEMA, parse
from etl.compact import compact
from etl.ingest import ingest
from etl.lake import open_lake
from etl.parse import decode_key

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
    twice = _decoded(_without(varied, "object_key"))
    hostile = parse(hostile_log(), source_key="s3://logs/hostile").table
    put_firehose(lake, "varied", varied, day=RAW_SINCE)
    put_firehose(lake, "varied-again", varied, day=LAST_RAW)
    put_firehose(lake, "older", older, day=LAST_RAW, lacks=("object_key", *NEWER_FIELDS))
    put_firehose(lake, "hostile", hostile, day=LAST_RAW)
    found = telling_rows()
    put_raw(lake, "found", found, day=LAST_RAW)
    truth = (
        local_truth(logs)
        + rows_of(_decoded(pa.Table.from_pylist(early, SCHEMA)))
        + rows_of(twice)
        + rows_of(_without(older, *NEWER_FIELDS))
        + rows_of(hostile)
        + rows_of(_decoded(pa.Table.from_pylist(found, SCHEMA)))
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


def telling_rows() -> list[dict[str, Any]]:
    """What the detections look for and random rows hardly have."""
    presigned = {
        "authentication_type": "QueryString",
        "request_uri": "GET /k?X-Amz-Expires=604800&X-Amz-Signature=x HTTP/1.1",
    }
    return make_rows(
        *[{"http_status": 403, "error_code": "AccessDenied"}] * 4,
        presigned,
        {"request_uri": "GET /k?password=x HTTP/1.1"},
        {"source_region": "us-east-1", "time": "2024-03-05T00:00:00"},
        {"source_region": "sa-east-1"},
        source_key="s3://logs/found",
    )


def _decoded(table: pa.Table) -> pa.Table:
    """With object keys where there are none and the logged ones can be decoded."""
    keys = [
        row["object_key"] or (row["key_name"] and decode_key(row["key_name"], row["operation"]))
        for row in table.to_pylist()
    ]
    return table.set_column(SCHEMA.names.index("object_key"), "object_key", pa.array(keys, pa.string()))


def _without(table: pa.Table, *names: str) -> pa.Table:
    for name in names:
        table = table.set_column(SCHEMA.names.index(name), name, pa.nulls(len(table), SCHEMA.field(name).type))
    return table
