"""The lake's tables and views as DuckDB's SQL, with the names, columns and types they have on AWS.

Text in, text out: what files there are and how they are read is `_connect`'s business, and it hands each table over as
a relation (a `read_parquet` call, or the name of a registered dataset).
"""

from __future__ import annotations

from collections.abc import Iterable

from etl.query._object_key import derived_key
from etl.schema import BATCH_ID, EVENT_DATE, FIELDS, RECIPE_COLUMNS, Table

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "timestamp": "TIMESTAMP",
    "binary": "BLOB",
}
"""DuckDB's type for each Hive type of the schema."""

_ROW = tuple(field.name for field in FIELDS if field is not EVENT_DATE)
_LEFT_OUT = {
    "object_key": f"coalesce(object_key, {derived_key('key_name', 'operation', 'raw_line')})",
    "parse_status": "coalesce(parse_status, 'clean')",
}
"""What goes through Firehose leaves these out of a raw row, to be derived by whoever reads it."""


def table_columns(table: Table) -> list[tuple[str, str]]:
    """(name, DuckDB type) of a table's columns, its partition key last, as Athena shows them."""
    columns = [(name, DUCKDB_TYPES[kind]) for name, kind, _ in table.columns]
    return [*columns, (table.partition_key, "VARCHAR")]


def read_parquet(table: Table, paths: Iterable[str]) -> str:
    """Relation over local files whose folder is `<partition key>=<day>`.

    The schema is handed in: no file is opened before it is needed, a column that a file lacks is null, and INT96 times
    become TIMESTAMP. The day is cut out of the path by an expression on `filename`, which DuckDB evaluates before it
    opens files; its own Hive partitioning would also take `name=value` folders above the lake for columns.
    """
    files = ", ".join(quote(path) for path in paths)
    fields = ", ".join(
        f"{quote(name)}: {{name: {quote(name)}, type: {quote(DUCKDB_TYPES[kind])}, default_value: NULL}}"
        for name, kind, _ in table.columns
    )
    day = f"regexp_extract(filename, '/{table.partition_key}=([0-9-]+)/[^/]*$', 1)"
    return (
        f"(SELECT *, {day} AS {table.partition_key} FROM read_parquet([{files}], "
        f"schema = MAP {{{fields}}}, filename = true, hive_partitioning = false))"
    )


def no_rows(table: Table) -> str:
    """Relation with a table's columns and no row, for a table that has no file yet."""
    columns = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in table_columns(table))
    return f"(SELECT {columns} WHERE false)"


def table_view(table: Table, relation: str, *, where: str = "") -> str:
    """`CREATE VIEW` of one table over its relation, exactly its columns, in their order and of their types."""
    columns = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in table_columns(table))
    return f"CREATE VIEW {table.name} AS SELECT {columns} FROM {relation}" + (f" WHERE {where}" if where else "")


def requested_between(since: str | None, until: str | None) -> str:
    """Condition on `request_time` for the days from `since` to `until`, both inclusive; `""` for no limit.

    On the time and not on its day: row groups are skipped by the time's own minimum and maximum.
    """
    conditions = []
    if since is not None:
        conditions.append(f"request_time >= TIMESTAMP {quote(since)}")
    if until is not None:
        conditions.append(f"request_time < TIMESTAMP {quote(until)} + INTERVAL 1 DAY")
    return " AND ".join(conditions)


def derived_views() -> list[str]:
    """`access_logs`, `access_logs_exact` and `"default"."s3accesslog"`, in the order they must be created."""
    row = ", ".join(_ROW)
    raw = ", ".join(f"{_LEFT_OUT[name]} AS {name}" if name in _LEFT_OUT else name for name in _ROW)
    day, batch = EVENT_DATE.name, BATCH_ID.name
    recipe = ", ".join(
        f"{_recipe_expression(theirs, kind, ours)} AS {quote_name(theirs)}" for theirs, kind, ours in RECIPE_COLUMNS
    )
    return [
        f"CREATE VIEW access_logs AS SELECT {row}, {day}, {batch} FROM access_logs_compacted "
        f"UNION ALL SELECT {raw}, strftime(request_time, '%Y-%m-%d'), NULL FROM access_logs_raw",
        f"CREATE VIEW access_logs_exact AS SELECT {row}, {day}, {batch} FROM access_logs WHERE {batch} IS NOT NULL "
        f"UNION ALL SELECT {row}, {day}, {batch} FROM access_logs WHERE {batch} IS NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {day}, source_key, line_no ORDER BY request_id) = 1",
        'CREATE SCHEMA "default"',
        f'CREATE VIEW "default".s3accesslog AS SELECT {recipe} FROM access_logs',
    ]


def _recipe_expression(theirs: str, kind: str, ours: str) -> str:
    if theirs == "signatureversion":
        # A guess among several readings is neither SigV2 nor its absence.
        return f"CASE WHEN parse_status <> 'ambiguous' THEN {ours} END"
    return f"CAST({ours} AS {DUCKDB_TYPES[kind]})"


def quote(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'
