"""The lake's tables and views as Athena DDL, generated from the schema: pure.

Partition projection only takes properties it knows in spellings it knows, and a mistake shows in queries, not here
(https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html): hence one function, and tests on it.
"""

from __future__ import annotations

from typing import Final

from etl.schema import (
    COMPACTED_TABLE,
    EVENT_DATE,
    RAW_TABLE,
    RAW_TABLE_FIELDS,
    RECIPE_COLUMNS,
    TABLES,
    Table,
)

DEFAULT_FIRST_DAY: Final = "2006-03-14"
RECIPE_VIEW: Final = "s3accesslog"


def table_properties(table: Table, *, first_day: str) -> dict[str, str]:
    """Table properties of a partition-projected table: days from `first_day` to now, in UTC."""
    key = f"projection.{table.partition_key}"
    return {
        "classification": "parquet",
        "parquet.compression": table.compression,
        "projection.enabled": "true",
        f"{key}.type": "date",
        f"{key}.format": "yyyy-MM-dd",
        f"{key}.range": f"{first_day},NOW",
        f"{key}.interval": "1",
        f"{key}.interval.unit": "DAYS",
    }


def create_table(table: Table, *, database: str, location: str, first_day: str) -> str:
    """`CREATE EXTERNAL TABLE` of one table of the lake at `location`."""
    columns = ",\n".join(f"  `{name}` {kind} COMMENT {_hive_text(comment)}" for name, kind, comment in table.columns)
    properties = ",\n".join(
        f"  {_hive_text(name)} = {_hive_text(value)}"
        for name, value in table_properties(table, first_day=first_day).items()
    )
    # Two slashes in a row would name another prefix, in which nothing is.
    folder = f"{location.rstrip('/')}/{table.folder}/"
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {_hive_name(database)}.`{table.name}` (\n{columns}\n)\n"
        f"PARTITIONED BY (`{table.partition_key}` string)\n"
        "STORED AS PARQUET\n"
        f"LOCATION {_hive_text(folder)}\n"
        f"TBLPROPERTIES (\n{properties}\n)"
    )


def access_logs_sql(*, database: str, batch: str, raw_since: str) -> str:
    """The SELECT of the view `access_logs`: committed batches, and the raw days since `raw_since`, each row in one arm."""
    names = ", ".join(field.name for field in RAW_TABLE_FIELDS)
    raw = ", ".join(f"{LEFT_OUT[name]} AS {name}" if name in LEFT_OUT else name for name in names.split(", "))
    day = "date_format(request_time, '%Y-%m-%d')"
    return (
        f"SELECT {names}, event_date, batch_id\n"
        f'FROM {_name(database)}."{COMPACTED_TABLE.name}" WHERE batch_id <= {_text(batch)}\n'
        "UNION ALL\n"
        f"SELECT {raw}, {day} AS {EVENT_DATE.name}, CAST(NULL AS varchar) AS batch_id\n"
        f'FROM {_name(database)}."{RAW_TABLE.name}" WHERE ingest_date >= {_text(raw_since)}'
    )


def access_logs_exact_sql(*, database: str) -> str:
    """The SELECT of `access_logs_exact`: Firehose delivers at least once, so rows of the raw arm are folded by identity."""
    names = ", ".join([*(field.name for field in RAW_TABLE_FIELDS), "event_date", "batch_id"])
    return (
        f"SELECT {names} FROM (\n"
        "  SELECT *, row_number() OVER (PARTITION BY event_date, batch_id, source_key, line_no "
        "ORDER BY request_time) AS delivery\n"
        f'  FROM {_name(database)}."access_logs"\n'
        ") WHERE batch_id IS NOT NULL OR delivery = 1"
    )


def recipe_view_sql(*, database: str) -> str:
    """The SELECT of `s3accesslog`: the 22 columns of the 2019 recipe, so that its published queries run unchanged."""
    columns = []
    for name, kind, ours in RECIPE_COLUMNS:
        if ours == "signature_version":
            value = "CASE WHEN parse_status <> 'ambiguous' THEN signature_version END"
        elif kind == "string" and ours in _NUMBERS:
            value = f"CAST({ours} AS varchar)"
        else:
            value = ours
        columns.append(f'  {value} AS "{name}"')
    listed = ",\n".join(columns)
    return f'SELECT\n{listed}\nFROM {_name(database)}."access_logs"'


def ddl(
    *,
    location: str,
    database: str,
    recipe_database: str = "default",
    first_day: str = DEFAULT_FIRST_DAY,
    batch: str = "",
    raw_since: str = DEFAULT_FIRST_DAY,
) -> list[str]:
    """All statements, in the order in which they can be run. `batch` and `raw_since` are the lake's state."""
    tables = [create_table(table, database=database, location=location, first_day=first_day) for table in TABLES]
    views = {
        f'{_name(database)}."access_logs"': access_logs_sql(database=database, batch=batch, raw_since=raw_since),
        f'{_name(database)}."access_logs_exact"': access_logs_exact_sql(database=database),
        f'{_name(recipe_database)}."{RECIPE_VIEW}"': recipe_view_sql(database=database),
    }
    created = [f"CREATE OR REPLACE VIEW {name} AS\n{select}" for name, select in views.items()]
    return [f"CREATE DATABASE IF NOT EXISTS {_hive_name(database)}", *tables, *created]


# --- What goes through Firehose leaves out the status of clean rows, and the object's name -----------------------------

_BAD_ESCAPE: Final = "'%([^0-9A-Fa-f]|$|[0-9A-Fa-f]([^0-9A-Fa-f]|$))'"
# In the first of two passes, an escape of a byte that is no ASCII is left to the second, which reads it as it would the byte:
# between the passes the bytes need not be UTF-8, and Athena would replace them.
_HIGH_ESCAPE: Final = "'%([89A-Fa-f][0-9A-Fa-f])'"
_REPLACEMENT: Final = "chr(65533)"


def _url_decoded(text: str) -> str:
    """`url_decode` of a text without malformed escapes; null where it puts U+FFFD for bytes that are not UTF-8."""
    without_replacements = f"replace(regexp_replace({text}, '(?i)%EF%BF%BD', 'x'), {_REPLACEMENT}, 'x')"
    return f"CASE WHEN strpos(url_decode({without_replacements}), {_REPLACEMENT}) = 0 THEN url_decode({text}) END"


def _decoded_key(key: str, operation: str, raw_line: str) -> str:
    """`etl.parse.decode_key` in Athena's SQL; a key that was no UTF-8 has no name, which its line tells."""
    head = f"split_part({raw_line}, '\"', 1)"
    once = f"(starts_with({operation}, 'S3.') OR starts_with({operation}, 'BATCH.'))"
    # Only where a key is encoded once does a plus stand for a space, which `url_decode` takes it for everywhere.
    first = f"url_decode(replace(regexp_replace({key}, {_HIGH_ESCAPE}, '%25$1'), '+', '%2B'))"
    second = f"replace({first}, '+', '%2B')"
    return (
        f"CASE WHEN strpos({key}, {_REPLACEMENT}) > 0 AND strpos({head}, concat(' ', {key}, ' ')) = 0 THEN NULL "
        f"WHEN strpos({key}, '%') = 0 AND strpos({key}, '+') = 0 THEN {key} "
        f"WHEN regexp_like({key}, {_BAD_ESCAPE}) THEN NULL "
        f"WHEN {once} THEN {_url_decoded(key)} "
        f"WHEN regexp_like({first}, {_BAD_ESCAPE}) THEN NULL "
        f"ELSE {_url_decoded(second)} END"
    )


LEFT_OUT: Final = {
    "object_key": f"coalesce(object_key, {_decoded_key('key_name', 'operation', 'raw_line')})",
    "parse_status": "coalesce(parse_status, 'clean')",
}
"""Expressions of the raw table's columns for what a row left out on its way through Firehose, by the column they give."""


_NUMBERS: Final = {"http_status", "bytes_sent_size", "object_size", "total_duration", "turn_around_duration"}


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


# Athena reads CREATE TABLE and CREATE DATABASE as Hive does, where '' is no quote but the seam of two texts.
def _hive_text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _hive_name(value: str) -> str:
    return "`" + value.replace("`", "``") + "`"
