"""Small lakes for the query tests, written with pyarrow alone: rows in, a folder of Parquet and its snapshot out."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from etl.lake._snapshot import DataFile, Snapshot
from etl.query import bind, connect, find_query, run_query, to_duckdb, write_result
from etl.schema import COMPACTED_SCHEMA, FIELDS, SCHEMA

Row = dict[str, Any]

FIREHOSE_LACKS = ("object_key", "event_date")


def make_row(time: str, **values: object) -> Row:
    """A row of `SCHEMA` at `YYYY-MM-DDTHH:MM:SS`; what is not given is null."""
    row: Row = {field.name: None for field in FIELDS}
    moment = dt.datetime.fromisoformat(time)
    row |= {"request_time": moment, "event_date": moment.date().isoformat(), "parse_status": "clean"}
    row |= {"bucket_name": "b1", "operation": "REST.GET.OBJECT", "source_key": "s3://logs/a", "line_no": 1}
    return row | values


def write_raw(root: Path, rows: Iterable[Row], *, day: str, name: str = "a", firehose: bool = False) -> DataFile:
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    if firehose:
        table = table.drop_columns(list(FIREHOSE_LACKS))
    return _write(table, root / "raw" / f"ingest_date={day}" / f"{name}.parquet", day, int96=firehose)


def write_compacted(root: Path, rows: Iterable[Row], *, batch: str = "000001") -> tuple[DataFile, ...]:
    days: dict[str, list[Row]] = {}
    for row in rows:
        days.setdefault(row["event_date"], []).append(row | {"batch_id": batch})
    return tuple(
        _write(
            pa.Table.from_pylist(some, schema=COMPACTED_SCHEMA),
            root / "compacted" / f"event_date={day}" / f"{batch}-0000.parquet",
            day,
        )
        for day, some in sorted(days.items())
    )


def write_table(root: Path, table: pa.Table, *, folder: str, key: str, day: str) -> DataFile:
    return _write(table, root / folder / f"{key}={day}" / "a.parquet", day)


def _write(table: pa.Table, path: Path, day: str, *, int96: bool = False) -> DataFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="snappy" if int96 else "zstd", use_deprecated_int96_timestamps=int96)
    return DataFile(str(path), day, path.stat().st_size)


def snapshot_of(
    *,
    raw: Iterable[DataFile] = (),
    compacted: Iterable[DataFile] = (),
    quarantine: Iterable[DataFile] = (),
    findings: Iterable[DataFile] = (),
    filesystem: pafs.FileSystem | None = None,
) -> Snapshot:
    return Snapshot("000001", tuple(compacted), tuple(raw), tuple(quarantine), tuple(findings), filesystem)


def as_remote(snapshot: Snapshot, root: Path) -> Snapshot:
    """The same files, seen through a file system of their own, as those of an S3 endpoint are."""

    def moved(files: tuple[DataFile, ...]) -> tuple[DataFile, ...]:
        return tuple(DataFile(Path(file.path).relative_to(root).as_posix(), file.day, file.size) for file in files)

    return Snapshot(
        snapshot.batch_id,
        moved(snapshot.compacted),
        moved(snapshot.raw),
        moved(snapshot.quarantine),
        moved(snapshot.findings),
        pafs.SubTreeFileSystem(str(root), pafs.LocalFileSystem()),
    )


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Rows of Athena SQL."""
    table = run_query(connection, to_duckdb(sql)).read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True)) if table.num_rows else []


def ask_for(connection: duckdb.DuckDBPyConnection, name: str, newest_day: str, **values: str) -> list[tuple[Any, ...]]:
    """Rows of a query that comes with the product."""
    return ask(connection, bind(find_query(name), values, newest_day=newest_day))


def ask_json(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    out = io.BytesIO()
    write_result(run_query(connection, to_duckdb(sql)), format="json", out=out)
    return json.loads(out.getvalue())


def connect_rows(root: Path, rows: Iterable[Row]) -> duckdb.DuckDBPyConnection:
    """A connection to a lake whose only file is a raw one with these rows."""
    return connect(snapshot_of(raw=[write_raw(root, rows, day="2030-01-01")]))


VOCABULARY: Mapping[str, tuple[object, ...]] = {
    "bucket_name": ("b1", "b2", "b3"),
    "remote_ip": ("192.0.2.1", "192.0.2.2", "2001:db8::1", None),
    "requester": ("arn:aws:iam::1:user/a", "arn:aws:iam::1:user/b", "AmazonS3", None),
    "request_id": ("A" * 16, "B" * 16),
    "http_status": (200, 200, 206, 204, 304, 403, 404, 500, None),
    "error_code": ("AccessDenied", "NoSuchKey", None, None),
    "bytes_sent_size": (0, 7, 2_662_992, 2**40, None),
    "object_size": (1, None),
    "total_duration": (1, 2, 3, 5, 8, 13, 900, None),
    "user_agent": ("aws-cli/2", 'curl "x"', "日本", "", None),
    "signature_version": ("SigV2", "SigV4", None),
    "cipher_suite": ("ECDHE-RSA-AES128-GCM-SHA256", None),
    "tls_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSV1.2", "TLSv1.3", None),
    "acl_required": ("Yes", None),
    "parse_status": ("clean", "clean", "clean", "short", "ambiguous"),
    "object_key": ("a/b/c.txt", "a/d.txt", "e.txt", "/x", "ü/ß", None),
    "operation": (
        *("REST.GET.OBJECT", "REST.HEAD.OBJECT", "REST.PUT.OBJECT", "REST.COPY.OBJECT_GET", "REST.DELETE.OBJECT"),
        *("BATCH.DELETE.OBJECT", "S3.EXPIRE.OBJECT", "REST.GET.BUCKET", "WEBSITE.GET.OBJECT"),
    ),
}


def random_rows(count: int, *, days: int, last: str, seed: int) -> list[Row]:
    """Rows over the days up to `last`, with few enough values that groups and ties come up in every query."""
    pick = random.Random(seed)
    rows = []
    for number in range(count):
        day = dt.date.fromisoformat(last) - dt.timedelta(days=pick.randrange(days))
        time = dt.datetime.combine(day, dt.time(pick.randrange(24), pick.choice((0, 30))))
        values: Row = {name: pick.choice(words) for name, words in VOCABULARY.items()}
        values["key_name"] = values["object_key"] or pick.choice(("a/b/c.txt", "a/%252", None))
        if values["parse_status"] == "short":
            tail = pick.choice(("", " ", "  \r", " -", " - AuthHeader", " ECDHE"))
            values["raw_line"] = f'... "-" "ua" - host {values["signature_version"] or "-"}{tail}'
        elif values["parse_status"] == "ambiguous":
            values["raw_line"] = '... "a" "b" SigV2 - - h'
        rows.append(make_row(time.isoformat(), source_key=f"s3://logs/{number % 7}", line_no=number // 7 + 1, **values))
    return rows
