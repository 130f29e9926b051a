"""The one field list, held against the design's words, and everything that is derived from it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import etl
from etl import schema
from etl.schema import (
    ADDED_FIELDS,
    COMPACTED_FIELDS,
    COMPACTED_SCHEMA,
    COMPACTED_TABLE,
    FIELDS,
    QUARANTINE_SCHEMA,
    QUARANTINE_TABLE,
    RAW_TABLE,
    RAW_TABLE_FIELDS,
    RECIPE_COLUMNS,
    SCHEMA,
    TABLES,
    WIRE_FIELDS,
    Kind,
    docs_table,
    glue_columns,
)

AWS_TEXT = (
    "bucket_owner_id bucket_name request_time remote_ip requester request_id operation key_name request_uri http_status "
    "error_code bytes_sent_size object_size total_duration turn_around_duration referer user_agent version_id host_id "
    "signature_version cipher_suite authentication_type host_header tls_version access_point_arn acl_required "
    "source_region"
)
AWS_NAMES = AWS_TEXT.split()
ADDED_NAMES = ["object_key", "extra_fields", "parse_status", "raw_line", "source_key", "line_no", "event_date"]
NUMBERS = {"http_status": pa.int32()} | dict.fromkeys(
    ("bytes_sent_size", "object_size", "total_duration", "turn_around_duration", "line_no"), pa.int64()
)
HIVE_OF_ARROW = {pa.string(): "string", pa.int32(): "int", pa.int64(): "bigint", pa.timestamp("ms"): "timestamp"}


def arrow_type(name: str) -> pa.DataType:
    return pa.timestamp("ms") if name == "request_time" else NUMBERS.get(name, pa.string())


def test_the_27_fields_are_those_of_a_log_line_under_the_names_of_aws() -> None:
    assert [field.name for field in WIRE_FIELDS] == AWS_NAMES
    assert [field.wire for field in WIRE_FIELDS] == list(range(1, 28))


def test_the_parser_adds_seven_columns_after_them() -> None:
    assert [field.name for field in ADDED_FIELDS] == ADDED_NAMES
    assert {field.wire for field in ADDED_FIELDS} == {None}
    assert FIELDS == WIRE_FIELDS + ADDED_FIELDS


def test_the_arrow_schema_has_the_types_of_the_contract() -> None:
    assert pa.schema([(name, arrow_type(name)) for name in [*AWS_NAMES, *ADDED_NAMES]]) == SCHEMA
    assert etl.SCHEMA is SCHEMA
    assert SCHEMA.field("request_time").type.tz is None


def test_a_kind_says_the_same_to_arrow_and_to_hive() -> None:
    assert {kind.arrow: kind.hive for kind in Kind} == HIVE_OF_ARROW


def test_a_compacted_file_has_the_batch_and_leaves_the_day_to_its_path() -> None:
    names = [name for name in [*AWS_NAMES, *ADDED_NAMES] if name != "event_date"]
    assert COMPACTED_SCHEMA.names == [*names, "batch_id"]
    assert [field.name for field in COMPACTED_FIELDS] == COMPACTED_SCHEMA.names
    assert COMPACTED_SCHEMA.field("batch_id").type == pa.string()
    for name in names:
        assert COMPACTED_SCHEMA.field(name) == SCHEMA.field(name)


def test_raw_and_compacted_have_the_same_columns_but_for_the_batch() -> None:
    assert [*RAW_TABLE_FIELDS, schema.BATCH_ID] == list(COMPACTED_FIELDS)


@pytest.mark.parametrize(
    ("table", "arrow"),
    [
        (RAW_TABLE, SCHEMA.remove(SCHEMA.get_field_index("event_date"))),
        (COMPACTED_TABLE, COMPACTED_SCHEMA),
        (QUARANTINE_TABLE, QUARANTINE_SCHEMA),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_glue_and_arrow_agree_on_a_table(table: schema.Table, arrow: pa.Schema) -> None:
    hive = {**HIVE_OF_ARROW, pa.binary(): "binary"}
    expected = [{"Name": field.name, "Type": hive[field.type]} for field in arrow]
    columns = glue_columns(table)
    assert [{"Name": column["Name"], "Type": column["Type"]} for column in columns] == expected
    assert [column["Comment"] for column in columns] == [comment for _, _, comment in table.columns]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_can_be_made_in_glue(table: schema.Table) -> None:
    names = [name for name, _, _ in table.columns]
    assert len(set(names)) == len(names)
    assert table.partition_key not in names, "Hive refuses a table with a column twice"
    for name, _, comment in table.columns:
        assert name == name.lower()
        assert 0 < len(comment) <= 255, "Glue's limit for a comment"
        assert comment.isprintable()


def test_the_tables_are_those_of_the_design() -> None:
    assert {table.name: (table.folder, table.partition_key) for table in TABLES} == {
        "access_logs_raw": ("raw", "ingest_date"),
        "access_logs_compacted": ("compacted", "event_date"),
        "access_logs_quarantine": ("quarantine", "ingest_date"),
        "access_logs_findings": ("findings", "detected_date"),
    }


def test_the_recipe_has_22_columns_of_ours_under_its_own_names() -> None:
    names = (
        "Bucket Timestamp RemoteIP Requester RequestID Operation Key RequestURI HTTPstatus ErrorCode BytesSent ObjectSize "
        "TotalTime TurnAroundTime Referrer UserAgent VersionId HostId SignatureVersion CipherSuite AuthenticationType "
        "HostHeader"
    )
    assert [name for name, _, _ in RECIPE_COLUMNS] == names.lower().split()
    assert [kind for _, kind, _ in RECIPE_COLUMNS] == ["string", "timestamp", *["string"] * 20]
    ours = [name for _, _, name in RECIPE_COLUMNS]
    assert ours == [name for name in AWS_NAMES[1:23] if name in ours]
    assert len(set(ours)) == 22


def test_the_docs_hold_the_table_that_the_schema_generates() -> None:
    page = (Path(__file__).parent.parent / "docs" / "schema.md").read_text(encoding="utf-8")
    assert page.endswith("\n\n" + docs_table())


def test_the_docs_table_lists_every_field_in_order() -> None:
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in docs_table().splitlines()[2:]]
    assert [row[1] for row in rows] == [f"`{name}`" for name in SCHEMA.names]
    assert [row[0] for row in rows] == [str(number) for number in range(1, 28)] + [""] * 7
    assert [row[2] for row in rows] == [HIVE_OF_ARROW[field.type] for field in SCHEMA]
    assert [row[3] for row in rows] == [str(field.type) for field in SCHEMA]
    assert all(len(row) == 5 for row in rows)
