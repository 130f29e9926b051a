"""What `etl.read` hands over is what is in the lake: each row once, all its fields, before, between and after compactions."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from aws_account import aws_account
from glue_lakes import make_glue_lake
from hostile_keys import put_firehose
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_lakes import (
    DAY_1,
    DAY_2,
    DAY_3,
    Truth,
    add_logs,
    difference,
    line,
    local_truth,
    log_text,
    make_lake,
    put_raw,
    raw_row,
    rows_of,
    text,
    truth_of,
)

from etl import SCHEMA, parse
from etl.catalog import State, access_logs_input
from etl.compact import compact
from etl.errors import AccessLakeError, BadParameter, LakeMismatch, LakeNotFound, QueryError, UsageError
from etl.ingest import ingest
from etl.lake import GLUE_STATE, create_lake, open_lake
from etl.parse import decode_key
from etl.query._object_key import decoded_key
from etl.read import read, read_athena, read_compacted_day, read_pandas, read_unloaded
from etl.schema import COMPACTED_SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATE = SCHEMA.names.index("event_date")
STATUS = SCHEMA.names.index("http_status")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return make_lake(tmp_path)


def seen(lake: Path | str, **options: Any) -> Truth:
    table = read(str(lake), **options)
    assert table.schema.equals(SCHEMA)
    return rows_of(table)


# --- Each row once ----------------------------------------------------------------------------------------------------


def test_the_rows_are_the_truth_before_between_and_after_compactions(lake: Path) -> None:
    truth = local_truth(lake.parent / "logs")
    assert difference(seen(lake), truth) == ""
    compact(str(lake), now=DAY_2)
    assert difference(seen(lake), truth) == ""
    late = text(line("2024-05-01T11:00:00", key="late%2520key"), line("2024-05-03T00:00:00", key="next"))
    truth = add_logs(lake, late=late)
    assert difference(seen(lake), truth) == ""
    compact(str(lake), now=DAY_3)
    assert difference(seen(lake), truth) == ""
    assert truth.total() == 70


def test_rows_that_came_through_firehose_are_as_the_parser_read_them(tmp_path: Path) -> None:
    lines = [
        line(key=key, operation=operation) for key in KEYS for operation in ("REST.GET.OBJECT", "S3.EXPIRE.OBJECT")
    ]
    logs = {"s3://logs/a": text(*lines, line("2024-05-01T23:59:59").rsplit(b" ", 6)[0]), "s3://logs/b": log_text(9)}
    lake = tmp_path / "lake"
    create_lake(str(lake))
    for number, (source_key, data) in enumerate(logs.items()):
        path = put_firehose(lake, str(number), parse(data, source_key=source_key).table, day="2024-05-02", lacks=())
        assert pq.read_metadata(path).schema.column(2).physical_type == "INT96"
    truth = truth_of(logs)
    assert {row[SCHEMA.names.index("parse_status")] for row in truth} == {"clean", "short"}
    assert difference(seen(lake), truth) == ""
    assert rows_of(read(str(lake))) == truth
    assert read(str(lake), where="object_key = 'ü b'").num_rows == 2


KEYS = ("a.txt", "%C3%BC+b", "%25C3%25BC%2520b", "a%2", "%25zz", "%FF", "a+b")
PIECES = st.sampled_from(
    [*("%", "+", "a", "4", "25", "%25", "%41", "%00", "C3", "%C3", "%C3%BC", "%25C3%25BC", "%ED%A0%80", "ü", "\n")]
)


@settings(max_examples=150)
@given(st.lists(PIECES, max_size=8).map("".join), st.sampled_from([None, "S3.X", "BATCH.Y", "REST.GET"]))
@example("%C3%25BC", "REST.GET")
@example("%25zz", "S3.X")
def test_a_key_decoded_in_sql_is_the_parsers(key: str, operation: str | None) -> None:
    with duckdb.connect() as connection:
        sql = f"SELECT {decoded_key('k', 'o')} FROM (SELECT ?::VARCHAR AS k, ?::VARCHAR AS o)"
        assert connection.execute(sql, [key, operation]).fetchall() == [(decode_key(key, operation),)]


# --- Days, columns, conditions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        ("2024-05-02", None, {"2024-05-02"}),
        (None, dt.date(2024, 5, 1), {"2024-05-01"}),
        ("2024-05-01", "2024-05-02", {"2024-05-01", "2024-05-02"}),
        ("today", None, {"2024-05-02"}),
        ("-1d", None, {"2024-05-01", "2024-05-02"}),
    ],
)
def test_both_ends_of_a_range_are_in_it(lake: Path, compacted: bool, since: Any, until: Any, days: set[str]) -> None:
    truth = local_truth(lake.parent / "logs")
    if compacted:
        compact(str(lake), now=DAY_2)
    expected = Truth({row: count for row, count in truth.items() if row[DATE] in days})
    assert difference(seen(lake, since=since, until=until), expected) == ""


def test_files_of_other_days_are_not_opened(lake: Path) -> None:
    compact(str(lake), now=DAY_2)
    for file in open_lake(str(lake)).snapshot().compacted:
        if file.day == "2024-05-01":
            Path(file.path).write_bytes(b"no Parquet")
    assert read(str(lake), since="2024-05-02").num_rows > 0
    with pytest.raises(QueryError):
        read(str(lake))


def test_columns_come_in_the_asked_order_and_in_the_schemas_types(lake: Path) -> None:
    names = ["batch_id", "line_no", "request_time", "event_date", "http_status"]
    raw = read(open_lake(str(lake)), columns=names)
    compact(str(lake), now=DAY_2)
    table = read(str(lake), columns=names)
    both = pa.unify_schemas([SCHEMA, COMPACTED_SCHEMA])
    assert raw.schema == table.schema == pa.schema([both.field(name) for name in names])
    assert set(raw["batch_id"].to_pylist()) == {None}
    assert set(table["batch_id"].to_pylist()) == {"0000000001"}


def test_a_condition_of_athena_keeps_its_rows(lake: Path) -> None:
    truth = add_logs(lake, more=text(line(status=404, key="x'y"), line(status="-", key="q")))
    condition = "http_status = 404 OR date_format(request_time, '%Y-%m-%d') = '2024-05-01' -- and no more"
    expected = Truth({row: n for row, n in truth.items() if row[STATUS] == 404 or row[DATE] == "2024-05-01"})
    assert difference(seen(lake, where=condition), expected) == ""
    assert read(str(lake), columns=["key_name"], where="http_status IS NULL").to_pylist() == [{"key_name": "q"}]
    assert read(str(lake), columns=["line_no"], where="key_name = 'x''y' AND event_date > '2024'").num_rows == 1


@pytest.mark.parametrize(
    "where",
    [
        *("", " ", "--", "1 = 1; SELECT 1", "1 = 1) OR (1 = 1", "true UNION SELECT 1", "true ORDER BY key_name", "*"),
        *("EXISTS (SELECT 1 FROM access_logs_quarantine)", "key_name IN (SELECT 'a')", "(SELECT true)"),
        *("DROP TABLE access_logs", "line_no = :n", "no_such_column = 1", "count(*) > 1", "typeof(line_no) = 'bigint'"),
        *("line_no > (SELECT count(*) FROM read_csv('/etc/passwd'))", "key_name = 'a' 'b", "(" * 5000 + "true"),
        *("true LIMIT 1", "true\0", "row_number() OVER () = 1"),
    ],
)
def test_what_is_no_condition_over_a_row_is_refused(lake: Path, where: str) -> None:
    with pytest.raises(QueryError) as raised:
        read(str(lake), where=where)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        *({"columns": names} for names in ([], "key_name", ["key"], ["line_no", "line_no"], ['key_name" FROM x --'])),
        *({"since": day} for day in ("2024-02-30", "yesterday", "", "' OR 1=1", dt.datetime(2024, 5, 1))),
        {"since": "2024-05-03", "until": "2024-05-01"},
    ],
)
def test_what_cannot_be_asked_for_is_refused(lake: Path, options: dict[str, Any]) -> None:
    with pytest.raises(BadParameter):
        read(str(lake), **options)


def test_an_empty_lake_has_no_rows_and_all_columns(tmp_path: Path) -> None:
    create_lake(str(tmp_path / "lake"))
    assert seen(tmp_path / "lake", since="-7d") == Truth()
    with pytest.raises(LakeNotFound):
        read(str(tmp_path / "nothing"))


def test_a_lake_whose_state_glue_keeps_is_read_as_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens it without Glue is refused: the files do not show what is committed."""
    make_glue_lake(str(tmp_path), monkeypatch)
    put_raw(tmp_path, "a", [raw_row("log", 1)])
    assert sum(seen(tmp_path).values()) == 1
    with pytest.raises(LakeMismatch):
        read(open_lake(str(tmp_path), states=(GLUE_STATE,)))


# --- Elsewhere --------------------------------------------------------------------------------------------------------


def test_a_lake_on_s3_reads_as_one_in_a_folder(s3: S3Client, new_bucket: Callable[[], str], tmp_path: Path) -> None:
    logs = make_lake(tmp_path).parent / "logs"
    uri = f"s3://{new_bucket()}/some/lake"
    ingest([str(logs)], lake=uri, now=DAY_1)
    assert difference(seen(uri), local_truth(logs)) == ""
    compact(uri, now=DAY_2)
    (logs / "late.log").write_bytes(log_text(5, seed="late"))
    ingest([str(logs)], lake=uri, now=DAY_2)
    truth = local_truth(logs)
    assert difference(seen(uri), truth) == ""
    expected = Truth({row: count for row, count in truth.items() if row[DATE] == "2024-05-02"})
    assert difference(seen(uri, since="2024-05-02", where="http_status = 200"), expected) == ""


def test_pandas_has_arrow_types_and_keeps_nulls(lake: Path) -> None:
    frame = read_pandas(str(lake), columns=["http_status", "object_size", "request_time", "requester"])
    assert [each.pyarrow_dtype for each in frame.dtypes] == [pa.int32(), pa.int64(), pa.timestamp("ms"), pa.string()]
    assert len(frame) == 68
    assert frame["requester"].isna().all()


@pytest.mark.parametrize("call", [read_pandas, lambda lake: read_compacted_day("2024-05-01", lake=lake, database="d")])
def test_without_pandas_one_line_says_what_to_install(
    lake: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[str], object]
) -> None:
    for name in ("pandas", "awswrangler"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(UsageError, match=r"accesslake\[pandas\]"):
        call(str(lake))


# --- awswrangler ------------------------------------------------------------------------------------------------------


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("awswrangler")
    with aws_account(monkeypatch):
        boto3.client("s3").create_bucket(Bucket="lake-bucket")
        yield


def test_a_compacted_day_is_its_committed_rows(lake: Path, account: None) -> None:
    truth = local_truth(lake.parent / "logs")
    compact(str(lake), now=DAY_2)
    add_logs(lake, late=text(line(key="not-committed-there")))
    compact(str(lake), now=DAY_3)
    client = boto3.client("s3")
    for path in sorted((lake / "compacted").rglob("*.parquet")):
        client.upload_file(str(path), "lake-bucket", f"l/{path.relative_to(lake).as_posix()}")
    glue: Any = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "logs"})
    view = access_logs_input(State("0000000001", "2024-05-01"), database="logs", lake_uri="s3://lake-bucket/l")
    glue.create_table(DatabaseName="logs", TableInput=view)

    frame = read_compacted_day("2024-05-02", lake="s3://lake-bucket/l/", database="logs")
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    assert table.schema.equals(SCHEMA)
    assert difference(rows_of(table), Truth({r: n for r, n in truth.items() if r[DATE] == "2024-05-02"})) == ""
    assert len(read_compacted_day(dt.date(2024, 5, 9), lake="s3://lake-bucket/l", database="logs")) == 0
    with pytest.raises(AccessLakeError):
        read_compacted_day("../raw", lake="s3://lake-bucket/l", database="logs")


@pytest.mark.parametrize("unload", [False, True])
def test_athena_is_asked_without_making_a_table(account: None, monkeypatch: pytest.MonkeyPatch, unload: bool) -> None:
    import awswrangler as wr

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(wr.athena, "read_sql_query", lambda sql, **options: asked.append({"sql": sql, **options}))
    call: Any = read_unloaded if unload else read_athena
    call("SELECT 1 AS one", database="logs", output="s3://lake-bucket/out")
    (given,) = asked
    assert (given["ctas_approach"], given.get("unload_approach", False)) == (False, unload)
    assert given["dtype_backend"] == "pyarrow"
    folder = os.path.dirname(given["s3_output"].rstrip("/")) if unload else given["s3_output"]
    assert folder == "s3://lake-bucket/out"


@pytest.mark.filterwarnings("ignore:The copy keyword is deprecated")  # awswrangler 3.17 on pandas 3
def test_athenas_answer_comes_back_typed(account: None) -> None:
    """The answer is one that moto was given before; no SQL is run."""
    rows = [{"Data": [{"VarCharValue": value} for value in row]} for row in (("operation", "n"), ("REST.GET", "7"))]
    columns = [
        {"Name": name, "Type": kind, "CatalogName": "hive", "Precision": 0, "Scale": 0, "CaseSensitive": False}
        for name, kind in (("operation", "varchar"), ("n", "bigint"))
    ]
    canned: Any = {"results": [{"rows": rows, "column_info": columns}]}
    requests.post("http://motoapi.amazonaws.com/moto-api/static/athena/query-results", json=canned, timeout=5)
    boto3.client("glue").create_database(DatabaseInput={"Name": "logs"})
    frame = read_athena("SELECT operation, n FROM t", database="logs", output="s3://lake-bucket/out/")
    assert frame.to_dict("records") == [{"operation": "REST.GET", "n": 7}]
    assert frame.dtypes["n"].pyarrow_dtype == pa.int64()
