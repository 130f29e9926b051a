"""A lake in every state that a reader can meet, in folders and in a bucket that Trino reads."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import S3Server
from detect_rows import make_rows
from hostile_keys import hostile_log, put_firehose
from query_answers_cases import as_raw, varied_rows
from query_answers_rows import Row
from small_lakes import Truth, log_text, put_raw, rows_of, write_logs

from etl import SCHEMA, parse
from etl.compact import _outputs, compact
from etl.ingest import ingest
from etl.lake import open_lake

FIRST_DAY = "2024-02-05"
"""Not before the first row: each projected day is listed, and costs a request."""
BUCKET = "athena"
LOCATION = f"s3://{BUCKET}/lake"
MAIN, AFTER = "main", "after"
"""The schemas in which the lake is as before its second compaction, and as after it."""
FIRST = dt.datetime(2026, 8, 1, 12, tzinfo=dt.UTC)
RAW_SINCE = "2026-08-02"
LAST_RAW = "2026-08-03"
NEWEST = "2024-05-06"
ROWS_PER_GROUP = 20
# What a table had that was made before AWS added these fields.
NEWER_FIELDS = ("acl_required", "source_region")


@dataclass(frozen=True)
class Lakes:
    """One lake before and after its second compaction; the bucket holds the files of both, as between publish and commit."""

    before: Path
    after: Path
    batch: str
    batch_after: str
    seen: list[Row]
    """What `access_logs` shows of `before`: what was delivered twice stands there twice."""
    seen_after: list[Row]
    twice: list[Row]
    """What was delivered twice, once."""


def truth_of_rows(rows: Iterable[Row]) -> Truth:
    """As a multiset, in the column order of the schema."""
    return rows_of(pa.Table.from_pylist([{name: row[name] for name in SCHEMA.names} for row in rows], SCHEMA))


def make_lakes(folder: Path, server: S3Server) -> Lakes:
    """Compacted days, raw files of our own and of Firehose, one of which was delivered twice, and raw files compacted already."""
    lake, logs = folder / "before", folder / "logs"
    logs.mkdir()
    early = _varied(900, seed=3, name="early")
    put_raw(lake, "early", early, day="2026-08-01")
    write_logs(logs, {"a.log": log_text(400, seed="a", days=4, bad_every=9)})
    ingest([str(logs)], lake=str(lake), now=FIRST)
    with pytest.MonkeyPatch.context() as patch:
        # So that a file of a few rows has several row groups, as one of a busy day has.
        patch.setattr(_outputs, "ROWS_PER_GROUP", ROWS_PER_GROUP)
        assert compact(str(lake), now=FIRST).batch
    # Later objects of the same days: what only the raw arm holds.
    write_logs(logs, {"b.log": log_text(90, seed="b", days=3)})
    ingest([str(logs)], lake=str(lake), now=FIRST + dt.timedelta(days=1))

    twice = _varied(600, seed=4, name="twice")
    older = parse(log_text(60, seed="c"), source_key="s3://logs/c").table.to_pylist()
    hostile = parse(hostile_log(), source_key="s3://logs/hostile").table.to_pylist()
    found = telling_rows()
    for name, rows, day, lacks in (
        ("twice", twice, RAW_SINCE, ("object_key",)),
        ("twice-again", twice, LAST_RAW, ("object_key",)),
        ("older", older, LAST_RAW, ("object_key", *NEWER_FIELDS)),
        ("hostile", hostile, LAST_RAW, ("object_key",)),
    ):
        put_firehose(lake, name, pa.Table.from_pylist(rows, SCHEMA), day=day, lacks=lacks)
    put_raw(lake, "found", found, day=LAST_RAW)

    after = folder / "after"
    shutil.copytree(lake, after)
    assert compact(str(after), now=FIRST + dt.timedelta(days=3)).left_out == ()
    client = server.client()
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(path for path in after.rglob("*") if path.is_file()):
        client.put_object(Bucket=BUCKET, Key=f"lake/{path.relative_to(after).as_posix()}", Body=path.read_bytes())

    batch, batch_after = (open_lake(str(each)).snapshot().batch_id for each in (lake, after))
    first = [as_raw(row) for row in early] + _parsed(logs / "a.log")
    sent = [*map(as_raw, twice)]
    hostile = [as_raw(row) for row in hostile]
    older = [as_raw(row | dict.fromkeys(NEWER_FIELDS)) for row in older]
    second = [*_parsed(logs / "b.log"), *sent, *older, *hostile, *map(as_raw, found)]
    compacted = [row | {"batch_id": batch} for row in first]
    return Lakes(
        before=lake,
        after=after,
        batch=batch,
        batch_after=batch_after,
        seen=[*compacted, *second, *sent],
        seen_after=[*compacted, *(row | {"batch_id": batch_after} for row in second)],
        twice=sent,
    )


def _varied(count: int, *, seed: int, name: str) -> list[Row]:
    return [row for row in varied_rows(count, newest=NEWEST, seed=seed, name=name) if row["event_date"] >= FIRST_DAY]


def _parsed(path: Path) -> list[Row]:
    return [*map(as_raw, parse(path.read_bytes(), source_key=str(path.resolve())).table.to_pylist())]


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
