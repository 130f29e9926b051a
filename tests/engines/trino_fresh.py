"""A lake of these days that Glue keeps, before and after a compaction, with the tables and views that each of them left."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from conftest import ACCESS_KEY, SECRET_KEY, S3Server
from glue_lakes import live, make_glue_lake
from hostile_keys import put_firehose
from query_answers_cases import as_raw
from query_answers_rows import Row
from small_lakes import put_raw, raw_row
from trino_lakes import BUCKET

from etl.catalog import exact_input, recipe_input, table_input
from etl.compact import compact
from etl.schema import COMPACTED_TABLE, RAW_TABLE, SCHEMA
from etl.sources import _s3

DATABASE, RECIPE_DATABASE = "logs", "default"
LOCATION = f"s3://{BUCKET}/fresh"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
STATES = ("before", "after")


def day(back: int) -> str:
    return (NOW - dt.timedelta(days=back)).date().isoformat()


FIRST_DAY = day(30)
SEALED, OPEN = (day(5), day(4)), (day(1), day(0))
MIDNIGHT, LATE, EMPTY, FUTURE = day(6), day(100), day(20), day(-2)
"""A day with a row at its first and its last second in each arm; one before the first day that was projected; one without any
file; one that has not come."""


@dataclass(frozen=True)
class Fresh:
    """What `access_logs` is to show, and what Glue holds, by state."""

    sealed: list[Row]
    """Of the days that the compaction takes."""
    still_open: list[Row]
    glue: dict[str, list[dict[str, Any]]]
    batch: str

    def visible(self, state: str) -> list[Row]:
        """A row of a day to come goes with its compaction: the day is not projected yet."""
        if state == "before":
            return self.sealed + self.still_open
        compacted = [row | {"batch_id": self.batch} for row in self.sealed if row["event_date"] != FUTURE]
        return compacted + self.still_open


def make_fresh(folder: Path, server: S3Server) -> Fresh:
    """The lake in the bucket, compacted once; what the compaction took is still in raw/, as it is for days."""
    lake = folder / "fresh"
    sealed = [*_rows("sealed"), *_at("future", f"{FUTURE}T10:00:00")]
    still_open = _rows("open")
    put_raw(lake, "ours", sealed[::2], day=SEALED[0])
    put_firehose(lake, "theirs", pa.Table.from_pylist(sealed[1::2], SCHEMA), day=SEALED[1])
    put_raw(lake, "ours", still_open[::2], day=OPEN[0])
    # Both kinds of times in one raw day.
    put_firehose(lake, "theirs", pa.Table.from_pylist(still_open[1::2], SCHEMA), day=OPEN[0])
    put_raw(lake, "ours", _at("tomorrow", f"{day(0)}T00:00:00"), day=FUTURE)
    client = server.client()
    for path in sorted(lake.rglob("*.parquet")):
        client.put_object(Bucket=BUCKET, Key=f"fresh/{path.relative_to(lake).as_posix()}", Body=path.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        _find_server(server, patch)
        catalog = make_glue_lake(LOCATION, patch, first_day=FIRST_DAY)
        others = [
            table_input(RAW_TABLE, lake_uri=LOCATION, first_day=FIRST_DAY),
            exact_input(database=DATABASE, lake_uri=LOCATION),
        ]
        glue = {}
        for state in STATES:
            if state == "after":
                assert compact(LOCATION, now=NOW).rows_in == len(sealed)
            glue[state] = [*others, live(catalog, COMPACTED_TABLE.name), live(catalog, "access_logs")]
    _s3._client.cache_clear()
    boto3.DEFAULT_SESSION = None
    (batch,) = {name.split("-")[0] for name in _names(client, "fresh/compacted/")}
    return Fresh([*map(as_raw, sealed)], [*map(as_raw, still_open)], glue, batch)


RECIPE_VIEW = recipe_input(database=DATABASE, recipe_database=RECIPE_DATABASE, lake_uri=LOCATION)


def _find_server(server: S3Server, patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    boto3.DEFAULT_SESSION = None
    _s3._client.cache_clear()


def _names(client: Any, prefix: str) -> list[str]:
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    return [each["Key"].rsplit("/", 1)[-1] for each in found]


def _rows(name: str) -> list[Row]:
    """What the recipe asks for and its neighbours, rows around midnight, and a late one."""
    recent: list[tuple[int, Row]] = [
        (1, {"signature_version": "SigV2", "user_agent": "old"}),
        (2, {"signature_version": "SigV2", "user_agent": "old"}),
        (23, {"signature_version": "SigV2", "user_agent": "old", "operation": "REST.PUT.OBJECT"}),
        (3, {"signature_version": "SigV2", "user_agent": "older", "bucket_name": "b2"}),
        (4, {"signature_version": "SigV4", "user_agent": "new"}),
        (5, {"user_agent": "nobody", "requester": None}),
        (6, {"signature_version": "SigV2", "user_agent": "forged", "parse_status": "ambiguous", "raw_line": "x"}),
        (25, {"signature_version": "SigV2", "user_agent": "yesterday"}),
        (80, {"signature_version": "SigV2", "user_agent": "long ago"}),
    ]
    times = [((NOW - dt.timedelta(hours=hours)).replace(tzinfo=None).isoformat(), values) for hours, values in recent]
    before = (dt.date.fromisoformat(MIDNIGHT) - dt.timedelta(days=1)).isoformat()
    after = (dt.date.fromisoformat(MIDNIGHT) + dt.timedelta(days=1)).isoformat()
    edges = (f"{before}T23:59:59", f"{MIDNIGHT}T00:00:00", f"{MIDNIGHT}T23:59:59", f"{after}T00:00:00")
    times += [(time, {}) for time in (*edges, f"{LATE}T12:00:00", f"{LATE}T12:00:01")]
    rows = [_row(name, number, time, **values) for number, (time, values) in enumerate(times, start=1)]
    # Each twice, in another log object: one goes through Firehose, and one does not.
    return [
        row | {"source_key": f"{row['source_key']}-{copy}", "request_id": f"R{row['line_no']}-{copy}"}
        for row in rows
        for copy in (1, 2)
    ]


def _at(name: str, time: str) -> list[Row]:
    return [_row(name, 1, time)]


def _row(name: str, number: int, time: str, **values: object) -> Row:
    plain = {"remote_ip": "192.0.2.1", "requester": "me", "http_status": 200, "key_name": "k", "bytes_sent_size": 7}
    return raw_row(f"s3://fresh/{name}", number, time, **(plain | values))
