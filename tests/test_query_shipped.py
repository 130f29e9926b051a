"""Every shipped query against a few lines of plain Python that read the same rows."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from query_lake import (
    Row,
    as_remote,
    ask_for,
    connect_rows,
    make_row,
    random_rows,
    snapshot_of,
    write_compacted,
    write_raw,
)

from etl import SCHEMA, parse
from etl.parse import decode_key
from etl.query import bind, connect, find_query, list_queries, run_query, to_duckdb

NEWEST = "2024-03-10"
ROWS = random_rows(900, days=40, last=NEWEST, seed=20240310)
# Firehose leaves object_key out, so only rows whose decoded key reads as the logged one come from it here.
FIREHOSE = [row for row in ROWS if row["line_no"] % 6 == 0 and row["object_key"] == row["key_name"]]
Answer = list[tuple[Any, ...]]


@pytest.fixture(scope="module", params=["local", "remote"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The rows, two thirds of them compacted, the rest in raw files of our own and of Firehose."""
    root = tmp_path_factory.mktemp("lake")
    compacted = write_compacted(root, [row for row in ROWS if row["line_no"] % 3])
    ours = [row for row in ROWS if row["line_no"] % 3 == 0 and row not in FIREHOSE]
    raw = [write_raw(root, FIREHOSE, day="2024-03-10", firehose=True), write_raw(root, ours, day="2024-03-11")]
    snapshot = snapshot_of(raw=raw, compacted=compacted)
    return connect(snapshot if request.param == "local" else as_remote(snapshot, root))


# --- The reference ----------------------------------------------------------------------------------------------------


def back(days: int) -> str:
    return (dt.date.fromisoformat(NEWEST) - dt.timedelta(days=days)).isoformat()


def between(since: str, until: str = NEWEST) -> list[Row]:
    return [row for row in ROWS if since <= row["event_date"] <= until]


def group(rows: Iterable[Row], *names: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return list(groups.items())


def order(answer: Answer, *columns: int) -> Answer:
    """By these columns, counted from 1, a negative one descending; null last either way, as in Athena."""
    for column in reversed(columns):
        at = abs(column) - 1
        present = sorted((row for row in answer if row[at] is not None), key=lambda row: row[at], reverse=column < 0)
        answer = present + [row for row in answer if row[at] is None]
    return answer


def total(rows: list[Row]) -> int:
    return sum(row["bytes_sent_size"] or 0 for row in rows)


def failed(rows: list[Row]) -> int:
    return sum((row["http_status"] or 0) >= 400 for row in rows)


def distinct(rows: list[Row], name: str) -> int:
    return len({row[name] for row in rows} - {None})


def times(rows: list[Row]) -> tuple[dt.datetime, dt.datetime]:
    return min(row["request_time"] for row in rows), max(row["request_time"] for row in rows)


def by_line(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["request_time"], row["source_key"], row["line_no"]))


def raw_key_of(row: Row) -> str | None:
    """What is left out of a raw row is derived."""
    key, logged = row["object_key"], row["key_name"]
    return decode_key(logged, row["operation"]) if key is None and logged is not None else key


def key_of(row: Row) -> str | None:
    key: str | None = raw_key_of(row) if row["line_no"] % 3 == 0 else row["object_key"]
    return row["key_name"] if key is None else key


def is_sigv2(row: Row) -> bool:
    if row["signature_version"] != "SigV2" or row["parse_status"] == "ambiguous":
        return False
    return bool(row["parse_status"] == "clean" or row["raw_line"].split()[-1] != "SigV2")


def first_rows(since: str = back(1), rows: int = 10) -> Answer:
    names = [name for name in SCHEMA.names if name != "event_date"]
    seen = [
        row | {"object_key": raw_key_of(row)} if row["line_no"] % 3 == 0 else row for row in by_line(between(since))
    ]
    return [(*(row[name] for name in names), row["event_date"]) for row in seen[:rows]]


def sigv2_by_client() -> Answer:
    names = ("remote_ip", "requester", "bucket_name", "operation", "user_agent", "signature_version")
    after = dt.datetime.fromisoformat(NEWEST)
    rows = [row for row in between(back(1)) if row["request_time"] > after and is_sigv2(row)]
    return order([(len(some), *key) for key, some in group(rows, *names)], -1, 2, 3, 4, 5, 6)


def sigv2_by_user_agent(hours: int = 24, until: str = NEWEST) -> Answer:
    after = dt.datetime.fromisoformat(until) + dt.timedelta(days=1, hours=-hours)
    rows = [row for row in between("2000-01-01", until) if row["request_time"] > after and is_sigv2(row)]
    names = ("bucket_name", "user_agent", "signature_version")
    return order([(len(some), *key) for key, some in group(rows, *names)], -1, 2, 3)


def top_requesters(since: str = back(30), until: str = NEWEST, rows: int = 20) -> Answer:
    answer = [
        (*key, len(some), failed(some), total(some), distinct(some, "bucket_name"), *times(some))
        for key, some in group(between(since, until), "requester")
    ]
    return order(answer, -2, 1)[:rows]


def requests_by_day_and_operation() -> Answer:
    groups = group(between(back(30)), "event_date", "operation")
    return order([(*key, len(some), failed(some), total(some)) for key, some in groups], 1, -3, 2)


def errors_by_code() -> Answer:
    rows = [row for row in between(back(30)) if row["error_code"] is not None or (row["http_status"] or 0) >= 400]
    answer = [
        (*key, len(some), distinct(some, "requester"), distinct(some, "remote_ip"), *times(some))
        for key, some in group(rows, "error_code", "http_status")
    ]
    return order(answer, -3, 1, 2)


def bytes_out_by_bucket_and_requester() -> Answer:
    rows = [row for row in between(back(30)) if (row["bytes_sent_size"] or 0) > 0]
    groups = group(rows, "bucket_name", "requester")
    return order([(*key, len(some), total(some)) for key, some in groups], -4, 1, 2)


def slowest_operations() -> Answer:
    answer: Answer = []
    for key, some in group(between(back(30)), "operation"):
        taken = sorted(row["total_duration"] for row in some if row["total_duration"] is not None)
        # The nearest rank: the smallest one that so many percent do not exceed.
        ranks = [taken[-(-len(taken) * percent // 100) - 1] for percent in (50, 95, 99)]
        answer.append((*key, len(taken), *ranks, taken[-1]))
    return order(answer, -5, -6, 1)


def unauthenticated_access() -> Answer:
    rows = [row for row in between(back(30)) if row["requester"] is None]
    answer = []
    for key, some in group(rows, "bucket_name", "operation", "http_status"):
        ambiguous = sum(row["parse_status"] == "ambiguous" for row in some)
        answer.append((*key, len(some), ambiguous, distinct(some, "remote_ip"), total(some), *times(some)))
    return order(answer, -4, 1, 2, 3)


def tls_below_1_2() -> Answer:
    old = [row for row in between(back(30)) if row["tls_version"] in ("TLSv1", "TLSv1.1")]
    rows = [row | {"tls": row["tls_version"].upper()} for row in old if row["parse_status"] != "ambiguous"]
    groups = group(rows, "tls", "bucket_name", "requester", "user_agent")
    answer = [(*key, len(some), distinct(some, "remote_ip"), *times(some)) for key, some in groups]
    return order(answer, -5, 1, 2, 3, 4)


def acl_dependent_requests() -> Answer:
    rows = [row for row in between(back(90)) if row["acl_required"] == "Yes" and row["parse_status"] != "ambiguous"]
    groups = group(rows, "bucket_name", "requester", "operation")
    return order([(*key, len(some), distinct(some, "key_name"), *times(some)) for key, some in groups], -4, 1, 2, 3)


def deletes_under_prefix(prefix: str = "", bucket: str = "") -> Answer:
    deletes = ("REST.DELETE.OBJECT", "BATCH.DELETE.OBJECT", "S3.EXPIRE.OBJECT")
    rows = [
        row
        for row in between(back(30))
        if row["operation"] in deletes and (row["http_status"] is None or row["http_status"] < 300)
        if (key_of(row) or "").startswith(prefix) and key_of(row) is not None
        if bucket in ("", row["bucket_name"])
    ]
    answer: Answer = []
    for key, some in group(rows, "requester", "remote_ip", "user_agent", "bucket_name", "operation"):
        keys = [str(key_of(row)) for row in some]
        answer.append((*key, len(some), min(keys), max(keys), *times(some)))
    return order(answer, -6, 1, 2, 3, 4, 5)


def object_history(bucket: str, key: str) -> Answer:
    names = (
        *("request_time", "operation", "requester", "remote_ip", "http_status", "error_code", "version_id"),
        *("bytes_sent_size", "object_size", "user_agent", "request_id", "parse_status", "source_key", "line_no"),
    )
    rows = [row for row in between(back(365)) if row["bucket_name"] == bucket and key_of(row) == key]
    return [tuple(row[name] for name in names) for row in by_line(rows)]


def last_access_per_prefix(depth: int = 1, bucket: str = "") -> Answer:
    reads = ("REST.GET.OBJECT", "REST.HEAD.OBJECT", "REST.COPY.OBJECT_GET", "WEBSITE.GET.OBJECT")
    rows = []
    for row in between(back(90)):
        if row["key_name"] is None or row["http_status"] is None or row["http_status"] >= 400:
            continue
        if row["operation"].startswith("S3.") or bucket not in ("", row["bucket_name"]):
            continue
        folders = str(key_of(row)).split("/")[:-1][:depth]
        rows.append(row | {"prefix": "".join(folder + "/" for folder in folders)})
    answer: Answer = []
    for key, some in group(rows, "bucket_name", "prefix"):
        read = [row["request_time"] for row in some if row["operation"] in reads]
        answer.append((*key, max(read, default=None), times(some)[1], len(some)))
    return order(answer, 4, 1, 2)


def ambiguous_lines(rows: int = 100) -> Answer:
    names = (
        *("request_time", "bucket_name", "remote_ip", "requester", "operation", "key_name", "http_status"),
        *("signature_version", "source_key", "line_no", "raw_line"),
    )
    found = [row for row in between(back(30)) if row["parse_status"] == "ambiguous"]
    return [tuple(row[name] for name in names) for row in by_line(found)[:rows]]


CASES: list[tuple[str, dict[str, str], Callable[[], Answer]]] = [
    ("recipe_first_rows", {}, first_rows),
    ("recipe_first_rows", {"since": "-40d", "rows": "1000"}, lambda: first_rows(back(40), 1000)),
    ("recipe_sigv2_by_client", {}, sigv2_by_client),
    ("recipe_sigv2_by_user_agent", {}, sigv2_by_user_agent),
    (
        "recipe_sigv2_by_user_agent",
        {"hours": "501", "until": "2024-03-05"},
        lambda: sigv2_by_user_agent(501, "2024-03-05"),
    ),
    ("top_requesters", {}, top_requesters),
    (
        "top_requesters",
        {"since": "2024-02-20", "until": "-3d", "rows": "2"},
        lambda: top_requesters("2024-02-20", back(3), 2),
    ),
    ("requests_by_day_and_operation", {}, requests_by_day_and_operation),
    ("errors_by_code", {}, errors_by_code),
    ("bytes_out_by_bucket_and_requester", {}, bytes_out_by_bucket_and_requester),
    ("slowest_operations", {}, slowest_operations),
    ("unauthenticated_access", {}, unauthenticated_access),
    ("tls_below_1_2", {}, tls_below_1_2),
    ("acl_dependent_requests", {}, acl_dependent_requests),
    ("deletes_under_prefix", {}, deletes_under_prefix),
    ("deletes_under_prefix", {"prefix": "a/", "bucket": "b2"}, lambda: deletes_under_prefix("a/", "b2")),
    ("object_history", {"bucket": "b1", "key": "a/b/c.txt"}, lambda: object_history("b1", "a/b/c.txt")),
    ("last_access_per_prefix", {}, last_access_per_prefix),
    ("last_access_per_prefix", {"depth": "2", "bucket": "b3"}, lambda: last_access_per_prefix(2, "b3")),
    ("last_access_per_prefix", {"depth": "0"}, lambda: last_access_per_prefix(0)),
    ("ambiguous_lines", {}, ambiguous_lines),
    ("ambiguous_lines", {"rows": "3"}, lambda: ambiguous_lines(3)),
]


@pytest.mark.parametrize(("name", "values", "reference"), CASES)
def test_a_query_answers_as_the_reference_does(
    lake: duckdb.DuckDBPyConnection, name: str, values: dict[str, str], reference: Callable[[], Answer]
) -> None:
    expected = reference()
    found = ask_for(lake, name, NEWEST, **values)
    if name == "recipe_first_rows":
        assert [row[-1] for row in found] == ["000001" if row[-3] % 3 else None for row in found]  # batch_id
        found = [row[:-1] for row in found]
    assert expected, "the rows of this test must bring something up"
    assert found == expected


def test_every_shipped_query_has_a_reference() -> None:
    shipped = {query.name for query in list_queries() if not query.name.startswith("detections/")}
    assert {name for name, _, _ in CASES} == shipped


def test_results_have_only_types_that_athena_has(lake: duckdb.DuckDBPyConnection) -> None:
    for name, values, _ in CASES:
        sql = to_duckdb(bind(find_query(name), values, newest_day=NEWEST))
        schema = run_query(lake, sql).read_all().schema
        assert set(schema.types) <= {pa.string(), pa.int32(), pa.int64(), pa.timestamp("ms")}, name


def test_no_query_shows_anything_on_an_empty_lake() -> None:
    connection = connect(snapshot_of())
    for name, values, _ in CASES:
        assert ask_for(connection, name, NEWEST, **values) == []


def test_percentiles_are_the_nearest_rank(tmp_path: Path) -> None:
    taken = [(duration, "REST.GET.OBJECT") for duration in range(1, 101)]
    taken += [(duration * 7, "REST.PUT.OBJECT") for duration in range(1, 61)] + [(9, "REST.HEAD.OBJECT")]
    rows = [
        make_row("2024-03-10T00:00:00", line_no=number, total_duration=duration, operation=operation)
        for number, (duration, operation) in enumerate(taken)
    ]
    assert ask_for(connect_rows(tmp_path, rows), "slowest_operations", NEWEST) == [
        ("REST.PUT.OBJECT", 60, 30 * 7, 57 * 7, 60 * 7, 60 * 7),
        ("REST.GET.OBJECT", 100, 50, 95, 99, 100),
        ("REST.HEAD.OBJECT", 1, 9, 9, 9, 9),
    ]


# --- SigV2 ------------------------------------------------------------------------------------------------------------

LINE = (
    b"owner b1 [10/Mar/2024:00:00:38 +0000] 192.0.2.3 me 3E57427F33A59F07 REST.GET.OBJECT k "
    b'"GET /k HTTP/1.1" 200 - 5 5 7 - "-" "agent%s" - host SigV2'
)


@pytest.mark.parametrize(
    ("tail", "counted"),
    [
        (b" ECDHE AuthHeader b1.s3.amazonaws.com TLSv1.2", 1),
        (b"", 0),  # 20 fields: the signature version is the last one, and may have been cut
        (b"  \r", 0),
        (b" -", 1),  # 21 fields, plain HTTP
        (b" ECDHE", 1),
        (b" - AuthHeader", 1),
    ],
)
def test_a_cut_line_counts_if_it_goes_on_after_its_signature_version(tail: bytes, counted: int, tmp_path: Path) -> None:
    table = parse(LINE % b"" + tail + b"\n", source_key="s3://logs/x").table
    connection = connect_rows(tmp_path, table.to_pylist())
    assert len(ask_for(connection, "recipe_sigv2_by_client", NEWEST)) == counted


def test_an_ambiguous_line_is_no_sigv2(tmp_path: Path) -> None:
    forged = b'" - host SigV2 - - h" "x" - host SigV2 ECDHE AuthHeader h TLSv1.2'
    row = parse(LINE % forged, source_key="s3://logs/x").table.to_pylist()[0]
    assert (row["parse_status"], row["signature_version"]) == ("ambiguous", "SigV2")
    connection = connect_rows(tmp_path, [row])
    assert ask_for(connection, "recipe_sigv2_by_client", NEWEST) == []
    assert ask_for(connection, "recipe_sigv2_by_user_agent", NEWEST) == []
    assert len(ask_for(connection, "ambiguous_lines", NEWEST)) == 1


def test_the_last_24_hours_end_now_if_the_logs_are_fresh(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
    rows = [
        make_row((now - dt.timedelta(hours=hours)).isoformat(), signature_version="SigV2", user_agent=f"{hours}h")
        for hours in (1, 23, 25, 47)
    ]
    found = ask_for(connect_rows(tmp_path, rows), "recipe_sigv2_by_user_agent", now.date().isoformat())
    assert [row[2] for row in found] == ["1h", "23h"]
