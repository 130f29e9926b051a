"""The DDL parses as Athena's, obeys the rules of partition projection, and its views give the rows they promise."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from etl.ddl import (
    DEFAULT_FIRST_DAY,
    access_logs_exact_sql,
    access_logs_sql,
    create_table,
    ddl,
    recipe_view_sql,
    table_properties,
)
from etl.schema import COMPACTED_TABLE, RAW_TABLE, RECIPE_COLUMNS, SCHEMA, TABLES, Table, glue_columns

LOCATION = "s3://bucket/some/lake"
VIEW_COLUMNS = [*(name for name in SCHEMA.names if name != "event_date"), "event_date", "batch_id"]
PROJECTION_KEYS = {"enabled", "type", "format", "range", "interval", "interval.unit"}
UNITS = {"YEARS", "MONTHS", "WEEKS", "DAYS", "HOURS", "MINUTES", "SECONDS", "MILLISECONDS"}


def parse_table(sql: str) -> exp.Create:
    (statement,) = sqlglot.parse(sql, read="athena")
    assert isinstance(statement, exp.Create)
    return statement


def properties_of(created: exp.Create) -> dict[str, str]:
    return {each.name: each.args["value"].name for each in created.find_all(exp.Property) if type(each) is exp.Property}


def make(table: Table, location: str = LOCATION) -> exp.Create:
    return parse_table(create_table(table, database="logs", location=location, first_day="2019-01-01"))


# --- Tables -----------------------------------------------------------------------------------------------------------


def test_every_statement_is_one_that_athena_knows() -> None:
    statements = [sqlglot.parse(sql, read="athena") for sql in ddl(location=LOCATION, database="logs")]
    assert all(len(each) == 1 and isinstance(each[0], exp.Create) for each in statements)
    kinds = [each[0].args["kind"] for each in statements if each[0]]
    assert kinds == ["DATABASE", "TABLE", "TABLE", "TABLE", "TABLE", "VIEW", "VIEW", "VIEW"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_the_columns_and_comments_that_glue_gets(table: Table) -> None:
    created = make(table)
    columns = list(created.this.find_all(exp.ColumnDef))
    partition = created.find(exp.PartitionedByProperty)
    assert partition is not None
    keys = [(each.name, each.args["kind"].sql("hive").lower()) for each in partition.find_all(exp.ColumnDef)]
    assert keys == [(table.partition_key, "string")]
    found = []
    for column in columns:
        comment = column.find(exp.CommentColumnConstraint)
        assert comment is not None
        kind = column.args["kind"].sql("hive").lower()
        found.append({"Name": column.name, "Type": kind, "Comment": comment.this.name})
    assert [column for column in found if column["Name"] != table.partition_key] == glue_columns(table)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("location", [LOCATION, LOCATION + "/", "s3://bucket", "s3://bucket/o'brien"])
def test_a_table_lies_in_its_own_folder_of_the_lake(table: Table, location: str) -> None:
    found = make(table, location).find(exp.LocationProperty)
    assert found is not None
    assert found.this.name == f"{location.rstrip('/')}/{table.folder}/"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_projection_obeys_the_rules_of_athena(table: Table) -> None:
    properties = properties_of(make(table))
    assert properties == table_properties(table, first_day="2019-01-01")
    assert properties["projection.enabled"] == "true"
    assert "storage.location.template" not in properties, "the layout is the default one"
    assert all(name == name.lower() for name in properties)
    key = f"projection.{table.partition_key}."
    for name in properties:
        if name.startswith("projection."):
            assert name.removeprefix(key).removeprefix("projection.") in PROJECTION_KEYS
    assert properties[f"{key}type"] == "date"
    assert properties[f"{key}format"] == "yyyy-MM-dd"
    assert properties[f"{key}interval"] == "1"
    assert properties[f"{key}interval.unit"] in UNITS
    start, end = properties[f"{key}range"].split(",")
    assert end == "NOW", "upper-case: other spellings fail in the query"
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", start)
    assert dt.date.fromisoformat(start) < dt.date(2024, 1, 1)
    assert properties["parquet.compression"] == ("SNAPPY" if table is RAW_TABLE else "ZSTD")


def test_the_first_day_is_the_one_that_s3_began_on() -> None:
    assert DEFAULT_FIRST_DAY == "2006-03-14"
    for statement in ddl(location=LOCATION, database="logs")[1:5]:
        assert f"'{DEFAULT_FIRST_DAY},NOW'" in statement


def test_a_name_cannot_leave_its_quotes() -> None:
    for statement in ddl(location=LOCATION, database='a"b`c', recipe_database='d"e', batch="'x", raw_since="'y"):
        (parsed,) = sqlglot.parse(statement, read="athena")
        assert parsed is not None
        databases = {table.db or table.name for table in parsed.find_all(exp.Table)}
        assert databases <= {'a"b`c', 'd"e'}


# --- Views ------------------------------------------------------------------------------------------------------------


def arms(sql: str) -> list[exp.Select]:
    union = sqlglot.parse_one(sql, read="athena")
    assert isinstance(union, exp.Union)
    assert not union.args["distinct"], "UNION ALL: UNION would fold legitimate twins"
    return [union.left, union.right]  # type: ignore[list-item]


def test_both_arms_of_the_view_name_every_column_in_the_same_order() -> None:
    for arm in arms(access_logs_sql(database="logs", batch="0000000007", raw_since="2024-05-01")):
        assert arm.named_selects == VIEW_COLUMNS


def test_the_exact_view_has_the_same_columns() -> None:
    select = sqlglot.parse_one(access_logs_exact_sql(database="logs"), read="athena")
    assert isinstance(select, exp.Select)
    assert select.named_selects == VIEW_COLUMNS


def test_the_recipe_view_has_the_recipe_s_22_columns() -> None:
    select = sqlglot.parse_one(recipe_view_sql(database="logs"), read="athena")
    assert isinstance(select, exp.Select)
    assert select.named_selects == [name for name, _, _ in RECIPE_COLUMNS]


@pytest.fixture
def athena() -> duckdb.DuckDBPyConnection:
    """The tables and views in DuckDB: five rows in two batches, and three in raw/, of which two are one delivered twice."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA logs")
    for table in (RAW_TABLE, COMPACTED_TABLE):
        columns = [*((name, kind) for name, kind, _ in table.columns), (table.partition_key, "string")]
        connection.execute(f"CREATE TABLE logs.{table.name} ({', '.join(f'{name} {kind}' for name, kind in columns)})")
    compacted = [
        _row("a", 1, batch_id="0000000001"),
        _row("a", 2, batch_id="0000000001"),
        _row("a", 2, batch_id="0000000002"),  # a legitimate row of another batch with the same key: never folded here
        _row("a", 3, batch_id="0000000002", parse_status="ambiguous", signature_version="SigV2"),
        _row("a", 4, batch_id="0000000003"),
    ]
    raw = [
        _row("b", 1, ingest_date="2024-05-02", http_status=404),
        _row("b", 1, ingest_date="2024-05-03", http_status=404),
        _row("b", 2, ingest_date="2024-05-02", request_time=dt.datetime(2024, 4, 30, 23, 59, 59, 999000)),
        _row("c", 1, ingest_date="2024-05-01"),
    ]
    for name, rows in ((RAW_TABLE.name, raw), (COMPACTED_TABLE.name, compacted)):
        for row in rows:
            if name == RAW_TABLE.name:
                row.pop("event_date")
            names = ", ".join(row)
            connection.execute(
                f"INSERT INTO logs.{name} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
            )
    for sql in ddl(
        location=LOCATION, database="logs", recipe_database="logs", batch="0000000002", raw_since="2024-05-02"
    )[5:]:
        connection.execute(sqlglot.transpile(sql, read="athena", write="duckdb")[0])
    return connection


def _row(source_key: str, line_no: int, **values: object) -> dict[str, Any]:
    moment = dt.datetime(2024, 5, 1, 23, 59, 59)
    row = {"source_key": source_key, "line_no": line_no, "request_time": moment, "event_date": "2024-05-01"}
    return row | {"parse_status": "clean", "signature_version": "SigV4", "bytes_sent_size": 7} | values


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def test_the_view_ends_at_the_batch_and_begins_at_the_raw_day(athena: duckdb.DuckDBPyConnection) -> None:
    seen = ask(athena, "SELECT source_key, line_no, batch_id FROM logs.access_logs ORDER BY ALL")
    assert seen == [
        ("a", 1, "0000000001"),
        ("a", 2, "0000000001"),
        ("a", 2, "0000000002"),
        ("a", 3, "0000000002"),
        ("b", 1, None),
        ("b", 1, None),
        ("b", 2, None),
    ]


def test_the_view_derives_the_day_of_a_raw_row_from_its_time(athena: duckdb.DuckDBPyConnection) -> None:
    assert ask(athena, "SELECT DISTINCT event_date FROM logs.access_logs WHERE line_no = 2 AND source_key = 'b'") == [
        ("2024-04-30",)
    ]


def test_the_exact_view_folds_only_what_raw_holds_twice(athena: duckdb.DuckDBPyConnection) -> None:
    seen = ask(athena, "SELECT source_key, line_no, count(*) FROM logs.access_logs_exact GROUP BY ALL ORDER BY ALL")
    assert seen == [("a", 1, 1), ("a", 2, 2), ("a", 3, 1), ("b", 1, 1), ("b", 2, 1)]


def test_the_recipe_view_has_the_recipe_s_types_and_withholds_the_signature_of_an_ambiguous_row(
    athena: duckdb.DuckDBPyConnection,
) -> None:
    described = ask(athena, "DESCRIBE logs.s3accesslog")
    types = {"string": "VARCHAR", "timestamp": "TIMESTAMP"}
    assert [row[:2] for row in described] == [(name, types[kind]) for name, kind, _ in RECIPE_COLUMNS]
    seen = ask(
        athena,
        "SELECT signatureversion, httpstatus, bytessent, count(*) FROM logs.s3accesslog GROUP BY ALL ORDER BY ALL",
    )
    assert seen == [("SigV4", "404", "7", 2), ("SigV4", None, "7", 4), (None, None, "7", 1)]
