"""The printed DDL says in SQL what Glue is given as JSON: the same tables, the same views."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from etl.catalog import State, access_logs_input, exact_input, recipe_input, table_input
from etl.ddl import ddl
from etl.schema import TABLES, Table

LAKE, FIRST_DAY, STATE = "s3://bucket/some/o'lake", "2019-01-01", State("0000000007", "2024-05-01")
PRINTED = ddl(
    location=LAKE,
    database="logs",
    recipe_database="old",
    first_day=FIRST_DAY,
    batch=STATE.batch,
    raw_since=STATE.raw_since,
)
# What Hive makes of STORED AS PARQUET, as AWS documents it (https://docs.aws.amazon.com/athena/latest/ug/parquet-serde.html).
STORED_AS_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_printed_table_is_the_one_that_glue_gets(table: Table) -> None:
    expected = table_input(table, lake_uri=LAKE, first_day=FIRST_DAY)
    (printed,) = [sql for sql in PRINTED if f"`{table.name}`" in sql.partition("\n")[0]]
    assert as_table_input(printed) == expected


def as_table_input(sql: str) -> dict[str, Any]:
    """What Athena makes of CREATE EXTERNAL TABLE in Glue."""
    created = sqlglot.parse_one(sql, read="athena")
    name, location = created.find(exp.Table), created.find(exp.LocationProperty)
    partition, stored = created.find(exp.PartitionedByProperty), created.find(exp.FileFormatProperty)
    assert name is not None
    assert location is not None
    assert partition is not None
    assert stored is not None
    assert created.find(exp.ExternalProperty) is not None
    assert stored.this.name == "PARQUET"
    keys = [_column(column) for column in partition.find_all(exp.ColumnDef)]
    columns = [_column(column) for column in created.this.find_all(exp.ColumnDef)]
    properties = {
        each.name: each.args["value"].name for each in created.find_all(exp.Property) if type(each) is exp.Property
    }
    return {
        "Name": name.name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", **properties},
        "PartitionKeys": keys,
        "StorageDescriptor": {
            "Columns": [column for column in columns if column not in keys],
            "Location": location.this.name,
            **STORED_AS_PARQUET,
        },
    }


def _column(column: exp.ColumnDef) -> dict[str, str]:
    comment = column.find(exp.CommentColumnConstraint)
    found = {"Name": column.name, "Type": column.args["kind"].sql("hive").lower()}
    return found if comment is None else found | {"Comment": comment.this.name}


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ('"logs"."access_logs"', access_logs_input(STATE, database="logs", lake_uri=LAKE)),
        ('"logs"."access_logs_exact"', exact_input(database="logs", lake_uri=LAKE)),
        ('"old"."s3accesslog"', recipe_input(database="logs", recipe_database="old", lake_uri=LAKE)),
    ],
)
def test_a_printed_view_is_the_one_that_glue_gets(name: str, view: dict[str, Any]) -> None:
    (printed,) = [sql for sql in PRINTED if sql.startswith(f"CREATE OR REPLACE VIEW {name} AS\n")]
    text = view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    assert printed.partition(" AS\n")[2] == json.loads(base64.b64decode(text))["originalSql"]


def test_nothing_else_is_printed() -> None:
    assert len(PRINTED) == 1 + len(TABLES) + 3
